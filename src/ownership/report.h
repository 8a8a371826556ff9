// What a walk did, in words.
#pragma once

#include <string>

#include "stepdown/log.h"
#include "stepdown/ownership.h"

namespace stepdown::ownership {

// One line for what was done and one for each kind of thing that was left alone. `step` begins
// them: "--own /data".
void tell(const Log& log, const std::string& step, const HandOverReport& report);

}  // namespace stepdown::ownership
