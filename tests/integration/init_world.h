// Processes that a test watches while they live: a supervisor, the app below it, what the app
// leaves behind, and a session with a terminal in which a test plays the shell. The place is
// world.h's.
//
// Nothing here waits longer than `patience`, and what a Tree started is killed with it, by number.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace stepdown::world {

using Words = std::vector<std::string>;
using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(20);

// For calls that return -1 and set errno.
inline int checked(long result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return static_cast<int>(result);
}

// Asks until it is so; false when patience has an end.
inline bool eventually(const std::function<bool()>& claim) {
  const auto deadline = Clock::now() + patience;
  while (!claim()) {
    if (Clock::now() > deadline) return false;
    usleep(2000);
  }
  return true;
}

// A line of /proc/PID/status without its name, blanks made single; empty when the process is gone.
inline std::string status_of(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name + ":")) continue;
    std::istringstream words(line.substr(name.size() + 1));
    std::string text;
    for (std::string word; words >> word;) text += text.empty() ? word : " " + word;
    return text;
  }
  return {};
}

// 'R', 'S', 'T', 'Z' …, as in proc(5); '\0' when the process is gone.
inline char state_of(pid_t pid) {
  const std::string state = status_of(pid, "State");
  return state.empty() ? '\0' : state.front();
}

inline std::set<pid_t> children_of(pid_t pid) {
  const std::string process = std::to_string(pid);
  std::ifstream list("/proc/" + process + "/task/" + process + "/children");
  std::set<pid_t> children;
  for (pid_t child = 0; list >> child;) children.insert(child);
  return children;
}

inline void add_descendants(pid_t pid, std::set<pid_t>& all) {
  for (const pid_t child : children_of(pid))
    if (all.insert(child).second) add_descendants(child, all);
}

inline std::set<int> open_fds_of(pid_t pid) {
  std::set<int> fds;
  DIR* const directory = opendir(("/proc/" + std::to_string(pid) + "/fd").c_str());
  if (directory == nullptr) return fds;
  while (const dirent* entry = readdir(directory))
    if (entry->d_name[0] != '.') fds.insert(std::atoi(entry->d_name));
  closedir(directory);
  return fds;
}

// Ends every descendant that came into being during its life. Orphans come to this process: it is
// their subreaper.
class Guardian {
 public:
  Guardian() : known_(children_of(getpid())) {
    checked(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL), "PR_SET_CHILD_SUBREAPER");
  }
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;
  ~Guardian() {
    for (std::set<pid_t> mine = adopted(); !mine.empty(); mine = adopted()) {
      std::set<pid_t> all = mine;
      for (const pid_t child : mine) add_descendants(child, all);
      for (const pid_t each : all) kill(each, SIGKILL);
      for (const pid_t child : mine) waitpid(child, nullptr, 0);
    }
  }
  // The children that this process did not have before.
  [[nodiscard]] std::set<pid_t> adopted() const {
    std::set<pid_t> all = children_of(getpid());
    for (const pid_t child : known_) all.erase(child);
    return all;
  }

 private:
  std::set<pid_t> known_;
};

// Where a Tree's first process runs.
enum class Place {
  own_group,         // as a shell's job in the background
  foreground_group,  // as a shell's job in the foreground of the terminal that is fd 0
  parents_group,     // as what a shell without job control starts
  own_session,       // as a container's first process with a terminal, which is fd 0
  pid_namespace,     // as PID 1, and in a group of its own
};

// A supervisor and all below it. Its stdout is a pipe, for the lines of probe_roles.h; its stdin
// and stderr are this process's.
class Tree {
 public:
  explicit Tree(
      Words command, Place place = Place::own_group, const std::function<void()>& first = [] {}) {
    std::array<int, 2> ends{};
    checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
    out_ = ends[0];
    pid_ = place == Place::pid_namespace
               ? checked(syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, nullptr, nullptr, nullptr, 0),
                         "clone")
               : checked(fork(), "fork");
    if (pid_ == 0) {
      try {
        become(command, place, ends[1], first);
      } catch (const std::exception& trouble) {
        const std::string text = std::string(trouble.what()) + "\n";
        if (write(ends[1], text.data(), text.size()) < 0) _exit(97);
      }
      _exit(97);
    }
    close(ends[1]);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() { close(out_); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Its first child, by its number outside; once the app has told something.
  [[nodiscard]] pid_t app() const {
    const std::set<pid_t> children = children_of(pid_);
    if (children.empty()) throw std::runtime_error("there is no app");
    return *children.begin();
  }

  // The next line that the app or one of its processes tells; "end" when all of them have ended.
  std::string line() {
    const auto deadline = Clock::now() + patience;
    std::size_t cut = 0;
    while ((cut = text_.find('\n')) == std::string::npos) {
      pollfd waiting{out_, POLLIN, 0};
      poll(&waiting, 1, 100);
      if (Clock::now() > deadline) throw std::runtime_error("nothing was told in time");
      std::array<char, 4096> buffer{};
      if (waiting.revents == 0) continue;
      const ssize_t count = read(out_, buffer.data(), buffer.size());
      if (count <= 0) return "end";
      text_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    std::string first = text_.substr(0, cut);
    text_.erase(0, cut + 1);
    return first;
  }

  // What becomes of the first process: "exited 0", "killed by 9", "stopped by 19".
  std::string change() {
    int status = 0;
    if (!eventually([&] { return waitpid(pid_, &status, WNOHANG | WUNTRACED) == pid_; }))
      return "nothing in time";
    if (WIFSTOPPED(status)) return "stopped by " + std::to_string(WSTOPSIG(status));
    if (WIFSIGNALED(status)) return "killed by " + std::to_string(WTERMSIG(status));
    return "exited " + std::to_string(WEXITSTATUS(status));
  }

 private:
  [[noreturn]] static void become(Words& command, Place place, int out,
                                  const std::function<void()>& first) {
    if (place == Place::own_session) {
      checked(setsid(), "setsid");
      // The first terminal that a session leader opens becomes its own.
      const int terminal = checked(open(ttyname(STDIN_FILENO), O_RDWR), "open the terminal");
      checked(dup2(terminal, STDIN_FILENO), "dup2");
      close(terminal);
    } else if (place != Place::parents_group) {
      checked(setpgid(0, 0), "setpgid");
    }
    if (place == Place::foreground_group)  // SIGTTOU is still blocked
      checked(tcsetpgrp(STDIN_FILENO, getpgrp()), "tcsetpgrp");
    if (place == Place::pid_namespace) {
      checked(unshare(CLONE_NEWNS), "unshare");
      checked(mount("proc", "/proc", "proc", 0, nullptr), "mount /proc");
    }
    const rlimit no_core{0, 0};
    checked(setrlimit(RLIMIT_CORE, &no_core), "setrlimit");
    checked(dup2(out, STDOUT_FILENO), "dup2");
    for (int number = 1; number < _NSIG; ++number) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    // LeakSanitizer, in builds that have it, wants ptrace(2).
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    first();
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    execv(words.front(), words.data());
    throw std::system_error(errno, std::generic_category(), command.front());
  }

  Guardian guardian_;
  pid_t pid_ = -1;
  int out_ = -1;
  std::string text_;
};

// What a test sees that plays the shell: the leader of a session with a terminal of its own.
class Shell {
 public:
  explicit Shell(int tale) : tale_(tale) {
    // As shells do, to move the foreground from wherever they are (tcsetpgrp(3)).
    sigset_t output;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    sigprocmask(SIG_BLOCK, &output, nullptr);
    master_ = checked(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt");
    checked(grantpt(master_), "grantpt");
    checked(unlockpt(master_), "unlockpt");
    name_ = ptsname(master_);
  }
  // The terminal becomes this session's and fd 0.
  void open_terminal() const {
    checked(setsid(), "setsid");
    borrow_terminal();
  }
  // It becomes fd 0 alone.
  void borrow_terminal(int flags = 0) const {
    const int terminal = checked(open(name_.c_str(), O_RDWR | flags), name_.c_str());
    checked(dup2(terminal, STDIN_FILENO), "dup2");
    close(terminal);
  }

  void say(const std::string& line) const {
    const std::string text = line + "\n";
    checked(write(tale_, text.data(), text.size()), "write");
  }
  void type(char letter) const { checked(write(master_, &letter, 1), "write"); }
  [[nodiscard]] bool in_foreground() const { return tcgetpgrp(STDIN_FILENO) == getpgrp(); }
  void fetch_terminal() const { checked(tcsetpgrp(STDIN_FILENO, getpgrp()), "tcsetpgrp"); }
  static void bg(pid_t job) { checked(kill(-job, SIGCONT), "kill"); }
  static void fg(pid_t job) {
    checked(tcsetpgrp(STDIN_FILENO, job), "tcsetpgrp");
    bg(job);
  }

 private:
  int tale_;
  int master_ = -1;
  std::string name_;
};

// The lines that `play` says, in a process of its own.
inline Words tale_of(const std::function<void(Shell&)>& play) {
  const Guardian guardian;
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  if (checked(fork(), "fork") == 0) {
    close(ends[0]);
    Shell shell(ends[1]);
    try {
      play(shell);
    } catch (const std::exception& trouble) {
      shell.say(std::string("trouble: ") + trouble.what());
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  const auto deadline = Clock::now() + 2 * patience;
  for (;;) {
    pollfd waiting{ends[0], POLLIN, 0};
    poll(&waiting, 1, 100);
    if (Clock::now() > deadline) {
      text += "no end\n";
      break;
    }
    std::array<char, 4096> buffer{};
    if (waiting.revents == 0) continue;
    const ssize_t count = read(ends[0], buffer.data(), buffer.size());
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace stepdown::world
