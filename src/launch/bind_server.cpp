#include "launch/bind_server.h"

#include <asm/socket.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "seccomp/listener.h"
#include "stepdown/error.h"
#include "sys/files.h"
#include "sys/process_memory.h"

namespace stepdown {

namespace {

constexpr const char* step = "supervisor";

// What the kernel headers of build machines may not have yet.
constexpr unsigned pidfd_of_a_thread = O_EXCL;  // PIDFD_THREAD (6.9)
constexpr int mptcp = 262;                      // IPPROTO_MPTCP (5.6)

// i386's numbers: what a 64-bit program may call as well, with int 0x80.
constexpr int i386_socketcall = 102;
constexpr int i386_bind = 361;
constexpr std::uint32_t socketcall_bind = 2;  // SYS_BIND of linux/net.h

// RFC 2133's sockaddr_in6, without the scope: the kernel takes it as well.
constexpr std::size_t shortest_in6 = offsetof(sockaddr_in6, sin6_scope_id);
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

sys::Fd pidfd_open(pid_t pid, unsigned flags) {
  return sys::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, flags)));
}

sys::Fd pidfd_getfd(int pidfd, int number) {
  return sys::Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, number, 0U)));
}

template <typename Value>
std::optional<Value> socket_option(int socket, int name) {
  Value value{};
  socklen_t size = sizeof value;
  if (::getsockopt(socket, SOL_SOCKET, name, &value, &size) != 0 || size != sizeof value)
    return std::nullopt;
  return value;
}

// Which network namespace a socket belongs to, wherever its owner lives now.
std::optional<std::uint64_t> network_of(int socket) {
  return socket_option<std::uint64_t>(socket, SO_NETNS_COOKIE);
}

sys::Fd own_socket() {
  return sys::Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

// ---- what was asked for ----

// The arguments of a bind(2).
struct Arguments {
  int fd = -1;
  std::uint64_t address = 0;
  std::int32_t length = 0;
};

std::optional<Arguments> arguments_of(const seccomp_data& call, const sys::ProcessMemory& memory) {
  // The kernel takes an int, whatever stands above it in the register.
  const auto number = [](std::uint64_t word) { return static_cast<std::int32_t>(word); };
  const auto& words = call.args;
  if (call.arch != AUDIT_ARCH_I386) {
    if (call.nr != SYS_bind) return std::nullopt;
    return Arguments{number(words[0]), words[1], number(words[2])};
  }
  if (call.nr == i386_bind) return Arguments{number(words[0]), words[1], number(words[2])};
  std::array<std::uint32_t, 3> block{};
  if (call.nr != i386_socketcall || words[0] != socketcall_bind ||
      !memory.read(words[1], std::as_writable_bytes(std::span(block))))
    return std::nullopt;
  return Arguments{number(block[0]), block[1], number(block[2])};
}

// The app's own words, copied: it can't change them any more.
struct Request {
  int fd = -1;
  sockaddr_storage address{};
  socklen_t length = 0;

  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in internet{};
    std::memcpy(&internet, &address, sizeof internet);
    return ntohs(internet.sin_port);
  }
};

// nullopt: it is no bind to an internet address, or not one that the kernel would take.
std::optional<Request> copied_request(const seccomp_notif& call) {
  const sys::ProcessMemory memory(static_cast<pid_t>(call.pid));
  if (!memory) return std::nullopt;
  const std::optional<Arguments> arguments = arguments_of(call.data, memory);
  Request request;
  if (!arguments || arguments->length < static_cast<std::int32_t>(sizeof(sockaddr_in)) ||
      arguments->length > static_cast<std::int32_t>(sizeof request.address))
    return std::nullopt;
  request.fd = arguments->fd;
  request.length = static_cast<socklen_t>(arguments->length);
  const auto address = std::as_writable_bytes(std::span(&request.address, 1));
  if (!memory.read(arguments->address, address.first(request.length))) return std::nullopt;
  // AF_UNSPEC, which IPv4 would take for its own (ip(7)), is left to the kernel, too.
  const auto family = request.address.ss_family;
  if (family == AF_INET || (family == AF_INET6 && request.length >= shortest_in6)) return request;
  return std::nullopt;
}

// ---- the socket ----

// The process that a thread belongs to; 0 when it can't be had.
pid_t process_of(pid_t tid) {
  const sys::Fd file = sys::open_procfs(("/proc/" + std::to_string(tid) + "/status").c_str());
  std::array<char, 4096> buffer{};
  const ssize_t count = ::read(file.get(), buffer.data(), buffer.size() - 1);
  if (count <= 0) return 0;
  // A line that the name, which a process chooses itself, can't forge: it is escaped (proc(5)).
  constexpr std::string_view field = "\nTgid:\t";
  const std::string_view text(buffer.data(), static_cast<std::size_t>(count));
  const std::size_t at = text.find(field);
  return at == std::string_view::npos ? 0 : std::atoi(text.data() + at + field.size());
}

// Whether the thread has this very socket under this number.
bool has_open(pid_t tid, int number, const sys::Fd& socket) {
  struct stat status {};
  if (!socket || ::fstat(socket.get(), &status) != 0) return false;
  const std::string link = "/proc/" + std::to_string(tid) + "/fd/" + std::to_string(number);
  // Not followed: what a lying app has opened there may be slow to answer, or never do.
  std::array<char, 64> buffer{};
  const ssize_t count = ::readlink(link.c_str(), buffer.data(), buffer.size());
  return count > 0 && std::string_view(buffer.data(), static_cast<std::size_t>(count)) ==
                          "socket:[" + std::to_string(status.st_ino) + "]";
}

// Another descriptor of what the thread has open under this number: whatever the app closes or puts
// in its place from now on, this one stays what it is.
sys::Fd copy_of(pid_t tid, int number) {
  sys::Fd pidfd = pidfd_open(tid, pidfd_of_a_thread);
  if (pidfd) return pidfd_getfd(pidfd.get(), number);
  if (errno != EINVAL) return {};
  // Before 6.9 only processes have pidfds. A thread may have a descriptor table of its own
  // (unshare(2), CLONE_FILES), where its process has something else under this number.
  pidfd = pidfd_open(process_of(tid), 0);
  if (!pidfd) return {};
  sys::Fd socket = pidfd_getfd(pidfd.get(), number);
  return has_open(tid, number, socket) ? std::move(socket) : sys::Fd();
}

// nullopt: neither TCP (which Go speaks as MPTCP) nor UDP, or not of the address's family.
std::optional<Protocol> protocol_of(int socket, int family) {
  if (socket_option<int>(socket, SO_DOMAIN) != family) return std::nullopt;
  const std::optional<int> type = socket_option<int>(socket, SO_TYPE);
  const std::optional<int> protocol = socket_option<int>(socket, SO_PROTOCOL);
  if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == mptcp)) return Protocol::tcp;
  if (type == SOCK_DGRAM && protocol == IPPROTO_UDP) return Protocol::udp;
  return std::nullopt;
}

// Whoever closes a connected socket last waits for what lingers in it (socket(7), SO_LINGER), and
// that could be us. To bind it is an error in any case.
void spare_lingering(int socket) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;
  const linger none{};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

// ---- the answer ----

class BindServer {
 public:
  BindServer(sys::Fd listener, const std::vector<PortRequest>& ports)
      : listener_(std::move(listener)), ports_(ports) {
    const sys::Fd socket = own_socket();
    const std::optional<std::uint64_t> network = network_of(socket.get());
    if (!network) throw_errno(step, "getsockopt(SO_NETNS_COOKIE)");
    network_ = *network;
  }

  void run() const {
    while (const std::optional<seccomp_notif> call = listener_.next()) serve(*call);
  }

 private:
  void serve(const seccomp_notif& call) const {
    const std::optional<Request> request = named_request(call);
    const sys::Fd socket = request ? copy_of(static_cast<pid_t>(call.pid), request->fd) : sys::Fd();
    if (socket) spare_lingering(socket.get());
    // The thread that waits has held its number ever since: what was read and copied was its own,
    // and not that of a later one with the same number.
    if (!socket || !is_ours(socket.get(), *request) || !listener_.still_waits(call)) {
      listener_.let_through(call);
    } else if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&request->address),
                      request->length) == 0) {
      listener_.answer(call, 0);
    } else {
      listener_.fail(call, errno);
    }
  }

  std::optional<Request> named_request(const seccomp_notif& call) const {
    // 0: from a PID namespace that is not below this one.
    if (call.pid == 0) return std::nullopt;
    std::optional<Request> request = copied_request(call);
    // Nearly all that isn't ours ends here, before a descriptor is fetched.
    if (request &&
        (is_named(request->port(), Protocol::tcp) || is_named(request->port(), Protocol::udp)))
      return request;
    return std::nullopt;
  }

  // Asks the copy, of which nothing that is looked at here can change (socket(7)).
  bool is_ours(int socket, const Request& request) const {
    const std::optional<Protocol> protocol = protocol_of(socket, request.address.ss_family);
    return protocol && is_named(request.port(), *protocol) && network_of(socket) == network_;
  }

  bool is_named(std::uint16_t port, Protocol protocol) const {
    // 0 lets the kernel choose (ip(7)): nobody names it.
    return port != 0 && std::ranges::find(ports_, PortRequest{port, protocol}) != ports_.end();
  }

  seccomp::Listener listener_;
  const std::vector<PortRequest>& ports_;
  std::uint64_t network_ = 0;
};

// ---- obstacles ----

// What a call with arguments that can't be right has just failed with.
std::string refusal(const std::string& call, const std::string& since, const std::string& way_out) {
  if (errno == ENOSYS)
    return call + " is missing: the kernel is older than Linux " + since +
           ", or a seccomp filter hides it" + way_out;
  if (errno == EPERM || errno == EACCES)
    return call + " is refused: a seccomp filter or an LSM forbids it" + way_out;
  return {};
}

// Yama's strictest setting, which no capability overcomes (Documentation/admin-guide/LSM/Yama.rst).
bool nobody_may_attach() {
  const sys::Fd file = sys::open_procfs("/proc/sys/kernel/yama/ptrace_scope");
  char scope = '0';
  return file && ::read(file.get(), &scope, 1) == 1 && scope == '3';
}

}  // namespace

std::string bind_service_obstacle() {
  const std::string way_out =
      "; docker: --cap-add SYS_PTRACE, or --security-opt seccomp=FILE with a filter that allows "
      "pidfd_open and pidfd_getfd";
  if (!pidfd_open(-1, 0))
    if (std::string why = refusal("pidfd_open(2)", "5.3", way_out); !why.empty()) return why;
  if (!pidfd_getfd(-1, -1))
    if (std::string why = refusal("pidfd_getfd(2)", "5.6", way_out); !why.empty()) return why;
  const sys::Fd socket = own_socket();
  if (!network_of(socket.get()))
    return "sockets don't tell their network namespace (SO_NETNS_COOKIE, Linux 5.14)";
  if (!sys::proc_counts_as_we_do())
    return "/proc is missing, or is that of another PID namespace: mount procfs there, as every "
           "container engine does";
  if (nobody_may_attach())
    return "kernel.yama.ptrace_scope is 3: no process may look into another, not even its "
           "descendant";
  return {};
}

void serve_binds(sys::Fd listener, const std::vector<PortRequest>& ports) {
  BindServer(std::move(listener), ports).run();
}

}  // namespace stepdown
