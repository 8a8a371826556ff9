#include "seccomp/supervised_filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "filter_programs.h"
#include "seccomp/program.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr const char* step = "supervised";

constexpr unsigned listening =
    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

// 0 or the errno of loading a filter that allows everything and has a listener. Only loading one
// tells whether a filter that is there has one already (EBUSY), and a filter can't be taken back:
// so a child does it, and ends.
int errno_of_listening() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno(step, "pipe2(2)");
  const sys::Fd reader(ends[0]);
  sys::Fd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno(step, "fork(2)");
  if (pid == 0) {
    constexpr sock_filter allow_everything[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
    const int answer = load(allow_everything, listening) < 0 ? errno : 0;
    ::_exit(::write(writer.get(), &answer, sizeof answer) == sizeof answer ? 0 : 1);
  }
  writer.reset();
  int answer = 0;
  ssize_t length = 0;
  do length = ::read(reader.get(), &answer, sizeof answer);
  while (length < 0 && errno == EINTR);
  // ECHILD: whoever started us ignores SIGCHLD, and the kernel has reaped it already.
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (length != sizeof answer) refuse(step, "the child that tried out a listener died");
  return answer;
}

}  // namespace

std::string supervision_obstacle() {
  const int error = errno_of_listening();
  switch (error) {
    case 0:
      return {};
    case EINVAL:
      return "this kernel can't hand calls to a supervisor safely: "
             "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is in Linux 5.19 and later";
    case EBUSY:
      return "another supervisor answers calls of this process already, and the kernel allows one";
    case ENOSYS:
      // Filters of container engines, too, answer so to what they don't know.
      if (::prctl(PR_GET_SECCOMP, 0UL, 0UL, 0UL, 0UL) != SECCOMP_MODE_FILTER)
        return "this kernel (or its emulation) has no seccomp filters";
      [[fallthrough]];
    case EPERM:
    case EACCES:
      return "seccomp(2) is refused (" + std::string(std::strerror(error)) +
             "): a seccomp filter or an LSM forbids it";
    default:
      return "seccomp(2) fails: " + std::string(std::strerror(error));
  }
}

sys::Fd load_supervised(Supervised calls) {
  sys::Fd listener(calls == Supervised::binds ? load(programs::binds, listening)
                                              : load(programs::identity_calls, listening));
  if (!listener) throw_errno(step, "seccomp(2)");
  return listener;
}

void load_pretended_root() {
  if (load(programs::pretended_root, 0) != 0) throw_errno(step, "seccomp(2)");
}

}  // namespace stepdown::seccomp
