// From a policy to a program, by libseccomp, with a prologue of ours:
//
// - TIOCSTI and TIOCLINUX are refused with EPERM whatever the policy says, by each way into the
//   kernel that the policy covers; the 32 bits that the kernel reads of the request count. On
//   descriptor -1 the refusal is EBADF, what the kernel itself would say: this is how a launcher
//   that has the small filter (terminal_filter.h), which says EPERM, sees that the program is
//   there. (Of two filters that refuse alike, the later one's errno counts: seccomp(2).)
// - A call that is newer than the newest the policy names gets ENOSYS, so that libcs fall back; but
//   not where the default lets calls through.
#pragma once

#include <string>
#include <vector>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

struct Compiled {
  FilterProgram program;
  std::vector<std::string> unknown_calls;  // ascending
};

// As a tree. Error, step "NAME" or "NAME: PLACE": contradictions; libseccomp refused a rule; more
// instructions than the kernel takes (BPF_MAXINSNS, 4096).
Compiled compile(const Policy& policy, const FilterSituation& situation);

}  // namespace stepdown::seccomp
