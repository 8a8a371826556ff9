// --seccomp and --seccomp-log: which program the app's system calls are judged by.
#pragma once

#include "stepdown/plan.h"

namespace stepdown {

// Some policy was asked for; "none" is none.
bool names_policy(const Options& options);

// The policy's program for what `plan` keeps. Error: of ready_filter; --seccomp-log where nobody
// said anything of a policy.
void plan_seccomp(Plan& plan, const Options& options, const Host& host);

}  // namespace stepdown
