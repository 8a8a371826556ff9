// Low ports inside a user namespace: what the supervisor binds, what it leaves to the kernel, and
// that no lie makes it bind anything else.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <climits>
#include <csignal>
#include <set>
#include <thread>
#include <utility>

#include "bind_world.h"
#include "stepdown/error.h"

namespace stepdown::bind_world {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::StartsWith;

constexpr const char* served = "served to the end";

const Stage tcp_80{};

std::string bound(int socket, const Address& address) {
  const std::string result = bind_to(socket, address);
  return result == "ok" ? "ok " + std::to_string(port_of(socket)) : result;
}

int mptcp() {
  return new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}
int tcp6() {
  return new_socket(AF_INET6, SOCK_STREAM);
}
int udp6() {
  return new_socket(AF_INET6, SOCK_DGRAM);
}

// As servers do, so that a port may be bound again at once.
int reusable(int socket) {
  const int on = 1;
  checked(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  return socket;
}

// What a child of the app ends as: 0, or the errno that it returns.
int status_of(const std::function<int()>& part) {
  const pid_t pid = checked(fork(), "fork");
  if (pid == 0) _exit(part());
  int status = 0;
  checked(waitpid(pid, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int errno_of_binding(int socket, const Address& address) {
  return bind(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0
             ? 0
             : errno;
}

// ---- what is ours ----

// A client gets through to the server at `address` and is heard.
std::string served_at(int server, const Address& address, int client) {
  const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
  checked(connect(client, to, address.length), "connect");
  send_word(client);
  int type = 0;
  socklen_t size = sizeof type;
  checked(getsockopt(server, SOL_SOCKET, SO_TYPE, &type, &size), "SO_TYPE");
  const int heard =
      type == SOCK_STREAM ? checked(accept(server, nullptr, nullptr), "accept") : server;
  await_word(heard);
  return "served";
}

TEST(BindServer, BindsTheNamedPortsSoThatClientsGetThrough) {
  const Stage stage{.ports = {{80, Protocol::tcp}, {443, Protocol::tcp}, {53, Protocol::udp}}};
  const Words said = in_app(stage, [] {
    Words words;
    const auto serve_at = [&words](const std::function<int()>& make, const Address& address) {
      const int server = make();
      words.push_back(bound(server, address));
      if (words.back().starts_with("E")) return;
      listen(server, 1);
      words.push_back(served_at(server, address, make()));
    };
    serve_at(tcp4, v4(80));
    serve_at(tcp6, v6(80));
    serve_at(mptcp, v4(443));
    serve_at(udp4, v4(53));
    serve_at(udp6, v6(53));
    return words;
  });
  EXPECT_THAT(said, ElementsAre("ok 80", "served", "ok 80", "served", "ok 443", "served", "ok 53",
                                "served", "ok 53", "served", served));
}

TEST(BindServer, BindsToAnyAddressAndToMappedOnes) {
  const Words said = in_app(tcp_80, [] {
    in6_addr mapped = IN6ADDR_LOOPBACK_INIT;
    checked(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped), "inet_pton");
    Words words = {bound(reusable(tcp4()), v4(80, INADDR_ANY))};
    const int both = tcp6();
    words.push_back(bound(reusable(both), v6(80, mapped)));
    listen(both, 1);
    words.push_back(served_at(both, v4(80), tcp4()));
    words.push_back(bound(tcp6(), v6(81, mapped)));
    return words;
  });
  EXPECT_THAT(said, ElementsAre("ok 80", "ok 80", "served", "EACCES", served));
}

TEST(BindServer, PassesTheKernelsErrorsOn) {
  const Words said = in_app(tcp_80, [] {
    const int first = tcp4();
    Words words = {bind_to(tcp4(), v4(80, 0x08080808)), bind_to(first, v4(80)),
                   bind_to(tcp4(), v4(80)), bind_to(first, v4(80))};
    return words;
  });
  EXPECT_THAT(said, ElementsAre("EADDRNOTAVAIL", "ok", "EADDRINUSE", "EINVAL", served));
}

TEST(BindServer, TheAppAloneCouldNotDoIt) {
  Stage nothing_named;
  nothing_named.ports = {};
  nothing_named.app_is_capable = true;
  EXPECT_THAT(in_app(nothing_named, [] { return Words{bind_to(tcp4(), v4(80))}; }),
              ElementsAre("EACCES", served));
}

// ---- what is not ----

TEST(BindServer, LeavesPortsThatAreNotNamedToTheKernel) {
  const Stage stage{.ports = {{80, Protocol::tcp}, {53, Protocol::udp}}};
  const Words said = in_app(stage, [] {
    Words words;
    for (const int port : {81, 79, 1, 1023, 20480})  // the last is 80 with bytes swapped
      words.push_back(bound(tcp4(), v4(static_cast<std::uint16_t>(port))));
    words.push_back(bound(udp4(), v4(80)));
    words.push_back(bound(tcp4(), v4(53)));
    words.push_back(bound(udp6(), v6(80)));
    words.push_back(bound(tcp6(), v6(53)));
    words.push_back(bound(tcp4(), v4(8080)));
    const int chosen = tcp4();
    words.push_back(bind_to(chosen, v4(0)));
    words.push_back(port_of(chosen) >= 1024 ? "high" : "low");
    return words;
  });
  EXPECT_THAT(said, ElementsAre("EACCES", "EACCES", "EACCES", "EACCES", "ok 20480", "EACCES",
                                "EACCES", "EACCES", "EACCES", "ok 8080", "ok", "high", served));
}

TEST(BindServer, LeavesAnAddressOfAnotherFamilyThanTheSocketToTheKernel) {
  const Words said = in_app(tcp_80, [] {
    Address unspecified = v4(80, INADDR_ANY);
    unspecified.storage.ss_family = AF_UNSPEC;
    Address unspecified6 = v6(80, in6addr_any);
    unspecified6.storage.ss_family = AF_UNSPEC;
    return Words{
        bound(tcp4(), unspecified),  // IPv4 takes it for an AF_INET
        bound(tcp6(), unspecified6),
        bound(tcp4(), v6(80)),
        bound(tcp6(), v4(80)),
    };
  });
  EXPECT_THAT(said, ElementsAre("EACCES", "EAFNOSUPPORT", "EAFNOSUPPORT", "EINVAL", served));
}

TEST(BindServer, LeavesSocketsOfOtherKindsToTheKernel) {
  const Stage stage{.ports = {{80, Protocol::tcp}, {80, Protocol::udp}}};
  const Words said = in_app(stage, [] {
    const auto local = [](const std::string& path) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      path.copy(name.sun_path + 1, sizeof name.sun_path - 2);  // in the abstract namespace
      return address_of(name);
    };
    sockaddr netlink{};
    netlink.sa_family = AF_NETLINK;
    Address to_kernel = address_of(netlink);
    to_kernel.length = 12;
    return Words{bind_to(new_socket(AF_UNIX, SOCK_STREAM), local("bind-server-test")),
                 bind_to(new_socket(AF_UNIX, SOCK_STREAM), local("bind-server-test")),
                 bind_to(new_socket(AF_UNIX, SOCK_STREAM), v4(80)),
                 bind_to(new_socket(AF_NETLINK, SOCK_RAW), to_kernel)};
  });
  EXPECT_THAT(said, ElementsAre("ok", "EADDRINUSE", "EINVAL", "ok", served));
}

TEST(BindServer, LeavesOtherProtocolsWithPortsToTheKernel) {
  const Stage stage{.ports = {{80, Protocol::tcp}, {80, Protocol::udp}}};
  const Words said = in_app(stage, [] {
    const int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    if (lite < 0) return Words{"EACCES"};  // gone since Linux 7.1
    return Words{bind_to(lite, v4(80))};
  });
  EXPECT_THAT(said, ElementsAre("EACCES", served));
}

TEST(BindServer, LeavesWhatIsNoSocketToTheKernel) {
  const Words said = in_app(tcp_80, [] {
    const int file = checked(open("/proc/self/status", O_RDONLY | O_CLOEXEC), "open");
    const int location = checked(open("/", O_PATH | O_CLOEXEC), "open");
    return Words{bind_to(file, v4(80)), bind_to(location, v4(80)), bind_to(1000, v4(80)),
                 bind_to(-1, v4(80)), bind_to(AT_FDCWD, v4(80))};
  });
  EXPECT_THAT(said, ElementsAre("ENOTSOCK", "EBADF", "EBADF", "EBADF", "EBADF", served));
}

TEST(BindServer, LeavesLengthsOutOfRangeToTheKernel) {
  const Words said = in_app(tcp_80, [] {
    Words words;
    const auto with_length = [&words](int socket, Address address, long length) {
      words.push_back(outcome(syscall(SYS_bind, reusable(socket), &address.storage, length)));
    };
    for (const long length : {0L, 1L, 2L, 3L, 15L, 129L, 4096L, -1L, long{INT_MIN}, long{INT_MAX}})
      with_length(tcp4(), v4(80), length);
    for (const long length : {0L, 8L, 16L, 23L, 129L, -1L}) with_length(tcp6(), v6(80), length);
    return words;
  });
  EXPECT_EQ(said.back(), served);
  EXPECT_EQ(said.size(), 17U);
  EXPECT_THAT(Words(said.begin(), said.end() - 1), Each("EINVAL"));
}

TEST(BindServer, TakesEveryLengthThatTheKernelTakes) {
  const Words said = in_app(tcp_80, [] {
    Words words;
    const auto with_length = [&words](int socket, Address address, long length) {
      words.push_back(outcome(syscall(SYS_bind, reusable(socket), &address.storage, length)));
    };
    // The kernel reads an int: what stands above it in the register is nothing to it.
    for (const long length : {16L, 17L, 28L, 128L, (1L << 32) + 16, (-1L << 32) + 128})
      with_length(tcp4(), v4(80), length);
    for (const long length : {24L, 27L, 28L, 128L}) with_length(tcp6(), v6(80), length);
    const Address address = v4(80);
    words.push_back(
        outcome(syscall(SYS_bind, (1L << 32) + reusable(tcp4()), &address.storage, 16L)));
    return words;
  });
  EXPECT_EQ(said.back(), served);
  EXPECT_EQ(said.size(), 12U);
  EXPECT_THAT(Words(said.begin(), said.end() - 1), Each("ok"));
}

TEST(BindServer, ReadsExactlyTheBytesThatTheAppNames) {
  const Words said = in_app(tcp_80, [] {
    const std::size_t page = 4096;
    auto* const pages = static_cast<std::byte*>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    checked(munmap(pages + page, page), "munmap");
    const Address address = v4(80);
    std::byte* const at_the_end = pages + page - address.length;
    std::memcpy(at_the_end, &address.storage, address.length);
    const auto bind_at = [](std::byte* at, long length) {
      return outcome(syscall(SYS_bind, reusable(tcp4()), at, length));
    };
    return Words{bind_at(at_the_end, 16), bind_at(at_the_end, 17), bind_at(nullptr, 16),
                 bind_at(pages + page, 16),
                 outcome(syscall(SYS_bind, tcp4(), 0xffff'ffff'ffff'f000UL, 16L))};
  });
  EXPECT_THAT(said, ElementsAre("ok", "EFAULT", "EFAULT", "EFAULT", "EFAULT", served));
}

TEST(BindServer, LeavesSocketsOfOtherNetworksToTheKernel) {
  Stage capable = tcp_80;
  capable.app_is_capable = true;
  const Words said = in_app(capable, [] {
    const int here = tcp4();
    checked(unshare(CLONE_NEWNET), "unshare");
    bring_loopback_up();
    const int there = tcp4();
    Words words = {bound(tcp4(), v4(80))};  // by its own right: the network is its namespace's
    hold_only(0);
    words.push_back(bound(reusable(there), v4(80)));
    words.push_back(bound(here, v4(80)));  // wherever its owner lives now
    return words;
  });
  EXPECT_THAT(said, ElementsAre("ok 80", "EACCES", "ok 80", served));
}

TEST(BindServer, ServesNamespacesBelowTheApps) {
  const Words said = in_app(tcp_80, [] {
    checked(unshare(CLONE_NEWUSER), "unshare");
    checked(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
    return Words{bind_to(tcp4(), v4(80)), bind_to(tcp4(), v4(81))};
  });
  EXPECT_THAT(said, ElementsAre("ok", "EACCES", served));
}

TEST(BindServer, LeavesProcessesThatHaveNoNumberHereToTheKernel) {
  Stage beside = tcp_80;
  beside.beside = true;
  EXPECT_THAT(in_app(beside,
                     [] {
                       return Words{bind_to(tcp4(), v4(80)), bind_to(tcp4(), v4(8080))};
                     }),
              ElementsAre("EACCES", "ok", served));
}

// ---- i386 ----

#if defined(__x86_64__)

long int_0x80(std::uint64_t call, std::uint64_t first, std::uint64_t second, std::uint64_t third) {
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(call), "b"(first), "c"(second), "d"(third)
               : "memory", "r8", "r9", "r10", "r11");
  const int error = static_cast<std::int32_t>(result);
  if (error < 0) errno = -error;
  return error < 0 ? -1 : error;
}

constexpr std::uint64_t bind_386 = 361, socketcall_386 = 102;
constexpr std::uint64_t socketcall_bind = 2, socketcall_listen = 4;

// What a 32-bit program has: memory that 32 bits reach.
struct LowMemory {
  Address address;
  std::array<std::uint32_t, 3> arguments;
};
LowMemory& low_memory() {
  void* const at = mmap(nullptr, sizeof(LowMemory), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (at == MAP_FAILED) throw std::runtime_error("no memory below 4 GiB");
  return *new (at) LowMemory;
}
std::uint64_t place_of(const void* at) {
  return reinterpret_cast<std::uintptr_t>(at);
}

TEST(BindServer, ServesI386Bind) {
  const Words said = in_app(tcp_80, [] {
    LowMemory& low = low_memory();
    const auto bind_386_to = [&low](int socket, const Address& to, std::uint64_t above) {
      low.address = to;
      const int result =
          static_cast<int>(int_0x80(bind_386, above | static_cast<std::uint64_t>(socket),
                                    above | place_of(&low.address.storage), above | to.length));
      return result == 0 ? "ok " + std::to_string(port_of(socket)) : outcome(result);
    };
    const std::uint64_t garbage = 0xdeadbeef'00000000;
    return Words{bind_386_to(reusable(tcp4()), v4(80), 0),
                 bind_386_to(reusable(tcp4()), v4(80), garbage), bind_386_to(tcp4(), v4(81), 0),
                 bind_386_to(tcp4(), v4(8080), garbage), bind_386_to(tcp6(), v6(80), 0)};
  });
  EXPECT_THAT(said, ElementsAre("ok 80", "ok 80", "EACCES", "ok 8080", "ok 80", served));
}

TEST(BindServer, ServesI386Socketcall) {
  const Words said = in_app(tcp_80, [] {
    LowMemory& low = low_memory();
    const auto call = [&low](std::uint64_t which, int socket, const Address& to) {
      low.address = to;
      low.arguments = {static_cast<std::uint32_t>(socket),
                       static_cast<std::uint32_t>(place_of(&low.address.storage)), to.length};
      return outcome(int_0x80(socketcall_386, which, place_of(low.arguments.data()), 0));
    };
    const std::uint64_t garbage = 0xdeadbeef'00000000;
    const int server = tcp4();
    return Words{call(socketcall_bind, server, v4(80)),
                 std::to_string(port_of(server)),
                 call(garbage | socketcall_bind, tcp4(), v4(80)),
                 call(socketcall_bind, tcp4(), v4(81)),
                 call(socketcall_bind, tcp4(), v4(8080)),
                 call(socketcall_listen, server, v4(80)),
                 outcome(int_0x80(socketcall_386, socketcall_bind, 0, 0)),
                 outcome(int_0x80(socketcall_386, socketcall_bind, 0xffff'fff8, 0))};
  });
  EXPECT_THAT(said, ElementsAre("ok", "80", "EADDRINUSE", "EACCES", "ok", "ok", "EFAULT", "EFAULT",
                                served));
}

#endif

// ---- threads ----

std::string in_a_thread(const std::function<std::string()>& part) {
  std::string said;
  std::thread([&] { said = part(); }).join();
  return said;
}

// In a thread that has a descriptor table of its own, where `number` is another socket than in its
// process.
std::string bound_in_a_table_of_its_own(int number) {
  return in_a_thread([number] {
    checked(unshare(CLONE_FILES), "unshare");
    checked(dup2(reusable(tcp4()), number), "dup2");
    return bound(number, v4(80));
  });
}

// By a process whose first thread has ended.
std::string bound_without_a_leader() {
  const int error = status_of([] {
    const std::string leader = "/proc/" + std::to_string(getpid()) + "/stat";
    std::thread([leader] {
      std::string text;
      while (text.find(") Z ") == std::string::npos) {
        std::array<char, 512> buffer{};
        const sys::Fd file(open(leader.c_str(), O_RDONLY | O_CLOEXEC));
        text.assign(buffer.data(), static_cast<std::size_t>(
                                       std::max<ssize_t>(0, read(file.get(), buffer.data(), 512))));
      }
      _exit(errno_of_binding(reusable(tcp4()), v4(80)));
    }).detach();
    syscall(SYS_exit, 0);
    return 254;
  });
  return error == 0 ? "ok" : strerrorname_np(error);
}

Words binds_of_threads() {
  const int number = tcp4();
  Words words = {in_a_thread([] { return bound(reusable(tcp4()), v4(80)); }),
                 in_a_thread([] { return bound(tcp4(), v4(81)); })};
  words.push_back(bound_in_a_table_of_its_own(number));
  words.push_back(std::to_string(port_of(number)));
  words.push_back(bound_without_a_leader());
  return words;
}

TEST(BindServer, ServesThreads) {
  EXPECT_THAT(in_app(tcp_80, binds_of_threads),
              ElementsAre("ok 80", "EACCES", "ok 80", "0", "ok", served));
}

// As before Linux 6.9, where pidfds are of processes only.
TEST(BindServer, ServesThreadsByTheirProcessWhereOnlyThatHasAPidfd) {
  Stage old = tcp_80;
  old.before_serving = [] { refuse_call(SYS_pidfd_open, EINVAL, 1, O_EXCL); };
  // The last two are beyond its reach, and no other socket is bound instead.
  EXPECT_THAT(in_app(old, binds_of_threads),
              ElementsAre("ok 80", "EACCES", "EACCES", "0", "EACCES", served));
  EXPECT_THAT(in_app(old, [] { return Words{bound(tcp4(), v4(80))}; }),
              ElementsAre("ok 80", served));
}

// ---- crowds and signals ----

TEST(BindServer, SurvivesBurstsFromSeveralProcesses) {
  const Stage stage{.ports = {{80, Protocol::tcp}, {443, Protocol::tcp}}};
  const Words said = in_app(stage, [] {
    const auto burst = [](std::uint16_t port) {
      for (int turn = 0; turn < 5000; ++turn) {
        const int socket = tcp4();
        if (const int error = errno_of_binding(socket, v4(port)); error != 0) return error;
        if (port_of(socket) != port) return 255;
        close(socket);
      }
      return 0;
    };
    int first = -1, second = -1;
    std::thread one([&] { first = status_of([&] { return burst(80); }); });
    std::thread two([&] { second = status_of([&] { return burst(443); }); });
    one.join();
    two.join();
    return Words{std::to_string(first), std::to_string(second)};
  });
  EXPECT_THAT(said, ElementsAre("0", "0", served));
}

TEST(BindServer, SurvivesBurstsFromManyThreads) {
  const Words said = in_app(tcp_80, [] {
    std::atomic<int> failures = 0;
    std::vector<std::thread> threads;
    for (int number = 0; number < 16; ++number)
      threads.emplace_back([&failures] {
        for (int turn = 0; turn < 500; ++turn) {
          const int socket = reusable(tcp4());
          if (bound(socket, v4(80)) != "ok 80") ++failures;
          if (bind_to(socket, v4(81)) != "EACCES") ++failures;
          close(socket);
        }
      });
    for (std::thread& thread : threads) thread.join();
    return Words{std::to_string(failures)};
  });
  EXPECT_THAT(said, ElementsAre("0", served));
}

TEST(BindServer, GoesOnWhenCallersAreKilled) {
  const Words said = in_app(tcp_80, [] {
    for (int turn = 0; turn < 300; ++turn) {
      const pid_t pid = checked(fork(), "fork");
      if (pid == 0)
        for (;;) {
          const int socket = tcp4();
          bind_to(socket, v4(80));
          close(socket);
        }
      usleep(static_cast<useconds_t>(200 + turn * 7));
      kill(pid, SIGKILL);
      checked(waitpid(pid, nullptr, 0), "waitpid");
    }
    return Words{bound(tcp4(), v4(80))};
  });
  EXPECT_THAT(said, ElementsAre("ok 80", served));
}

// How the binds end while a timer fires every 700 µs.
Words binds_under_signals(int flags) {
  static std::atomic<int> signals = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals; };
  action.sa_flags = flags;
  checked(sigaction(SIGALRM, &action, nullptr), "sigaction");
  const itimerval often{{0, 700}, {0, 700}}, never{};
  checked(setitimer(ITIMER_REAL, &often, nullptr), "setitimer");
  std::set<std::string> results;
  for (int turn = 0; turn < 20000 || signals < 100; ++turn) {
    const int socket = tcp4();
    std::string result = bound(socket, v4(80));
    // Before the supervisor has heard of a call, a signal ends or restarts it like any that waits
    // (signal(7)); then nothing was done.
    while (result == "EINTR" && (flags & SA_RESTART) == 0) result = bound(socket, v4(80));
    results.insert(result);
    close(socket);
  }
  checked(setitimer(ITIMER_REAL, &never, nullptr), "setitimer");
  return {results.begin(), results.end()};
}

TEST(BindServer, SignalsLeaveNoBindHalfDone) {
  EXPECT_THAT(in_app(tcp_80, [] { return binds_under_signals(SA_RESTART); }),
              ElementsAre("ok 80", served));
  EXPECT_THAT(in_app(tcp_80, [] { return binds_under_signals(0); }), ElementsAre("ok 80", served));
}

// ---- lies ----

// What the binds of a lying app come to. Some thousand turns say little where the liar gets no
// processor: what counts is how often the truth changed from one turn to the next.
class Lies {
 public:
  bool wanted() const {
    return turns_ < 10000 || (changes_ < 2000 && std::chrono::steady_clock::now() < deadline_);
  }
  void add(const std::string& result) {
    ++turns_;
    if (result != last_) ++changes_;
    last_ = result;
    results_.insert(result);
  }
  Words results() const { return {results_.begin(), results_.end()}; }

 private:
  std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(15);
  int turns_ = 0, changes_ = 0;
  std::string last_;
  std::set<std::string> results_;
};

TEST(BindServer, AnAddressRewrittenMeanwhileBindsNothingElse) {
  const Words said = in_app(tcp_80, [] {
    Address address = v4(80);
    auto& port = *reinterpret_cast<std::atomic<std::uint16_t>*>(
        reinterpret_cast<std::byte*>(&address.storage) + offsetof(sockaddr_in, sin_port));
    std::atomic<bool> over = false;
    std::thread liar([&] {
      while (!over) {
        port = htons(81);
        port = htons(80);
      }
    });
    Lies lies;
    while (lies.wanted()) {
      const int socket = tcp4();
      lies.add(bound(socket, address));
      close(socket);
    }
    over = true;
    liar.join();
    return lies.results();
  });
  EXPECT_THAT(said, ElementsAre("EACCES", "ok 80", served));
}

// A socket of another network, over which a process without capabilities has no rights.
int socket_of_another_network() {
  const Pair pair;
  const int error = status_of([&pair] {
    if (unshare(CLONE_NEWNET) != 0) return errno;
    bring_loopback_up();
    send_fd(pair.ends[1], reusable(tcp4()));
    return 0;
  });
  if (error != 0) throw std::system_error(error, std::generic_category(), "unshare");
  return received_fd(pair.ends[0]);
}

TEST(BindServer, ADescriptorReplacedMeanwhileBindsNothingElse) {
  Stage capable = tcp_80;
  capable.app_is_capable = true;
  const Words said = in_app(capable, [] {
    const int udp = udp4();
    const int other_network = socket_of_another_network();
    hold_only(0);
    const int file = checked(open("/proc/self/status", O_RDONLY | O_CLOEXEC), "open");
    const int tcp = checked(fcntl(udp, F_DUPFD_CLOEXEC, 100), "fcntl");
    const int number = checked(fcntl(udp, F_DUPFD_CLOEXEC, 200), "fcntl");
    std::atomic<bool> over = false;
    std::thread liar([&] {
      while (!over) {
        for (const int each : {tcp, udp, tcp, other_network, tcp, file}) dup2(each, number);
        close(number);
      }
    });
    Lies lies;
    int elsewhere = 0;
    while (lies.wanted()) {
      const int fresh = reusable(tcp4());
      dup2(fresh, tcp);
      close(fresh);
      lies.add(bind_to(number, v4(80)));
      if (port_of(udp) != 0 || port_of(other_network) != 0) ++elsewhere;
    }
    over = true;
    liar.join();
    Words words = lies.results();
    words.push_back("elsewhere " + std::to_string(elsewhere));
    return words;
  });
  EXPECT_THAT(said, IsSupersetOf({"ok", "EACCES"}));
  EXPECT_THAT(said, IsSupersetOf({"elsewhere 0", served}));
}

#if defined(__x86_64__)

// The supervisor stops in the midst of its checks, after everything was read and copied.
struct Pause {
  std::atomic<bool> reached = false, over = false;
};
Pause* pause_of_the_supervisor = nullptr;

void pause_and_say_stream(int, siginfo_t*, void* context) {
  pause_of_the_supervisor->reached = true;
  while (!pause_of_the_supervisor->over) usleep(1000);
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  *std::bit_cast<int*>(registers[REG_R10]) = SOCK_STREAM;
  registers[REG_RAX] = 0;
}

TEST(BindServer, BindsNothingForACallerThatIsGone) {
  pause_of_the_supervisor =
      new (mmap(nullptr, sizeof(Pause), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Pause;
  Stage pausing = tcp_80;
  pausing.before_serving = [] {
    struct sigaction action {};
    action.sa_sigaction = pause_and_say_stream;
    action.sa_flags = SA_SIGINFO;
    checked(sigaction(SIGSYS, &action, nullptr), "sigaction");
    filter_call(SYS_getsockopt, SECCOMP_RET_TRAP, 2, SO_TYPE);
  };
  const Words said = in_app(pausing, [] {
    const int shared = tcp4();
    const pid_t caller = checked(fork(), "fork");
    if (caller == 0) _exit(errno_of_binding(shared, v4(80)));
    while (!pause_of_the_supervisor->reached) usleep(1000);
    checked(kill(caller, SIGKILL), "kill");
    checked(waitpid(caller, nullptr, 0), "waitpid");
    pause_of_the_supervisor->over = true;
    // One call after another: when this one is answered, it is done with the other.
    Words words = {bind_to(tcp4(), v4(8080)), std::to_string(port_of(shared))};
    words.push_back(bound(shared, v4(80)));
    return words;
  });
  EXPECT_THAT(said, ElementsAre("ok", "0", "ok 80", served));
}

#endif

// ---- the supervisor's end ----

TEST(BindServer, WithoutItsSupervisorTheAppBindsNothing) {
  const Words said = in_app(tcp_80, [] {
    const pid_t supervisor = getppid();
    checked(kill(supervisor, SIGKILL), "kill");
    while (getppid() == supervisor) usleep(1000);
    return Words{bind_to(tcp4(), v4(80)), bind_to(tcp4(), v4(8080))};
  });
  EXPECT_THAT(said, ElementsAre("ENOSYS", "ENOSYS"));
}

TEST(BindServer, ABrokenListenerIsAnError) {
  sys::Fd no_listener(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  try {
    serve_binds(std::move(no_listener), {});
    FAIL() << "it came to a good end";
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, "supervisor");
  }
}

// ---- obstacles ----

// What the obstacle is in a process of its own, after `change`.
std::string obstacle_after(const std::function<void()>& change) {
  std::array<int, 2> tale{};
  checked(pipe2(tale.data(), O_CLOEXEC), "pipe2");
  const pid_t pid = child_that(
      [&] {
        change();
        write_all(tale[1], bind_service_obstacle());
      },
      tale[1]);
  close(tale[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = read(tale[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(count));
  close(tale[0]);
  checked(waitpid(pid, nullptr, 0), "waitpid");
  return text;
}

void in_own_mounts() {
  checked(unshare(CLONE_NEWNS), "unshare");
  checked(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private");
}

// In the grandchild, PID 1 of a namespace whose /proc is not mounted.
std::string obstacle_in_own_pid_namespace() {
  return obstacle_after([] {
    checked(unshare(CLONE_NEWPID), "unshare");
    const pid_t first = checked(fork(), "fork");
    if (first == 0) return;
    checked(waitpid(first, nullptr, 0), "waitpid");
    _exit(0);
  });
}

TEST(BindServer, HasNoObstacleHere) {
  EXPECT_EQ(obstacle_after([] {}), "");
  EXPECT_EQ(obstacle_after(step_down_to_binding), "");
}

TEST(BindServer, NamesTheForbiddenCallAndTheWayOut) {
  constexpr auto minus_one = static_cast<std::uint32_t>(-1);
  for (const auto& [call, name] :
       {std::pair{SYS_pidfd_open, "pidfd_open(2)"}, std::pair{SYS_pidfd_getfd, "pidfd_getfd(2)"}}) {
    EXPECT_THAT(obstacle_after([call = call] { refuse_call(call, EPERM, 0, minus_one); }),
                AllOf(StartsWith(std::string(name) + " is refused"),
                      HasSubstr("--cap-add SYS_PTRACE"), HasSubstr("--security-opt seccomp=")));
    EXPECT_THAT(
        obstacle_after([call = call] { refuse_call(call, ENOSYS, 0, minus_one); }),
        AllOf(StartsWith(std::string(name) + " is missing"), HasSubstr("--cap-add SYS_PTRACE")));
  }
}

TEST(BindServer, NeedsSocketsThatTellTheirNetwork) {
  EXPECT_THAT(obstacle_after([] { refuse_call(SYS_getsockopt, ENOPROTOOPT, 2, SO_NETNS_COOKIE); }),
              HasSubstr("SO_NETNS_COOKIE"));
}

TEST(BindServer, NeedsTheProcOfItsOwnPidNamespace) {
  EXPECT_THAT(obstacle_after([] {
                in_own_mounts();
                checked(mount("none", "/proc", "tmpfs", 0, nullptr), "mount");
              }),
              HasSubstr("/proc is missing"));
  EXPECT_THAT(obstacle_in_own_pid_namespace(), HasSubstr("another PID namespace"));
}

// A kernel with Yama and one without, whichever this one is: the setting's place is covered with
// another file of procfs that says 3, or 1.
TEST(BindServer, SeesWhereNobodyMayAttach) {
  const auto obstacle_where_scope_is = [](const char* scope) {
    return obstacle_after([scope] {
      in_own_mounts();
      checked(unshare(CLONE_NEWNET), "unshare");
      const std::string setting = "/proc/sys/net/ipv4/tcp_fin_timeout";
      write_file(setting, scope);
      const int source = checked(open(setting.c_str(), O_PATH | O_CLOEXEC), "open");
      checked(mount("none", "/proc/sys/kernel", "tmpfs", 0, nullptr), "mount");
      checked(mkdir("/proc/sys/kernel/yama", 0755), "mkdir");
      const char* const scope_file = "/proc/sys/kernel/yama/ptrace_scope";
      close(checked(open(scope_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644), "open"));
      checked(mount(("/proc/self/fd/" + std::to_string(source)).c_str(), scope_file, nullptr,
                    MS_BIND, nullptr),
              "bind mount");
    });
  };
  EXPECT_THAT(obstacle_where_scope_is("3"), HasSubstr("ptrace_scope is 3"));
  EXPECT_EQ(obstacle_where_scope_is("1"), "");
}

}  // namespace
}  // namespace stepdown::bind_world
