// seccomp policies (seccomp(2)): Docker's and OCI's JSON, files compiled from it, built-in ones.
// What comes out is a program for the kernel and the conditions under which it may be used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "stepdown/capability_set.h"

namespace stepdown {

constexpr std::size_t largest_policy = std::size_t{1} << 20U;  // bytes, of JSON or compiled

// Linux MAJOR.MINOR (uname(2)), which is as far as policies look.
struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  friend bool operator==(const KernelVersion&, const KernelVersion&) = default;
  friend auto operator<=>(const KernelVersion& a, const KernelVersion& b) {
    return std::tie(a.major, a.minor) <=> std::tie(b.major, b.minor);
  }
};

// What the conditions of a policy (its includes and excludes) are judged by.
struct FilterSituation {
  CapabilitySet kept;  // what the app keeps
  KernelVersion kernel;
  friend bool operator==(const FilterSituation&, const FilterSituation&) = default;
};

// The situations in which a program says what its policy says: the app keeps, of the capabilities
// that the policy looks at, exactly those that it kept when the program was compiled, and the
// kernel is none for which the policy says something else.
struct FilterConditions {
  CapabilitySet looked_at;
  CapabilitySet kept;                  // a part of `looked_at`
  KernelVersion kernel_from;           // 0.0: any
  std::optional<KernelVersion> below;  // the first kernel for which it isn't meant any more
  friend bool operator==(const FilterConditions&, const FilterConditions&) = default;
};

// For seccomp(2), SECCOMP_SET_MODE_FILTER.
struct FilterProgram {
  std::vector<std::uint64_t> code;  // one struct sock_filter each, as it lies in memory
  // How many of the first instructions refuse TIOCSTI and TIOCLINUX and nothing else; see
  // src/seccomp/compile.h.
  std::uint32_t terminal_part = 0;
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_LOG, _SPEC_ALLOW
  friend bool operator==(const FilterProgram&, const FilterProgram&) = default;
};

struct ReadyFilter {
  std::string name;  // of the policy: a built-in one's, or the path
  FilterProgram program;
  FilterConditions conditions;
  // The policy in JSON, to tell what would allow a call that it refuses; empty where it came
  // compiled.
  std::string source;
  std::vector<std::string> unknown_calls;  // names that were skipped: libseccomp doesn't know them
  bool compiled_now = false;               // by ready_filter, which took it milliseconds
  friend bool operator==(const ReadyFilter&, const ReadyFilter&) = default;
};

struct BuiltInPolicy {
  std::string_view name;
  std::string_view text;  // JSON
};
// By name, ascending.
std::span<const BuiltInPolicy> built_in_policies();
// Error: no such policy; those that there are.
const BuiltInPolicy& built_in_policy(const std::string& name);

// What --seccomp names, before it is looked into: a built-in name, or a path where a slash is in
// it.
struct PolicySource {
  std::string name;
  std::string bytes;
};
// Error: none such, not a regular file, above `largest_policy`.
PolicySource read_policy_source(const std::string& name_or_path);

// The program for this situation: out of the binary where the built-in one was compiled for it at
// build time, as it is where the source was compiled before, else compiled now. Pure. Error, step
// "--seccomp NAME": the policy's faults, by their place; a compiled one that was damaged, or made
// for another architecture or situation.
ReadyFilter ready_filter(const PolicySource& source, const FilterSituation& situation);

// `stepdown seccomp compile`: the bytes of the file that --seccomp takes. A name or path as above;
// never one that is compiled already. Error as above.
std::string compile_policy(const PolicySource& source, const FilterSituation& situation);

// Of the kernel that runs (uname(2)).
KernelVersion running_kernel();

}  // namespace stepdown
