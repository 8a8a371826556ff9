#include "seccomp/terminal_filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr const char* step = "terminal filter";

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

// libseccomp returns a negative errno.
void require(int result, const char* call) {
  if (result == 0) return;
  errno = -result;
  throw_errno(step, call);
}

}  // namespace

bool available() {
  // With no program to copy in, EFAULT says that the kernel got as far as looking for one.
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) == -1 && errno == EFAULT;
}

void refuse_terminal_injection() {
  const std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseFilter> filter(
      seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) refuse(step, "libseccomp could not start a filter");
#if defined(__x86_64__)
  // The other two ways into the same kernel; without them they would be killed as foreign.
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_X86), "seccomp_arch_add(3)");
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_X32), "seccomp_arch_add(3)");
#elif defined(__aarch64__)
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_ARM), "seccomp_arch_add(3)");
#endif
  // no_new_privs is a step of its own: the filter must not set it on the side.
  require(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0), "seccomp_attr_set(3)");
  for (const std::uint64_t request : {TIOCSTI, TIOCLINUX}) {
    // The kernel reads 32 bits of the request: 0x100000000 + TIOCSTI is TIOCSTI, too.
    require(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffULL, request)),
            "seccomp_rule_add(3)");
  }
  require(seccomp_load(filter.get()), "seccomp_load(3)");
}

}  // namespace stepdown::seccomp
