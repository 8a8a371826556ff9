// A refused call in words, for whoever wonders what an app lacks.
#pragma once

#include <linux/seccomp.h>

#include <string>

#include "stepdown/seccomp.h"

namespace stepdown::seccomp {

// "keyctl", "i386 keyctl"; "call 1234" where libseccomp knows no name for it.
std::string call_name(const seccomp_data& call);
// "keyctl(0x0, 0x1, 0x0, 0x0, 0x0, 0x0)": the registers; how many of them the call takes, its
// manual page says.
std::string call_text(const seccomp_data& call);

// What would let the call through: "--keep-cap SYS_ADMIN would allow it", where the policy says so
// on a condition, else where to change the policy.
std::string way_to_allow(const ReadyFilter& filter, const FilterSituation& situation,
                         const seccomp_data& call);

}  // namespace stepdown::seccomp
