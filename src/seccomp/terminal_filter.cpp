#include "seccomp/terminal_filter.h"

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "filter_programs.h"
#include "seccomp/program.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {

Availability availability() {
  // With no program to copy in, EFAULT says that the kernel got as far as looking for one. Any
  // other errno, EPERM say, is somebody's refusal and no reason to go without.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) != -1)
    return Availability::refused;
  if (errno == ENOSYS || errno == EINVAL) return Availability::missing;
  return errno == EFAULT ? Availability::available : Availability::refused;
}

void refuse_terminal_injection() {
  if (load(programs::terminal_injection, 0) != 0) throw_errno("filter", "seccomp(2)");
  // A filter of somebody else may answer in the kernel's place. Without ours this is EBADF.
  if (::ioctl(-1, TIOCSTI, nullptr) != -1 || errno != EPERM)
    refuse("filter", "seccomp(2) returned success and the filter is not there");
}

}  // namespace stepdown::seccomp
