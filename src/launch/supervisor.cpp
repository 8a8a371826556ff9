#include "launch/supervisor.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "capability/apply.h"
#include "stepdown/error.h"

namespace stepdown {

namespace {

constexpr const char* step = "init";

// Signals as the kernel counts them. glibc's wrappers leave out 32 and 33, which it uses itself,
// but a supervisor is sent them like others, and a caller may have them blocked (nptl(7)).
constexpr std::size_t set_size = _NSIG / 8;

sigset_t all_signals() {
  sigset_t all;
  std::memset(&all, 0xff, sizeof all);
  return all;
}

void set_mask(const sigset_t& mask, sigset_t* former) {
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, former, set_size) != 0)
    throw_errno(step, "sigprocmask(2)");
}

// What the caller handed over, to be handed on to the app.
struct CallersSignals {
  sigset_t mask{};
  struct sigaction child_action {};
};

// From before fork(2) on every signal waits to be asked for: none is lost, none interrupts.
CallersSignals hold_signals() {
  CallersSignals callers;
  set_mask(all_signals(), &callers.mask);
  // Ignored, it would make the kernel reap in our place, and the app's status would be lost.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  if (::sigaction(SIGCHLD, &standard, &callers.child_action) != 0)
    throw_errno(step, "sigaction(2)");
  return callers;
}

void hand_signals_on(const CallersSignals& callers) {
  if (::sigaction(SIGCHLD, &callers.child_action, nullptr) != 0) throw_errno(step, "sigaction(2)");
  set_mask(callers.mask, nullptr);
}

// The terminal's foreground goes from one process group to another, if it was there: never from a
// third one. SIGTTOU is blocked, so a background process may do it (tcsetpgrp(3)).
void hand_terminal_over(pid_t from, pid_t to) {
  const auto hand_over = [from, to](int fd) {
    return ::tcgetpgrp(fd) == from && ::tcsetpgrp(fd, to) == 0;
  };
  for (int fd = 0; fd <= 2; ++fd)
    if (hand_over(fd)) return;
  // All three redirected: the app may still ask for its controlling terminal (tty(4)).
  const sys::Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (terminal) hand_over(terminal.get());
}

class Supervisor {
 public:
  Supervisor(pid_t app, bool group) : app_(app), receiver_(group ? -app : app) {}

  [[noreturn]] void run() const {
    const sigset_t all = all_signals();
    for (;;) {
      const long signal = ::syscall(SYS_rt_sigtimedwait, &all, nullptr, nullptr, set_size);
      if (signal == SIGCHLD)
        reap();
      else if (signal > 0)
        forward(static_cast<int>(signal));
      else if (errno != EINTR)  // which it is when stopped and continued
        throw_errno(step, "sigwaitinfo(2)");
    }
  }

 private:
  void forward(int signal) const {
    // Continued by a shell's fg, which has made our group the foreground one.
    if (signal == SIGCONT) hand_terminal_over(::getpgrp(), app_);
    // ESRCH: it has just ended, and SIGCHLD is on its way.
    ::kill(receiver_, signal);
  }

  // The app's end is ours; everybody else who ends here was an orphan.
  void reap() const {
    int status = 0;
    for (;;) {
      const pid_t pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED);
      if (pid == 0) return;
      // Not even ECHILD: the app would have been seen to end.
      if (pid < 0) throw_errno(step, "waitpid(2)");
      if (pid != app_) continue;
      if (WIFSTOPPED(status))
        follow_stop(WSTOPSIG(status));
      else
        end_as(status);
    }
  }

  // Job control (credentials(7)): the shell that waits for us must see the app stop, and continues
  // us. Whoever stops it by SIGSTOP continues it as well, and without a terminal there is no shell.
  void follow_stop(int signal) const {
    if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU) return;
    const sys::Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!terminal) return;
    if (::getsid(0) != ::getpid())
      ::kill(::getpid(), SIGSTOP);
    else if (::tcgetpgrp(terminal.get()) == app_)
      // We lead the session (docker run -it): nobody could continue it, and without us the kernel
      // would not have stopped it (setpgid(2), "orphaned process group").
      ::kill(-app_, SIGCONT);
  }

  [[noreturn]] void end_as(int status) const {
    // A caller without job control would not fetch it back, and stop at its next read.
    hand_terminal_over(app_, ::getpgrp());
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }

  pid_t app_;
  pid_t receiver_;
};

// The pages of a launch won't be used again. Those of read-only segments are the file's, and come
// back when they are touched.
int forget_code(dl_phdr_info* object, std::size_t, void*) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int index = 0; index < object->dlpi_phnum; ++index) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[index];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t first = begin & ~(page - 1);
    ::madvise(std::bit_cast<void*>(first), begin + segment.p_memsz - first, MADV_DONTNEED);
  }
  return 0;
}

// One byte with one descriptor (unix(7), SCM_RIGHTS).
struct Parcel {
  char byte = 0;
  iovec content{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  Parcel() {
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
};

// Waits for the app's process to send it; none where that ended first.
sys::Fd receive_listener(int channel) {
  Parcel parcel;
  ssize_t count = 0;
  do {
    count = ::recvmsg(channel, &parcel.message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw_errno("supervisor", "recvmsg(2)");
  const cmsghdr* const header = CMSG_FIRSTHDR(&parcel.message);
  if (count == 0 || header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return sys::Fd(number);
}

// A pipe that the app closes must not be held open here. Before Linux 5.9 it is.
void close_all_but(int one, int other) {
  const auto close = [](unsigned low, unsigned high) {
    if (low <= high) ::syscall(SYS_close_range, low, high, 0U);
  };
  constexpr unsigned first = STDERR_FILENO + 1;
  const auto low = static_cast<unsigned>(std::min(one, other));
  const auto high = static_cast<unsigned>(std::max(one, other));
  close(first, low - 1);
  close(std::max(low + 1, first), high - 1);
  close(high + 1, UINT_MAX);
}

void let_the_app_go(const sys::Fd& channel, int log_descriptor) {
  close_all_but(channel.get(), log_descriptor);
  if (::write(channel.get(), "", 1) != 1) throw_errno(step, "write(2)");
}

// In a thread: a call that takes long to answer, for a page that its memory has to fetch, delays no
// signal and no reaping. When it ends, however it does, channel and listener close and the calls
// fail.
void serve(const Log& log, const SupervisorsPart& part, sys::Fd channel) {
  bool gone = false;
  try {
    // The C library opens 32 and 33 in each thread it makes, and their default is to end the
    // process.
    set_mask(all_signals(), nullptr);
    let_the_app_go(channel, part.log_descriptor);
    gone = true;
    sys::Fd listener = receive_listener(channel.get());
    channel.reset();
    if (listener) part.serve(std::move(listener));
  } catch (const std::exception& error) {
    if (log) log(LogLevel::error, error.what());
    if (!gone) ::_exit(exit_status::failed);
  }
}

void start_serving(const Log& log, const SupervisorsPart& part, sys::Fd channel) {
  try {
    std::thread([log, part, own = std::move(channel)]() mutable {
      serve(log, part, std::move(own));
    }).detach();
  } catch (const std::system_error& error) {
    errno = error.code().value();
    throw_errno(step, "clone(2)", "the thread that answers the app's calls",
                "RLIMIT_NPROC (docker: --ulimit nproc) and the pids cgroup limit the threads");
  }
  // Making its first thread, the C library opened 32 and 33 in this one, too.
  set_mask(all_signals(), nullptr);
}

// `channel` is closed unwritten where a step fails: the app's process then ends without the app.
[[noreturn]] void supervise(const Log& log, const SupervisorsPart& part, pid_t app,
                            sys::Fd channel) {
  // A group of its own: what a terminal sends and what =group forwards reaches the app and not the
  // supervisor.
  if (::setpgid(app, app) != 0) throw_errno(step, "setpgid(2)");
  // Nobody of the app's user may look into it or steer it (ptrace(2)).
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(step, "prctl(PR_SET_DUMPABLE)");
  // Orphans of the app come to us, as they do to a PID 1 anyway.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    throw_errno(step, "prctl(PR_SET_CHILD_SUBREAPER)");
  part.settle();
  hand_terminal_over(::getpgrp(), app);
  if (part.serve) {
    start_serving(log, part, std::move(channel));
  } else {
    let_the_app_go(channel, part.log_descriptor);
    channel.reset();
  }
  // What it took to compile a policy, say.
  ::malloc_trim(0);
  ::dl_iterate_phdr(forget_code, nullptr);
  Supervisor(app, part.forwards_to_group).run();
}

void wait_for_the_supervisor(const sys::Fd& channel) {
  char go = 0;
  const ssize_t count = ::read(channel.get(), &go, 1);
  if (count < 0) throw_errno(step, "read(2)");
  // It failed, and says so itself, or it was killed.
  if (count == 0) ::_exit(exit_status::failed);
}

// In the app's process, from the fork on: the way to a supervisor that serves. Closed at execve(2).
sys::Fd to_supervisor;

}  // namespace

void leave_supervisor_behind(const Log& log, const SupervisorsPart& part) {
  const CallersSignals callers = hold_signals();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw_errno(step, "socketpair(2)");
  sys::Fd supervisors(ends[0]);
  sys::Fd apps(ends[1]);
  const pid_t app = ::fork();
  if (app < 0) throw_errno(step, "fork(2)");
  if (app > 0) {
    apps.reset();
    supervise(log, part, app, std::move(supervisors));
  }
  // In the app's process, on its way to execve.
  supervisors.reset();
  wait_for_the_supervisor(apps);
  if (part.serve) to_supervisor = std::move(apps);
  hand_signals_on(callers);
}

void hold_only(CapabilitySet needed) {
  // The ambient set follows (capabilities(7)).
  capability::set_process(needed, needed, {});
  const CapabilityState left = own_credentials().capabilities;
  if (left.permitted != needed || left.effective != needed || !left.inheritable.empty() ||
      !left.ambient.empty())
    refuse(step, "the kernel left the supervisor more capabilities than it needs");
}

bool supervisor_waits_for_listener() {
  return static_cast<bool>(to_supervisor);
}

void hand_listener_over(sys::Fd listener) {
  Parcel parcel;
  cmsghdr* const header = CMSG_FIRSTHDR(&parcel.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = listener.get();
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
  const bool sent = ::sendmsg(to_supervisor.get(), &parcel.message, MSG_NOSIGNAL) == 1;
  const int error = errno;
  to_supervisor.reset();
  // The listener must be the supervisor's alone: while the app's process has one as well, its calls
  // would wait for ever where the supervisor has died; those of the error, too.
  listener.reset();
  errno = error;
  if (!sent) throw_errno("supervised", "sendmsg(2)", "the supervisor has gone");
}

}  // namespace stepdown
