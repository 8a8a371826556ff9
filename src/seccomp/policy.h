// A seccomp policy as its JSON states it (OCI runtime-spec, "Seccomp"; Docker's default.json;
// containers/common's seccomp.json), before it is compiled.
//
// What a policy says of a call: each rule that applies in the situation, names the call and whose
// tests all hold, gives its verdict; without one it is the default. Rules that could give one call
// different verdicts contradict each other, and the policy is refused: libseccomp would pick one.
// But a rule with requirements has no say on a call that a rule before it decides in every
// situation and whatever the arguments: libseccomp keeps that one, and podman's own default lives
// by it (setns, allowed to all, then refused to those without SYS_ADMIN).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/seccomp.h"

namespace stepdown::seccomp {

// The strictest first.
enum class Action { kill_process, kill_thread, trap, error, trace, log, allow };

struct Verdict {
  Action action = Action::kill_process;
  std::uint16_t data = 0;  // the errno of `error`, the message of `trace`
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

enum class Comparison { ne, lt, le, eq, ge, gt, masked_eq };

// Of one argument, as an unsigned number of 64 bits.
struct ArgumentTest {
  unsigned index = 0;  // 0…5
  Comparison comparison = Comparison::eq;
  std::uint64_t value = 0;
  std::uint64_t mask = ~std::uint64_t{0};  // masked_eq: (argument & mask) == value
  friend bool operator==(const ArgumentTest&, const ArgumentTest&) = default;
};

// includes: all that is named here must be so; excludes: none of it may be.
struct Requirements {
  CapabilitySet capabilities;
  std::vector<std::string> architectures;  // as Go calls them: "amd64", "arm64"
  std::optional<KernelVersion> kernel;     // this one or later
  friend bool operator==(const Requirements&, const Requirements&) = default;
};

struct Rule {
  std::vector<std::string> calls;  // names
  Verdict verdict;
  std::vector<ArgumentTest> tests;  // at most one of each argument
  Requirements includes, excludes;
  std::string place;  // "syscalls[3]"
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Policy {
  std::string name;  // for messages
  Verdict standard;  // defaultAction, defaultErrnoRet
  // SCMP_ARCH_* that this machine's kernel may run beside its own, which is always covered.
  std::vector<std::uint32_t> other_architectures;
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
  std::vector<Rule> rules;
  friend bool operator==(const Policy&, const Policy&) = default;
};

// Error, step "NAME: PLACE".
Policy read_policy(std::string_view json, const std::string& name);

// The rules that apply in the situation, in order, each with those of its calls that it has a say
// on. A rule that tests one argument twice (engines take its tests as alternatives) has been split
// by read_policy.
std::vector<Rule> applying_rules(const Policy& policy, const FilterSituation& situation);

// In which situations the same rules apply.
FilterConditions conditions_of(const Policy& policy, const FilterSituation& situation);

// Error, step "NAME: PLACE": two rules that could give one call different verdicts; names both.
void refuse_contradictions(const Policy& policy, const std::vector<Rule>& applying);

}  // namespace stepdown::seccomp
