// Marking descriptors close-on-exec without close_range(2).
#pragma once

namespace stepdown::steps {

// Sets FD_CLOEXEC on every open descriptor from `low` to `high` that /proc/self/fd lists. False
// when there is no procfs to list them; then nothing is known and nothing was changed.
bool close_on_exec_by_listing(unsigned low, unsigned high);

}  // namespace stepdown::steps
