// Processes forked into known states, as read_process and `stepdown check` see them. Every change
// of state happens in a child; the test itself stays as it is.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "stepdown/error.h"
#include "stepdown/inspect.h"
#include "sys/fd.h"

namespace stepdown {
namespace {

using nlohmann::json;
using sys::Fd;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

using Action = std::function<void()>;

// --- states to be in, each made by the process itself ---

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

void set_capabilities(std::uint32_t permitted, std::uint32_t inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> data = {
      {{permitted, permitted, inheritable}, {0, 0, 0}}};
  must(syscall(SYS_capset, &header, data.data()) == 0, "capset");
}

void drop_bounding_set() {
  for (unsigned long number = 0; number <= last_capability(); ++number) {
    must(prctl(PR_CAPBSET_DROP, number, 0UL, 0UL, 0UL) == 0, "PR_CAPBSET_DROP");
  }
}

void set_no_new_privs() {
  must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_NO_NEW_PRIVS");
}

void add_filter() {
  sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{1, &allow};
  must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "PR_SET_SECCOMP");
}

void become_user() {
  const std::array<gid_t, 2> groups = {1001, 2000};
  must(setgroups(groups.size(), groups.data()) == 0, "setgroups");
  must(setresgid(1001, 1001, 1001) == 0, "setresgid");
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
}

void drop_all() {
  drop_bounding_set();
  become_user();
  set_no_new_privs();
  add_filter();
}

void own_mounts() {
  must(unshare(CLONE_NEWNS) == 0, "unshare");
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount --make-rprivate");
}

void mount_proc(const char* options) {
  must(mount("proc", "/proc", "proc", 0, options) == 0, "mount /proc");
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  must(file.good(), path.c_str());
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  must(write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
       path.c_str());
}

// --- children in these states ---

struct Pipe {
  Fd out, in;
  Pipe() {
    std::array<int, 2> ends{};
    must(pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
    out = Fd(ends[0]);
    in = Fd(ends[1]);
  }
};

std::string read_to_end(const Fd& fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

void write_all(const Fd& fd, const std::string& text) {
  must(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
}

// A process that gets itself into a state and stays there until the test is done with it.
class Child {
 public:
  explicit Child(const Action& become) {
    Pipe ready;
    pid_ = fork();
    must(pid_ >= 0, "fork");
    if (pid_ == 0) {
      try {
        become();
        // setresuid(2) clears it, so not before.
        must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL) == 0, "PR_SET_PDEATHSIG");
        write_all(ready.in, "ready");
        while (true) pause();
      } catch (const std::exception& error) {
        write_all(ready.in, error.what());
      }
      _exit(1);
    }
    ready.in.reset();
    std::array<char, 256> told{};  // nothing at all when the child has become another program
    must(read(ready.out.get(), told.data(), told.size() - 1) >= 0, "read");
    const std::string text = told.data();
    if (!text.empty() && text != "ready") throw std::runtime_error("child: " + text);
  }
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string path(const std::string& file) const {
    return "/proc/" + std::to_string(pid_) + "/" + file;
  }

 private:
  pid_t pid_ = -1;
};

// In a child: a child of its own, whose number comes back. It ends with its parent, which it sees
// by the pipe: a parent that has dropped its privileges may not send PR_SET_PDEATHSIG's signal to
// root.
pid_t fork_below(const Action& become) {
  Pipe parent;
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid != 0) {
    static_cast<void>(parent.in.release());
    return pid;
  }
  parent.in.reset();
  become();
  read_to_end(parent.out);
  _exit(0);
}

// What `action` says in a child of its own.
std::string told_by_child(const std::function<std::string()>& action) {
  Pipe told;
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    try {
      write_all(told.in, action());
    } catch (const std::exception& error) {
      write_all(told.in, std::string("exception: ") + error.what());
    }
    _exit(0);
  }
  told.in.reset();
  std::string text = read_to_end(told.out);
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) text += " (wait status " + std::to_string(status) + ")";
  return text;
}

std::string refusal(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "no error";
}

pid_t pid_that_ended() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  return pid;
}

std::vector<pid_t> pids_of(const std::vector<ProcessState>& processes) {
  std::vector<pid_t> pids;
  for (const ProcessState& process : processes) pids.push_back(process.pid);
  return pids;
}

constexpr IdQuad<Uid> all_uids(std::uint32_t id) {
  return {Uid{id}, Uid{id}, Uid{id}, Uid{id}};
}
constexpr IdQuad<Gid> all_gids(std::uint32_t id) {
  return {Gid{id}, Gid{id}, Gid{id}, Gid{id}};
}

// --- own_credentials() ---

// "" when the system calls and /proc agree in the state that `change` makes, and asking changed
// nothing.
std::string agreement_after(const Action& change) {
  return told_by_child([&]() -> std::string {
    change();
    const auto by_proc = [] {
      return parse_status("self", text_of("/proc/thread-self/status")).credentials;
    };
    const Credentials before = by_proc();
    const Credentials own = own_credentials();
    if (by_proc() != before) return "asking changed something";
    if (own.uid != before.uid) return "uid";
    if (own.gid != before.gid) return "gid";
    if (own.groups != before.groups) return "groups";
    if (own.capabilities != before.capabilities) return "capabilities";
    if (own.no_new_privs != before.no_new_privs) return "no_new_privs";
    return own == before ? "" : "something else";
  });
}

TEST(OwnCredentials, AgreeWithProcInEveryState) {
  EXPECT_EQ(agreement_after([] {}), "");
  EXPECT_EQ(agreement_after(set_no_new_privs), "");
  EXPECT_EQ(agreement_after(become_user), "");
  EXPECT_EQ(agreement_after(drop_all), "");
  EXPECT_EQ(agreement_after([] { must(setgroups(0, nullptr) == 0, "setgroups"); }), "");
}

TEST(OwnCredentials, TellAllFourIdsApart) {
  EXPECT_EQ(
      agreement_after([] {
        must(setresgid(2000, 2001, 2002) == 0, "setresgid");
        setfsgid(2003);
        must(setresuid(1000, 0, 1002) == 0, "setresuid");
        setfsuid(1003);
        must(own_credentials().uid == IdQuad<Uid>{Uid{1000}, Uid{0}, Uid{1002}, Uid{1003}}, "uids");
        must(own_credentials().gid == IdQuad<Gid>{Gid{2000}, Gid{2001}, Gid{2002}, Gid{2003}},
             "gids");
      }),
      "");
}

TEST(OwnCredentials, TellAllFiveCapabilitySetsApart) {
  EXPECT_EQ(
      agreement_after([] {
        must(prctl(PR_CAPBSET_DROP, 21UL, 0UL, 0UL, 0UL) == 0, "PR_CAPBSET_DROP");
        set_capabilities(1U << 10 | 1U << 7, 1U << 10 | 1U << 3);
        must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10UL, 0UL, 0UL) == 0, "ambient");
        const CapabilityState sets = own_credentials().capabilities;
        must(sets.permitted == CapabilitySet{Capability::setuid, Capability::net_bind_service},
             "permitted");
        must(sets.inheritable == CapabilitySet{Capability::fowner, Capability::net_bind_service},
             "inheritable");
        must(sets.ambient == CapabilitySet{Capability::net_bind_service}, "ambient");
        must(!sets.bounding.has(Capability::sys_admin), "bounding");
        must(sets.bounding.has(Capability::chown), "bounding");
      }),
      "");
}

TEST(OwnCredentials, NeedNoProc) {
  EXPECT_EQ(told_by_child([]() -> std::string {
              drop_bounding_set();
              const Credentials before = own_credentials();
              own_mounts();
              must(mount("none", "/proc", "tmpfs", 0, nullptr) == 0, "mount");
              return own_credentials() == before ? "" : "they differ";
            }),
            "");
}

TEST(OwnSecurebits, AreThoseOfTheThread) {
  EXPECT_EQ(told_by_child([]() -> std::string {
              const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
              must(prctl(PR_SET_SECUREBITS, bits, 0UL, 0UL, 0UL) == 0, "PR_SET_SECUREBITS");
              return std::to_string(own_securebits());
            }),
            "3");
}

TEST(LastCapability, IsTheKernels) {
  EXPECT_EQ(std::to_string(last_capability()) + "\n", text_of("/proc/sys/kernel/cap_last_cap"));
}

// --- read_process() and its relatives ---

TEST(ReadProcess, SeesADroppedProcess) {
  const Child child(drop_all);
  const ProcessState state = read_process(child.pid());
  EXPECT_EQ(state.pid, child.pid());
  EXPECT_EQ(state.parent, getpid());
  Credentials expected;
  expected.uid = all_uids(1000);
  expected.gid = all_gids(1001);
  expected.groups = {Gid{1001}, Gid{2000}};
  expected.no_new_privs = true;
  EXPECT_EQ(state.credentials, expected);
  EXPECT_EQ(state.seccomp_mode, 2);
  EXPECT_EQ(state.seccomp_filters, 1);
  EXPECT_FALSE(state.own_user_namespace);
  EXPECT_THAT(state.uid_map, ElementsAre(IdMapping{0, 0, 4294967295}));
  EXPECT_THAT(state.differing_threads, IsEmpty());
}

TEST(ReadProcess, SeesRootAsItIs) {
  const Child child([] {});
  const ProcessState state = read_process(child.pid());
  EXPECT_EQ(state.credentials, own_credentials());
  EXPECT_EQ(state.credentials.uid, all_uids(0));
  EXPECT_FALSE(state.credentials.capabilities.effective.empty());
  EXPECT_EQ(state.seccomp_mode, 0);
}

TEST(ReadProcess, SeesNoNewPrivsAlone) {
  const Child child(set_no_new_privs);
  Credentials expected = own_credentials();
  expected.no_new_privs = true;
  EXPECT_EQ(read_process(child.pid()).credentials, expected);
}

TEST(ReadProcess, CountsSeccompFilters) {
  const Child child([] {
    add_filter();
    add_filter();
    add_filter();
  });
  EXPECT_EQ(read_process(child.pid()).seccomp_mode, 2);
  EXPECT_EQ(read_process(child.pid()).seccomp_filters, 3);
}

// In a child: another thread that is in a state of its own before this one goes on.
void start_thread_in(const Action& state) {
  Pipe ready;
  std::thread([&ready, state] {
    state();
    // Closing alone would not tell: the descriptor belongs to the whole process.
    write_all(ready.in, "x");
    while (true) pause();
  }).detach();
  char byte = 0;
  must(read(ready.out.get(), &byte, 1) == 1, "thread");
}

TEST(ReadProcess, SeesThreadsThatKeptPrivileges) {
  const Child child([] {
    start_thread_in([] {});
    start_thread_in([] {});
    // The system call itself, unlike glibc's function, changes this thread alone (nptl(7)).
    must(syscall(SYS_setresuid, 1000, 1000, 1000) == 0, "setresuid");
    start_thread_in([] {});
  });
  const ProcessState state = read_process(child.pid());
  EXPECT_EQ(state.credentials.uid, all_uids(1000));
  ASSERT_EQ(state.differing_threads.size(), 2U);
  for (const ProcessState& thread : state.differing_threads) {
    EXPECT_NE(thread.pid, child.pid());
    EXPECT_EQ(thread.credentials, own_credentials());
    EXPECT_EQ(thread.uid_map, state.uid_map);
  }
  const Finding finding = judge(parse_rules("non-root").at(0), state);
  EXPECT_FALSE(finding.ok);
  EXPECT_THAT(finding.detail,
              StartsWith("thread " + std::to_string(state.differing_threads[0].pid) + ": uid 0"));
}

TEST(ReadProcess, SeesThreadsWithoutTheLeadersFilter) {
  const Child child([] {
    start_thread_in([] {});
    add_filter();
  });
  const ProcessState state = read_process(child.pid());
  ASSERT_EQ(state.differing_threads.size(), 1U);
  EXPECT_EQ(state.differing_threads[0].seccomp_mode, 0);
}

TEST(ReadProcess, IsNotFooledByALeaderThatHasEnded) {
  const Child child([] {
    start_thread_in([] {});
    must(syscall(SYS_setresuid, 1000, 1000, 1000) == 0, "setresuid");
    // The system call itself ends this thread alone, as pthread_exit(3) in main would.
    must(signal(SIGUSR1, [](int) { syscall(SYS_exit, 0); }) != SIG_ERR, "signal");
  });
  ASSERT_EQ(syscall(SYS_tgkill, child.pid(), child.pid(), SIGUSR1), 0);
  while (text_of(child.path("status")).find("State:\tZ") == std::string::npos) usleep(1000);
  const ProcessState state = read_process(child.pid());
  EXPECT_EQ(state.credentials.uid, all_uids(1000));
  ASSERT_EQ(state.differing_threads.size(), 1U);
  EXPECT_FALSE(judge(parse_rules("non-root").at(0), state).ok);
  EXPECT_THAT(pids_of(read_all_processes()), Contains(child.pid()));
}

TEST(ReadProcess, SeesAUserNamespace) {
  const Child child([] { must(unshare(CLONE_NEWUSER) == 0, "unshare"); });
  EXPECT_TRUE(read_process(child.pid()).own_user_namespace);
  EXPECT_THAT(read_process(child.pid()).uid_map, IsEmpty());
  write_text(child.path("uid_map"), "0 1000 10\n20 2000 1\n");
  EXPECT_TRUE(read_process(child.pid()).own_user_namespace);
  EXPECT_THAT(read_process(child.pid()).uid_map,
              ElementsAre(IdMapping{0, 1000, 10}, IdMapping{20, 2000, 1}));
}

TEST(ReadProcess, SeesAUserNamespaceBehindAnIdentityMap) {
  const Child child([] { must(unshare(CLONE_NEWUSER) == 0, "unshare"); });
  write_text(child.path("uid_map"), "0 0 4294967295\n");
  EXPECT_TRUE(read_process(child.pid()).own_user_namespace);
}

TEST(ReadProcess, SeesTheUserNamespaceThatItIsInItself) {
  EXPECT_EQ(told_by_child([]() -> std::string {
              must(unshare(CLONE_NEWUSER) == 0, "unshare");
              write_text("/proc/self/uid_map", "5 0 1\n");
              const ProcessState state = read_process(getpid());
              if (state.uid_map != std::vector<IdMapping>{{5, 0, 1}}) return "map";
              if (state.credentials.uid != all_uids(5)) return "uid";
              return state.own_user_namespace ? "own" : "none";
            }),
            "own");
}

TEST(ReadProcess, NeedsNoPrivilegesForOthersProcesses) {
  const Child root([] {});
  const Child namespaced([] { must(unshare(CLONE_NEWUSER) == 0, "unshare"); });
  write_text(namespaced.path("uid_map"), "0 1000 10\n");
  EXPECT_EQ(told_by_child([&]() -> std::string {
              must(setresuid(3000, 3000, 3000) == 0, "setresuid");
              const ProcessState state = read_process(root.pid());
              if (state.credentials.uid != all_uids(0)) return "uid";
              if (state.own_user_namespace) return "namespace where there is none";
              if (!read_process(namespaced.pid()).own_user_namespace) return "no namespace";
              return "";
            }),
            "");
}

TEST(ReadProcess, GivesTheCommandLine) {
  const Child sleeper([] { execl("/bin/sleep", "a \x1b title", "1000", "0", nullptr); });
  EXPECT_EQ(read_process(sleeper.pid()).command, "a \x1b title 1000 0");
  const std::string zeros(10000, '0');
  const Child wordy([&] { execl("/bin/sleep", "sleep", (zeros + "9").c_str(), nullptr); });
  EXPECT_EQ(read_process(wordy.pid()).command, "sleep " + std::string(4090, '0') + "...");
}

TEST(ReadProcess, NamesProcessesWithoutACommandLine) {
  const Child child([] {
    const Pipe input;
    must(dup2(input.out.get(), 0) == 0, "dup2");
    must(dup(input.in.get()) >= 0, "dup");  // stays open in cat, which thus waits for ever
    execl("/bin/cat", "", nullptr);
  });
  EXPECT_EQ(read_process(child.pid()).command, "[cat]");
}

TEST(ReadProcess, RefusesWhatHasEnded) {
  const pid_t pid = pid_that_ended();
  EXPECT_EQ(refusal([&] { read_process(pid); }),
            "process " + std::to_string(pid) + ": no such process, or it has ended");
  EXPECT_THAT(refusal([&] { read_process_tree(pid); }), HasSubstr("no such process"));
  EXPECT_THAT(refusal([] { read_process(0); }), HasSubstr("no such process"));
  EXPECT_THAT(refusal([] { read_process(-1); }), HasSubstr("no such process"));
}

TEST(ReadProcess, RefusesAZombie) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(refusal([&] { read_process(pid); }), HasSubstr("it has ended"));
  EXPECT_THAT(pids_of(read_all_processes()), Not(Contains(pid)));
  waitpid(pid, nullptr, 0);
}

TEST(ReadProcess, RefusesAThreadsNumber) {
  EXPECT_EQ(told_by_child([]() -> std::string {
              pid_t tid = 0;
              start_thread_in([&tid] { tid = static_cast<pid_t>(syscall(SYS_gettid)); });
              const std::string pid = std::to_string(getpid());
              const std::string text = refusal([&] { read_process(tid); });
              return text == "process " + std::to_string(tid) + ": it is a thread of process " +
                                 pid + "\n  --pid " + pid
                         ? ""
                         : text;
            }),
            "");
}

TEST(ReadProcess, RefusesAFakeProc) {
  EXPECT_THAT(told_by_child([]() -> std::string {
                own_mounts();
                must(mount("none", "/proc", "tmpfs", 0, nullptr) == 0, "mount");
                return refusal([] { read_process(1); }) + refusal([] { read_all_processes(); });
              }),
              AllOf(StartsWith("/proc: it is not a procfs"), Not(HasSubstr("no error"))));
}

TEST(ReadProcess, RefusesAProcThatHidesProcesses) {
  const auto refused_under = [](const char* options) {
    return told_by_child([options]() -> std::string {
      own_mounts();
      mount_proc(options);
      become_user();
      return refusal([] { read_all_processes(); });
    });
  };
  EXPECT_THAT(refused_under("hidepid=2"), StartsWith("/proc: it hides processes (hidepid"));
  EXPECT_THAT(refused_under("hidepid=1"),
              StartsWith("process 1: can't read its status: openat(2)"));
}

TEST(ReadAllProcesses, LeavesOutOnlyItself) {
  const Child child(drop_all);
  const std::vector<pid_t> pids = pids_of(read_all_processes());
  EXPECT_THAT(pids, Contains(child.pid()));
  EXPECT_THAT(pids, Contains(getppid()));
  EXPECT_THAT(pids, Not(Contains(getpid())));
  EXPECT_TRUE(std::is_sorted(pids.begin(), pids.end()));
}

TEST(ReadAllProcesses, LeavesOutKernelThreads) {
  for (const ProcessState& process : read_all_processes()) {
    std::ifstream status("/proc/" + std::to_string(process.pid) + "/status");
    const std::string text{std::istreambuf_iterator<char>(status), {}};
    EXPECT_THAT(text, Not(HasSubstr("Kthread:\t1"))) << process.command;
  }
}

TEST(ReadAllProcesses, OutlivesTheProcessesThatItReads) {
  // Children come and go all the time while everything is read over and over.
  const Child breeder([] {
    fork_below([] {
      for (int i = 0; i < 3000; ++i) {
        const pid_t pid = fork();
        if (pid == 0) _exit(0);
        waitpid(pid, nullptr, 0);
      }
    });
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(pids_of(read_all_processes()), Contains(breeder.pid()));
    EXPECT_THAT(pids_of(read_process_tree(breeder.pid())), Contains(breeder.pid()));
  }
}

TEST(ReadProcessTree, IsTheProcessAndAllBelow) {
  Pipe told;
  const Child stranger([] {});
  const Child child([&told] {
    fork_below([&told] {
      const std::string grandchild = std::to_string(fork_below([] {}));
      write_all(told.in, std::to_string(getpid()) + " " + grandchild + "\n");
    });
  });
  std::array<char, 64> text{};
  ASSERT_GT(read(told.out.get(), text.data(), text.size() - 1), 0);
  char* rest = nullptr;
  const auto below = static_cast<pid_t>(std::strtol(text.data(), &rest, 10));
  const auto deepest = static_cast<pid_t>(std::strtol(rest, nullptr, 10));

  EXPECT_THAT(pids_of(read_process_tree(child.pid())), ElementsAre(child.pid(), below, deepest));
  EXPECT_THAT(pids_of(read_process_tree(deepest)), ElementsAre(deepest));
  EXPECT_THAT(pids_of(read_process_tree(getpid())),
              AllOf(Contains(getpid()), Contains(stranger.pid()), Contains(deepest)));
  // The reader is no part of a tree that it only looks at.
  EXPECT_EQ(told_by_child([&]() -> std::string {
              const std::vector<pid_t> pids = pids_of(read_process_tree(getppid()));
              const auto has = [&pids](pid_t pid) {
                return std::find(pids.begin(), pids.end(), pid) != pids.end();
              };
              return has(stranger.pid()) && !has(getpid()) ? "" : "wrong";
            }),
            "");
}

// --- the command ---

struct Answer {
  int status = -1;
  std::string out, err;
};

std::string binary() {
  const char* const given = std::getenv("STEPDOWN_BINARY");
  return given != nullptr ? given : STEPDOWN_BINARY_PATH;
}

// In a child that becomes `stepdown check`.
[[noreturn]] void exec_check(const std::vector<std::string>& words) {
  std::vector<std::string> all = {"stepdown", "check"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : all) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(binary().c_str(), arguments.data());
  _exit(99);
}

Answer check(
    const std::vector<std::string>& words, const Action& prepare = [] {}) {
  Pipe out;
  Pipe err;
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    dup2(out.in.get(), 1);
    dup2(err.in.get(), 2);
    prepare();
    exec_check(words);
  }
  out.in.reset();
  err.in.reset();
  Answer answer;
  answer.out = read_to_end(out.out);
  answer.err = read_to_end(err.out);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status)) answer.status = WEXITSTATUS(status);
  return answer;
}

TEST(CheckCommand, Is0WhenTheRulesHoldAnd1WhenOneFails) {
  const Child child(drop_all);
  const std::string pid = std::to_string(child.pid());
  const Answer good = check({"--pid", pid});
  EXPECT_EQ(good.status, 0) << good.out << good.err;
  EXPECT_THAT(good.out, AllOf(StartsWith("PID "), HasSubstr("\n" + pid + " "),
                              HasSubstr("  1000  1001  none  yes  filter=1  ok      ")));
  EXPECT_EQ(good.err, "");
  EXPECT_EQ(check({"--pid=" + pid, "--require=uid=1000,gid=1001,groups=2000"}).status, 0);

  const Answer bad = check({"--require", "uid=1000,non-root,uid=1001", "--pid", pid});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.out, AllOf(HasSubstr("  FAIL  "), HasSubstr("\n    uid=1001: uid 1000\n"),
                             Not(HasSubstr("non-root"))));
  EXPECT_EQ(bad.err, "");
}

TEST(CheckCommand, Is1ForRootByDefault) {
  const Child child([] {});
  const Answer answer = check({"--pid", std::to_string(child.pid())});
  EXPECT_EQ(answer.status, 1);
  EXPECT_THAT(answer.out, HasSubstr("\n    restricted: uid 0; "));
}

TEST(CheckCommand, Is125ForWhatIsNotThere) {
  const std::string pid = std::to_string(pid_that_ended());
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--pid", pid}, {"--pid", pid, "--tree"}, {"--pid", pid, "--json"}}) {
    const Answer answer = check(words);
    EXPECT_EQ(answer.status, 125);
    EXPECT_EQ(answer.out, "");
    EXPECT_THAT(answer.err, HasSubstr("process " + pid + ": no such process"));
  }
}

TEST(CheckCommand, Is125ForWordsThatItDoesNotKnow) {
  const std::vector<std::vector<std::string>> table = {
      {"--bogus"},
      {"-x"},
      {"1"},
      {"--", "1"},
      {"--tree"},
      {"--tree", "--json"},
      {"--pid"},
      {"--pid", ""},
      {"--pid", "x"},
      {"--pid", "0"},
      {"--pid", "-1"},
      {"--pid", "+1"},
      {"--pid", "0x1"},
      {"--pid", " 1"},
      {"--pid", "1.0"},
      {"--pid", "4294967297"},
      {"--pid", "1", "2"},
      {"--pid", "1", "--pid", "2"},
      {"--pid", "1", "--json=false"},
      {"--pid", "1", "--tree=no"},
      {"--require"},
      {"--require", ""},
      {"--require", "nonsense"},
      {"--require", "non-root,"},
      {"--require", "non-root", "seccomp"},
      {"--req", "non-root"},
  };
  for (const std::vector<std::string>& words : table) {
    const Answer answer = check(words);
    EXPECT_EQ(answer.status, 125) << testing::PrintToString(words) << answer.out;
    EXPECT_EQ(answer.out, "") << testing::PrintToString(words);
    EXPECT_NE(answer.err, "") << testing::PrintToString(words);
  }
}

TEST(CheckCommand, HelpsOnStdout) {
  const Answer answer = check({"--help"});
  EXPECT_EQ(answer.status, 0);
  for (const char* word : {"--pid", "--tree", "--require", "--json", "only-capability=NAME"}) {
    EXPECT_THAT(answer.out, HasSubstr(word));
  }
  EXPECT_EQ(answer.err, "");
}

TEST(CheckCommand, Is125WhenTheReportGoesNowhere) {
  const std::string pid = std::to_string(getpid());
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--pid", pid, "--require", "uid=0"},
                                             {"--pid", pid, "--require", "uid=0", "--json"},
                                             {"--help"}}) {
    ASSERT_EQ(check(words).status, 0);
    const Answer full = check(words, [] { dup2(open("/dev/full", O_WRONLY), 1); });
    EXPECT_EQ(full.status, 125);
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    EXPECT_EQ(check(words, [] { close(1); }).status, 125);
  }
}

TEST(CheckCommand, TellsAllInJson) {
  const Child child([] {
    must(prctl(PR_CAPBSET_DROP, 21UL, 0UL, 0UL, 0UL) == 0, "PR_CAPBSET_DROP");
    must(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_KEEPCAPS");
    become_user();
    set_capabilities(1U << 10, 1U << 10);
    set_no_new_privs();
  });
  const Answer answer =
      check({"--json", "--require", "restricted,uid=1000", "--pid", std::to_string(child.pid())});
  EXPECT_EQ(answer.status, 1);
  const json report = json::parse(answer.out);
  EXPECT_EQ(report["ok"], false);
  ASSERT_EQ(report["processes"].size(), 1U);
  const json& process = report["processes"][0];
  EXPECT_EQ(process["pid"], child.pid());
  EXPECT_EQ(process["ok"], false);
  EXPECT_EQ(process["uid"],
            (json{{"real", 1000}, {"effective", 1000}, {"saved", 1000}, {"filesystem", 1000}}));
  EXPECT_EQ(process["gid"]["saved"], 1001);
  EXPECT_EQ(process["groups"], (json{1001, 2000}));
  const json bind = json::array({"cap_net_bind_service"});
  EXPECT_EQ(process["capabilities"]["inheritable"], bind);
  EXPECT_EQ(process["capabilities"]["permitted"], bind);
  EXPECT_EQ(process["capabilities"]["effective"], bind);
  EXPECT_EQ(process["capabilities"]["ambient"], json::array());
  EXPECT_THAT(process["capabilities"]["bounding"].get<std::vector<std::string>>(),
              AllOf(Contains("cap_chown"), Not(Contains("cap_sys_admin"))));
  EXPECT_EQ(process["no_new_privs"], true);
  EXPECT_EQ(process["seccomp"], (json{{"mode", 0}, {"filters", 0}}));
  EXPECT_EQ(process["user_namespace"],
            (json{{"own", false},
                  {"uid_map", {{{"inside", 0}, {"outside", 0}, {"length", 4294967295}}}}}));
  EXPECT_EQ(process["findings"],
            (json{{{"rule", "restricted"}, {"ok", false}, {"detail", "no seccomp filter"}},
                  {{"rule", "uid=1000"}, {"ok", true}, {"detail", "uid 1000"}}}));
}

TEST(CheckCommand, IsNotAtTheMercyOfACommandLine) {
  const Child child([] { execl("/bin/sleep", "\x1b[2J\xff\xc3\n1  0  0", "1000", nullptr); });
  const std::string pid = std::to_string(child.pid());
  const Answer table = check({"--pid", pid, "--require", "uid=0"});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.out, HasSubstr("  \\x1b[2J\\xff\\xc3\\x0a1  0  0 1000\n"));
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 2);
  const Answer answer = check({"--pid", pid, "--require", "uid=0", "--json"});
  EXPECT_EQ(answer.status, 0) << answer.err;
  EXPECT_EQ(json::parse(answer.out)["processes"][0]["command"],
            "\x1b[2J\xef\xbf\xbd\xef\xbf\xbd\n1  0  0 1000");
}

TEST(CheckCommand, LooksBelowAProcessOnlyWithTree) {
  const Child child([] {
    fork_below([] {});
    drop_all();
  });
  const std::string pid = std::to_string(child.pid());
  EXPECT_EQ(check({"--pid", pid}).status, 0);
  const Answer tree = check({"--pid", pid, "--tree", "--json"});
  EXPECT_EQ(tree.status, 1) << tree.err;
  EXPECT_EQ(json::parse(tree.out)["processes"].size(), 2U);
  EXPECT_EQ(check({"--pid", pid, "--tree", "--require", "no-root-group"}).status, 1);
}

// The exit status and output of check as a child of the process 1 of a PID namespace, which is in
// `state`.
std::string check_beside_pid_1(const Action& state) {
  return told_by_child([&]() -> std::string {
    own_mounts();
    must(unshare(CLONE_NEWPID) == 0, "unshare");
    return told_by_child([&]() -> std::string {
      mount_proc(nullptr);
      Pipe go;
      Pipe out;
      const pid_t pid = fork();
      if (pid == 0) {
        go.in.reset();
        read_to_end(go.out);
        dup2(out.in.get(), 1);
        dup2(out.in.get(), 2);
        exec_check({});
      }
      state();
      go.in.reset();
      out.in.reset();
      const std::string text = read_to_end(out.out);
      int status = 0;
      waitpid(pid, &status, 0);
      return std::to_string(WEXITSTATUS(status)) + "\n" + text;
    });
  });
}

TEST(CheckCommand, WithoutPidChecksAllButItself) {
  EXPECT_THAT(check_beside_pid_1(drop_all),
              AllOf(StartsWith("0\nPID "), HasSubstr("\n1  "), Not(HasSubstr("\n2  "))));
  EXPECT_THAT(check_beside_pid_1([] {}),
              AllOf(StartsWith("1\nPID "), HasSubstr("\n1  "), HasSubstr("restricted: uid 0")));
}

// The reader is root of a user namespace that maps uid and gid 1000 alone, as `unshare -r` makes
// it.
void enter_small_user_namespace() {
  must(setgroups(0, nullptr) == 0, "setgroups");
  must(setresgid(1000, 1000, 1000) == 0, "setresgid");
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  must(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_DUMPABLE");  // for the maps
  must(unshare(CLONE_NEWUSER) == 0, "unshare");
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/uid_map", "0 1000 1");
  write_text("/proc/self/gid_map", "0 1000 1");
}

TEST(CheckCommand, DoesNotTakeRootForNobodyFromAnotherUserNamespace) {
  const Child root([] {});
  for (const char* rule :
       {"non-root", "no-root-group", "uid=65534", "gid=65534", "groups=65534", "restricted"}) {
    const Answer answer =
        check({"--pid", std::to_string(root.pid()), "--require", rule}, enter_small_user_namespace);
    EXPECT_EQ(answer.status, 1) << rule << answer.out << answer.err;
  }
  EXPECT_THAT(check({"--pid", std::to_string(root.pid()), "--require", "non-root"},
                    enter_small_user_namespace)
                  .out,
              HasSubstr("65534 may be anybody"));
}

TEST(CheckCommand, JudgesTheIdsThatItsUserNamespaceMaps) {
  const Child same([] {
    must(setgroups(0, nullptr) == 0, "setgroups");
    must(setresgid(1000, 1000, 1000) == 0, "setresgid");
    must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  });
  const Answer answer = check({"--pid", std::to_string(same.pid()), "--require", "uid=0,gid=0"},
                              enter_small_user_namespace);
  EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
}

TEST(CheckCommand, DoesNotTakeTheInitialUserNamespaceForOneOfTheProcesssOwn) {
  const Child child([] {});
  const Answer answer = check({"--pid", std::to_string(child.pid()), "--require", "user-namespace"},
                              enter_small_user_namespace);
  EXPECT_EQ(answer.status, 1) << answer.out << answer.err;
}

// What check says as a child of a process 1 of its own uid, under a /proc of these mount options,
// where a process of root's is as well.
std::string check_beside_a_hidden_root(const char* options, bool as_user) {
  return told_by_child([&]() -> std::string {
    own_mounts();
    must(unshare(CLONE_NEWPID) == 0, "unshare");
    return told_by_child([&]() -> std::string {
      mount_proc(options);
      fork_below([] {});
      if (as_user) become_user();
      // A process that has changed its ids is hidden from its own user, too (ptrace(2)).
      must(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_DUMPABLE");
      const Answer answer = check({"--require", "non-root"});
      return std::to_string(answer.status) + "\n" + answer.out + answer.err;
    });
  });
}

TEST(CheckCommand, Is125WhereProcHidesProcessesThoughProcess1IsVisible) {
  for (const char* options : {"hidepid=2", "hidepid=2,gid=3000", "hidepid=4"}) {
    EXPECT_THAT(check_beside_a_hidden_root(options, true),
                AllOf(StartsWith("125\n"), HasSubstr("it hides processes (hidepid")))
        << options;
  }
}

TEST(CheckCommand, SeesThroughHidepidWithPtraceOrTheGroupOfTheMount) {
  EXPECT_THAT(check_beside_a_hidden_root("hidepid=2", false),
              AllOf(StartsWith("1\n"), HasSubstr("\n2 ")));
  EXPECT_THAT(check_beside_a_hidden_root("hidepid=2,gid=2000", true),
              AllOf(StartsWith("1\n"), HasSubstr("\n2 ")));
  EXPECT_THAT(check_beside_a_hidden_root("hidepid=2,gid=1001", true),
              AllOf(StartsWith("1\n"), HasSubstr("\n2 ")));
}

TEST(CheckCommand, DoesNotCallNothingGood) {
  // Alone in a PID namespace, as PID 1 itself.
  EXPECT_THAT(told_by_child([]() -> std::string {
                own_mounts();
                must(unshare(CLONE_NEWPID) == 0, "unshare");
                const Answer answer = check({}, [] { mount_proc(nullptr); });
                return std::to_string(answer.status) + answer.out + answer.err;
              }),
              AllOf(StartsWith("125"), HasSubstr("no process but this one")));
}

}  // namespace
}  // namespace stepdown
