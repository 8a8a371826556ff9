// Creating the directories of an owned path that are missing.
#pragma once

#include <string>

#include "ownership/resolve.h"

namespace stepdown::ownership {

// mkdir -p beneath what exists, mode 0755 whatever the umask, owned by this process. Returns the
// last directory, pinned. Error: a call fails, or a stranger has put something else there.
Pinned create_missing(const std::string& step, Resolution resolution, Owner target);

}  // namespace stepdown::ownership
