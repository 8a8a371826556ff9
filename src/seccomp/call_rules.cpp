#include "seccomp/call_rules.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>

namespace stepdown::seccomp {

namespace {

struct SubCall {
  std::uint32_t number;
  const char* name;
};
// <linux/net.h>
constexpr SubCall socket_calls[] = {
    {1, "socket"},    {2, "bind"},        {3, "connect"},     {4, "listen"},
    {5, "accept"},    {6, "getsockname"}, {7, "getpeername"}, {8, "socketpair"},
    {9, "send"},      {10, "recv"},       {11, "sendto"},     {12, "recvfrom"},
    {13, "shutdown"}, {14, "setsockopt"}, {15, "getsockopt"}, {16, "sendmsg"},
    {17, "recvmsg"},  {18, "accept4"},    {19, "recvmmsg"},   {20, "sendmmsg"}};
// <linux/ipc.h>
constexpr SubCall ipc_calls[] = {{1, "semop"},   {2, "semget"},  {3, "semctl"},  {4, "semtimedop"},
                                 {11, "msgsnd"}, {12, "msgrcv"}, {13, "msgget"}, {14, "msgctl"},
                                 {21, "shmat"},  {22, "shmdt"},  {23, "shmget"}, {24, "shmctl"}};

struct Multiplexed {
  const char* name;
  std::span<const SubCall> calls;
  // What the kernel takes of the first argument for the number: ipc(2) has a version above it.
  std::uint32_t mask;
};
constexpr Multiplexed multiplexed_calls[] = {{"socketcall", socket_calls, 0xffffffff},
                                             {"ipc", ipc_calls, 0xffff}};

// libseccomp gives a multiplexed call a number of its own making, -101… or -201… (seccomp.h), where
// the kernel has one beside that (i386 since 4.3 and 5.1), too. Below -10000 are its signs for
// calls that the architecture lacks.
bool is_made_up(int number) {
  return number <= -100 && number > -10000;
}

constexpr std::uint64_t lower_half = 0xffffffff;

// Of an argument whose upper half is zero. nullopt: it can't hold; `needless` when it must.
std::optional<ArgumentTest> halved(ArgumentTest test, bool& needless) {
  needless = false;
  switch (test.comparison) {
    case Comparison::masked_eq:
      test.mask &= lower_half;
      if (test.value > lower_half) return std::nullopt;
      break;
    case Comparison::eq:
    case Comparison::ge:
    case Comparison::gt:
      if (test.value > lower_half) return std::nullopt;
      break;
    case Comparison::ne:
    case Comparison::lt:
    case Comparison::le:
      needless = test.value > lower_half;
  }
  return test;
}

std::optional<Clause> halved(const Clause& clause) {
  Clause result{{}, clause.verdict};
  for (const ArgumentTest& test : clause.tests) {
    bool needless = false;
    const auto half = halved(test, needless);
    if (!half) return std::nullopt;
    if (!needless) result.tests.push_back(*half);
  }
  return result;
}

bool can_hold(const ArgumentTest& test) {
  switch (test.comparison) {
    case Comparison::masked_eq:
      return (test.value & ~test.mask) == 0;
    case Comparison::lt:
      return test.value != 0;
    case Comparison::gt:
      return test.value != UINT64_MAX;
    default:
      return true;
  }
}

bool can_hold(const Clause& clause) {
  return std::all_of(clause.tests.begin(), clause.tests.end(),
                     [](const ArgumentTest& test) { return can_hold(test); });
}

// Without what makes no difference.
CallRules tidied(const CallRules& rules, const Verdict& standard) {
  CallRules result;
  result.half = rules.half;
  for (const Clause& original : rules.clauses) {
    const auto clause = rules.half ? halved(original) : std::optional(original);
    if (!clause || !can_hold(*clause)) continue;
    if (std::find(result.clauses.begin(), result.clauses.end(), *clause) == result.clauses.end())
      result.clauses.push_back(*clause);
    if (clause->tests.empty()) break;
  }
  while (!result.clauses.empty() && result.clauses.back().verdict == standard)
    result.clauses.pop_back();
  // So that calls that look at no arguments are equal on all architectures.
  if (result.clauses.empty() || result.clauses.front().tests.empty()) result.half = false;
  return result;
}

Verdict strictest(const CallRules& rules, const Verdict& standard) {
  Verdict result = standard;
  for (const Clause& clause : rules.clauses) {
    if (clause.tests.empty()) return clause.verdict;
    if (clause.verdict.action < result.action) result = clause.verdict;
  }
  return result;
}

void add_sub_calls(CallRules& target, const Multiplexed& call, const RulesByName& rules,
                   const Verdict& standard) {
  for (const SubCall& sub : call.calls) {
    const auto found = rules.find(sub.name);
    if (found == rules.end()) continue;
    const Verdict verdict = strictest(found->second, standard);
    if (verdict == standard) continue;
    target.clauses.push_back({{{0, Comparison::masked_eq, sub.number, call.mask}}, verdict});
  }
}

}  // namespace

CallNumbers::CallNumbers(std::uint32_t architecture) : architecture_(architecture) {
  if (seccomp_syscall_resolve_name_arch(architecture, "socketcall") < 0) return;
  constexpr int enough = 1024;
  for (int number = 0; number < enough; ++number) {
    const std::unique_ptr<char, decltype(&std::free)> name(
        seccomp_syscall_resolve_num_arch(architecture, number), std::free);
    if (name && is_made_up(seccomp_syscall_resolve_name_arch(architecture, name.get())))
      direct_.emplace(name.get(), number);
  }
}

int CallNumbers::of(const std::string& name) const {
  const int number = seccomp_syscall_resolve_name_arch(architecture_, name.c_str());
  if (!is_made_up(number)) return number;
  const auto direct = direct_.find(name);
  return direct == direct_.end() ? __NR_SCMP_ERROR : direct->second;
}

bool is_multiplexed(std::string_view name) {
  return std::any_of(std::begin(multiplexed_calls), std::end(multiplexed_calls),
                     [name](const Multiplexed& call) { return call.name == name; });
}

RulesByName rules_by_name(const std::vector<Rule>& applying) {
  RulesByName result;
  for (const Rule& rule : applying) {
    const Clause clause{rule.tests, rule.verdict};
    if (!can_hold(clause)) continue;
    for (const std::string& name : rule.calls) {
      std::vector<Clause>& clauses = result[name].clauses;
      // Where rules overlap they say the same: one without tests says it for all.
      if (!clauses.empty() && clauses.front().tests.empty()) continue;
      if (clause.tests.empty()) clauses.clear();
      clauses.push_back(clause);
    }
  }
  return result;
}

RulesByName rules_of_architecture(const CallNumbers& numbers, const RulesByName& rules,
                                  const Verdict& standard) {
  RulesByName result;
  // x32's arguments have 64 bits, though its SCMP_ARCH_* lacks the sign.
  const bool half = (numbers.architecture() & __AUDIT_ARCH_64BIT) == 0 &&
                    numbers.architecture() != std::uint32_t{SCMP_ARCH_X32};
  const auto add = [&](const std::string& name, CallRules call) {
    if (numbers.of(name) < 0) return;
    call.half = half;
    call = tidied(call, standard);
    if (!call.clauses.empty() || is_multiplexed(name)) result.emplace(name, std::move(call));
  };
  for (const Multiplexed& call : multiplexed_calls) {
    const auto named = rules.find(call.name);
    CallRules together = named == rules.end() ? CallRules{} : named->second;
    add_sub_calls(together, call, rules, standard);
    add(call.name, std::move(together));
  }
  for (const auto& [name, call] : rules)
    if (!is_multiplexed(name)) add(name, call);
  return result;
}

std::uint32_t answer_of(const Verdict& verdict) {
  switch (verdict.action) {
    case Action::kill_process:
      return SECCOMP_RET_KILL_PROCESS;
    case Action::kill_thread:
      return SECCOMP_RET_KILL_THREAD;
    case Action::trap:
      return SECCOMP_RET_TRAP;
    case Action::error:
      return SECCOMP_RET_ERRNO | verdict.data;
    case Action::trace:
      return SECCOMP_RET_TRACE | verdict.data;
    case Action::log:
      return SECCOMP_RET_LOG;
    case Action::allow:
      return SECCOMP_RET_ALLOW;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

}  // namespace stepdown::seccomp
