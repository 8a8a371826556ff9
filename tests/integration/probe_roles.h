// What the app of the --init tests does: the probe with the word +play=ROLE plays one of these
// instead of reporting. Every line goes to stdout at once, with one write(2).
//
//   signals     block every signal and tell each that comes, "app 15"
//   group       the same, and a second process of the same process group does it too, "member 15"
//   orphan      leave a process behind, which tells "orphan PID PPID" when its parent has gone, and
//               play signals
//   storm=N     leave N processes behind, one after the other, tell "done" and play signals
//   job         tell "foreground" or "background" (of the terminal) now and on every SIGUSR1, read
//               from the terminal on SIGUSR2 and tell "read" or "failed"; all other signals do what
//               they do by default
//   asks        leave a process behind, which introduces itself as "orphan PID PPID"; both tell on
//               every SIGUSR1 what they are answered, "app euid 0 bind EACCES"
//   refused     on every SIGUSR1, tell what keyctl(2) is answered, "app keyctl EPERM"
//   busy=CALL   have a process that makes the CALL all the time and tells "failed" when it fails;
//               leave some processes behind, tell "done" and play signals
//   stuck=CALL,FILE   have a process that makes the CALL with memory mapped from FILE, and tells
//               "answered" when it has come back; go on like busy
//
// A CALL is "bind", of low_port, "getresuid", or "keyctl", which succeeds by EPERM.
//
// All begin with "ready PID PPID PGID" and end by themselves when nobody ends them for a minute.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace roles {

inline void say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0) _exit(98);
}

inline void introduce() {
  say("ready " + std::to_string(getpid()) + " " + std::to_string(getppid()) + " " +
      std::to_string(getpgrp()));
}

// By system calls: glibc keeps the signals 32 and 33 to itself.
constexpr std::size_t set_size = _NSIG / 8;
constexpr unsigned longest_life = 60;  // seconds

inline void block_every_signal() {
  sigset_t all;
  std::memset(&all, 0xff, sizeof all);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, set_size);
}

// What isn't blocked and ignored by default doesn't wait for anybody.
inline void pass_over_children() {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_UNBLOCK, &children, nullptr);
}

[[noreturn]] inline void tell_signals(const std::string& name) {
  sigset_t all;
  std::memset(&all, 0xff, sizeof all);
  for (;;) {
    const timespec longest{longest_life, 0};
    const long number = syscall(SYS_rt_sigtimedwait, &all, nullptr, &longest, set_size);
    if (number < 0 && errno == EAGAIN) _exit(96);
    if (number > 0) say(name + " " + std::to_string(number));
  }
}

[[noreturn]] inline void play_group() {
  block_every_signal();
  if (fork() == 0) tell_signals("member");
  introduce();
  tell_signals("app");
}

// A grandchild that runs `life` when its parent has gone. The parent is waited for here.
template <typename Life>
void leave_behind(Life life) {
  const pid_t child = fork();
  if (child == 0) {
    const pid_t parent = getpid();
    if (fork() != 0) _exit(0);
    while (getppid() == parent) usleep(100);
    life();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
}

[[noreturn]] inline void play_orphan() {
  block_every_signal();
  pass_over_children();
  introduce();
  leave_behind([] {
    say("orphan " + std::to_string(getpid()) + " " + std::to_string(getppid()));
    tell_signals("orphan");
  });
  tell_signals("app");
}

[[noreturn]] inline void play_storm(int count) {
  block_every_signal();
  pass_over_children();
  introduce();
  for (int i = 0; i < count; ++i) leave_behind([] {});
  say("done");
  tell_signals("app");
}

[[noreturn]] inline void play_job() {
  alarm(longest_life);
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  sigaddset(&asked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &asked, nullptr);
  const auto tell_place = [terminal] {
    say(tcgetpgrp(terminal) == getpgrp() ? "foreground" : "background");
  };
  introduce();
  tell_place();
  for (;;) {
    const int number = sigwaitinfo(&asked, nullptr);
    if (number == SIGUSR1) tell_place();
    char letter = 0;
    if (number == SIGUSR2) say(read(terminal, &letter, 1) > 0 ? "read" : "failed");
  }
}

constexpr std::uint16_t low_port = 997;

inline long bind_low(const sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const long result = bind(fd, reinterpret_cast<const sockaddr*>(address), sizeof *address);
  const int error = errno;
  close(fd);
  errno = error;
  return result;
}

inline sockaddr_in low_address() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(low_port);
  return address;
}

[[noreturn]] inline void answer_asked(const std::string& name) {
  alarm(longest_life);
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  for (;;) {
    sigwaitinfo(&asked, nullptr);
    const long euid = syscall(SYS_geteuid);
    const std::string id = euid < 0 ? strerrorname_np(errno) : std::to_string(euid);
    const sockaddr_in address = low_address();
    const char* bound = bind_low(&address) == 0 ? "ok" : strerrorname_np(errno);
    say(name + " euid " + id + " bind " + bound);
  }
}

[[noreturn]] inline void play_asks() {
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &asked, nullptr);
  introduce();
  leave_behind([] {
    say("orphan " + std::to_string(getpid()) + " " + std::to_string(getppid()));
    answer_asked("orphan");
  });
  answer_asked("app");
}

[[noreturn]] inline void play_refused() {
  alarm(longest_life);
  sigset_t asked;
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &asked, nullptr);
  introduce();
  for (;;) {
    sigwaitinfo(&asked, nullptr);
    const bool done = syscall(SYS_keyctl, 0, 0, 0, 0, 0) >= 0;
    say(std::string("app keyctl ") + (done ? "ok" : strerrorname_np(errno)));
  }
}

// With the memory at `page`, for what the call writes or reads.
inline long make_call(const std::string& call, void* page) {
  // Refused is what it should be.
  if (call == "keyctl") return syscall(SYS_keyctl, 0, 0, 0, 0, 0) == -1 && errno == EPERM ? 0 : -1;
  if (call == "bind") return bind_low(static_cast<const sockaddr_in*>(page));
  auto* const ids = static_cast<uid_t*>(page);
  return syscall(SYS_getresuid, ids, ids + 1, ids + 2);
}

[[noreturn]] inline void make_calls(const std::string& call) {
  alarm(longest_life);
  sockaddr_in page = low_address();
  for (;;)
    if (make_call(call, &page) != 0) {
      say(std::string("failed ") + strerrorname_np(errno));
      _exit(1);
    }
}

// With the memory of a file that can be mapped and not be read.
[[noreturn]] inline void get_stuck(const std::string& call, const std::string& file) {
  alarm(longest_life);
  constexpr std::size_t size = 4096;
  const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
  void* const page = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (page == MAP_FAILED) say(std::string("failed ") + strerrorname_np(errno));
  say("answered " + std::to_string(make_call(call, page)));
  _exit(1);
}

// What the app does beside a process that does nothing but `calls`.
template <typename Calls>
[[noreturn]] void play_beside(Calls calls) {
  block_every_signal();
  pass_over_children();
  introduce();
  if (fork() == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    calls();
  }
  for (int i = 0; i < 50; ++i) leave_behind([] {});
  say("done");
  tell_signals("app");
}

inline void play(const std::string& role) {
  if (role == "asks") play_asks();
  if (role == "refused") play_refused();
  if (role.starts_with("busy=")) play_beside([&role] { make_calls(role.substr(5)); });
  if (role.starts_with("stuck=")) {
    const std::size_t cut = role.find(',');
    play_beside([&] { get_stuck(role.substr(6, cut - 6), role.substr(cut + 1)); });
  }
  if (role == "group") play_group();
  if (role == "orphan") play_orphan();
  if (role.starts_with("storm=")) play_storm(std::stoi(role.substr(6)));
  if (role == "job") play_job();
  block_every_signal();
  introduce();
  tell_signals("app");
}

}  // namespace roles
