# cmake -DOUTPUT=HEADER -DPROFILES=FILE;FILE… -P embed-profiles.cmake: texts within the binary.
set(entries "")
set(count 0)
foreach(file IN LISTS PROFILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"toml(${text})toml\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "// Made from profiles/*.toml by cmake/embed-profiles.cmake.
#pragma once

#include <array>

#include \"stepdown/profile.h\"

namespace stepdown {

inline constexpr std::array<BuiltInProfile, ${count}> built_in_profile_texts{{
${entries}}};

}  // namespace stepdown
")
