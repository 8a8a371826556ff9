// unshare(2) with CLONE_NEWUSER.
#pragma once

namespace stepdown::userns {

// Error (step "userns"), with what may be behind it and what to do: the kernel refused.
void leave_parent_namespace();

}  // namespace stepdown::userns
