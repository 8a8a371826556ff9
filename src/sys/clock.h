// The time, as logs write it.
#pragma once

#include <string>

namespace stepdown::sys {

// "2026-01-31T12:00:00.123Z". Not by localtime(3), nor gmtime(3): they open whatever file TZ names,
// and the image sets TZ.
std::string utc_now();

}  // namespace stepdown::sys
