#include "landlock/ruleset.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "landlock/bits.h"
#include "stepdown/error.h"

namespace stepdown::landlock {

namespace {

constexpr const char* step = "landlock";

long restrict_self(int ruleset, unsigned flags) {
  return ::syscall(SYS_landlock_restrict_self, ruleset, flags);
}

// A filter of somebody else may answer in the kernel's place. Without a ruleset this is EBADF.
void must_be_the_kernels(const char* call, long result) {
  if (result != -1 || errno != EBADF)
    refuse(step, std::string(call) + " returned success and does nothing");
}

}  // namespace

Kernel ask_kernel() {
  const long answer =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (answer > 0) return {static_cast<int>(std::min<long>(answer, newest_abi)), {}};
  if (answer == 0) return {0, "a seccomp filter answers landlock_create_ruleset(2) with 0"};
  if (errno == EOPNOTSUPP)
    return {0, "Landlock is off: the kernel was booted without it (lsm=landlock,...)"};
  if (errno == ENOSYS)
    return {0, "this kernel has no Landlock (Linux 5.13), or a seccomp filter hides it"};
  return {0, std::string("landlock_create_ruleset(2) is refused by a seccomp filter: ") +
                 std::strerror(errno)};
}

Ruleset::Ruleset(const Terms& terms) : terms_(terms) {
  const RulesetAttributes attributes{terms.filesystem, terms.network, terms.scopes};
  // The descriptor is closed on execution whatever is said.
  fd_ = sys::Fd(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!fd_) throw_errno(step, "landlock_create_ruleset(2)");
}

void Ruleset::allow_beneath(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno(step, "fstat(2)", path);
  allow(fd, path, S_ISDIR(status.st_mode) ? terms_.filesystem : file_rights(terms_));
}

void Ruleset::allow_opening_beneath(int fd, const std::string& path) {
  allow(fd, path, file_rights(terms_));
}

void Ruleset::allow(int fd, const std::string& path, std::uint64_t rights) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = fd;
  if (::syscall(SYS_landlock_add_rule, fd_.get(), rule_path_beneath, &rule, 0) == 0) return;
  if (errno == EBADFD) return;  // pipes, sockets, memory: nobody's hierarchy, never limited
  throw_errno(step, "landlock_add_rule(2)", path);
}

void Ruleset::allow_binding(std::uint16_t port) {
  const PortAttributes rule{access_net_bind_tcp, port};
  if (::syscall(SYS_landlock_add_rule, fd_.get(), rule_net_port, &rule, 0) != 0)
    throw_errno(step, "landlock_add_rule(2)", "port " + std::to_string(port));
}

void Ruleset::enforce() const {
  // Nothing tells a domain from inside but what it refuses, and whether anything would be refused
  // otherwise depends on the files that are there. So it is entered twice: where one of the two was
  // answered in vain, the other binds.
  for (int layer = 0; layer < 2; ++layer)
    if (restrict_self(fd_.get(), terms_.flags) != 0)
      throw_errno(step, "landlock_restrict_self(2)", {},
                  errno == E2BIG ? "rulesets can be stacked 16 deep, and these here are full" : "");
  must_be_the_kernels("landlock_restrict_self(2)", restrict_self(-1, 0));
  const landlock_path_beneath_attr rule{};
  must_be_the_kernels("landlock_add_rule(2)",
                      ::syscall(SYS_landlock_add_rule, -1, rule_path_beneath, &rule, 0));
}

}  // namespace stepdown::landlock
