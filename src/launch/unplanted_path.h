// From a path to its inode, for a permission that is to last: the app, in an earlier life, may have
// put a symbolic link where it can write, so as to be given more the next time.
#pragma once

#include <string>

#include "sys/fd.h"

namespace stepdown::steps {

// O_PATH. As the app's user. Error: it can't be opened, or passes through a symbolic link in a
// directory that is this user's or that it may write to.
sys::Fd open_unplanted(const std::string& step, const std::string& path);

}  // namespace stepdown::steps
