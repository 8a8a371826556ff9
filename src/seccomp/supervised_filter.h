// Filters that leave some system calls to a supervisor (seccomp_unotify(2)), and the constant one
// that needs none. libseccomp compiles them at build time.
#pragma once

#include <string>

#include "sys/fd.h"

namespace stepdown::seccomp {

enum class Supervised {
  // The get and set calls for the three uids and gids, setfsuid(2), setfsgid(2), and prctl(2) with
  // PR_SET_KEEPCAPS. chown(2) and its kin and setgroups(2) say 0 by the filter alone. i386's 16-bit
  // and 32-bit names too; x32 calls of these get ENOSYS.
  identity_calls,
  // bind(2), and i386's socketcall(2) for it.
  binds,
};

// Why the kernel can't notify a supervisor, in words; empty when it can. It has to know
// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19): without it a signal makes a call fail that was
// about to be answered. What no kernel has: a signal that comes before the supervisor has taken the
// call up ends it, with EINTR where the signal's handler doesn't restart calls (signal(7)).
// Asks; changes nothing.
std::string supervision_obstacle();

// Loads the filter for this thread and everything it executes; the descriptor, closed at execve(2),
// is where its calls wait to be answered. Needs no_new_privs. Error, step "supervised".
sys::Fd load_supervised(Supervised calls);

// --pretend-root=static: identity_calls, but every one says 0 and does nothing. getresuid(2) and
// getresgid(2) stay the kernel's, whose answer goes through memory. Error, step "supervised".
void load_pretended_root();

}  // namespace stepdown::seccomp
