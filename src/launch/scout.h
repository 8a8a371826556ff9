// Questions that only the app's user can answer, asked before anything is changed: a forked child
// becomes that user (groups, gid, uid, no capability), looks, answers, and ends.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "stepdown/plan.h"

namespace stepdown::steps {

// This process can change its ids and groups to the plan's, so that a scout can go.
bool can_scout(const Plan& plan, const Caller& caller);

// Runs `look` in the child as the app's user and returns the lines it returned there.
// Error: the child could not be made, could not become the user, or died.
std::vector<std::string> scout(const Plan& plan,
                               const std::function<std::vector<std::string>()>& look);

}  // namespace stepdown::steps
