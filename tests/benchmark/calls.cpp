// The program whose system calls supervised.cpp measures: makes one of them N times and prints the
// nanoseconds that one took, as the program sees it. Linked static.
//
//   benchmark-calls CALL N        getppid, getuid, getresuid, setresuid or chown
//   benchmark-calls bind N PORT   TCP, IPv4, a new socket each time; the bind alone is timed
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::duration<double, std::nano>;

[[noreturn]] void fail(const char* call) {
  std::fprintf(stderr, "benchmark-calls: %s: %s\n", call, std::strerror(errno));
  std::exit(1);
}

long identity_call(const std::string& name) {
  uid_t real = 0, effective = 0, saved = 0;
  constexpr uid_t unchanged = static_cast<uid_t>(-1);
  // syscall(2), because the C library has every thread make the set calls.
  if (name == "getppid") return syscall(SYS_getppid);
  if (name == "getuid") return syscall(SYS_getuid);
  if (name == "getresuid") return syscall(SYS_getresuid, &real, &effective, &saved);
  if (name == "setresuid") return syscall(SYS_setresuid, unchanged, unchanged, unchanged);
  if (name == "chown") return syscall(SYS_fchownat, AT_FDCWD, "/", unchanged, unchanged, 0);
  errno = EINVAL;
  return -1;
}

Nanoseconds time_identity_calls(const std::string& name, int times) {
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < times; ++i) {
    if (identity_call(name) < 0) fail(name.c_str());
  }
  return Clock::now() - begin;
}

Nanoseconds time_binds(int times, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  Nanoseconds taken{};
  for (int i = 0; i < times; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    const Clock::time_point begin = Clock::now();
    const int result = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    taken += Clock::now() - begin;
    if (result != 0) fail("bind");
    close(fd);
  }
  return taken;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return 2;
  const std::string name = words[1];
  const int times = std::atoi(words[2]);
  const Nanoseconds taken = name == "bind" && count == 4
                                ? time_binds(times, static_cast<std::uint16_t>(std::atoi(words[3])))
                                : time_identity_calls(name, times);
  std::printf("%.1f\n", taken.count() / times);
  return 0;
}
