// The words of a policy: what OCI's runtime-spec, Docker and containers/common call things.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

// The kernel's MAX_ERRNO: a filter that says more gets this (seccomp(2), SECCOMP_RET_ERRNO).
constexpr int most_errno = 4095;

// "SCMP_ACT_ALLOW"; nullopt for others, SCMP_ACT_NOTIFY included.
std::optional<Action> action_from_name(std::string_view name);
std::string_view action_name(Action action);

// "SCMP_CMP_EQ".
std::optional<Comparison> comparison_from_name(std::string_view name);

// "EPERM", errno(3).
std::optional<std::uint16_t> errno_from_name(std::string_view name);

// "SCMP_ARCH_X86_64" as libseccomp's token, which is the kernel's AUDIT_ARCH_* but for x32.
std::optional<std::uint32_t> architecture_from_name(std::string_view name);
// What this program was built for.
std::uint32_t native_architecture();
// Whether programs of that one may run on a kernel of this machine's.
bool runs_here(std::uint32_t architecture);

// How `arches` name architectures: by Go's GOARCH, or by libseccomp's name in lower case.
bool is_engine_architecture(std::string_view name);
// Whether it names the native one.
bool is_native_architecture(std::string_view name);

}  // namespace stepdown::seccomp
