#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "stepdown/error.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "userns/enter.h"
#include "userns/helper.h"
#include "userns/leave.h"
#include "userns/own_proc.h"

namespace stepdown::userns {

namespace {

std::string without_namespace(std::string_view why) {
  return std::string(why) + "; or, without a namespace, --pretend-root in the place of --userns";
}

bool is_zero(const char* sysctl) {
  const sys::Fd file = sys::open_procfs(sysctl);
  char text[2] = {};
  return file && ::read(file.get(), text, sizeof text) == 2 && text[0] == '0' && text[1] == '\n';
}

// Where AppArmor restricts user namespaces, unshare(2) succeeds and writing the map does not.
std::string try_it() {
  const OwnProc proc;
  const uid_t uid = ::geteuid();
  leave_parent_namespace();
  // To map uid 0 takes CAP_SETFCAP; to lack that says nothing about a security module.
  if (uid == raw(root_uid)) return {};
  // The files of an undumpable process can't be opened for writing (proc(5)).
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) throw_errno("userns", "prctl(PR_SET_DUMPABLE)");
  proc.write("setgroups", "deny");
  proc.write("uid_map", id_map_text({{0, uid, 1}}));
  return {};
}

}  // namespace

std::string filter_obstacle() {
  // Asked for nothing, the kernel has nothing to refuse: who refuses is a filter.
  if (::unshare(0) == 0) return {};
  return without_namespace("a container runtime's seccomp filter forbids unshare(2) (" +
                           std::string(std::strerror(errno)) +
                           "); docker: --security-opt seccomp=FILE with a profile that allows "
                           "unshare(2)");
}

std::string obstacle() {
  if (std::string filtered = filter_obstacle(); !filtered.empty()) return filtered;
  try {
    const OwnProc proc;
    static_cast<void>(proc.read_map("uid_map"));
  } catch (const Error& error) {
    return without_namespace(error.reason());
  }
  if (is_zero("/proc/sys/user/max_user_namespaces"))
    return without_namespace("sysctl user.max_user_namespaces is 0: raise it on the host");
  // Debian's kernels have it; it counts for whoever lacks CAP_SYS_ADMIN.
  if (is_zero("/proc/sys/kernel/unprivileged_userns_clone"))
    return without_namespace(
        "sysctl kernel.unprivileged_userns_clone is 0: set it to 1 on the host");
  return {};
}

std::string obstacle_by_trial() {
  if (std::string known = obstacle(); !known.empty()) return known;
  try {
    return Helper(try_it).answer();
  } catch (const Error& error) {
    return without_namespace(error.reason());
  }
}

}  // namespace stepdown::userns
