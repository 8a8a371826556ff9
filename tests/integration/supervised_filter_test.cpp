// The filters that leave calls to a supervisor, and the listener where those wait: forked children
// load them and call, this process answers.
#include "seccomp/supervised_filter.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "seccomp/listener.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown {
namespace {

using seccomp::Listener;
using seccomp::Supervised;
using sys::Fd;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Results = std::vector<long>;
constexpr auto patience = std::chrono::seconds(30);

// For calls that return -1 and set errno.
int checked(long result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return static_cast<int>(result);
}

// ---- calls, as the kernel answers them: minus errno on failure ----

// syscall(2) passes words: an int that isn't made one may have anything above it.
template <typename Argument>
long word(Argument argument) {
  if constexpr (std::is_pointer_v<Argument>)
    return reinterpret_cast<long>(argument);
  else
    return static_cast<long>(argument);
}

template <typename... Arguments>
long native(long number, Arguments... arguments) {
  const long result = syscall(number, word(arguments)...);
  return result < 0 ? -errno : result;
}

#if defined(__x86_64__)
constexpr long x32_bit = 0x40000000;
constexpr std::uint64_t dirt = 0xdead'beef'0000'0000;  // above what i386's registers have

// The first argument goes along with what must not count.
long i386(long number, std::uint64_t first = 0, std::uint64_t second = 0, std::uint64_t third = 0) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(first | dirt), "c"(second), "d"(third)
               : "memory", "cc", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}
#endif

// ---- what the filters are about ----

const std::vector<long> native_identity_calls = {
    SYS_getuid,    SYS_geteuid,   SYS_getgid,   SYS_getegid,   SYS_setuid,
    SYS_setgid,    SYS_setreuid,  SYS_setregid, SYS_getresuid, SYS_getresgid,
    SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid};

#if defined(__x86_64__)

// asm/unistd_32.h can't be had beside the numbers of 64-bit calls.
enum I386 : int {
  i386_lchown = 16,
  i386_setuid = 23,
  i386_getuid = 24,
  i386_setgid = 46,
  i386_getgid = 47,
  i386_geteuid = 49,
  i386_getegid = 50,
  i386_getpgrp = 65,
  i386_setreuid = 70,
  i386_setregid = 71,
  i386_getgroups = 80,
  i386_setgroups = 81,
  i386_fchmod = 94,
  i386_fchown = 95,
  i386_socketcall = 102,
  i386_setfsuid = 138,
  i386_setfsgid = 139,
  i386_setresuid = 164,
  i386_prctl = 172,
  i386_getresuid = 165,
  i386_setresgid = 170,
  i386_getresgid = 171,
  i386_chown = 182,
  i386_lchown32 = 198,
  i386_getuid32 = 199,
  i386_getgid32 = 200,
  i386_geteuid32 = 201,
  i386_getegid32 = 202,
  i386_setreuid32 = 203,
  i386_setregid32 = 204,
  i386_getgroups32 = 205,
  i386_setgroups32 = 206,
  i386_fchown32 = 207,
  i386_setresuid32 = 208,
  i386_getresuid32 = 209,
  i386_setresgid32 = 210,
  i386_getresgid32 = 211,
  i386_chown32 = 212,
  i386_setuid32 = 213,
  i386_setgid32 = 214,
  i386_setfsuid32 = 215,
  i386_setfsgid32 = 216,
  i386_fchownat = 298,
  i386_bind = 361,
};
const std::vector<long> i386_get_calls = {i386_getuid,   i386_geteuid,  i386_getgid,
                                          i386_getegid,  i386_getuid32, i386_geteuid32,
                                          i386_getgid32, i386_getegid32};
const std::vector<long> i386_get_all_calls = {i386_getresuid, i386_getresgid, i386_getresuid32,
                                              i386_getresgid32};
const std::vector<long> i386_set_calls = {
    i386_setuid,      i386_setgid,      i386_setreuid,   i386_setregid,
    i386_setresuid,   i386_setresgid,   i386_setfsuid,   i386_setfsgid,
    i386_setuid32,    i386_setgid32,    i386_setreuid32, i386_setregid32,
    i386_setresuid32, i386_setresgid32, i386_setfsuid32, i386_setfsgid32};

std::vector<long> joined(const std::vector<std::vector<long>>& lists) {
  std::vector<long> all;
  for (const std::vector<long>& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

#endif

// ---- children ----

void no_new_privs() {
  checked(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
}

void write_results(int fd, const Results& results) {
  const std::size_t size = results.size() * sizeof(long);
  if (write(fd, results.data(), size) != static_cast<ssize_t>(size)) _exit(1);
}

struct Pipe {
  Fd out, in;
};
Pipe make_pipe() {
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  return {Fd(ends[0]), Fd(ends[1])};
}

// A child that does `body`; what that returns comes back, at most what a pipe holds.
class Child {
 public:
  explicit Child(const std::function<Results(int results)>& body) : pipe_(make_pipe()) {
    pid_ = checked(fork(), "fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL);
      try {
        write_results(pipe_.in.get(), body(pipe_.in.get()));
        _exit(0);
      } catch (const std::exception& error) {
        dprintf(STDERR_FILENO, "in the child: %s\n", error.what());
        _exit(2);
      }
    }
    pipe_.in.reset();
    pidfd_ = Fd(checked(syscall(SYS_pidfd_open, pid_, 0U), "pidfd_open"));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (reaped_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  long next_result() {
    long result = 0;
    if (read(pipe_.out.get(), &result, sizeof result) != sizeof result)
      throw std::runtime_error("the child said nothing");
    return result;
  }

  // The rest of the results, when it has ended as it should.
  Results results() {
    Results all;
    long result = 0;
    while (read(pipe_.out.get(), &result, sizeof result) == sizeof result) all.push_back(result);
    int status = 0;
    checked(waitpid(pid_, &status, 0), "waitpid");
    reaped_ = true;
    if (status != 0) throw std::runtime_error("the child ended with " + std::to_string(status));
    return all;
  }

 private:
  Pipe pipe_;
  pid_t pid_ = 0;
  Fd pidfd_;
  bool reaped_ = false;
};

Results in_child(const std::function<Results()>& body) {
  return Child([&](int) { return body(); }).results();
}

// A child under a supervised filter, and the listener in this process alone.
class App {
 public:
  App(Supervised calls, const std::function<Results()>& body)
      : go_(make_pipe()), child_([&](int results) {
          no_new_privs();
          Fd listener = seccomp::load_supervised(calls);
          write_results(results, {listener.get()});
          char byte = 0;
          checked(read(go_.out.get(), &byte, 1), "read");
          listener.reset();
          return body();
        }) {
    Fd listener(
        checked(syscall(SYS_pidfd_getfd, child_.pidfd(), child_.next_result(), 0U), "pidfd_getfd"));
    watched_ = Fd(checked(fcntl(listener.get(), F_DUPFD_CLOEXEC, 0), "fcntl"));
    listener_.emplace(std::move(listener));
    checked(write(go_.in.get(), "", 1), "write");
  }

  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  [[nodiscard]] const Listener& listener() const { return *listener_; }

  // The next call; nullopt when the child has ended.
  std::optional<seccomp_notif> next() {
    std::array<pollfd, 2> watched = {{{watched_.get(), POLLIN, 0}, {child_.pidfd(), POLLIN, 0}}};
    const auto milliseconds = static_cast<int>(std::chrono::milliseconds(patience).count());
    if (checked(poll(watched.data(), watched.size(), milliseconds), "poll") == 0)
      throw std::runtime_error("neither a call nor an end");
    if ((watched[0].revents & POLLIN) == 0) return std::nullopt;
    return listener_->next();
  }

  // One that is there must come.
  seccomp_notif call() {
    const std::optional<seccomp_notif> call = next();
    if (!call) throw std::runtime_error("the child ended instead of calling");
    return *call;
  }

  // What called until the child ended; `answer` answers it.
  std::vector<seccomp_notif> serve(const std::function<void(const seccomp_notif&)>& answer) {
    std::vector<seccomp_notif> calls;
    while (const std::optional<seccomp_notif> call = next()) {
      calls.push_back(*call);
      answer(*call);
    }
    return calls;
  }

  // Nobody answers any more.
  void abandon() {
    watched_.reset();
    listener_.reset();
  }

  Results results() { return child_.results(); }

 private:
  Pipe go_;
  Child child_;
  Fd watched_;
  std::optional<Listener> listener_;
};

// What `body` gets when every call is answered with 1000 more than its number, and which calls
// those were.
struct Answered {
  std::vector<seccomp_notif> calls;
  Results results;

  [[nodiscard]] std::vector<long> numbers() const {
    std::vector<long> all;
    for (const seccomp_notif& call : calls) all.push_back(call.data.nr);
    return all;
  }
};
Answered answered(Supervised calls, const std::function<Results()>& body) {
  App app(calls, body);
  Answered outcome;
  outcome.calls = app.serve(
      [&](const seccomp_notif& call) { app.listener().answer(call, 1000 + call.data.nr); });
  outcome.results = app.results();
  return outcome;
}
std::vector<long> plus_1000(std::vector<long> numbers) {
  for (long& number : numbers) number += 1000;
  return numbers;
}

// In a child under the filter of --pretend-root=static.
Results pretending(const std::function<Results()>& body) {
  return in_child([&] {
    no_new_privs();
    seccomp::load_pretended_root();
    return body();
  });
}

// In a child under the filter of --pretend-root, which has nobody to answer.
Results unanswered(Supervised calls, const std::function<Results()>& body) {
  return in_child([&] {
    no_new_privs();
    seccomp::load_supervised(calls).reset();
    return body();
  });
}

// A filter of somebody else.
void load_filter(std::vector<sock_filter> program) {
  no_new_privs();
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  checked(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter), "seccomp");
}

struct Refusal {
  long number;
  int error;
};
void refuse_calls(const std::vector<Refusal>& refusals) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const auto& [number, error] : refusals) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  load_filter(std::move(program));
}

// ---- what a child can see of itself without the calls in question ----

std::string status_line(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(name + ":", 0) == 0) return line;
  throw std::runtime_error("no " + name + " in /proc/self/status");
}

// Ids and groups, as the kernel enforces them.
std::string own_credentials() {
  return status_line("Uid") + status_line("Gid") + status_line("Groups");
}

// A file of root's that is gone with the test.
class File {
 public:
  File() : fd_(checked(mkostemp(path_.data(), O_CLOEXEC), "mkostemp")) {}
  ~File() { unlink(path_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const char* path() const { return path_.c_str(); }
  [[nodiscard]] struct stat status() const {
    struct stat status {};
    checked(fstat(fd_.get(), &status), "fstat");
    return status;
  }

 private:
  std::string path_ = "/tmp/supervised-filter-XXXXXX";
  Fd fd_;
};

sockaddr_in loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The port that a socket is bound to; 0 when it isn't.
int port_of(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  checked(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return ntohs(address.sin_port);
}

// ---- which calls wait ----

TEST(SupervisedIdentity, EveryCallWaitsForItsAnswer) {
  const Answered outcome = answered(Supervised::identity_calls, [] {
    Results results;
    for (const long number : native_identity_calls) results.push_back(native(number, 1, 2, 3));
    return results;
  });
  EXPECT_EQ(outcome.numbers(), native_identity_calls);
  EXPECT_EQ(outcome.results, plus_1000(native_identity_calls));
}

TEST(SupervisedIdentity, TheSupervisorSeesWhoCallsAndWithWhat) {
  App app(Supervised::identity_calls, [] { return Results{native(SYS_setresuid, 11, 22, 33)}; });
  const seccomp_notif call = app.call();
  EXPECT_EQ(call.pid, static_cast<unsigned>(app.pid()));
  EXPECT_EQ(call.data.nr, SYS_setresuid);
  EXPECT_THAT(std::vector<std::uint64_t>(call.data.args, call.data.args + 3),
              ElementsAre(11, 22, 33));
  app.listener().fail(call, EPERM);
  EXPECT_THAT(app.results(), ElementsAre(-EPERM));
}

TEST(SupervisedIdentity, IsInheritedOverForkAndExecve) {
  App app(Supervised::identity_calls, [] {
    const pid_t pid = checked(fork(), "fork");
    if (pid == 0) {
      dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
      execl("/usr/bin/id", "id", "-u", nullptr);
      _exit(1);
    }
    int status = 0;
    checked(waitpid(pid, &status, 0), "waitpid");
    return Results{status};
  });
  const auto calls =
      app.serve([&](const seccomp_notif& call) { app.listener().answer(call, 4711); });
  EXPECT_THAT(calls, Contains(testing::Truly([&](const seccomp_notif& call) {
                return call.data.nr == SYS_geteuid && call.pid != static_cast<unsigned>(app.pid());
              })));
  EXPECT_THAT(app.results(), ElementsAre(0));
}

TEST(SupervisedIdentity, PrctlWaitsWhereItKeepsCapabilitiesAndNowhereElse) {
  constexpr long more_than_the_kernel_reads = 0x100000000;
  const Answered outcome = answered(Supervised::identity_calls, [&]() -> Results {
    return {native(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0),
            native(SYS_prctl, PR_SET_KEEPCAPS + more_than_the_kernel_reads, 1, 0, 0, 0),
            native(SYS_prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0),
            native(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)};
  });
  EXPECT_THAT(outcome.numbers(), ElementsAre(SYS_prctl, SYS_prctl));
  EXPECT_THAT(outcome.results, ElementsAre(1000 + SYS_prctl, 1000 + SYS_prctl, 0, 0));
}

TEST(SupervisedBinds, WaitAndNothingElseDoes) {
  const Answered outcome = answered(Supervised::binds, [] {
    const sockaddr_in address = loopback();
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const long bound = native(SYS_bind, socket.get(), &address, sizeof address);
    return Results{bound, port_of(socket.get()), native(SYS_listen, socket.get(), 1),
                   native(SYS_getuid), native(SYS_setuid, 0)};
  });
  EXPECT_THAT(outcome.numbers(), ElementsAre(SYS_bind));
  EXPECT_THAT(outcome.results, ElementsAre(1000 + SYS_bind, 0, 0, 0, 0));
}

TEST(SupervisedBinds, ThatAreLetThroughAreDoneByTheKernel) {
  App app(Supervised::binds, [] {
    const sockaddr_in address = loopback();
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const long bound = native(SYS_bind, socket.get(), &address, sizeof address);
    return Results{bound, port_of(socket.get()) != 0 ? 1 : 0,
                   native(SYS_bind, -1, &address, sizeof address)};
  });
  const auto calls =
      app.serve([&](const seccomp_notif& call) { app.listener().let_through(call); });
  EXPECT_EQ(calls.size(), 2U);
  EXPECT_THAT(app.results(), ElementsAre(0, 1, -EBADF));
}

// ---- what the filters answer themselves, and what they leave to the kernel ----

// Every call that is to succeed and do nothing, on a file and on the caller.
Results root_games(const File& file) {
  const std::array<gid_t, 1> groups = {4242};
  Results results = {native(SYS_fchown, file.fd(), 1234, 1234),
                     native(SYS_fchownat, AT_FDCWD, file.path(), 1234, 1234, 0),
                     native(SYS_setgroups, groups.size(), groups.data())};
#if defined(__x86_64__)
  for (const long number : {SYS_chown, SYS_lchown})
    results.push_back(native(number, file.path(), 1234, 1234));
#endif
  return results;
}

#if defined(__x86_64__)
// Memory that 32-bit pointers reach.
class LowPage {
 public:
  LowPage() {
    if (page_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  }
  ~LowPage() { munmap(page_, size); }
  LowPage(const LowPage&) = delete;
  LowPage& operator=(const LowPage&) = delete;
  template <typename Value>
  std::uint64_t put(const Value& value, std::size_t offset = 0) {
    std::memcpy(static_cast<char*>(page_) + offset, &value, sizeof value);
    return reinterpret_cast<std::uint64_t>(page_) + offset;
  }
  std::uint64_t put_text(const char* text) {
    std::strcpy(static_cast<char*>(page_), text);
    return reinterpret_cast<std::uint64_t>(page_);
  }
  template <typename Value>
  [[nodiscard]] Value get(std::size_t offset = 0) const {
    Value value;
    std::memcpy(&value, static_cast<const char*>(page_) + offset, sizeof value);
    return value;
  }

 private:
  static constexpr std::size_t size = 4096;
  void* page_ =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
};

Results i386_root_games(const File& file) {
  LowPage path, groups;
  const std::uint64_t name = path.put_text(file.path());
  const std::uint64_t list = groups.put(std::array<gid_t, 1>{4242});
  const auto fd = static_cast<std::uint64_t>(file.fd());
  return {i386(i386_fchown, fd, 1234, 1234),
          i386(i386_fchown32, fd, 1234, 1234),
          i386(i386_chown, name, 1234, 1234),
          i386(i386_chown32, name, 1234, 1234),
          i386(i386_lchown, name, 1234, 1234),
          i386(i386_lchown32, name, 1234, 1234),
          i386(i386_setgroups, 1, list),
          i386(i386_setgroups32, 1, list),
          i386(i386_fchownat, static_cast<std::uint32_t>(AT_FDCWD), name, 1234)};
}
#endif

// 0 for every game, and a last 1 when the kernel still sees the same caller.
Results same_caller_after(const std::function<Results()>& games) {
  const std::string before = own_credentials();
  Results results = games();
  results.push_back(own_credentials() == before ? 0 : 1);
  return results;
}

using Under = Results (*)(const std::function<Results()>&);
struct Pretence {
  const char* name;
  Under under;
};
class EitherPretence : public testing::TestWithParam<Pretence> {};
INSTANTIATE_TEST_SUITE_P(, EitherPretence,
                         testing::Values(Pretence{"Supervised",
                                                  [](const std::function<Results()>& body) {
                                                    return unanswered(Supervised::identity_calls,
                                                                      body);
                                                  }},
                                         Pretence{"Static", pretending}),
                         [](const auto& pretence) { return pretence.param.name; });

// In a child with three groups, and with that pretence.
Results with_groups(Under under, const std::function<Results()>& body) {
  return in_child([&] {
    const std::array<gid_t, 3> groups = {3, 5, 8};
    checked(setgroups(groups.size(), groups.data()), "setgroups");
    return under(body);
  });
}

TEST_P(EitherPretence, OwnershipAndGroupsSucceedAndStayAsTheyAre) {
  const File file;
  EXPECT_THAT(GetParam().under([&] { return same_caller_after([&] { return root_games(file); }); }),
              Each(0));
  EXPECT_EQ(file.status().st_uid, 0U);
  EXPECT_EQ(file.status().st_gid, 0U);
}

TEST_P(EitherPretence, EverythingElseIsTheKernels) {
  const File file;
  const Results results = with_groups(GetParam().under, [&]() -> Results {
    std::array<gid_t, 8> list{};
    struct stat status {};
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, 2> none{};
    return {native(SYS_getpgid, 0),
            native(SYS_getgroups, list.size(), list.data()),
            native(SYS_fchmod, file.fd(), 0604),
            native(SYS_fchmodat, AT_FDCWD, "/nowhere", 0604),
            fstat(file.fd(), &status) == 0 ? static_cast<long>(status.st_mode & 07777U) : -1,
            native(SYS_capset, &header, none.data()),
            native(SYS_chroot, "/"),  // which has just become forbidden
            native(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
            native(SYS_mknodat, AT_FDCWD, "/nowhere/device", S_IFCHR, 0)};
  });
  EXPECT_THAT(results, ElementsAre(getpgrp(), 3, 0, -ENOENT, 0604, 0, -EPERM, 1, -ENOENT));
  EXPECT_EQ(file.status().st_mode & 07777U, 0604U);
}

TEST(StaticRoot, AnswersZeroAndChangesNothing) {
  EXPECT_THAT(pretending([] {
                return same_caller_after([] {
                  // In an order in which the kernel itself would refuse the later ones.
                  Results results;
                  for (const long number : {SYS_setresuid, SYS_setuid, SYS_setreuid, SYS_setresgid,
                                            SYS_setgid, SYS_setregid, SYS_setfsuid, SYS_setfsgid,
                                            SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid})
                    results.push_back(native(number, 1234, 1234, 1234));
                  return results;
                });
              }),
              Each(0));
}

// The ids as somebody has them who isn't root by the kernel's account.
Results as_user(const std::function<Results()>& body) {
  return in_child([&] {
    checked(setgroups(0, nullptr), "setgroups");
    checked(setresgid(1002, 1002, 1002), "setresgid");
    checked(setresuid(1001, 1001, 1001), "setresuid");
    no_new_privs();
    seccomp::load_pretended_root();
    return body();
  });
}

TEST(StaticRoot, FoolsAUserAndGivesHimNothing) {
  const File roots;
  const Results results = as_user([&]() -> Results {
    return {native(SYS_getuid), native(SYS_setuid, 0),
            status_line("Uid") == "Uid:\t1001\t1001\t1001\t1001",
            native(SYS_openat, AT_FDCWD, roots.path(), O_RDONLY)};
  });
  EXPECT_THAT(results, ElementsAre(0, 0, 1, -EACCES));
}

TEST(StaticRoot, GetresuidAndGetresgidTellTheTruth) {
  EXPECT_THAT(as_user([]() -> Results {
                std::array<uid_t, 6> ids{};
                const long uids = native(SYS_getresuid, ids.data(), &ids[1], &ids[2]);
                const long gids = native(SYS_getresgid, &ids[3], &ids[4], &ids[5]);
                return {uids, ids[0], ids[1], ids[2], gids, ids[3], ids[4], ids[5]};
              }),
              ElementsAre(0, 1001, 1001, 1001, 0, 1002, 1002, 1002));
}

// ---- the other ways into an x86 kernel ----

#if defined(__x86_64__)

TEST(SupervisedIdentity, WaitsForI386CallersByBothNames) {
  const std::vector<long> numbers = joined({i386_get_calls, i386_get_all_calls, i386_set_calls});
  const Answered outcome = answered(Supervised::identity_calls, [&] {
    Results results;
    for (const long number : numbers) results.push_back(i386(number, 1, 2, 3));
    return results;
  });
  EXPECT_EQ(outcome.numbers(), numbers);
  for (const seccomp_notif& call : outcome.calls) EXPECT_EQ(call.data.arch, AUDIT_ARCH_I386);
  EXPECT_EQ(outcome.results, plus_1000(numbers));
}

TEST(SupervisedIdentity, PrctlOfI386WaitsWhereItKeepsCapabilities) {
  const Answered outcome = answered(Supervised::identity_calls, [&]() -> Results {
    return {i386(i386_prctl, PR_SET_KEEPCAPS, 1), i386(i386_prctl, PR_GET_KEEPCAPS)};
  });
  EXPECT_THAT(outcome.numbers(), ElementsAre(i386_prctl));
  EXPECT_THAT(outcome.results, ElementsAre(1000 + i386_prctl, 0));
}

TEST_P(EitherPretence, OwnershipAndGroupsOfI386SucceedAndStayAsTheyAre) {
  const File file;
  EXPECT_THAT(
      GetParam().under([&] { return same_caller_after([&] { return i386_root_games(file); }); }),
      Each(0));
  EXPECT_EQ(file.status().st_uid, 0U);
  EXPECT_EQ(file.status().st_gid, 0U);
}

TEST_P(EitherPretence, EverythingElseOfI386IsTheKernels) {
  const File file;
  EXPECT_THAT(with_groups(GetParam().under,
                          [&]() -> Results {
                            return {i386(i386_getpgrp), i386(i386_getgroups),
                                    i386(i386_getgroups32),
                                    i386(i386_fchmod, static_cast<std::uint64_t>(file.fd()), 0604)};
                          }),
              ElementsAre(getpgrp(), 3, 3, 0));
  EXPECT_EQ(file.status().st_mode & 07777U, 0604U);
}

TEST(StaticRoot, AnswersZeroToI386) {
  EXPECT_THAT(pretending([] {
                return same_caller_after([] {
                  Results results;
                  for (const long number : joined({i386_set_calls, i386_get_calls}))
                    results.push_back(i386(number, 1234, 1234, 1234));
                  return results;
                });
              }),
              Each(0));
}

TEST(StaticRoot, GetresuidAndGetresgidTellI386TheTruth) {
  EXPECT_THAT(as_user([]() -> Results {
                LowPage page;
                const std::uint64_t at = page.put(std::array<std::uint32_t, 12>{});
                Results results = {i386(i386_getresuid32, at, at + 4, at + 8),
                                   i386(i386_getresgid32, at + 12, at + 16, at + 20),
                                   i386(i386_getresuid, at + 24, at + 26, at + 28),
                                   i386(i386_getresgid, at + 30, at + 32, at + 34)};
                for (const auto id : page.get<std::array<std::uint32_t, 6>>())
                  results.push_back(id);
                for (const auto id : page.get<std::array<std::uint16_t, 6>>(24))
                  results.push_back(id);
                return results;
              }),
              ElementsAre(0, 0, 0, 0, 1001, 1001, 1001, 1002, 1002, 1002, 1001, 1001, 1001, 1002,
                          1002, 1002));
}

TEST(SupervisedBinds, WaitForI386CallersByBothWays) {
  constexpr std::uint64_t socketcall_socket = 1, socketcall_bind = 2, socketcall_listen = 4;
  const Answered outcome = answered(Supervised::binds, [&]() -> Results {
    LowPage arguments;
    const std::uint64_t at =
        arguments.put(std::array<std::uint32_t, 3>{AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0});
    const long socket = i386(i386_socketcall, socketcall_socket, at);
    arguments.put(std::array<std::uint32_t, 3>{static_cast<std::uint32_t>(socket), 1, 0});
    return {socket >= 0 ? 0 : socket, i386(i386_socketcall, socketcall_bind, at),
            i386(i386_socketcall, socketcall_listen, at), i386(i386_bind, 7, 8, 9)};
  });
  EXPECT_THAT(outcome.numbers(), ElementsAre(i386_socketcall, i386_bind));
  EXPECT_THAT(outcome.results, ElementsAre(0, 1000 + i386_socketcall, 0, 1000 + i386_bind));
}

// What is asked about x32 must not depend on whether this kernel knows it: a filter beneath ours
// answers EUCLEAN to whatever ours leaves to the kernel.
Results x32_answers(const std::function<void()>& load, const std::vector<long>& numbers) {
  return in_child([&] {
    load_filter({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                 BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EUCLEAN),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)});
    load();
    Results results;
    for (const long number : numbers) results.push_back(native(number | x32_bit, 0, 0, 0));
    return results;
  });
}

const std::vector<long> ignored_calls = {SYS_chown, SYS_fchown, SYS_lchown, SYS_fchownat,
                                         SYS_setgroups};
const std::vector<long> other_calls = {SYS_getppid,   SYS_ioctl, SYS_socket,
                                       SYS_getgroups, SYS_chmod, SYS_listen};

TEST(SupervisedIdentity, DoesNotExistForX32) {
  const auto load = [] { seccomp::load_supervised(Supervised::identity_calls).reset(); };
  EXPECT_THAT(x32_answers(load, joined({native_identity_calls, ignored_calls})), Each(-ENOSYS));
  EXPECT_THAT(x32_answers(load, other_calls), Each(-EUCLEAN));
}

TEST(SupervisedBinds, DoNotExistForX32) {
  const auto load = [] { seccomp::load_supervised(Supervised::binds).reset(); };
  EXPECT_THAT(x32_answers(load, {SYS_bind}), Each(-ENOSYS));
  EXPECT_THAT(x32_answers(load, other_calls), Each(-EUCLEAN));
}

TEST(StaticRoot, DoesNotExistForX32) {
  std::vector<long> numbers = joined({native_identity_calls, ignored_calls});
  std::erase(numbers, SYS_getresuid);
  std::erase(numbers, SYS_getresgid);
  EXPECT_THAT(x32_answers(seccomp::load_pretended_root, numbers), Each(-ENOSYS));
  EXPECT_THAT(x32_answers(seccomp::load_pretended_root, joined({other_calls, {SYS_getresuid}})),
              Each(-EUCLEAN));
}

#endif

// ---- signals, deaths, threads ----

// Signals in the child since it began, by handlers that don't restart calls.
volatile std::sig_atomic_t signals = 0;
void count_signals(int number) {
  struct sigaction action {};
  action.sa_handler = [](int) { signals = signals + 1; };
  checked(sigaction(number, &action, nullptr), "sigaction");
}

TEST(SupervisedCall, ThatWasTakenUpIsNotInterruptedBySignals) {
  constexpr int rounds = 3000;
  App app(Supervised::identity_calls, [] {
    count_signals(SIGUSR1);
    int disturbed = 0;
    for (int round = 0; round < rounds; ++round)
      if (native(SYS_getuid) != 4711) ++disturbed;
    return Results{disturbed, signals};
  });
  const auto calls = app.serve([&](const seccomp_notif& call) {
    checked(kill(app.pid(), SIGUSR1), "kill");
    app.listener().answer(call, 4711);
  });
  EXPECT_EQ(calls.size(), static_cast<std::size_t>(rounds));
  EXPECT_THAT(app.results(), ElementsAre(0, rounds));
}

// A signal that comes before the supervisor looks is the kernel's business: the call is restarted,
// as SA_RESTART asks, and waits anew.
TEST(SupervisedCall, IsAnsweredUnderATimerWhoseHandlerRestartsCalls) {
  constexpr int rounds = 20000;
  App app(Supervised::identity_calls, [] {
    struct sigaction action {};
    action.sa_handler = [](int) { signals = signals + 1; };
    action.sa_flags = SA_RESTART;
    checked(sigaction(SIGALRM, &action, nullptr), "sigaction");
    const itimerval often{{0, 700}, {0, 700}};
    checked(setitimer(ITIMER_REAL, &often, nullptr), "setitimer");
    int disturbed = 0;
    for (int round = 0; round < rounds; ++round)
      if (native(SYS_getuid) != 4711) ++disturbed;
    const itimerval never{};
    checked(setitimer(ITIMER_REAL, &never, nullptr), "setitimer");
    return Results{disturbed, signals > 20 ? 1 : 0};
  });
  app.serve([&](const seccomp_notif& call) { app.listener().answer(call, 4711); });
  EXPECT_THAT(app.results(), ElementsAre(0, 1));
}

TEST(SupervisedCall, FailsWhenTheSupervisorDiesAndNeverSaysZero) {
  App app(Supervised::identity_calls, [] {
    return Results{native(SYS_getuid), native(SYS_getuid), native(SYS_setuid, 0),
                   native(SYS_getresuid, 0, 0, 0)};
  });
  app.call();
  app.abandon();
  EXPECT_THAT(app.results(), ElementsAre(-ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS));
}

TEST(SupervisedCall, OfABindFailsWhenTheSupervisorDies) {
  EXPECT_THAT(unanswered(Supervised::binds,
                         [] {
                           const sockaddr_in address = loopback();
                           const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                           return Results{native(SYS_bind, socket.get(), &address, sizeof address),
                                          port_of(socket.get())};
                         }),
              ElementsAre(-ENOSYS, 0));
}

TEST(SupervisedCall, OfManyThreadsIsAnsweredToTheOneThatCalled) {
  constexpr std::size_t count = 8;
  constexpr int rounds = 200;
  App app(Supervised::identity_calls, [] {
    Results strangers(count, rounds);
    std::vector<std::thread> threads;
    for (long& wrong : strangers)
      threads.emplace_back([&wrong] {
        for (int round = 0; round < rounds; ++round)
          if (native(SYS_getuid) == native(SYS_gettid)) --wrong;
      });
    for (std::thread& thread : threads) thread.join();
    return strangers;
  });
  // All of them wait, and the last one gets its answer first.
  for (int round = 0; round < rounds; ++round) {
    std::vector<seccomp_notif> waiting;
    while (waiting.size() < count) waiting.push_back(app.call());
    std::ranges::reverse(waiting);
    for (const seccomp_notif& call : waiting) {
      EXPECT_TRUE(app.listener().still_waits(call));
      app.listener().answer(call, call.pid);
    }
  }
  EXPECT_THAT(app.serve([](const seccomp_notif&) {}), IsEmpty());
  EXPECT_THAT(app.results(), Each(0));
}

TEST(SupervisedCall, OfOneThatWasKilledNoLongerWaitsAndTakesNoAnswer) {
  App app(Supervised::identity_calls, [] {
    const pid_t pid = checked(fork(), "fork");
    if (pid == 0) {
      native(SYS_getuid);
      _exit(0);
    }
    int status = 0;
    checked(waitpid(pid, &status, 0), "waitpid");
    return Results{WIFSIGNALED(status) ? WTERMSIG(status) : 0, native(SYS_getgid)};
  });
  const seccomp_notif killed = app.call();
  EXPECT_TRUE(app.listener().still_waits(killed));
  checked(kill(static_cast<pid_t>(killed.pid), SIGKILL), "kill");
  const seccomp_notif alive = app.call();
  EXPECT_FALSE(app.listener().still_waits(killed));
  EXPECT_NO_THROW(app.listener().answer(killed, 0));
  EXPECT_NO_THROW(app.listener().fail(killed, EPERM));
  EXPECT_NO_THROW(app.listener().let_through(killed));
  EXPECT_TRUE(app.listener().still_waits(alive));
  app.listener().answer(alive, 4711);
  EXPECT_THAT(app.results(), ElementsAre(SIGKILL, 4711));
}

// ---- the listener's end ----

TEST(TheListener, EndsWithTheLastOneWhoCouldCall) {
  App app(Supervised::identity_calls, [] {
    // Outlives its parent, and calls when that has ended.
    if (checked(fork(), "fork") == 0) {
      while (getppid() == static_cast<pid_t>(native(SYS_getpgid, 0))) usleep(1000);
      native(SYS_getgid);
      _exit(0);
    }
    return Results{native(SYS_getuid)};
  });
  std::vector<long> numbers;
  while (const std::optional<seccomp_notif> call = app.listener().next()) {
    numbers.push_back(call->data.nr);
    app.listener().answer(*call, 4711);
  }
  EXPECT_THAT(numbers, Contains(SYS_getuid));
  EXPECT_THAT(numbers, Contains(SYS_getgid));
}

TEST(TheListener, EndsAtOnceWhenEverybodyHasGoneBefore) {
  App app(Supervised::identity_calls, [] { return Results{}; });
  EXPECT_THAT(app.results(), IsEmpty());
  EXPECT_EQ(app.listener().next(), std::nullopt);
}

TEST(TheListener, OutlivesCallersThatAreKilledAsTheyCall) {
  App app(Supervised::identity_calls, [] {
    for (int round = 0; round < 500; ++round) {
      const pid_t pid = checked(fork(), "fork");
      if (pid == 0)
        for (;;) native(SYS_getuid);
      usleep(static_cast<unsigned>(round % 100));
      checked(kill(pid, SIGKILL), "kill");
      checked(waitpid(pid, nullptr, 0), "waitpid");
    }
    return Results{native(SYS_getgid)};
  });
  while (const std::optional<seccomp_notif> call = app.listener().next())
    app.listener().answer(*call, 4711);
  app.abandon();
  EXPECT_THAT(app.results(), ElementsAre(4711));
}

TEST(TheListener, IsClosedAtExecve) {
  EXPECT_THAT(in_child([] {
                no_new_privs();
                const Fd listener = seccomp::load_supervised(Supervised::binds);
                return Results{fcntl(listener.get(), F_GETFD)};
              }),
              ElementsAre(FD_CLOEXEC));
}

// ---- what is in the way ----

// What supervision_obstacle() says in a child in this state; a state that isn't asked for is
// told as "changed".
std::string obstacle_after(const std::function<void()>& state) {
  const Results text = in_child([&] {
    state();
    const std::string before = status_line("NoNewPrivs") + status_line("Seccomp_filters");
    std::string obstacle = seccomp::supervision_obstacle();
    if (status_line("NoNewPrivs") + status_line("Seccomp_filters") != before) obstacle = "changed";
    return Results(obstacle.begin(), obstacle.end());
  });
  return {text.begin(), text.end()};
}

TEST(SupervisionObstacle, IsNoneHereAndAskingChangesNothing) {
  EXPECT_EQ(obstacle_after([] {}), "");
}

TEST(SupervisionObstacle, IsNotThatSomebodyIgnoresSigchld) {
  EXPECT_EQ(obstacle_after([] { std::signal(SIGCHLD, SIG_IGN); }), "");
}

TEST(SupervisionObstacle, IsAFilterThatRefuses) {
  for (const int error : {EPERM, EACCES, ENOSYS})
    EXPECT_EQ(obstacle_after([=] {
                refuse_calls({{SYS_seccomp, error}});
              }),
              "seccomp(2) is refused (" + std::string(std::strerror(error)) +
                  "): a seccomp filter or an LSM forbids it");
}

TEST(SupervisionObstacle, IsAKernelWithoutSeccomp) {
  EXPECT_THAT(obstacle_after([] {
                refuse_calls({{SYS_prctl, EINVAL}, {SYS_seccomp, ENOSYS}});
              }),
              HasSubstr("has no seccomp filters"));
}

TEST(SupervisionObstacle, IsAKernelBefore519) {
  EXPECT_THAT(obstacle_after([] {
                refuse_calls({{SYS_seccomp, EINVAL}});
              }),
              HasSubstr("Linux 5.19"));
}

TEST(SupervisionObstacle, IsASupervisorThatIsThereAlready) {
  EXPECT_THAT(obstacle_after([] {
                no_new_privs();
                static const Fd listener = seccomp::load_supervised(Supervised::binds);
              }),
              HasSubstr("another supervisor"));
}

TEST(SupervisedFilter, IsAnErrorWithoutNoNewPrivs) {
  EXPECT_THAT(in_child([]() -> Results {
                checked(setresuid(1001, 1001, 1001), "setresuid");
                int refused = 0;
                for (const auto& load : std::vector<std::function<void()>>{
                         [] { seccomp::load_supervised(Supervised::binds); },
                         [] { seccomp::load_supervised(Supervised::identity_calls); },
                         seccomp::load_pretended_root}) {
                  try {
                    load();
                  } catch (const Error& error) {
                    if (error.details().step == "supervised" && error.details().number == EACCES)
                      ++refused;
                  }
                }
                return {refused};
              }),
              ElementsAre(3));
}

}  // namespace
}  // namespace stepdown
