#include "userns/leave.h"

#include <sched.h>

#include <cerrno>

#include "stepdown/error.h"

namespace stepdown::userns {

namespace {

const char* remedy(int number) {
  switch (number) {
    case EPERM:
      return "a chroot, a security module, or a seccomp filter that looks at the flags (systemd's "
             "RestrictNamespaces=) forbids user namespaces: start without it";
    case ENOSPC:
    case EUSERS:
      return "the limit of user namespaces is used up, here or in a parent, or 32 are nested: "
             "raise "
             "sysctl user.max_user_namespaces";
    case EINVAL:
      return "the kernel was built without user namespaces (CONFIG_USER_NS), or this process has "
             "several threads";
    default:
      return "";
  }
}

}  // namespace

void leave_parent_namespace() {
  if (::unshare(CLONE_NEWUSER) != 0)
    throw_errno("userns", "unshare(2)", "CLONE_NEWUSER", remedy(errno));
}

}  // namespace stepdown::userns
