# Binary, man pages, profiles, files for engines, headers, and a package config:
# find_package(stepdown), stepdown::stepdown.
include(CMakePackageConfigHelpers)
install(TARGETS stepdown RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS stepdown-library EXPORT stepdown-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/stepdown DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES man/stepdown.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES man/stepdown-profile.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES man/stepdown-hook.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${profiles} DESTINATION ${CMAKE_INSTALL_DATADIR}/stepdown/profiles)
install(FILES ${policies} DESTINATION ${CMAKE_INSTALL_DATADIR}/stepdown/profiles/seccomp)
install(DIRECTORY oci DESTINATION ${CMAKE_INSTALL_DATADIR}/stepdown USE_SOURCE_PERMISSIONS)
install(EXPORT stepdown-targets NAMESPACE stepdown::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stepdown)
configure_package_config_file(cmake/stepdown-config.cmake.in
  ${PROJECT_BINARY_DIR}/stepdown-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stepdown)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/stepdown-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/stepdown-config.cmake
              ${PROJECT_BINARY_DIR}/stepdown-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/stepdown)
