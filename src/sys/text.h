// Text made fit for a terminal and a log: what somebody else chose, and the columns of a table.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stepdown::sys {

// Printable ASCII as it is, a backslash doubled, every other byte as \xNN: no control sequence, no
// reversed writing beyond ASCII and no forged line gets through. Newlines stay where `keep_lines`.
std::string escaped(std::string_view text, bool keep_lines = false);

// A message, of which what somebody else chose may have been escaped where it was put in: as above,
// but backslashes stay as they are, so that nothing is escaped twice.
std::string printable(std::string_view message, bool keep_lines = false);

// With blanks behind it up to `width` characters; longer text stays as it is.
std::string padded(std::string text, std::size_t width);

// Every line but the first begins with `margin`.
std::string indented(std::string_view text, std::string_view margin);

}  // namespace stepdown::sys
