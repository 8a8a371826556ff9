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
//
// All begin with "ready PID PPID PGID" and end by themselves when nobody ends them for a minute.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
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

inline void play(const std::string& role) {
  if (role == "group") play_group();
  if (role == "orphan") play_orphan();
  if (role.starts_with("storm=")) play_storm(std::stoi(role.substr(6)));
  if (role == "job") play_job();
  block_every_signal();
  introduce();
  tell_signals("app");
}

}  // namespace roles
