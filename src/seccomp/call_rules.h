// What a policy says of each call, by the architectures' own numbers, and the code for those calls
// whose arguments it looks at.
//
// The arguments are not left to libseccomp. Of what it does with them (2.5.4), this isn't what
// policy.h says, and some of it would let more through:
// - rules that test different arguments of one call: where a rule holds in part, those after it are
//   not tried; with some rules seccomp_export_bpf(3) never returns;
// - on 32-bit architectures a value is cut to 32 bits: i386's 5 equals 0x100000005;
// - a value is cut to its mask: what can't be equal is;
// - i386's socketcall(2) lets a call through whose own arguments the policy tests.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

struct Clause {
  std::vector<ArgumentTest> tests;  // all must hold
  Verdict verdict;
  friend bool operator==(const Clause&, const Clause&) = default;
};

struct CallRules {
  std::vector<Clause> clauses;  // the first that holds counts; if none does, the default
  // 32-bit architectures: the kernel takes the lower half of each argument, and a 64-bit program
  // that makes such a call (int 0x80) may have put anything into the upper one.
  bool half = false;
  friend bool operator==(const CallRules&, const CallRules&) = default;
};

// The numbers of calls on one architecture, an SCMP_ARCH_*.
class CallNumbers {
 public:
  explicit CallNumbers(std::uint32_t architecture);

  [[nodiscard]] std::uint32_t architecture() const { return architecture_; }
  // Negative: it has none there.
  [[nodiscard]] int of(const std::string& name) const;

 private:
  std::uint32_t architecture_;
  std::map<std::string, int> direct_;  // of calls that can be made by a multiplexed one as well
};

// By name, as those rules that apply say it.
using RulesByName = std::map<std::string, CallRules, std::less<>>;
RulesByName rules_by_name(const std::vector<Rule>& applying);

// For one architecture, by name; calls that it lacks are left out, and so are those that get the
// default in any case, but not the multiplexed ones (below).
RulesByName rules_of_architecture(const CallNumbers& numbers, const RulesByName& rules,
                                  const Verdict& standard);

// socketcall(2) and ipc(2), by which i386 can make other calls: what the policy says of them by
// these names, else what it says of the other call; where that depends on arguments, which lie in
// memory here, the strictest that it can be.
bool is_multiplexed(std::string_view name);

// SECCOMP_RET_*.
std::uint32_t answer_of(const Verdict& verdict);

std::vector<sock_filter> code_of(const CallRules& rules, const Verdict& standard);

}  // namespace stepdown::seccomp
