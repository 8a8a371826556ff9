// Writing a file so that nobody ever sees a part of it.
#pragma once

#include <string>
#include <string_view>

namespace stepdown::sys {

// `bytes` under `path`, with mode 0644: written beside it first, then renamed. Error, step `path`:
// what is there is no regular file, or a call failed; what is there stays as it was.
void replace_file(const std::string& path, std::string_view bytes);

}  // namespace stepdown::sys
