// From a policy to a program. libseccomp makes the tree that finds a call by architecture and
// number; the rules that test arguments are compiled by call_code.cpp (why: call_rules.h), and a
// prologue of ours (prologue.h) stands before it all:
//
// - TIOCSTI and TIOCLINUX are refused with EPERM whatever the policy says, by each way into the
//   kernel that the policy covers; the 32 bits that the kernel reads of the request count. On
//   descriptor -1 the refusal is EBADF, what the kernel itself would say: this is how a launcher
//   that has the small filter (terminal_filter.h), which says EPERM, sees that the program is
//   there. (Of two filters that refuse alike, the later one's errno counts: seccomp(2).)
// - A call whose number is above the largest that the policy names for its architecture, under
//   whatever conditions, gets ENOSYS, so that libcs fall back; but not where the default lets calls
//   through. Of x32 those below 512 count, the rest being old; -1 is no call and gets the default.
//
// What comes by an architecture that the policy doesn't cover is killed (SECCOMP_RET_KILL_THREAD),
// and so is x32's on x86_64 where x32 isn't covered.
//
// i386's socketcall(2) and ipc(2) can make other calls. Where the policy names them, its rules for
// them count first. Else each call that they can make gets what the policy says of it by its own
// name; where that depends on arguments, which lie in memory here, the strictest verdict that it
// could get, the default among them.
#pragma once

#include <string>
#include <vector>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

struct Compiled {
  FilterProgram program;
  std::vector<std::string> unknown_calls;  // that get the default or less; ascending
};

// "not known to libseccomp 2.5.4 (misspelt, or newer)"
std::string not_known();

// As a tree. Error, step "NAME" or "NAME: PLACE": contradictions; a call that libseccomp doesn't
// know in a rule that is stricter than the default; libseccomp refused a rule; more instructions
// than the kernel takes (BPF_MAXINSNS, 4096).
Compiled compile(const Policy& policy, const FilterSituation& situation);

}  // namespace stepdown::seccomp
