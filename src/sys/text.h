// Text that somebody else chose, made fit for a terminal and a log.
#pragma once

#include <string>
#include <string_view>

namespace stepdown::sys {

// Printable ASCII as it is, a backslash doubled, every other byte as \xNN: no control sequence, no
// reversed writing beyond ASCII and no forged line gets through. Newlines stay where `keep_lines`.
std::string escaped(std::string_view text, bool keep_lines = false);

}  // namespace stepdown::sys
