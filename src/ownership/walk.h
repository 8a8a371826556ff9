// The walk over a tree whose top has been found and judged already.
#pragma once

#include <functional>
#include <string>

#include "ownership/resolve.h"
#include "stepdown/ownership.h"

namespace stepdown::ownership {

// Hands over `top`, which `path` calls in messages, and with `recursive` what lies below it on the
// same mount. Errors: as hand_over.
HandOverReport walk(const std::string& step, const std::string& path, Pinned top, bool recursive,
                    const HandOverTarget& target,
                    const std::function<void(const HandOverReport&)>& progress);

}  // namespace stepdown::ownership
