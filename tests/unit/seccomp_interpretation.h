// A policy asked directly, call by call, in the words of seccomp/policy.h and seccomp/compile.h:
// what the compiler is judged by. Of libseccomp it takes the names of numbers, nothing else. For
// x86_64 and the two ways beside it.
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "seccomp/policy.h"

namespace stepdown::seccomp {

constexpr std::uint32_t x32_bit = 0x40000000;

class Interpretation {
 public:
  Interpretation(const Policy& policy, const FilterSituation& situation)
      : policy_(policy), standard_(number_of(policy.standard)) {
    covered_.insert(SCMP_ARCH_X86_64);
    covered_.insert(policy.other_architectures.begin(), policy.other_architectures.end());
    std::map<std::string, std::uint32_t> decided;
    for (const Rule& rule : policy.rules) {
      for (const std::string& name : rule.calls) named_.insert(name);
      if (!applies(rule, situation)) continue;
      const bool always = rule.includes == Requirements{} && rule.excludes == Requirements{};
      for (const std::string& name : rule.calls) {
        const auto earlier = decided.find(name);
        if (!always && earlier != decided.end()) continue;
        rules_[name].push_back(&rule);
        if (always && rule.tests.empty()) decided.emplace(name, number_of(rule.verdict));
      }
    }
    for (const std::uint32_t architecture : covered_) find_newest(architecture);
  }

  // What the program should return.
  [[nodiscard]] std::uint32_t verdict(const seccomp_data& call) const {
    const auto way = way_of(call);
    if (!way) return SECCOMP_RET_KILL_THREAD;
    if (injects_into_terminal(call, *way))
      return static_cast<std::uint32_t>(call.args[0]) == UINT32_MAX ? SECCOMP_RET_ERRNO | EBADF
                                                                    : SECCOMP_RET_ERRNO | EPERM;
    if (call.nr == -1) return standard_;
    if (is_newer(call, *way)) return SECCOMP_RET_ERRNO | ENOSYS;
    const std::string name = name_of(*way, call.nr);
    if (const auto found = matching(name, call, *way)) return *found;
    return name == "socketcall" || name == "ipc" ? of_sub_call(name, call) : standard_;
  }

  // The rules that name what this number is.
  [[nodiscard]] std::vector<const Rule*> rules_of(std::uint32_t architecture, int number) const {
    const auto found = rules_.find(name_of(architecture, number));
    return found == rules_.end() ? std::vector<const Rule*>{} : found->second;
  }

  static std::uint32_t number_of(const Verdict& verdict) {
    switch (verdict.action) {
      case Action::kill_process:
        return 0x80000000;
      case Action::kill_thread:
        return 0;
      case Action::trap:
        return 0x00030000;
      case Action::error:
        return 0x00050000 + verdict.data;
      case Action::trace:
        return 0x7ff00000 + verdict.data;
      case Action::log:
        return 0x7ffc0000;
      case Action::allow:
        return 0x7fff0000;
    }
    std::abort();
  }

 private:
  static bool applies(const Rule& rule, const FilterSituation& situation) {
    const auto names_here = [](const Requirements& requirements) {
      return std::count(requirements.architectures.begin(), requirements.architectures.end(),
                        "amd64") != 0;
    };
    for (const Capability capability : rule.includes.capabilities.members())
      if (!situation.kept.has(capability)) return false;
    for (const Capability capability : rule.excludes.capabilities.members())
      if (situation.kept.has(capability)) return false;
    if (!rule.includes.architectures.empty() && !names_here(rule.includes)) return false;
    if (names_here(rule.excludes)) return false;
    if (rule.includes.kernel && situation.kernel < *rule.includes.kernel) return false;
    return !rule.excludes.kernel || situation.kernel < *rule.excludes.kernel;
  }

  static bool holds(const ArgumentTest& test, std::uint64_t argument) {
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
        return (argument & test.mask) == test.value;
    }
    std::abort();
  }

  static bool can_hold(const Rule& rule) {
    return std::all_of(rule.tests.begin(), rule.tests.end(), [](const ArgumentTest& test) {
      return holds(test, 0) || holds(test, UINT64_MAX) || holds(test, test.value);
    });
  }

  // The kernel takes 32 bits of an i386 call's arguments.
  static std::uint64_t argument(const seccomp_data& call, std::uint32_t way, unsigned index) {
    return way == SCMP_ARCH_X86 ? call.args[index] & 0xffffffff : call.args[index];
  }

  [[nodiscard]] std::optional<std::uint32_t> way_of(const seccomp_data& call) const {
    std::uint32_t way = call.arch;
    if (call.arch == AUDIT_ARCH_X86_64 && call.nr != -1 &&
        (static_cast<std::uint32_t>(call.nr) & x32_bit) != 0) {
      way = SCMP_ARCH_X32;
      // Nothing is called so, not even by x32.
      if (static_cast<std::uint32_t>(call.nr) >> 31U != 0 && covered_.count(way) == 0)
        return std::nullopt;
    } else if (call.arch == AUDIT_ARCH_X86_64 && call.nr < -1) {
      way = SCMP_ARCH_X32;
    }
    if (call.arch != AUDIT_ARCH_X86_64 && call.arch != AUDIT_ARCH_I386) return std::nullopt;
    return covered_.count(way) != 0 ? std::optional(way) : std::nullopt;
  }

  [[nodiscard]] bool injects_into_terminal(const seccomp_data& call, std::uint32_t way) const {
    const auto request = static_cast<std::uint32_t>(call.args[1]);
    if (request != TIOCSTI && request != TIOCLINUX) return false;
    const std::uint32_t number = static_cast<std::uint32_t>(call.nr);
    if (way == SCMP_ARCH_X86) return number == 54;
    const std::uint32_t bare = way == SCMP_ARCH_X32 ? number & ~x32_bit : number;
    return bare == 16 || bare == 514;
  }

  void find_newest(std::uint32_t architecture) {
    for (int number = 0; number < 1024; ++number) {
      const int own = architecture == SCMP_ARCH_X32 ? number + static_cast<int>(x32_bit) : number;
      if (architecture == SCMP_ARCH_X32 && number >= 512) break;
      if (named_.count(name_of(architecture, own)) != 0) newest_[architecture] = own;
    }
  }

  [[nodiscard]] bool is_newer(const seccomp_data& call, std::uint32_t way) const {
    const bool lets_through = policy_.standard.action == Action::allow ||
                              policy_.standard.action == Action::log ||
                              policy_.standard.action == Action::trace;
    const auto newest = newest_.find(way);
    if (lets_through || newest == newest_.end()) return false;
    const auto number = static_cast<std::uint32_t>(call.nr);
    if (way == SCMP_ARCH_X32 && number >= x32_bit + 512) return false;
    return number > static_cast<std::uint32_t>(newest->second);
  }

  const std::string& name_of(std::uint32_t architecture, int number) const {
    auto& name = names_[{architecture, number}];
    if (!name) {
      const std::unique_ptr<char, decltype(&std::free)> found(
          seccomp_syscall_resolve_num_arch(architecture, number), std::free);
      name = found ? found.get() : "";
    }
    return *name;
  }

  [[nodiscard]] std::optional<std::uint32_t> matching(const std::string& name,
                                                      const seccomp_data& call,
                                                      std::uint32_t way) const {
    const auto found = rules_.find(name);
    if (found == rules_.end()) return std::nullopt;
    for (const Rule* rule : found->second)
      if (std::all_of(rule->tests.begin(), rule->tests.end(), [&](const ArgumentTest& test) {
            return holds(test, argument(call, way, test.index));
          }))
        return number_of(rule->verdict);
    return std::nullopt;
  }

  // Arguments lie in memory: the strictest verdict that the call itself could get.
  [[nodiscard]] std::uint32_t of_sub_call(const std::string& name, const seccomp_data& call) const {
    static const std::map<std::uint32_t, std::string> sockets{
        {1, "socket"},    {2, "bind"},        {3, "connect"},     {4, "listen"},
        {5, "accept"},    {6, "getsockname"}, {7, "getpeername"}, {8, "socketpair"},
        {9, "send"},      {10, "recv"},       {11, "sendto"},     {12, "recvfrom"},
        {13, "shutdown"}, {14, "setsockopt"}, {15, "getsockopt"}, {16, "sendmsg"},
        {17, "recvmsg"},  {18, "accept4"},    {19, "recvmmsg"},   {20, "sendmmsg"}};
    static const std::map<std::uint32_t, std::string> ipcs{
        {1, "semop"},   {2, "semget"},  {3, "semctl"},  {4, "semtimedop"},
        {11, "msgsnd"}, {12, "msgrcv"}, {13, "msgget"}, {14, "msgctl"},
        {21, "shmat"},  {22, "shmdt"},  {23, "shmget"}, {24, "shmctl"}};
    const auto first = static_cast<std::uint32_t>(call.args[0]);
    const auto& calls = name == "ipc" ? ipcs : sockets;
    const auto sub = calls.find(name == "ipc" ? first & 0xffff : first);
    if (sub == calls.end()) return standard_;
    const auto found = rules_.find(sub->second);
    if (found == rules_.end()) return standard_;
    Verdict strictest = policy_.standard;
    for (const Rule* rule : found->second) {
      if (!can_hold(*rule)) continue;
      if (rule->tests.empty()) return number_of(rule->verdict);
      if (rule->verdict.action < strictest.action) strictest = rule->verdict;
    }
    return number_of(strictest);
  }

  const Policy& policy_;
  std::uint32_t standard_;
  std::set<std::uint32_t> covered_;
  std::set<std::string> named_;  // whatever the conditions
  std::map<std::string, std::vector<const Rule*>> rules_;
  std::map<std::uint32_t, int> newest_;
  mutable std::map<std::pair<std::uint32_t, int>, std::optional<std::string>> names_;
};

}  // namespace stepdown::seccomp
