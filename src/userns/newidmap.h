// newuidmap(1) and newgidmap(1): programs with privileges of their own, which write the maps of a
// caller that has none, within what subuid(5) and subgid(5) grant it.
#pragma once

#include <string>

#include "stepdown/user_namespace.h"

namespace stepdown::userns {

// Has them write the maps of the process that /proc calls `pid`, which must be dumpable and belong
// to the caller. To be called in a child of one's own: it sets SIGCHLD to its default. Error (step
// "userns"): one of them is not installed or failed; the message has what it said.
void run_newidmap(const std::string& pid, const UserNamespace& wanted);

}  // namespace stepdown::userns
