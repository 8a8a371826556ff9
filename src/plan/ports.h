// How each port gets bound, and what the command's file capabilities make of it.
#pragma once

#include "stepdown/plan.h"

namespace stepdown {

// Fills in `ports`, `keep`, `bounding` and `command_refusal`. Everything else of the plan that it
// reads (identity, no_new_privs, drop_privileges) is settled before.
void plan_ports_and_capabilities(Plan& plan, const Options& options, const Caller& caller,
                                 const Host& host);

}  // namespace stepdown
