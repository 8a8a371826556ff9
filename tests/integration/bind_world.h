// A network namespace with an app in a user namespace below it, and a supervisor outside that holds
// CAP_NET_BIND_SERVICE alone: what the launcher makes, made by hand around serve_binds().
//
// Needs root, and fails without.
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "launch/bind_server.h"
#include "passed_fd.h"
#include "seccomp/supervised_filter.h"

namespace stepdown::bind_world {

using Words = std::vector<std::string>;
constexpr auto patience = std::chrono::seconds(30);
constexpr unsigned app_id = 1000;  // outside; 0 inside

// For calls that return -1 and set errno.
template <typename Result>
int checked(Result result, const std::string& call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return static_cast<int>(result);
}

// "ok", or the errno's name.
template <typename Result>
std::string outcome(Result result) {
  return result >= 0 ? "ok" : strerrorname_np(errno);
}

// ---- addresses and sockets ----

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

template <typename Kind>
Address address_of(const Kind& kind) {
  Address address;
  std::memcpy(&address.storage, &kind, sizeof kind);
  address.length = sizeof kind;
  return address;
}

inline Address v4(std::uint16_t port, std::uint32_t host = INADDR_LOOPBACK) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address_of(address);
}

inline Address v6(std::uint16_t port, const in6_addr& host = in6addr_loopback) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = host;
  return address_of(address);
}

inline int new_socket(int family, int type, int protocol = 0) {
  return checked(socket(family, type | SOCK_CLOEXEC, protocol), "socket");
}
inline int tcp4() {
  return new_socket(AF_INET, SOCK_STREAM);
}
inline int udp4() {
  return new_socket(AF_INET, SOCK_DGRAM);
}

inline std::string bind_to(int socket, const Address& address) {
  return outcome(bind(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.length));
}

// Where a socket is bound; 0: nowhere.
inline int port_of(int socket) {
  sockaddr_in6 address{};
  socklen_t length = sizeof address;
  checked(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return ntohs(address.sin6_port);
}

// ---- privileges ----

// Permitted and effective; nothing inheritable.
inline void hold_only(std::uint64_t capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (std::size_t half = 0; half < 2; ++half) {
    const auto bits = static_cast<std::uint32_t>(capabilities >> (32 * half));
    data[half] = {bits, bits, 0};
  }
  checked(syscall(SYS_capset, &header, data.data()), "capset");
}

inline void become_the_target() {
  checked(syscall(SYS_setgroups, 0, nullptr), "setgroups");
  checked(setresgid(app_id, app_id, app_id), "setresgid");
  checked(setresuid(app_id, app_id, app_id), "setresuid");
}

// A filter of this process's own: `call` gets `action` where its argument number `index` is
// `value`, in the low 32 bits; everything else goes on as before.
inline void filter_call(long call, std::uint32_t action, unsigned index, std::uint32_t value) {
  const auto argument =
      static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
  std::array<sock_filter, 6> program{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, static_cast<std::uint32_t>(call)},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, argument},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value},
      {BPF_RET | BPF_K, 0, 0, action},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog filter{program.size(), program.data()};
  checked(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
  checked(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
}
inline void refuse_call(long call, int error, unsigned index, std::uint32_t value) {
  filter_call(call, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error), index, value);
}

// ---- processes that talk to each other ----

struct Pair {
  std::array<int, 2> ends{};
  Pair() { checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair"); }
};

inline void send_word(int over) {
  checked(write(over, "w", 1), "write");
}
inline void await_word(int over) {
  char letter = 0;
  if (read(over, &letter, 1) != 1) throw std::runtime_error("the other process is gone");
}

inline void write_all(int fd, const std::string& text) {
  for (std::size_t at = 0; at < text.size();)
    at += static_cast<std::size_t>(checked(write(fd, text.data() + at, text.size() - at), "write"));
}

inline void write_file(const std::string& path, const std::string& text) {
  const int fd = checked(open(path.c_str(), O_WRONLY | O_CLOEXEC), path);
  checked(write(fd, text.data(), text.size()), path);
  close(fd);
}

// A child that does `part` and ends; what it throws goes to `trouble`, as a line.
inline pid_t child_that(const std::function<void()>& part, int trouble) {
  const pid_t pid = checked(fork(), "fork");
  if (pid != 0) return pid;
  int status = 0;
  try {
    part();
  } catch (const std::exception& failure) {
    status = 97;
    const std::string line = "trouble: " + std::string(failure.what()) + "\n";
    if (write(trouble, line.data(), line.size()) < 0) status = 98;
  }
  _exit(status);
}

// ---- the stage ----

struct Stage {
  std::vector<PortRequest> ports = {{80, Protocol::tcp}};
  // The app keeps its capabilities, which are worth something inside its namespace only.
  bool app_is_capable = false;
  // In the supervisor, before it serves.
  std::function<void()> before_serving = [] {};
  // The supervisor is in a PID namespace beside the app's, where the app has no number.
  bool beside = false;
};

inline void bring_loopback_up() {
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int any = new_socket(AF_INET, SOCK_DGRAM);
  checked(ioctl(any, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
  close(any);
}

// What remains of the supervisor's privileges: the target's ids and one capability.
inline void step_down_to_binding() {
  checked(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL), "PR_SET_KEEPCAPS");
  become_the_target();
  hold_only(std::uint64_t{1} << CAP_NET_BIND_SERVICE);
}

inline void play_app(const Stage& stage, const std::function<Words()>& part, int supervisor,
                     int tale) {
  become_the_target();
  // setresuid(2) has cleared it; an app would have it again by execve(2).
  checked(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
  checked(unshare(CLONE_NEWUSER), "unshare");
  send_word(supervisor);
  await_word(supervisor);  // the maps are written
  if (!stage.app_is_capable) hold_only(0);
  checked(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL), "PR_SET_DUMPABLE");
  checked(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
  {
    const sys::Fd listener = seccomp::load_supervised(seccomp::Supervised::binds);
    send_fd(supervisor, listener.get());
  }
  await_word(supervisor);
  std::string text;
  for (const std::string& word : part()) text += word + "\n";
  write_all(tale, text);
}

inline void serve(const Stage& stage, int app) {
  sys::Fd listener(received_fd(app));
  step_down_to_binding();
  stage.before_serving();
  send_word(app);
  serve_binds(std::move(listener), stage.ports);
}

inline void play_supervisor(const Stage& stage, const std::function<Words()>& part, int tale) {
  checked(unshare(CLONE_NEWNET), "unshare");
  bring_loopback_up();
  const Pair pair;
  const pid_t app = child_that(
      [&] {
        close(pair.ends[0]);
        play_app(stage, part, pair.ends[1], tale);
      },
      tale);
  close(pair.ends[1]);
  await_word(pair.ends[0]);
  const std::string process = "/proc/" + std::to_string(app);
  const std::string map = "0 " + std::to_string(app_id) + " 1";
  write_file(process + "/gid_map", map);
  write_file(process + "/uid_map", map);
  send_word(pair.ends[0]);
  if (stage.beside) {
    checked(unshare(CLONE_NEWPID), "unshare");
    const pid_t beside = child_that([&] { serve(stage, pair.ends[0]); }, tale);
    checked(waitpid(beside, nullptr, 0), "waitpid");
  } else {
    serve(stage, pair.ends[0]);
  }
  checked(waitpid(app, nullptr, 0), "waitpid");
  write_all(tale, "served to the end\n");
}

// The words that `part` says in the app, then "served to the end" from the supervisor, if it was
// still there when the app had ended.
inline Words in_app(const Stage& stage, const std::function<Words()>& part) {
  std::array<int, 2> tale{};
  checked(pipe2(tale.data(), O_CLOEXEC), "pipe2");
  const pid_t supervisor = child_that(
      [&] {
        close(tale[0]);
        // Whatever hangs is killed with its group, below.
        checked(setpgid(0, 0), "setpgid");
        play_supervisor(stage, part, tale[1]);
      },
      tale[1]);
  close(tale[1]);
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    pollfd waiting{tale[0], POLLIN, 0};
    poll(&waiting, 1, 100);
    if (std::chrono::steady_clock::now() > deadline) {
      text += "no end\n";
      break;
    }
    std::array<char, 4096> buffer{};
    if (waiting.revents == 0) continue;
    const ssize_t count = read(tale[0], buffer.data(), buffer.size());
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(tale[0]);
  kill(-supervisor, SIGKILL);
  checked(waitpid(supervisor, nullptr, 0), "waitpid");
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace stepdown::bind_world
