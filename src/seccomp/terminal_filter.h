// The small filter that every hardened app gets: ioctl(2) with TIOCSTI or TIOCLINUX is refused with
// EPERM, because both put characters into a terminal's input, where the shell that comes after the
// app reads them as commands (CVE-2016-2568 and its kin).
#pragma once

namespace stepdown::seccomp {

enum class Availability {
  available,
  missing,  // the kernel has no seccomp filters, or its emulation (qemu-user) hasn't
  refused,  // somebody's filter or security module forbids the call
};
// Asks the kernel; changes nothing.
Availability availability();

// Loads the filter for this thread and everything it executes. Needs no_new_privs. Error: it could
// not be built or loaded.
void refuse_terminal_injection();

}  // namespace stepdown::seccomp
