# cmake -DOUTPUT=HEADER -DFILES=FILE;FILE… -DTYPE=… -DVARIABLE=… -DINCLUDE=… -P embed-texts.cmake: the
# texts of files within the binary, as an array of TYPE{name, text}.
set(entries "")
set(count 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"text(${text})text\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "// Made by cmake/embed-texts.cmake.
#pragma once

#include <array>

#include \"${INCLUDE}\"

namespace stepdown {

inline constexpr std::array<${TYPE}, ${count}> ${VARIABLE}{{
${entries}}};

}  // namespace stepdown
")
