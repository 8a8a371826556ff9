// What a door has to know of the host that it runs on.
#pragma once

#include <sys/stat.h>

#include <string>

namespace stepdown::oci {

// Error: /proc isn't a procfs.
bool is_this_binary(const struct stat& status);

// Its absolute path, to be named in a config. Error: what is there isn't this binary any more, or
// somebody else than root and who runs this may write to it.
std::string path_of_this_binary();

}  // namespace stepdown::oci
