#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "inspect/status_text.h"
#include "launch/exec.h"
#include "launch/identity_server.h"
#include "plan/environment.h"
#include "plan/seccomp.h"
#include "plan/user_namespace.h"
#include "stepdown/error.h"
#include "stepdown/launch.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace stepdown {

namespace {

constexpr int first_listen_fd = 3;  // sd_listen_fds(3), SD_LISTEN_FDS_START

// In a container LISTEN_PID is always 1, so an image's ENV can claim whatever is open: never a
// directory, which an engine may have left open and which leads out (CVE-2024-21626).
bool may_be_passed(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode);
}

// Socket activation: the descriptors are ours to pass on when LISTEN_PID names this process, since
// execve(2) keeps the pid.
std::vector<int> listen_fds(const Caller& caller) {
  const auto pid =
      inspect::parse_decimal<pid_t>(variable(caller.environment, "LISTEN_PID").value_or(""));
  const auto count =
      inspect::parse_decimal<int>(variable(caller.environment, "LISTEN_FDS").value_or(""));
  std::vector<int> fds;
  if (!pid || !count || *pid != caller.pid) return fds;
  for (int fd = first_listen_fd; fd - first_listen_fd < *count && ::fcntl(fd, F_GETFD) >= 0; ++fd)
    if (may_be_passed(fd)) fds.push_back(fd);
  return fds;
}

std::string small_file(const char* path) {
  const sys::Fd file = sys::open_procfs(path);
  char buffer[256];
  const ssize_t length = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
  return {buffer, length > 0 ? static_cast<std::size_t>(length) : 0};
}

// The map of the initial namespace, and of children that mirror it (user_namespaces(7)).
bool is_mapped_namespace() {
  const std::string map = small_file("/proc/self/uid_map");
  return !map.empty() && map.find("4294967295") == std::string::npos;
}

// NS_GET_USERNS answers EPERM when the owner of the network namespace lies above this user
// namespace (ioctl_ns(2)).
bool is_foreign_network_namespace() {
  const sys::Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!network) return false;
  const sys::Fd owner(::ioctl(network.get(), NS_GET_USERNS));
  return !owner && errno == EPERM;
}

}  // namespace

Caller survey_caller(char** environment) {
  Caller caller;
  caller.credentials = own_credentials();
  caller.securebits = own_securebits();
  // umask(2) can only be read by setting it.
  caller.umask = ::umask(077);
  if (caller.umask > 0777 || ::umask(caller.umask) != 077) throw_errno("umask", "umask(2)");
  struct stat status {};
  if (::stat(".", &status) == 0) caller.directory = {status.st_dev, status.st_ino};
  caller.pid = ::getpid();
  for (char** entry = environment; *entry != nullptr; ++entry)
    caller.environment.emplace_back(*entry);
  caller.pretended = carries_identity();
  caller.listen_fds = listen_fds(caller);
  return caller;
}

Host survey_host(const Options& options, const Caller& caller) {
  Host host;
  if (!options.ports.empty()) {
    std::string start = small_file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    while (!start.empty() && start.back() == '\n') start.pop_back();
    host.unprivileged_port_start = inspect::parse_decimal<std::uint32_t>(start);
  }
  if (!options.ports.empty() || options.user_of) host.mapped_user_namespace = is_mapped_namespace();
  if (!options.ports.empty() && host.mapped_user_namespace)
    host.foreign_network_namespace = is_foreign_network_namespace();
  if (options.user_of)
    host.user_of_owner = owner_of_path("--user-of " + *options.user_of, *options.user_of);
  if (wants_user_namespace(options)) {
    const unsigned count = last_capability() + 1;
    host.kernel_capabilities = CapabilitySet::from_bits(~std::uint64_t{0} >> (64 - count));
    host.newidmap_installed =
        ::access("/usr/bin/newuidmap", X_OK) == 0 && ::access("/usr/bin/newgidmap", X_OK) == 0;
  }
  if (names_policy(options)) {
    host.seccomp_policy = read_policy_source(*options.seccomp);
    host.kernel = running_kernel();
  }
  if (options.command.empty()) return host;

  // The environment that counts for PATH is the app's.
  Environment environment = caller.environment;
  for (const auto& [name, value] : options.environment) set_variable(environment, name, value);
  host.command = find_command(options.command.front(), variable(environment, "PATH"),
                              options.directory.value_or(std::string()));
  if (!host.command.file) return host;
  const LoadedProgram program =
      follow_interpreters(*host.command.file, options.directory.value_or(std::string()));
  host.command.missing = program.missing;
  host.command_file = program.file;
  host.command_capabilities = read_file_capabilities(host.command_file);
  return host;
}

}  // namespace stepdown
