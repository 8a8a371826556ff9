// Loads a program that was compiled at build time.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <span>

namespace stepdown::seccomp {

// What seccomp(2) returns for SECCOMP_SET_MODE_FILTER with these flags: -1 and errno, 0, or the
// listener that the flags ask for.
inline int load(std::span<const sock_filter> program, unsigned flags) {
  // The kernel copies the program and takes it as const; the struct does not say so.
  const sock_fprog filter{static_cast<unsigned short>(program.size()),
                          const_cast<sock_filter*>(program.data())};
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
}

}  // namespace stepdown::seccomp
