# One interface target with the warnings and the hardening that every target of ours is built with.
add_library(stepdown-flags INTERFACE)
target_compile_options(stepdown-flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  $<$<BOOL:${STEPDOWN_WERROR}>:-Werror>
  -fstack-protector-strong -ffunction-sections -fdata-sections)
target_link_options(stepdown-flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)

if(STEPDOWN_SANITIZE)
  target_compile_options(stepdown-flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(stepdown-flags INTERFACE -fsanitize=address,undefined)
else()
  target_compile_options(stepdown-flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()

# The launcher starts once per container: small and quick to load beats quick to loop.
set(CMAKE_CXX_FLAGS_RELEASE "-Os -DNDEBUG")
# Relative relocations packed (DT_RELR): 120 KB less of the static-pie binary. Optimised as a whole,
# in one piece: again as much. Everything else links the same objects as they are, which is quicker,
# and so does whoever uses the installed library.
# An exception that nobody catches ends in abort(3) without a text, for which libstdc++ would bring its
# demangler along (50 KB): main and the supervisor's thread catch all.
set(STEPDOWN_STATIC_LINK -static-pie -Wl,--gc-sections -Wl,-z,pack-relative-relocs -s
  -Wl,--defsym=_ZN9__gnu_cxx27__verbose_terminate_handlerEv=abort)
if(STEPDOWN_STATIC)
  target_compile_options(stepdown-flags INTERFACE $<$<CONFIG:Release>:-flto=auto;-ffat-lto-objects>)
  target_link_options(stepdown-flags INTERFACE
    "$<$<CONFIG:Release>:$<IF:$<BOOL:$<TARGET_PROPERTY:WHOLE>>,-flto=auto;-flto-partition=one,-fno-lto>>")
endif()

# Debian has spdlog and fmt as shared libraries or header-only: the static binary takes the headers.
add_library(stepdown-spdlog INTERFACE)
if(STEPDOWN_STATIC)
  target_compile_definitions(stepdown-spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)
else()
  target_link_libraries(stepdown-spdlog INTERFACE spdlog::spdlog)
endif()

# What --version says of the build.
set(STEPDOWN_BUILD "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_SYSTEM_PROCESSOR}")
if(STEPDOWN_STATIC)
  string(APPEND STEPDOWN_BUILD ", static-pie")
else()
  string(APPEND STEPDOWN_BUILD ", shared libraries")
endif()
if(STEPDOWN_SANITIZE)
  string(APPEND STEPDOWN_BUILD ", sanitizers")
endif()
