// A plan and what its steps would do here, in the two ways to write them down. Pure.
#pragma once

#include <string>
#include <vector>

#include "stepdown/launch.h"

namespace stepdown::cli {

std::string plan_table(const Launch& launch, const std::vector<StepFinding>& findings);

// The keys are those of stepdown(1), in that order. Bytes that are no UTF-8 come out as U+FFFD.
std::string plan_json(const Plan& plan, const std::vector<StepFinding>& findings);

}  // namespace stepdown::cli
