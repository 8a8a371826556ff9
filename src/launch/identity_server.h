// The supervisor's part in --pretend-root: it answers the identity calls of the app and of
// everything the app starts.
//
// Each process carries the number of its pretended identity (pretended_identity.h) in the soft
// limit of RLIMIT_LOCKS, which Linux has not looked at since 2.4.25: the kernel itself then hands
// the identity on over fork(2) and execve(2), shares it among threads, and forgets it with the
// process, exactly as it does with real credentials. The supervisor reads and moves it with
// prlimit(2), for which being the same user is enough. The app can't: for it setting that limit
// succeeds and does nothing (pam_limits(8) sets them all back). Where the value is no number of
// ours it sees the kernel's truth.
//
// One thing the kernel does and nobody tells of: execve(2) makes the effective ids the saved ones,
// and ends PR_SET_KEEPCAPS. Where that would change something, and only there, the limit carries a
// mark of the program beside the number, made from its auxiliary vector: the addresses in it
// (AT_RANDOM, AT_BASE, …) are new after every execve(2) and the same after a fork(2), so another
// mark tells.
//
// What differs from the kernel: saved ids stay what they were when a program executes itself where
// addresses aren't randomised, and when its auxiliary vector may not be read because it isn't
// dumpable. A thread that sets its ids by the bare system call sets them for the whole process
// (nptl(7)). A call can fail with EINTR when a signal, whose handler doesn't ask for SA_RESTART,
// comes before the supervisor has taken the call.
#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sys/fd.h"

namespace stepdown {

struct Carried {
  std::size_t number = 0;     // below IdentityTable::largest
  std::uint32_t program = 0;  // the mark of the one that took the identity on, or 0
  friend bool operator==(const Carried&, const Carried&) = default;
};
// As a soft limit, and back; nullopt where it was never ours.
rlim_t soft_limit(const Carried& carried);
std::optional<Carried> carried_in(rlim_t soft);

// Why this process can't carry a number, in words; empty when it can. Changes nothing.
std::string carrying_obstacle();
// This process is below a supervisor that pretends for it. The limit alone would not tell: it goes
// through setuid programs, so that anybody could set it for a launcher that is really root. What
// the filter makes of setgroups(2), nobody can forge.
bool carries_identity();
// This process, and what it becomes, is root by its own account. Error, step "supervised".
void carry_root();

// Answers until nobody is left to ask. Who can't be answered gets the kernel's own answer: a
// process whose number is not to be had, or whose memory isn't where the answer goes through it.
// EAGAIN for a set call when there are too many identities, or the process has lowered its hard
// limit. Error, step "supervisor": the listener
// is broken; the calls then fail, and never say root.
void serve_identity_calls(sys::Fd listener);

}  // namespace stepdown
