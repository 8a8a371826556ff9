// What of the plan's paths will have become the app's by the time it starts.
#pragma once

#include <string>

#include "stepdown/plan.h"

namespace stepdown::steps {

// --own hands the path over, or will have created it: until then there is nothing to learn there.
bool is_owned(const Plan& plan, const std::string& path);

// Every directory above `path` can be passed by everybody, so that nobody has to be asked. A path
// that is relative is judged as far as it goes.
bool is_open_to_all(std::string path);

}  // namespace stepdown::steps
