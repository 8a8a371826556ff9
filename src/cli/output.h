// What a command prints on stdout: reports and help, never messages.
#pragma once

#include <string>

namespace stepdown::cli {

// Error: it could not be written. A report that went nowhere (a full disk, a closed stdout) must
// not end in exit status 0.
void write_out(const std::string& text);

}  // namespace stepdown::cli
