// From options to a launch: the lookups that run, plan and the gosu names share.
#pragma once

#include "stepdown/launch.h"
#include "stepdown/options.h"

namespace stepdown::cli {

// Surveys caller and host, reads the account files, makes the plan. Error: as make_plan.
Launch prepare(const Options& options);

}  // namespace stepdown::cli
