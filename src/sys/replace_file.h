// Writing a file so that nobody ever sees a part of it.
#pragma once

#include <string>
#include <string_view>

#include "sys/files.h"

namespace stepdown::sys {

enum class Replacing {
  anew,       // mode 0644, and on the disk before it has the name
  as_it_was,  // with the owner and mode of the file that is there
};

// `bytes` under `path`: written beside it first, then renamed. Returns which inode it is that was
// written. Error, step `path`: what is there is no regular file, or a call failed; what is there
// stays as it was.
InodeId replace_file(const std::string& path, std::string_view bytes,
                     Replacing how = Replacing::anew);

}  // namespace stepdown::sys
