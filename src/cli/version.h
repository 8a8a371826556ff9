// What --version says.
#pragma once

#include <string>

namespace stepdown::cli {

std::string version_text();    // version, libraries, build; ends with a newline
std::string version_number();  // "0.1.0"

}  // namespace stepdown::cli
