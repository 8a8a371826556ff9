// --pretend-root as the app and its processes see it: a supervisor and an app, both of them the
// user 1000 and neither privileged, and in between the filter, the kernel and the server.
#include "launch/identity_server.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <spawn.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "init_world.h"
#include "launch/pretended_identity.h"
#include "passed_fd.h"
#include "seccomp/supervised_filter.h"
#include "temporary_directory.h"
#include "world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;

constexpr uid_t target = 1000;
constexpr std::uint32_t leave = 0xffff'ffff;

// ---- the world: a supervisor and an app ----

void drop() {
  const gid_t group = target;
  checked(setgroups(1, &group), "setgroups");
  checked(setresgid(target, target, target), "setresgid");
  checked(setresuid(target, target, target), "setresuid");
  checked(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
  // As after the execve(2) that comes between dropping and serving or being served.
  checked(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
}

using Life = std::function<void()>;

// What went wrong in a forked process is told instead of crossing back into the test.
[[noreturn]] void end_after(const Life& life) {
  alarm(240);
  try {
    life();
  } catch (const std::exception& trouble) {
    const std::string text = std::string("trouble: ") + trouble.what() + "\n";
    _exit(write(STDOUT_FILENO, text.data(), text.size()) < 0 ? 98 : 99);
  }
  _exit(0);
}

// What an app carries at first where it isn't root's number.
std::optional<rlimit> carried_at_first;

[[noreturn]] void become_app(int supervisor, const Life& life) {
  end_after([&] {
    carry_root();
    if (carried_at_first) checked(setrlimit(RLIMIT_LOCKS, &*carried_at_first), "setrlimit");
    {
      const sys::Fd listener = seccomp::load_supervised(seccomp::Supervised::identity_calls);
      send_fd(supervisor, listener.get());
    }
    close(supervisor);
    life();
  });
}

enum class Server {
  parent,    // the app's parent, in a thread
  stranger,  // a process in another pid namespace, where the app's processes have no number
};

[[noreturn]] void supervise(Server server, const Life& life) {
  end_after([&] {
    checked(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL), "PR_SET_CHILD_SUBREAPER");
    std::array<int, 2> ends{};
    checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    if (server == Server::stranger &&
        checked(syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, nullptr, nullptr, nullptr, 0),
                "clone") == 0)
      end_after([&] {
        drop();
        carry_root();
        close(ends[1]);
        serve_identity_calls(sys::Fd(received_fd(ends[0])));
      });
    drop();
    const pid_t app = checked(fork(), "fork");
    if (app == 0) {
      close(ends[0]);
      become_app(ends[1], life);
    }
    close(ends[1]);
    std::thread serving;
    if (server == Server::parent)
      serving = std::thread([&] { serve_identity_calls(sys::Fd(received_fd(ends[0]))); });
    int app_status = 0, status = 0;
    for (pid_t ended = 0; (ended = wait(&status)) > 0;)
      if (ended == app) app_status = status;
    // Nobody is left, so nobody is served any more.
    if (serving.joinable()) serving.join();
    if (WIFSIGNALED(app_status))
      throw std::runtime_error("the app was killed by " + std::to_string(WTERMSIG(app_status)));
    _exit(WEXITSTATUS(app_status));
  });
}

struct Outcome {
  std::string told;
  std::string end;  // of the supervisor: "exited N", with the app's status, or "killed by N"
};

// All that an app with this life, and what it leaves behind, tells on stdout and stderr.
Outcome pretend(const Life& life, Server server = Server::parent) {
  const Guardian guardian;
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  const pid_t supervisor = checked(fork(), "fork");
  if (supervisor == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    // LeakSanitizer, in builds that have it, wants ptrace(2).
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    supervise(server, life);
  }
  close(ends[1]);
  Outcome outcome;
  const auto deadline = Clock::now() + 10 * patience;
  for (;;) {
    pollfd waiting{ends[0], POLLIN, 0};
    poll(&waiting, 1, 100);
    if (Clock::now() > deadline) {
      outcome.told += "no end\n";
      kill(supervisor, SIGKILL);
      break;
    }
    std::array<char, 4096> buffer{};
    if (waiting.revents == 0) continue;
    const ssize_t count = read(ends[0], buffer.data(), buffer.size());
    if (count <= 0) break;
    outcome.told.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  waitpid(supervisor, &status, 0);
  outcome.end = WIFSIGNALED(status) ? "killed by " + std::to_string(WTERMSIG(status))
                                    : "exited " + std::to_string(WEXITSTATUS(status));
  return outcome;
}

std::string told_by(const Life& life, Server server = Server::parent) {
  return pretend(life, server).told;
}

// ---- what an app does and tells ----

// The words, in the order in which they come about, with blanks between them.
void say(std::initializer_list<std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  text += '\n';
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0) _exit(98);
}
void say(const std::string& word) {
  say({word});
}

std::string joined(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return std::to_string(a) + " " + std::to_string(b) + " " + std::to_string(c);
}

// "0", or the name of the errno.
std::string result_of(long returned) {
  return returned >= 0 ? std::to_string(returned) : strerrorname_np(errno);
}

// "0 33 0", or the name of the errno.
std::string users() {
  uid_t real = 7, effective = 7, saved = 7;
  if (getresuid(&real, &effective, &saved) != 0) return strerrorname_np(errno);
  return joined(real, effective, saved);
}
std::string groups() {
  gid_t real = 7, effective = 7, saved = 7;
  if (getresgid(&real, &effective, &saved) != 0) return strerrorname_np(errno);
  return joined(real, effective, saved);
}

void become(const Words& words) {
  std::vector<char*> pointers;
  Words copy = words;
  for (std::string& word : copy) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp(pointers.front(), pointers.data());
  throw std::system_error(errno, std::generic_category(), words.front());
}

std::string told_by_program(const Words& words) {
  return told_by([&] { become(words); });
}

// A program that the app can execute, wherever the tests lie.
class Program {
 public:
  explicit Program(const std::string& text) {
    std::ofstream(path()) << text;
    for (const std::string& each : {directory_.path(), path()})
      std::filesystem::permissions(each, std::filesystem::perms(0755));
  }
  [[nodiscard]] std::string path() const { return directory_ / "program"; }

 private:
  test::TemporaryDirectory directory_;
};

// The static program that tells what it sees.
class Probe : public Program {
 public:
  Probe() : Program(read_file(STEPDOWN_PROBE_PATH)) {}
};

// A child, and the wait for its end.
void in_child(const Life& life) {
  const pid_t child = checked(fork(), "fork");
  if (child == 0) end_after(life);
  checked(waitpid(child, nullptr, 0), "waitpid");
}

// What `life` tells in a process of its own that has nothing to do with pretending.
std::string told_in_truth(const Life& life) {
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    end_after(life);
  }
  close(ends[1]);
  std::string told;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = read(ends[0], buffer.data(), buffer.size())) > 0;)
    told.append(buffer.data(), static_cast<std::size_t>(count));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return told;
}

// ---- the rules are the kernel's ----

struct Attempt {
  long number;
  std::array<std::uint32_t, 3> ids;

  [[nodiscard]] int pretended(PretendedIdentity& on) const {
    switch (number) {
      case SYS_setuid:
        return pretend_setuid(on, ids[0]);
      case SYS_setgid:
        return pretend_setgid(on, ids[0]);
      case SYS_setreuid:
        return pretend_setreuid(on, ids[0], ids[1]);
      case SYS_setregid:
        return pretend_setregid(on, ids[0], ids[1]);
      case SYS_setresuid:
        return pretend_setresuid(on, ids[0], ids[1], ids[2]);
      default:
        return pretend_setresgid(on, ids[0], ids[1], ids[2]);
    }
  }
  // The bare call: of the calling thread alone (nptl(7)).
  [[nodiscard]] int real() const {
    return syscall(number, ids[0], ids[1], ids[2]) == 0 ? 0 : errno;
  }
};

PretendedIdentity real_identity() {
  std::array<std::uint32_t, 6> ids{};
  checked(syscall(SYS_getresuid, &ids[0], &ids[1], &ids[2]), "getresuid");
  checked(syscall(SYS_getresgid, &ids[3], &ids[4], &ids[5]), "getresgid");
  return {{Uid{ids[0]}, Uid{ids[1]}, Uid{ids[2]}}, {Gid{ids[3]}, Gid{ids[4]}, Gid{ids[5]}}};
}

std::string text_of(const PretendedIdentity& identity) {
  const auto& uid = identity.uid;
  const auto& gid = identity.gid;
  return joined(raw(uid.real), raw(uid.effective), raw(uid.saved)) + ", " +
         joined(raw(gid.real), raw(gid.effective), raw(gid.saved));
}

std::vector<Attempt> every_attempt() {
  const std::array<std::uint32_t, 4> ids = {0, 33, 1000, leave};
  std::vector<Attempt> all;
  for (const std::uint32_t a : ids) {
    for (const long number : {SYS_setuid, SYS_setgid}) all.push_back({number, {a, 0, 0}});
    for (const std::uint32_t b : ids) {
      for (const long number : {SYS_setreuid, SYS_setregid}) all.push_back({number, {a, b, 0}});
      for (const std::uint32_t c : ids)
        for (const long number : {SYS_setresuid, SYS_setresgid}) all.push_back({number, {a, b, c}});
    }
  }
  return all;
}

// All triples of users, with groups that are all different; and all of groups, for root, for one
// who was, for one who can be again, and for one who is only by effect.
std::vector<PretendedIdentity> every_start() {
  const std::array<std::uint32_t, 3> ids = {0, 33, 1000};
  std::vector<PretendedIdentity> all;
  for (const std::uint32_t a : ids)
    for (const std::uint32_t b : ids)
      for (const std::uint32_t c : ids) {
        all.push_back({{Uid{a}, Uid{b}, Uid{c}}, {Gid{1000}, Gid{33}, Gid{0}}});
        for (const IdTriple<Uid>& user : {IdTriple<Uid>{},
                                          {Uid{33}, Uid{33}, Uid{33}},
                                          {Uid{0}, Uid{33}, Uid{0}},
                                          {Uid{33}, Uid{0}, Uid{33}}})
          all.push_back({user, {Gid{a}, Gid{b}, Gid{c}}});
      }
  return all;
}

// Where the kernel and the pretended rules part; empty where they don't. In a thread of its own,
// whose identity ends with it.
std::string difference(const PretendedIdentity& start, const std::vector<Attempt>& attempts) {
  std::string found;
  std::thread([&] {
    checked(syscall(SYS_setresgid, start.gid.real, start.gid.effective, start.gid.saved),
            "setresgid");
    checked(syscall(SYS_setresuid, start.uid.real, start.uid.effective, start.uid.saved),
            "setresuid");
    PretendedIdentity pretended = start;
    std::string history = text_of(start);
    for (const Attempt& attempt : attempts) {
      const int expected = attempt.real();
      const int error = attempt.pretended(pretended);
      const PretendedIdentity now = real_identity();
      history += "; call " + std::to_string(attempt.number) + " with " +
                 joined(attempt.ids[0], attempt.ids[1], attempt.ids[2]);
      if (error == expected && pretended == now) continue;
      found = history + ": errno " + std::to_string(expected) + " and " + text_of(now) +
              ", pretended errno " + std::to_string(error) + " and " + text_of(pretended);
      return;
    }
  }).join();
  return found;
}

TEST(PretendedRules, AreTheKernelsForEveryCallFromEveryStart) {
  EXPECT_EQ(told_in_truth([] {
              int compared = 0;
              for (const PretendedIdentity& start : every_start())
                for (const Attempt& attempt : every_attempt()) {
                  const std::string found = difference(start, {attempt});
                  if (!found.empty()) say(found);
                  ++compared;
                }
              say(std::to_string(compared) + " compared");
            }),
            "22680 compared\n");
}

TEST(PretendedRules, AreTheKernelsForSequences) {
  EXPECT_EQ(told_in_truth([] {
              const std::vector<PretendedIdentity> starts = every_start();
              const std::vector<Attempt> all = every_attempt();
              std::mt19937 random(20240607);
              const auto below = [&random](std::size_t end) { return random() % end; };
              for (int round = 0; round < 5000; ++round) {
                std::vector<Attempt> attempts(2 + below(3));
                for (Attempt& attempt : attempts) attempt = all[below(all.size())];
                const std::string found = difference(starts[below(starts.size())], attempts);
                if (!found.empty()) say(found);
              }
              say("done");
            }),
            "done\n");
}

// The real counterpart of one who kept CAP_SETGID.
void keep_setgid(const IdTriple<Uid>& user) {
  checked(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL), "PR_SET_KEEPCAPS");
  checked(syscall(SYS_setresuid, user.real, user.effective, user.saved), "setresuid");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  data[0].permitted = data[0].effective = 1U << CAP_SETGID;
  checked(syscall(SYS_capset, &header, data.data()), "capset");
}

TEST(PretendedRules, AreTheKernelsForOneWhoKeptCapSetgid) {
  EXPECT_EQ(told_in_truth([] {
              const IdTriple<Uid> user{Uid{33}, Uid{34}, Uid{35}};
              for (const Attempt& attempt : every_attempt()) {
                std::thread([&] {
                  keep_setgid(user);
                  PretendedIdentity pretended;
                  pretended.keeps_capabilities = true;
                  pretend_setresuid(pretended, raw(user.real), raw(user.effective),
                                    raw(user.saved));
                  const int expected = attempt.real();
                  if (attempt.pretended(pretended) != expected) say("another answer");
                  pretended.keeps_capabilities = pretended.kept_setgid = false;
                  if (pretended != real_identity()) say("another identity");
                }).join();
              }
              say("done");
            }),
            "done\n");
}

// ---- what a process carries ----

TEST(CarriedNumber, ComesBackFromTheLimit) {
  for (const Carried& carried :
       {Carried{0, 0}, Carried{65535, 0}, Carried{1, 1}, Carried{65535, 0xffff'ffff}})
    EXPECT_EQ(carried_in(soft_limit(carried)), carried);
}

TEST(CarriedNumber, IsNotInALimitThatSomebodyElseSet) {
  for (const rlim_t soft : {rlim_t{0}, rlim_t{1}, rlim_t{1024}, rlim_t{0x7fff'ffff'ffff'ffff},
                            rlim_t{RLIM_INFINITY}, soft_limit({}) << 1})
    EXPECT_EQ(carried_in(soft), std::nullopt) << soft;
}

TEST(CarriedNumber, HasNoObstacleHere) {
  EXPECT_EQ(carrying_obstacle(), "");
}

TEST(CarriedNumber, LeavesTheLimitAloneWhenAskedAboutObstacles) {
  rlimit before{}, after{};
  getrlimit(RLIMIT_LOCKS, &before);
  carrying_obstacle();
  getrlimit(RLIMIT_LOCKS, &after);
  EXPECT_EQ(before.rlim_cur, after.rlim_cur);
  EXPECT_EQ(before.rlim_max, after.rlim_max);
}

TEST(CarriedNumber, IsCarriedByWhoPretendsAlone) {
  EXPECT_FALSE(carries_identity());
  EXPECT_EQ(told_by([] { say(std::to_string(carries_identity())); }), "1\n");
}

TEST(CarriedNumber, NeedsAHardLimitThatIsHighEnough) {
  const std::string told = told_in_truth([] {
    const rlimit low{1024, 1024};
    checked(setrlimit(RLIMIT_LOCKS, &low), "setrlimit");
    say(carrying_obstacle());
  });
  EXPECT_THAT(told, HasSubstr("is 1024 instead of unlimited (docker: --ulimit locks=-1)"));
}

// ---- the app, from the beginning on ----

TEST(PretendedRoot, IsRootAtFirst) {
  EXPECT_EQ(told_by([] {
              say({joined(getuid(), geteuid(), getgid()), std::to_string(getegid())});
              say(users() + ", " + groups());
            }),
            "0 0 0 0\n0 0 0, 0 0 0\n");
}

TEST(PretendedRoot, IsWhatItBecame) {
  EXPECT_EQ(told_by([] {
              say({result_of(setgid(33)), result_of(setuid(1234))});
              say({joined(getuid(), geteuid(), getgid()), std::to_string(getegid())});
              say(users() + ", " + groups());
            }),
            "0 0\n1234 1234 33 33\n1234 1234 1234, 33 33 33\n");
}

TEST(PretendedRoot, IsNotRootAgainAfterLeaving) {
  EXPECT_EQ(told_by([] {
              say(result_of(setuid(target)));
              say({result_of(setuid(0)), result_of(seteuid(0)), result_of(setreuid(0, 0)),
                   result_of(setresuid(0, 0, 0))});
              say({result_of(setgid(1)), result_of(setegid(1)), result_of(setregid(1, 1)),
                   result_of(setresgid(1, 1, 1))});
              say(users() + ", " + groups());
            }),
            "0\nEPERM EPERM EPERM EPERM\nEPERM EPERM EPERM EPERM\n"
            "1000 1000 1000, 0 0 0\n");
}

TEST(PretendedRoot, TellsEachOfTheThreeIdsInItsPlace) {
  EXPECT_EQ(told_by([] {
              say({result_of(setresgid(4, 5, 6)), result_of(setresuid(1, 2, 3))});
              say(users() + ", " + groups());
              say({joined(getuid(), geteuid(), getgid()), std::to_string(getegid())});
            }),
            "0 0\n1 2 3, 4 5 6\n1 2 4 5\n");
}

TEST(PretendedRoot, LeadsAroundWithEverySetCall) {
  EXPECT_EQ(told_by([] {
              say({result_of(setresgid(1, 2, 3)), groups()});
              say({result_of(setregid(4, 5)), groups()});
              say({result_of(setgid(6)), groups()});
              say({result_of(setresuid(1, 0, 0)), users()});
              say({result_of(setreuid(4, 5)), users()});
              say({result_of(setuid(4)), users()});
              say(result_of(setuid(leave)));
            }),
            "0 1 2 3\n0 4 5 5\n0 6 6 6\n0 1 0 0\n0 4 5 5\n0 4 4 5\nEINVAL\n");
}

TEST(PretendedRoot, TakesLargeIds) {
  EXPECT_EQ(told_by([] {
              say({result_of(setuid(4'294'967'294)), users()});
            }),
            "0 4294967294 4294967294 4294967294\n");
}

TEST(PretendedRoot, TakesThe32BitsOfARegisterThatTheKernelTakes) {
  EXPECT_EQ(told_by([] {
              constexpr unsigned long above = 0xdead'beef'0000'0000;
              say(result_of(syscall(SYS_setresuid, above | 1, above | 2, above | leave)));
              say(users());
            }),
            "0\n1 2 0\n");
}

TEST(PretendedRoot, HasFilesystemIdsThatFollowTheEffectiveOnes) {
  EXPECT_EQ(told_by([] {
              say({result_of(setfsuid(33)), result_of(setfsgid(33))});
              checked(setresgid(4, 5, 6), "setresgid");
              checked(setresuid(1, 2, 3), "setresuid");
              say({result_of(setfsuid(leave)), result_of(setfsgid(leave))});
            }),
            "0 0\n2 5\n");
}

TEST(PretendedRoot, IsTheTargetToTheKernelAllTheTime) {
  const auto truth = [] {
    say(status_of(getpid(), "Uid") + ", " + status_of(getpid(), "Gid") + ", " +
        status_of(getpid(), "CapEff"));
  };
  const std::string line = "1000 1000 1000 1000, 1000 1000 1000 1000, 0000000000000000\n";
  EXPECT_EQ(told_by([&] {
              truth();
              say({result_of(setgid(33)), result_of(setresuid(33, 33, 0))});
              truth();
              say(result_of(setuid(0)));
              truth();
            }),
            line + "0 0\n" + line + "0\n" + line);
}

TEST(PretendedRoot, MayNotDoWhatRootMay) {
  EXPECT_EQ(told_by([] {
              say(result_of(open("/etc/shadow", O_RDONLY)));
              say(result_of(kill(1, 0)));
            }),
            "EACCES\nEPERM\n");
}

// ---- bad memory ----

TEST(PretendedGetresuid, FailsWhereThePointerIsBad) {
  EXPECT_EQ(told_by([] {
              uid_t id = 7;
              for (const std::uint64_t bad :
                   {std::uint64_t{0}, std::uint64_t{8}, std::uint64_t{0xffff'ffff'8000'0000},
                    std::uint64_t{0x8000'0000'0000'0000}, ~std::uint64_t{0}})
                say({result_of(syscall(SYS_getresuid, bad, &id, &id)),
                     result_of(syscall(SYS_getresgid, &id, &id, bad))});
            }),
            "EFAULT EFAULT\nEFAULT EFAULT\nEFAULT EFAULT\nEFAULT EFAULT\nEFAULT EFAULT\n");
}

TEST(PretendedGetresuid, WritesInTheKernelsOrderUpToTheBadPointer) {
  const Life life = [] {
    uid_t real = 7, saved = 7;
    say({result_of(syscall(SYS_getresuid, &real, nullptr, &saved)), std::to_string(real),
         std::to_string(saved)});
  };
  EXPECT_EQ(told_by(life), "EFAULT 0 7\n");
  EXPECT_EQ(told_in_truth(life), "EFAULT 0 7\n");
}

TEST(PretendedGetresuid, IsTheKernelsWhereMemoryCantBeHad) {
  EXPECT_EQ(told_by([] {
              checked(prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
              say(users() + ", " + groups() + ", " + std::to_string(getuid()));
              say({result_of(setuid(33)), std::to_string(getuid())});
            }),
            "1000 1000 1000, 1000 1000 1000, 0\n0 33\n");
}

// ---- inheritance ----

TEST(PretendedIdentity, IsInheritedOverFork) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(1, 2, 3), "setresuid");
              in_child([] { in_child([] { say(users()); }); });
            }),
            "1 2 3\n");
}

TEST(PretendedIdentity, IsTheChildsOwnFromThere) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(33, 0, 0), "setresuid");
              in_child([] { checked(setuid(1234), "setuid"); });
              say(users());
            }),
            "33 0 0\n");
}

TEST(PretendedIdentity, OfAChildIsNotMovedWhenTheParentMoves) {
  EXPECT_EQ(told_by([] {
              std::array<int, 2> ends{};
              checked(pipe(ends.data()), "pipe");
              const pid_t child = checked(fork(), "fork");
              if (child == 0)
                end_after([&] {
                  char byte = 0;
                  checked(read(ends[0], &byte, 1), "read");
                  say("child " + users());
                });
              checked(setuid(33), "setuid");
              checked(write(ends[1], "", 1), "write");
              waitpid(child, nullptr, 0);
              say("parent " + users());
            }),
            "child 0 0 0\nparent 33 33 33\n");
}

TEST(PretendedIdentity, IsInheritedOverVforkAndNotShared) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(33, 0, 0), "setresuid");
              std::vector<char> stack(256 * 1024);
              // What vfork(2) is: the child runs in the parent's memory while the parent waits.
              const pid_t child = checked(
                  clone(
                      [](void*) {
                        say(users());
                        say({result_of(setuid(1234)), users()});
                        return 0;
                      },
                      stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr),
                  "clone");
              waitpid(child, nullptr, 0);
              say(users());
            }),
            "33 0 0\n0 1234 1234 1234\n33 0 0\n");
}

TEST(PretendedIdentity, IsInheritedOverSpawn) {
  EXPECT_EQ(told_by([] {
              checked(setuid(33), "setuid");
              std::array<char, 8> name = {"id"}, option = {"-u"};
              std::array<char*, 3> words = {name.data(), option.data(), nullptr};
              pid_t child = 0;
              posix_spawnp(&child, "id", nullptr, nullptr, words.data(), environ);
              waitpid(child, nullptr, 0);
            }),
            "33\n");
}

TEST(PretendedIdentity, OutlivesTheParentOfADaemon) {
  EXPECT_EQ(told_by([] {
              checked(setgid(33), "setgid");
              checked(setuid(33), "setuid");
              in_child([] {
                const pid_t parent = getpid();
                setsid();
                if (checked(fork(), "fork") != 0) return;
                while (getppid() == parent) usleep(100);
                say({users(), groups(), result_of(setuid(0))});
              });
            }),
            "33 33 33 33 33 33 EPERM\n");
}

TEST(PretendedIdentity, OutlivesTheApp) {
  const Outcome outcome = pretend([] {
    checked(setuid(33), "setuid");
    const pid_t app = getpid();
    if (checked(fork(), "fork") != 0) _exit(7);
    while (getppid() == app) usleep(100);
    say(users());
  });
  EXPECT_EQ(outcome.told, "33 33 33\n");
  EXPECT_EQ(outcome.end, "exited 7");
}

TEST(PretendedIdentity, IsInheritedOverExecve) {
  const Probe probe;
  EXPECT_THAT(told_by([&] {
                checked(setgid(44), "setgid");
                checked(setuid(33), "setuid");
                become({probe.path()});
              }),
              testing::AllOf(HasSubstr("uids=33 33 33 "), HasSubstr("gids=44 44 44 ")));
}

TEST(PretendedIdentity, HasItsEffectiveIdsSavedByExecve) {
  const Probe probe;
  EXPECT_THAT(told_by([&] {
                checked(setresgid(4, 5, 6), "setresgid");
                checked(setresuid(1, 2, 3), "setresuid");
                become({probe.path()});
              }),
              testing::AllOf(HasSubstr("uids=1 2 2 "), HasSubstr("gids=4 5 5 ")));
}

TEST(PretendedIdentity, HasItsEffectiveIdsSavedByExecveOfTheSameProgramAgain) {
  // One word after the other is taken off by an execve(2) of the same file.
  const Words again = {"python3", "-c",
                       "import os, sys\n"
                       "if 'AGAIN' in os.environ: print(*os.getresuid()); sys.exit()\n"
                       "os.setresuid(33, 33, 0); print(*os.getresuid(), flush=True)\n"
                       "os.environ['AGAIN'] = ''\n"
                       "os.execv(sys.executable, sys.orig_argv)"};
  EXPECT_EQ(told_by_program(again), "33 33 0\n33 33 33\n");
}

TEST(PretendedIdentity, DoesNotLeadBackToRootAfterExecveHasSavedAnother) {
  const std::string told = told_by([] {
    checked(setresuid(33, 33, 0), "setresuid");
    become({"python3", "-c", "import os\nos.seteuid(0)"});
  });
  EXPECT_THAT(told, HasSubstr("PermissionError"));
}

TEST(PretendedIdentity, KeepsItsSavedIdsOverForkAlone) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(33, 33, 0), "setresuid");
              in_child([] { say({users(), result_of(seteuid(0)), users()}); });
            }),
            "33 33 0 0 33 0 0\n");
}

TEST(PretendedIdentity, KeepsItsSavedIdsWhenItsProgramCantBeTold) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(33, 33, 0), "setresuid");
              checked(prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
              say({result_of(seteuid(0)), std::to_string(geteuid())});
            }),
            "0 0\n");
}

TEST(PretendedIdentity, KeepsItsSavedIdsWhenExecveFails) {
  EXPECT_EQ(told_by([] {
              checked(setresuid(33, 33, 0), "setresuid");
              execl("/nowhere", "nowhere", nullptr);
              say(users());
            }),
            "33 33 0\n");
}

// ---- threads ----

TEST(PretendedIdentity, IsSharedByTheThreadsOfAProcess) {
  EXPECT_EQ(told_by([] {
              // glibc has every thread make the call, and aborts where they are told differently.
              std::atomic<bool> set = false;
              std::atomic<int> right = 0;
              std::vector<std::thread> threads;
              for (int i = 0; i < 8; ++i)
                threads.emplace_back([&] {
                  while (!set) usleep(100);
                  if (users() == "33 33 33" && groups() == "44 44 44") ++right;
                });
              say({result_of(setgid(44)), result_of(setuid(33))});
              set = true;
              for (std::thread& thread : threads) thread.join();
              say({std::to_string(right), users(), result_of(setuid(0))});
            }),
            "0 0\n8 33 33 33 EPERM\n");
}

TEST(PretendedIdentity, SurvivesThreadsThatAskAllAtOnce) {
  EXPECT_EQ(told_by([] {
              std::atomic<int> wrong = 0;
              std::vector<std::thread> threads;
              for (int i = 0; i < 8; ++i)
                threads.emplace_back([&] {
                  for (int n = 0; n < 500; ++n)
                    if (getuid() != 0 || users() != "0 0 0") ++wrong;
                });
              for (std::thread& thread : threads) thread.join();
              say(std::to_string(wrong) + " wrong");
            }),
            "0 wrong\n");
}

// What 5000 calls each came to while a timer's signal, with a handler that has these flags, comes
// every 300 µs.
Life calls_under_signals(int flags) {
  return [flags] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = flags;
    checked(sigaction(SIGALRM, &action, nullptr), "sigaction");
    const itimerval often{{0, 300}, {0, 300}};
    checked(setitimer(ITIMER_REAL, &often, nullptr), "setitimer");
    std::set<std::string> results;
    for (int n = 0; n < 5000; ++n) {
      results.insert(result_of(syscall(SYS_getuid)));
      results.insert(result_of(setresuid(0, 0, leave)));
    }
    for (const std::string& result : results) say(result);
  };
}

TEST(PretendedIdentity, SurvivesSignals) {
  EXPECT_EQ(told_by(calls_under_signals(SA_RESTART)), "0\n");
}

TEST(PretendedIdentity, IsNeverWrongUnderSignalsThatInterrupt) {
  // Before the supervisor has taken it, a call can be interrupted as any that waits; afterwards it
  // can't, or all of these would be (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).
  EXPECT_THAT(told_by(calls_under_signals(0)), testing::AnyOf("0\n", "0\nEINTR\n"));
}

// ---- capabilities kept over the change of uids ----

TEST(PretendedRoot, SetsItsGidsAfterItsUidsWhenItKeptCapabilities) {
  EXPECT_EQ(told_by([] {
              say({result_of(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL)),
                   result_of(prctl(PR_SET_KEEPCAPS, 2UL, 0UL, 0UL, 0UL))});
              say({result_of(setuid(33)), result_of(setgid(44)), result_of(setuid(0))});
              say({users(), groups(), std::to_string(prctl(PR_GET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL))});
            }),
            "0 EINVAL\n0 0 EPERM\n33 33 33 44 44 44 1\n");
}

TEST(PretendedRoot, SetsItsGidsNoMoreWhenItKeepsNoCapabilities) {
  EXPECT_EQ(told_by([] {
              prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL);
              prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL);
              say({result_of(setuid(33)), result_of(setgid(44)), users(), groups()});
            }),
            "0 EPERM 33 33 33 0 0 0\n");
}

TEST(PretendedRoot, KeepsNoCapabilitiesOverExecve) {
  const std::string told = told_by([] {
    prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL);
    checked(setuid(33), "setuid");
    become({"python3", "-c", "import os\nos.setgid(44)"});
  });
  EXPECT_THAT(told, HasSubstr("PermissionError"));
}

// ---- real programs ----

TEST(PretendedRoot, IsRootToId) {
  EXPECT_EQ(told_by_program({"id", "-u"}), "0\n");
  EXPECT_EQ(told_by_program({"id", "-g"}), "0\n");
}

TEST(PretendedRoot, IsRootToShells) {
  EXPECT_EQ(told_by_program({"sh", "-c", "id -u; (id -u); echo $(id -ru)"}), "0\n0\n0\n");
  EXPECT_EQ(told_by_program({"bash", "-c", "echo $UID $EUID"}), "0 0\n");
}

TEST(PretendedRoot, IsRootToAStaticProgram) {
  EXPECT_THAT(told_by_program({Probe().path()}),
              testing::AllOf(HasSubstr("\nuids=0 0 0 "), HasSubstr("\ngids=0 0 0 "),
                             HasSubstr("\nsetuid_0=ok")));
}

TEST(PretendedRoot, IsRootToPythonAndMovedByIt) {
  EXPECT_EQ(told_by_program({"python3", "-c",
                             "import os\nprint(*os.getresuid(), *os.getresgid())\n"
                             "os.setresgid(1, 2, 3); os.setresuid(4, 5, 6)\n"
                             "print(*os.getresuid(), *os.getresgid())"}),
            "0 0 0 0 0 0\n4 5 6 1 2 3\n");
}

// The habit that a constant "root" turns into an endless loop: the script is started again as the
// user, and has to see that it is.
std::string entrypoint_by(const std::string& dropper) {
  return "#!/bin/sh\n[ \"$(id -u)\" = 0 ] && exec " + dropper +
         " \"$0\" \"$@\"\necho \"$(id -u):$(id -g) $*\"\n";
}

TEST(PretendedRoot, RunsThroughAnEntrypointThatStartsItselfAgainBySetpriv) {
  const Program entrypoint(entrypoint_by("setpriv --reuid=1234 --regid=1235 --clear-groups"));
  EXPECT_EQ(told_by_program({entrypoint.path(), "a", "b c"}), "1234:1235 a b c\n");
}

TEST(PretendedRoot, RunsThroughAnEntrypointThatStartsItselfAgainByGosu) {
  const Program entrypoint(entrypoint_by("gosu 1234:1235"));
  EXPECT_EQ(told_by_program({entrypoint.path(), "a", "b c"}), "1234:1235 a b c\n");
}

// ---- callers with 32 bits ----

#if defined(__x86_64__)
// A call by i386's table, which 64-bit code may make as well: the result or minus errno. What such
// code has in the upper halves of the registers counts for nothing.
long call_as_i386(long number, std::uint32_t first = 0, std::uint32_t second = 0,
                  std::uint32_t third = 0) {
  constexpr std::uint64_t dirt = 0xdead'beef'0000'0000;
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first | dirt), "c"(second | dirt), "d"(third | dirt)
               : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}

// Twelve bytes, all 0xee, where a pointer has 32 bits; what they are afterwards, in hexadecimal.
class LowMemory {
 public:
  LowMemory()
      : bytes_(static_cast<unsigned char*>(mmap(nullptr, 12, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0))) {
    if (bytes_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    std::memset(bytes_, 0xee, 12);
  }
  [[nodiscard]] std::uint32_t at(std::size_t offset) const {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(bytes_ + offset));
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (int i = 0; i < 12; ++i) {
      std::array<char, 4> digits{};
      std::snprintf(digits.data(), digits.size(), "%02x", unsigned{bytes_[i]});
      all += digits.data();
    }
    return all;
  }

 private:
  unsigned char* bytes_;
};

std::string triple_as_i386(long number, std::size_t width) {
  const LowMemory memory;
  const long result = call_as_i386(number, memory.at(0), memory.at(width), memory.at(2 * width));
  return std::to_string(result) + " " + memory.text();
}

TEST(CallersWith32Bits, AreRoot) {
  EXPECT_EQ(told_by([] {
              for (const long number : {24, 47, 49, 50, 199, 200, 201, 202})
                say(std::to_string(call_as_i386(number)));
            }),
            "0\n0\n0\n0\n0\n0\n0\n0\n");
}

TEST(CallersWith32Bits, AreToldByEveryName) {
  EXPECT_EQ(told_by([] {
              checked(setresgid(0x44, 0x55, 0x66), "setresgid");
              checked(setresuid(0x11, 0x22, 0x33), "setresuid");
              for (const long number : {24, 49, 47, 50, 199, 201, 200, 202})
                say(std::to_string(call_as_i386(number)));
              for (const long number : {138, 139, 215, 216})  // setfsuid, setfsgid
                say(std::to_string(call_as_i386(number, leave)));
              say(triple_as_i386(165, 2));
              say(triple_as_i386(171, 2));
              say(triple_as_i386(209, 4));
              say(triple_as_i386(211, 4));
            }),
            "17\n34\n68\n85\n17\n34\n68\n85\n34\n85\n34\n85\n"
            "0 110022003300eeeeeeeeeeee\n0 440055006600eeeeeeeeeeee\n"
            "0 110000002200000033000000\n0 440000005500000066000000\n");
}

TEST(CallersWith32Bits, AreMovedByEveryName) {
  EXPECT_EQ(told_by([] {
              const auto tell = [](long result) {
                say({std::to_string(result), users() + ", " + groups()});
              };
              tell(call_as_i386(46, 1));            // setgid
              tell(call_as_i386(71, 2, 3));         // setregid
              tell(call_as_i386(170, 4, 5, 6));     // setresgid
              tell(call_as_i386(214, 7));           // setgid32
              tell(call_as_i386(204, 8, 9));        // setregid32
              tell(call_as_i386(210, 10, 11, 12));  // setresgid32
              tell(call_as_i386(164, 1, 0, 2));     // setresuid
              tell(call_as_i386(208, 3, 0, 4));     // setresuid32
              tell(call_as_i386(70, 5, 0));         // setreuid
              tell(call_as_i386(203, 6, 0));        // setreuid32
              tell(call_as_i386(208, 1, 2, 3));
              tell(call_as_i386(23, 3));   // setuid
              tell(call_as_i386(213, 1));  // setuid32
              tell(call_as_i386(213, 0));
              tell(call_as_i386(23, 0));
            }),
            "0 0 0 0, 1 1 1\n0 0 0 0, 2 3 3\n0 0 0 0, 4 5 6\n"
            "0 0 0 0, 7 7 7\n0 0 0 0, 8 9 9\n0 0 0 0, 10 11 12\n"
            "0 1 0 2, 10 11 12\n0 3 0 4, 10 11 12\n0 5 0 0, 10 11 12\n0 6 0 0, 10 11 12\n"
            "0 1 2 3, 10 11 12\n0 1 3 3, 10 11 12\n0 1 1 3, 10 11 12\n"
            "-1 1 1 3, 10 11 12\n-1 1 1 3, 10 11 12\n");
}

TEST(CallersWith32Bits, HaveIds16BitsWideByTheOldNames) {
  EXPECT_EQ(told_by([] {
              // As (old_uid_t)-1; what is above 16 bits isn't looked at.
              say({std::to_string(call_as_i386(164, 0xffff, 0xabcd'0021, 0xffff)), users()});
              say(std::to_string(call_as_i386(23, 0xffff)));
            }),
            "0 0 33 0\n-22\n");
}

TEST(CallersWith32Bits, SeeTheOverflowIdForALargeOneByTheOldNames) {
  EXPECT_EQ(told_by([] {
              say(std::to_string(call_as_i386(208, 70'000, 65'535, 65'536)));
              say({std::to_string(call_as_i386(24)), std::to_string(call_as_i386(199)),
                   std::to_string(call_as_i386(49)), triple_as_i386(165, 2)});
            }),
            "0\n65534 70000 65535 0 fefffffffeffeeeeeeeeeeee\n");
}

TEST(CallersWith32Bits, KeepCapabilitiesToo) {
  EXPECT_EQ(told_by([] {
              say(std::to_string(call_as_i386(172, PR_SET_KEEPCAPS, 1)));
              say({std::to_string(call_as_i386(213, 33)), std::to_string(call_as_i386(214, 44)),
                   users(), groups()});
            }),
            "0\n0 0 33 33 33 44 44 44\n");
}

TEST(CallersWith32Bits, HaveBadPointersToo) {
  EXPECT_EQ(told_by([] {
              say({std::to_string(call_as_i386(165)), std::to_string(call_as_i386(209))});
            }),
            "-14 -14\n");
}
#endif

// ---- processes that play with what they carry ----

std::string told_under(rlimit limit, const Life& life) {
  carried_at_first = limit;
  std::string told = told_by(life);
  carried_at_first.reset();
  return told;
}

TEST(AProcessWithoutANumber, SeesTheKernelsTruth) {
  for (const rlim_t soft : {rlim_t{123}, rlim_t{RLIM_INFINITY}, rlim_t{0}, soft_limit({4242, 0})})
    EXPECT_EQ(told_under({soft, RLIM_INFINITY},
                         [] {
                           say({std::to_string(getuid()), users(), result_of(setuid(0)),
                                result_of(setuid(target))});
                         }),
              "1000 1000 1000 1000 EPERM 0\n")
        << soft;
}

TEST(AProcessWithALowHardLimit, CantBeMovedAboveIt) {
  EXPECT_EQ(told_under({soft_limit({}), soft_limit({})},
                       [] {
                         say({users(), result_of(setuid(33)), users()});
                       }),
            "0 0 0 EAGAIN 0 0 0\n");
}

std::string limit_of(int resource) {
  rlimit limit{};
  checked(getrlimit(static_cast<__rlimit_resource_t>(resource), &limit), "getrlimit");
  return std::to_string(limit.rlim_cur) + "/" + std::to_string(limit.rlim_max);
}

// pam_limits(8) sets every limit back, in runuser(1) for one.
TEST(TheLimitThatCarries, IsNotTheAppsToSet) {
  EXPECT_EQ(told_by([] {
              checked(setuid(33), "setuid");
              const std::string before = limit_of(RLIMIT_LOCKS);
              const rlimit roots{soft_limit({}), soft_limit({})};
              say(result_of(setrlimit(RLIMIT_LOCKS, &roots)));
              say(result_of(prlimit(0, RLIMIT_LOCKS, &roots, nullptr)));
              constexpr unsigned long above = 0xdead'beef'0000'0000;
              say(result_of(syscall(SYS_setrlimit, above | RLIMIT_LOCKS, &roots)));
              say(result_of(syscall(SYS_prlimit64, 0, above | RLIMIT_LOCKS, &roots, nullptr)));
              say(before == limit_of(RLIMIT_LOCKS) ? "as before" : "another");
              say(users());
            }),
            "0\n0\n0\n0\nas before\n33 33 33\n");
}

TEST(TheLimitThatCarries, IsTheOnlyOneThatIsNot) {
  EXPECT_EQ(told_by([] {
              const rlimit some{100, 200};
              say(result_of(setrlimit(RLIMIT_NOFILE, &some)));
              say(limit_of(RLIMIT_NOFILE));
              const rlimit fewer{90, 190};
              say(result_of(prlimit(0, RLIMIT_NOFILE, &fewer, nullptr)));
              say(limit_of(RLIMIT_NOFILE));
            }),
            "0\n100/200\n0\n90/190\n");
}

// ---- the supervisor ----

TEST(TheSupervisor, AnswersNobodyWhoHasNoNumberWhereItLives) {
  EXPECT_EQ(told_by(
                [] {
                  say({users(), result_of(setuid(33)), users()});
                },
                Server::stranger),
            "1000 1000 1000 EPERM 1000 1000 1000\n");
}

TEST(TheSupervisor, EndsServingWhenNobodyIsLeft) {
  EXPECT_EQ(pretend([] { _exit(5); }).end, "exited 5");
}

// Of another process, in kB. VmRSS is an estimate, whose error would be as large as what we look
// for.
long anonymous_memory_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Anonymous:")) return std::stol(line.substr(10));
  throw std::runtime_error("no smaps_rollup");
}

TEST(TheSupervisor, KeepsNothingOfProcessesThatHaveEnded) {
  const std::string told = told_by([] {
    const auto live = [](int processes) {
      for (int n = 0; n < processes; ++n)
        in_child([n] {
          checked(setresuid(leave, leave, 33), "setresuid");
          checked(setuid(static_cast<uid_t>(1 + n % 100)), "setuid");
          if (users() != joined(getuid(), getuid(), getuid())) say("wrong");
        });
    };
    live(200);
    const long before = anonymous_memory_of(getppid());
    live(2000);
    say(std::to_string(anonymous_memory_of(getppid()) - before));
  });
  // The smallest record that a heap can hold, 32 bytes, for each of 2000 processes would be 62 kB.
  // AddressSanitizer, in builds that have it, holds freed memory back.
  const bool sanitized = dlsym(RTLD_DEFAULT, "__asan_init") != nullptr;
  EXPECT_LT(std::stol(told), sanitized ? 1000 : 60) << told;
}

TEST(TheSupervisor, RefusesMoreIdentitiesThanItsTableHolds) {
  EXPECT_EQ(told_by([] {
              constexpr auto largest = static_cast<uid_t>(IdentityTable::largest);
              for (uid_t id = 1; id < largest; ++id) checked(setresuid(id, 0, 0), "setresuid");
              say({result_of(setresuid(largest, 0, 0)), users()});
              say({result_of(setresuid(17, 0, 0)), users()});
              say({result_of(setuid(largest)), users()});
            }),
            "EAGAIN 65535 0 0\n0 17 0 0\nEAGAIN 17 0 0\n");
}

TEST(ADeadSupervisor, NeverMeansRoot) {
  const Outcome outcome = pretend([] {
    const pid_t supervisor = getppid();
    say(result_of(syscall(SYS_getuid)));
    kill(supervisor, SIGKILL);
    while (getppid() == supervisor) usleep(100);
    for (const long number : {SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_setuid,
                              SYS_setgid, SYS_setreuid, SYS_setresuid})
      say(result_of(syscall(number, 0, 0, 0)));
    say({users(), groups()});
  });
  EXPECT_EQ(outcome.told,
            "0\nENOSYS\nENOSYS\nENOSYS\nENOSYS\nENOSYS\nENOSYS\nENOSYS\nENOSYS\nENOSYS ENOSYS\n");
  EXPECT_EQ(outcome.end, "killed by 9");
}

bool every_thread_has_stopped(pid_t pid) {
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    if (state_of(std::stoi(thread.path().filename())) != 'T') return false;
  return true;
}

TEST(ADeadSupervisor, FailsACallThatWaitsForIt) {
  EXPECT_EQ(told_by([] {
              const pid_t supervisor = getppid();
              checked(kill(supervisor, SIGSTOP), "kill");
              if (!eventually([&] { return every_thread_has_stopped(supervisor); })) return;
              if (checked(fork(), "fork") == 0) {
                usleep(100'000);
                kill(supervisor, SIGKILL);
                _exit(0);
              }
              say(result_of(syscall(SYS_getuid)));
            }),
            "ENOSYS\n");
}

}  // namespace
}  // namespace stepdown::world
