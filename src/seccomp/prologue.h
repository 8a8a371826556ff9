// The two parts of ours that stand before what libseccomp compiles (compile.h), by hand: libseccomp
// knows no order among rules, and no ranges of calls.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

// A way into the kernel that the policy covers.
struct Way {
  std::uint32_t architecture = 0;  // SCMP_ARCH_*
  std::optional<int> newest;       // the largest number that the policy names
};

// What ioctl(2) with TIOCSTI or TIOCLINUX gets; everything else reaches the end.
std::vector<sock_filter> refusing_terminal_injection(const std::vector<Way>& ways);

// Whether calls that the policy's author can't have known get ENOSYS.
bool answers_newer_calls(const Verdict& standard);

// ENOSYS for numbers above the newest, each within its architecture's own sequence; everything else
// reaches the end.
std::vector<sock_filter> answering_newer_calls(const std::vector<Way>& ways);

// Where the architecture's numbers stop following time, so that "newer" means nothing beyond.
std::uint32_t end_of_sequence(std::uint32_t architecture);

}  // namespace stepdown::seccomp
