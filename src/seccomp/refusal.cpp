#include "seccomp/refusal.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

namespace {

struct Architecture {
  std::uint32_t token;  // SCMP_ARCH_*
  const char* prefix;
};

Architecture architecture_of(const seccomp_data& call) {
#if defined(__x86_64__)
  constexpr int x32_bit = 0x40000000;  // __X32_SYSCALL_BIT of asm/unistd.h
  if (call.arch == AUDIT_ARCH_X86_64 && (call.nr & x32_bit) != 0) return {SCMP_ARCH_X32, "x32 "};
#endif
  if (call.arch == AUDIT_ARCH_I386) return {call.arch, "i386 "};
  if (call.arch == AUDIT_ARCH_ARM) return {call.arch, "arm "};
  return {call.arch, ""};
}

struct Release {
  void operator()(char* name) const { std::free(name); }
};

// Empty where libseccomp doesn't know it.
std::string known_name(const seccomp_data& call) {
  const std::unique_ptr<char, Release> name(
      seccomp_syscall_resolve_num_arch(architecture_of(call).token, call.nr));
  return name ? name.get() : "";
}

bool holds(const ArgumentTest& test, std::uint64_t argument) {
  switch (test.comparison) {
    case Comparison::ne:
      return argument != test.value;
    case Comparison::lt:
      return argument < test.value;
    case Comparison::le:
      return argument <= test.value;
    case Comparison::eq:
      return argument == test.value;
    case Comparison::ge:
      return argument >= test.value;
    case Comparison::gt:
      return argument > test.value;
    case Comparison::masked_eq:
      break;
  }
  return (argument & test.mask) == test.value;
}

// By the rules themselves (policy.h), which is quicker than to compile another program.
bool lets_through(const Policy& policy, const FilterSituation& situation, const std::string& name,
                  const seccomp_data& call) {
  Action action = policy.standard.action;
  for (const Rule& rule : applying_rules(policy, situation)) {
    const bool meant = std::ranges::find(rule.calls, name) != rule.calls.end() &&
                       std::ranges::all_of(rule.tests, [&call](const ArgumentTest& test) {
                         return holds(test, call.args[test.index]);
                       });
    if (meant) action = rule.verdict.action;
  }
  return action == Action::allow || action == Action::log;
}

// "--keep-cap SYS_ADMIN"; several are alternatives.
std::string capabilities_that_allow(const ReadyFilter& filter, const FilterSituation& situation,
                                    const seccomp_data& call) {
  const std::string name = known_name(call);
  if (filter.source.empty() || name.empty()) return {};
  const Policy policy = read_policy(filter.source, filter.name);
  std::string text;
  for (const Capability each : (filter.conditions.looked_at - situation.kept).members()) {
    const FilterSituation with_it{situation.kept | CapabilitySet{each}, situation.kernel};
    if (!lets_through(policy, with_it, name, call)) continue;
    text += (text.empty() ? "--keep-cap " : " or --keep-cap ") + capability_flag(each);
  }
  return text;
}

}  // namespace

std::string call_name(const seccomp_data& call) {
  const std::string name = known_name(call);
  return architecture_of(call).prefix + (name.empty() ? "call " + std::to_string(call.nr) : name);
}

std::string call_text(const seccomp_data& call) {
  std::string text = call_name(call);
  const char* before = "(";
  for (const std::uint64_t argument : call.args) {
    std::array<char, 20> hexadecimal{};
    std::snprintf(hexadecimal.data(), hexadecimal.size(), "0x%llx",
                  static_cast<unsigned long long>(argument));
    text += before + std::string(hexadecimal.data());
    before = ", ";
  }
  return text + ")";
}

std::string way_to_allow(const ReadyFilter& filter, const FilterSituation& situation,
                         const seccomp_data& call) {
  const std::string capabilities = capabilities_that_allow(filter, situation, call);
  if (!capabilities.empty()) return capabilities + " would allow it";
  const bool built_in = filter.name.find('/') == std::string::npos;
  if (built_in)
    return "--seccomp none would allow it, or a FILE with one more rule (stepdown seccomp show " +
           filter.name + " prints this policy)";
  return filter.source.empty() ? "the policy that it was compiled from would have to allow it"
                               : "a rule of that file would have to allow it";
}

}  // namespace stepdown::seccomp
