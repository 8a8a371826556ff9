// Runs a command and breaks one system call of one process of it; looks, from outside, at every
// process that there is when one of them has executed a program.
//
//   breaker [OPTION…] REPORT COMMAND [ARG…]
//     --as UID:GID[:GROUP…]          who the command is started as
//     --break PROCESS NUMBER NTH HOW the NTH system call of that number in that process
//     --limit SECONDS                whoever still lives then is killed, and named in the report
//
// PROCESS is "0" for the command, "0.2" for what it forked or cloned second, "0.2.1" for the first
// child of that: the same in every run, whoever comes first. HOW is "error=N" or "value=N", the
// call's answer without the call, or "kill=PROCESS": before the call that one gets SIGKILL, and has
// ended when the call is made.
//
// Exit status: the command's, 128+N for a signal; 124 for the time limit. ptrace(2) and not
// strace(1), whose faults hit the Nth call of a name in every process.
#include <elf.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) {
  std::cerr << "breaker: " << what << ": " << std::strerror(errno) << '\n';
  std::_Exit(2);
}

struct Fault {
  std::string process;
  unsigned long number = 0;
  int nth = 0;
  std::string victim;  // or empty, and:
  long answer = 0;
};

// ---- the tracee's registers ----

#if defined(__x86_64__)
void skip_call(pid_t pid) {
  ::ptrace(PTRACE_POKEUSER, pid, offsetof(user_regs_struct, orig_rax), -1L);
}
void set_answer(pid_t pid, long answer) {
  ::ptrace(PTRACE_POKEUSER, pid, offsetof(user_regs_struct, rax), answer);
}
#elif defined(__aarch64__)
void skip_call(pid_t pid) {
  int number = -1;
  iovec place{&number, sizeof number};
  ::ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &place);
}
void set_answer(pid_t pid, long answer) {
  user_regs_struct registers{};
  iovec place{&registers, sizeof registers};
  ::ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &place);
  registers.regs[0] = static_cast<unsigned long>(answer);
  ::ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &place);
}
#endif

// ---- what the report says of a process ----

std::string link_target(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), buffer, sizeof buffer);
  return {buffer, length > 0 ? static_cast<std::size_t>(length) : 0};
}

// Whose end means that nobody will say any more who that is: of a thread its process, whose own
// parent is what "PPid" says.
pid_t parent_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  const auto number = [](const std::string& line) {
    return static_cast<pid_t>(std::stol(line.substr(line.find(':') + 1)));
  };
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Tgid:") && number(line) != pid) return number(line);
    if (line.starts_with("PPid:")) return number(line);
  }
  return 0;
}

void copy_lines(std::ostream& report, const std::string& path, const std::string& before) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) report << before << line << '\n';
}

void describe(std::ostream& report, pid_t pid, const std::string& name) {
  const std::string proc = "/proc/" + std::to_string(pid);
  report << "process " << name << '\n';
  copy_lines(report, proc + "/status", "");
  // As the reader's namespace sees them (user_namespaces(7)): the outside ids are real ones.
  copy_lines(report, proc + "/uid_map", "uid_map:");
  copy_lines(report, proc + "/gid_map", "gid_map:");
  report << "user_namespace:" << link_target(proc + "/ns/user") << '\n';
  const int space = ::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
  uid_t owner = 0;
  if (::ioctl(space, NS_GET_OWNER_UID, &owner) == 0) report << "owner:" << owner << '\n';
  ::close(space);
}

// ---- the tracer ----

class Tracer {
 public:
  Tracer(const std::string& report, const Fault& fault, pid_t command)
      : report_(report), fault_(fault), command_(command) {
    tracees_[command] = {"0", 0, false, 0, false};
  }

  int run(const volatile std::sig_atomic_t& late) {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, __WALL);
      if (pid < 0 && errno == ECHILD) return result_;
      if (late != 0) return give_up();
      if (pid < 0) continue;
      if (WIFSTOPPED(status))
        stopped(pid, status);
      else
        ended(pid, status);
    }
  }

 private:
  struct Tracee {
    std::string name;
    int children = 0;
    bool started = false;   // it is the command by now, or came of it
    int calls = 0;          // of the fault's number
    bool answered = false;  // its call was skipped, and needs an answer
  };

  int give_up() {
    for (const auto& [pid, tracee] : tracees_) report_ << "left " << tracee.name << '\n';
    return 124;
  }

  void ended(pid_t pid, int status) {
    if (pid == command_) result_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    tracees_.erase(pid);
    nameless_.erase(pid);
    release_children(pid);
    // A process ends after all of its threads.
    if (pid == victim_ && tracees_.contains(held_)) resume(held_);
  }

  // Killed, it can't say any more who they are.
  void release_children(pid_t parent) {
    for (auto entry = nameless_.begin(); entry != nameless_.end();) {
      if (entry->second != parent) {
        ++entry;
        continue;
      }
      tracees_[entry->first] = {"orphan", 0, true, 0, false};
      resume(entry->first);
      entry = nameless_.erase(entry);
    }
  }

  void stopped(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (!tracees_.contains(pid)) {
      // A child that is seen before its parent said that it has one.
      nameless_[pid] = parent_of(pid);
      if (!tracees_.contains(nameless_[pid])) release_children(nameless_[pid]);
    } else if (signal == (SIGTRAP | 0x80)) {
      at_call(pid, tracees_[pid]);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
               event == PTRACE_EVENT_CLONE) {
      adopt(tracees_[pid], pid);
      resume(pid);
    } else if (event == PTRACE_EVENT_EXEC) {
      executed(pid, tracees_[pid]);
      resume(pid);
    } else if (event == PTRACE_EVENT_STOP) {
      // SIGTRAP: attached; else it was stopped by a signal, and stays so until SIGCONT.
      if (signal == SIGTRAP)
        resume(pid);
      else
        ::ptrace(PTRACE_LISTEN, pid, 0, 0);
    } else {
      resume(pid, signal);
    }
  }

  void adopt(Tracee& parent, pid_t pid) {
    unsigned long child = 0;
    ::ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
    const auto number = static_cast<pid_t>(child);
    tracees_[number] = {parent.name + "." + std::to_string(++parent.children), 0, true, 0, false};
    if (nameless_.erase(number) != 0) resume(number);
  }

  void executed(pid_t pid, Tracee& tracee) {
    if (!tracee.started) {
      tracee.started = true;
      return;
    }
    report_ << "executed " << tracee.name << ' '
            << link_target("/proc/" + std::to_string(pid) + "/exe") << '\n';
    for (const auto& [other, described] : tracees_) describe(report_, other, described.name);
    report_ << "end\n" << std::flush;
  }

  void at_call(pid_t pid, Tracee& tracee) {
    __ptrace_syscall_info call{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call);
    if (call.op == PTRACE_SYSCALL_INFO_EXIT && tracee.answered) {
      set_answer(pid, fault_.answer);
      tracee.answered = false;
    }
    if (call.op == PTRACE_SYSCALL_INFO_ENTRY && !broken_ && call.entry.nr == fault_.number &&
        ++tracee.calls == fault_.nth) {
      broken_ = true;
      if (!fault_.victim.empty()) return kill_before(pid);
      report_ << "broken\n" << std::flush;
      skip_call(pid);
      tracee.answered = true;
    }
    resume(pid);
  }

  // One that has ended by itself leaves the report without its word.
  void kill_before(pid_t pid) {
    for (const auto& [other, tracee] : tracees_)
      if (tracee.name == fault_.victim) victim_ = other;
    if (victim_ == 0 || ::kill(victim_, SIGKILL) != 0) return resume(pid);
    report_ << "broken\n" << std::flush;
    held_ = pid;
    if (victim_ == pid) resume(pid);
  }

  void resume(pid_t pid, int signal = 0) {
    const Tracee& tracee = tracees_[pid];
    const bool watched =
        tracee.answered || (!broken_ && tracee.started && tracee.name == fault_.process);
    ::ptrace(watched ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0L, static_cast<long>(signal));
  }

  std::ofstream report_;
  const Fault& fault_;
  pid_t command_;
  std::map<pid_t, Tracee> tracees_;
  std::map<pid_t, pid_t> nameless_;  // children, stopped, and their parents
  bool broken_ = false;
  pid_t victim_ = 0, held_ = 0;  // who waits for whose end
  int result_ = 2;
};

// ---- the command ----

void become(const std::string& who) {
  std::vector<gid_t> ids;
  std::istringstream words(who);
  for (std::string word; std::getline(words, word, ':');)
    ids.push_back(static_cast<gid_t>(std::stoul(word)));
  if (ids.size() < 2 || ::setgroups(ids.size() - 1, ids.data() + 1) != 0 ||
      ::setresgid(ids[1], ids[1], ids[1]) != 0 || ::setresuid(ids[0], ids[0], ids[0]) != 0)
    fail("--as");
}

pid_t start(char** command, const std::string& who) {
  int gate[2];
  if (::pipe2(gate, O_CLOEXEC) != 0) fail("pipe2");
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    char go = 0;
    ::close(gate[1]);
    if (::read(gate[0], &go, 1) != 1) std::_Exit(2);
    if (!who.empty()) become(who);
    ::execvp(command[0], command);
    fail(command[0]);
  }
  ::close(gate[0]);
  constexpr unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
                                    PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  if (::ptrace(PTRACE_SEIZE, pid, 0L, options) != 0) fail("PTRACE_SEIZE");
  if (::write(gate[1], "", 1) != 1) fail("write");
  ::close(gate[1]);
  return pid;
}

volatile std::sig_atomic_t late = 0;

// Again and again, because the first one may come just before a wait.
void set_limit(int seconds) {
  struct sigaction action {};
  action.sa_handler = [](int) { late = 1; };
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval limit{{0, 100000}, {seconds, 0}};
  ::setitimer(ITIMER_REAL, &limit, nullptr);
}

}  // namespace

int main(int, char** words) {
  Fault fault;
  std::string who;
  ++words;
  for (; *words != nullptr && std::strncmp(*words, "--", 2) == 0; ++words) {
    const std::string option = *words;
    if (option == "--as") {
      who = *++words;
    } else if (option == "--limit") {
      set_limit(std::atoi(*++words));
    } else {
      fault.process = *++words;
      fault.number = std::stoul(*++words);
      fault.nth = std::atoi(*++words);
      const std::string how = *++words;
      if (how.starts_with("kill=")) fault.victim = how.substr(5);
      if (how.starts_with("error=")) fault.answer = -std::stol(how.substr(6));
      if (how.starts_with("value=")) fault.answer = std::stol(how.substr(6));
    }
  }
  const char* const report = *words++;
  return Tracer(report, fault, start(words, who)).run(late);
}
