// The program whose system calls supervised.cpp and seccomp.cpp measure: makes one of them N times
// and prints the nanoseconds that one took, as the program sees it. Linked static.
//
//   benchmark-calls CALL N        one of `calls` below
//   benchmark-calls bind N PORT   TCP, IPv4, a new socket each time; the bind alone is timed
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::duration<double, std::nano>;

[[noreturn]] void fail(const char* call) {
  std::fprintf(stderr, "benchmark-calls: %s: %s\n", call, std::strerror(errno));
  std::exit(1);
}

struct Call {
  std::string_view name;
  long (*make)();  // below 0 and errno where it fails
};

constexpr uid_t unchanged = static_cast<uid_t>(-1);

// syscall(2), because the C library has every thread make the set calls, and remembers the answers
// of others.
constexpr Call calls[] = {
    {"getppid", [] { return syscall(SYS_getppid); }},
    {"getpid", [] { return syscall(SYS_getpid); }},
    {"getuid", [] { return syscall(SYS_getuid); }},
    {"getresuid",
     [] {
       uid_t real = 0, effective = 0, saved = 0;
       return syscall(SYS_getresuid, &real, &effective, &saved);
     }},
    {"setresuid", [] { return syscall(SYS_setresuid, unchanged, unchanged, unchanged); }},
    {"chown", [] { return syscall(SYS_fchownat, AT_FDCWD, "/", unchanged, unchanged, 0); }},
    {"openat",  // and close
     [] {
       const long fd = syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC);
       return fd < 0 ? fd : syscall(SYS_close, fd);
     }},
    {"socket",  // and close
     [] {
       const long fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
       return fd < 0 ? fd : syscall(SYS_close, fd);
     }},
    // It asks and changes nothing; the kernel has next to nothing to do for it.
    {"personality", [] { return syscall(SYS_personality, 0xffffffffUL); }},
    {"ioctl", [] { return syscall(SYS_ioctl, STDIN_FILENO, FIONCLEX); }},
};

Nanoseconds time_calls(std::string_view name, int times) {
  for (const Call& call : calls) {
    if (call.name != name) continue;
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < times; ++i) {
      if (call.make() < 0) fail(call.name.data());
    }
    return Clock::now() - begin;
  }
  errno = EINVAL;
  fail("no such call");
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
  const std::string_view name = words[1];
  const int times = std::atoi(words[2]);
  const Nanoseconds taken = name == "bind" && count == 4
                                ? time_binds(times, static_cast<std::uint16_t>(std::atoi(words[3])))
                                : time_calls(name, times);
  std::printf("%.1f\n", taken.count() / times);
  return 0;
}
