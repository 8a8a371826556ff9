// What a door has to know of the host that it runs on.
#pragma once

#include <sys/stat.h>

#include <string>

namespace stepdown::oci {

// The inode of this binary. Error: /proc isn't a procfs.
struct stat this_binary();

// Its absolute path, to be named in a config. Error: what is there isn't this binary any more, or
// somebody else than root and who runs this may write to it.
std::string path_of_this_binary();

}  // namespace stepdown::oci
