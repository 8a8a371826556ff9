// Every compiled program is asked about every call, and so is the policy itself
// (seccomp_interpretation.h): they must agree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <bit>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>

#include "seccomp/compile.h"
#include "seccomp/evaluate.h"
#include "seccomp/policy_words.h"
#include "stepdown/error.h"
#include "stepdown/seccomp.h"
#include "unit/seccomp_interpretation.h"

namespace stepdown::seccomp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr KernelVersion now{6, 1};
constexpr std::uint64_t bit_32 = 0x100000000;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " is missing");
  return {std::istreambuf_iterator<char>(file), {}};
}

Policy sample(const std::string& name) {
  return read_policy(text_of(STEPDOWN_TEST_POLICIES "/" + name + ".json"), name);
}

CapabilitySet capabilities(std::initializer_list<const char*> names) {
  CapabilitySet set;
  for (const char* name : names) set = set | CapabilitySet{capability_from_name(name).value()};
  return set;
}

std::string show(const seccomp_data& call) {
  std::ostringstream text;
  text << std::hex << "architecture " << call.arch << " call " << std::dec << call.nr << std::hex;
  for (const auto argument : call.args) text << " " << argument;
  return text.str();
}

// Numbers of which each is a little different from what the rules name.
std::vector<std::uint64_t> interesting_values(const std::vector<const Rule*>& rules,
                                              unsigned argument) {
  std::set<std::uint64_t> values{0, UINT64_MAX};
  for (const Rule* rule : rules) {
    for (const ArgumentTest& test : rule->tests) {
      if (test.index != argument) continue;
      for (const std::uint64_t value :
           {test.value, test.value - 1, test.value + 1, test.value + bit_32, test.value - bit_32,
            test.value & 0xffffffff})
        values.insert(value);
      if (test.comparison == Comparison::masked_eq) {
        const std::uint64_t lowest = test.mask & (~test.mask + 1);
        for (const std::uint64_t value :
             {test.mask, test.value | ~test.mask, test.value ^ lowest,
              test.value ^ (test.mask & ~(test.mask >> 1U)), test.value | bit_32})
          values.insert(value);
      }
    }
  }
  return {values.begin(), values.end()};
}

class Judge {
 public:
  Judge(const Policy& policy, const FilterSituation& situation)
      : interpretation_(policy, situation), program_(compile(policy, situation).program) {}

  void ask_about_everything() {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 0; number <= 600; ++number) numbers.push_back(number);
    for (const std::uint32_t number : {0xf0002U, 0x3fffffffU, 0x7fffffffU, 0x80000000U, 0xbfffffffU,
                                       0xc0000000U, 0xfffffffeU, 0xffffffffU})
      numbers.push_back(number);
    for (std::uint32_t number = 0; number <= 600; ++number) numbers.push_back(x32_bit | number);
    for (const std::uint32_t architecture :
         {std::uint32_t{AUDIT_ARCH_X86_64}, std::uint32_t{AUDIT_ARCH_I386},
          std::uint32_t{AUDIT_ARCH_AARCH64}, std::uint32_t{0}})
      for (const std::uint32_t number : numbers) ask_about(architecture, number);
    EXPECT_GT(asked_, 4000U);
  }

 private:
  void ask_about(std::uint32_t architecture, std::uint32_t number) {
    const bool x32 = architecture == AUDIT_ARCH_X86_64 && (number & x32_bit) != 0;
    const auto rules = interpretation_.rules_of(x32 ? std::uint32_t{SCMP_ARCH_X32} : architecture,
                                                static_cast<int>(number));
    seccomp_data call{};
    call.arch = architecture;
    call.nr = static_cast<int>(number);
    std::array<std::vector<std::uint64_t>, 6> values;
    std::size_t combinations = 1;
    for (unsigned argument = 0; argument < values.size(); ++argument) {
      values[argument] = interesting_values(rules, argument);
      const bool tested = values[argument].size() > 2;
      if (!tested) values[argument] = {argument};
      combinations *= values[argument].size();
    }
    ask_about_terminals(call);
    if (architecture == AUDIT_ARCH_I386 && (number == 102 || number == 117)) {
      ask_about_sub_calls(call);
    } else if (combinations <= most_) {
      ask_about_each(call, values, 0);
    } else {
      for (std::size_t i = 0; i < most_; ++i) {
        for (std::size_t argument = 0; argument < values.size(); ++argument)
          call.args[argument] = values[argument][random_() % values[argument].size()];
        ask(call);
      }
    }
  }

  void ask_about_each(seccomp_data call, const std::array<std::vector<std::uint64_t>, 6>& values,
                      std::size_t argument) {
    if (argument == values.size()) {
      ask(call);
      return;
    }
    for (const std::uint64_t value : values[argument]) {
      call.args[argument] = value;
      ask_about_each(call, values, argument + 1);
    }
  }

  void ask_about_terminals(seccomp_data call) {
    for (const std::uint64_t request :
         {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}, bit_32 + TIOCSTI,
          0xffffffff00000000 + TIOCLINUX, std::uint64_t{TIOCSTI} + 1, bit_32 + TCGETS}) {
      for (const std::uint64_t descriptor : {std::uint64_t{0}, UINT64_MAX, UINT64_MAX >> 32U}) {
        call.args[0] = descriptor;
        call.args[1] = request;
        ask(call);
      }
    }
  }

  void ask_about_sub_calls(seccomp_data call) {
    for (std::uint64_t first = 0; first < 30; ++first) {
      for (const std::uint64_t upper : {std::uint64_t{0}, bit_32, std::uint64_t{0x10000}}) {
        call.args[0] = first + upper;
        ask(call);
      }
    }
  }

  void ask(const seccomp_data& call) {
    ++asked_;
    const std::uint32_t expected = interpretation_.verdict(call);
    const std::uint32_t verdict = evaluate(program_, call);
    if (verdict != expected && ++wrong_ < 10)
      ADD_FAILURE() << show(call) << std::hex << ": the program says " << verdict << ", the policy "
                    << expected;
  }

  static constexpr std::size_t most_ = 1500;  // of one call
  Interpretation interpretation_;
  FilterProgram program_;
  std::mt19937 random_{1};
  std::size_t asked_ = 0, wrong_ = 0;
};

void judge(const Policy& policy) {
  for (const CapabilitySet& kept : {CapabilitySet{}, capabilities({"SYS_ADMIN"}),
                                    capabilities({"SYS_ADMIN", "SYS_BOOT", "SYS_PTRACE",
                                                  "AUDIT_WRITE", "SYS_CHROOT", "BPF"})}) {
    for (const KernelVersion kernel : {KernelVersion{4, 7}, now}) {
      SCOPED_TRACE(policy.name + ", keeping " + std::to_string(kept.bits()) + ", on " +
                   std::to_string(kernel.major));
      Judge(policy, {kept, kernel}).ask_about_everything();
    }
  }
}

TEST(SeccompCompile, SaysWhatAPolicyLikeTheEnginesSays) {
  judge(sample("engine-like"));
}
TEST(SeccompCompile, SaysWhatAPolicyWithNamedErrorsSays) {
  judge(sample("named-errno"));
}
TEST(SeccompCompile, SaysWhatADenyListSays) {
  judge(sample("deny-list"));
}
TEST(SeccompCompile, ComparesAsNumbersOf64Bits) {
  judge(sample("comparisons"));
}
TEST(SeccompCompile, AppliesMasksToAll64Bits) {
  judge(sample("masks"));
}
TEST(SeccompCompile, GivesEachVerdict) {
  judge(sample("verdicts"));
}

// golang-github-containers-common, which comes with podman.
TEST(SeccompCompile, SaysWhatPodmansDefaultSays) {
  judge(read_policy(text_of("/usr/share/containers/seccomp.json"), "podman's"));
}

TEST(SeccompCompile, SaysWhatTheBuiltInPoliciesSay) {
  for (const BuiltInPolicy& policy : built_in_policies())
    judge(read_policy(policy.text, std::string(policy.name)));
}

Rule rule(const std::vector<std::string>& calls, Verdict verdict,
          const std::vector<ArgumentTest>& tests = {}) {
  Rule rule;
  rule.calls = calls;
  rule.verdict = verdict;
  rule.tests = tests;
  rule.place = "here";
  return rule;
}

constexpr Verdict allowed{Action::allow, 0};
constexpr Verdict refused{Action::error, EPERM};

Policy policy_of(const std::vector<Rule>& rules, Verdict standard = refused) {
  Policy policy;
  policy.name = "p";
  policy.standard = standard;
  policy.other_architectures = {SCMP_ARCH_X86, SCMP_ARCH_X32};
  policy.rules = rules;
  return policy;
}

Rule random_rule(std::mt19937& random, const std::string& call) {
  constexpr std::array values{std::uint64_t{0},          std::uint64_t{1}, std::uint64_t{2},
                              std::uint64_t{0xffffffff}, bit_32,           bit_32 + 1,
                              std::uint64_t{1} << 63U,   UINT64_MAX};
  Rule result = rule({call}, random() % 4 == 0 ? Verdict{Action::error, 5} : allowed);
  for (unsigned argument = 0; argument < 4; ++argument) {
    if (random() % 2 == 0) continue;
    ArgumentTest test;
    test.index = argument;
    test.comparison = static_cast<Comparison>(random() % 7);
    test.value = values[random() % values.size()];
    if (test.comparison == Comparison::masked_eq) test.mask = values[random() % values.size()];
    result.tests.push_back(test);
  }
  return result;
}

TEST(SeccompCompile, SaysWhatRulesThatOverlapSay) {
  std::mt19937 random(20);
  int compiled = 0;
  for (int round = 0; round < 200; ++round) {
    Policy policy = policy_of({}, random() % 2 == 0 ? refused : Verdict{Action::log, 0});
    for (const char* call : {"getpid", "socket", "semop", "shmat", "socketcall"})
      for (std::size_t rules = random() % 4; rules > 0; --rules)
        policy.rules.push_back(random_rule(random, call));
    try {
      compile(policy, {{}, now});
    } catch (const Error&) {
      continue;  // contradictory
    }
    ++compiled;
    const Interpretation interpretation(policy, {{}, now});
    const FilterProgram program = compile(policy, {{}, now}).program;
    for (const std::pair<std::uint32_t, int>& call :
         {std::pair{std::uint32_t{AUDIT_ARCH_X86_64}, 39},
          {AUDIT_ARCH_X86_64, 41},
          {AUDIT_ARCH_X86_64, 65},
          {AUDIT_ARCH_X86_64, 0x40000000 + 30},
          {AUDIT_ARCH_I386, 20},
          {AUDIT_ARCH_I386, 102},
          {AUDIT_ARCH_I386, 117},
          {AUDIT_ARCH_I386, 359},
          {AUDIT_ARCH_I386, 397}}) {
      for (int i = 0; i < 200; ++i) {
        seccomp_data data{};
        data.arch = call.first;
        data.nr = call.second;
        constexpr std::array<std::uint64_t, 10> values{
            0,         1, 2, 3, 0xffffffff, bit_32, bit_32 + 1, bit_32 + 2, std::uint64_t{1} << 63U,
            UINT64_MAX};
        for (auto& argument : data.args) argument = values[random() % values.size()];
        ASSERT_EQ(evaluate(program, data), interpretation.verdict(data))
            << show(data) << " in round " << round;
      }
    }
  }
  EXPECT_GT(compiled, 50);
}

// libseccomp 2.5.4 never comes back from these.
TEST(SeccompCompile, EndsWithRulesThatTestDifferentArgumentsInPart) {
  judge(policy_of(
      {rule({"getpid"}, allowed, {{0, Comparison::masked_eq, 0, 1}, {2, Comparison::eq, 2}}),
       rule({"getpid"}, allowed, {{0, Comparison::gt, 1}}),
       rule({"getpid"}, allowed, {{0, Comparison::gt, 0}})}));
}

TEST(SeccompCompile, TakesTestsThatCanNeverHold) {
  judge(policy_of({rule({"getpid"}, allowed, {{0, Comparison::masked_eq, 3, 1}}),
                   rule({"read"}, allowed, {{0, Comparison::lt, 0}}),
                   rule({"write"}, allowed, {{0, Comparison::gt, UINT64_MAX}})}));
}

TEST(SeccompCompile, TakesEachPermissiveDefault) {
  for (const Action action : {Action::allow, Action::log, Action::trace})
    judge(policy_of({rule({"read"}, refused), rule({"socket"}, refused, {{1, Comparison::eq, 3}})},
                    {action, 0}));
}

TEST(SeccompCompile, TakesAPolicyWithoutRules) {
  judge(policy_of({}));
  judge(policy_of({}, allowed));
}

std::uint32_t verdict(const Policy& policy, int number,
                      const std::array<std::uint64_t, 6>& arguments = {},
                      std::uint32_t architecture = AUDIT_ARCH_X86_64) {
  seccomp_data call{};
  call.nr = number;
  call.arch = architecture;
  std::copy(arguments.begin(), arguments.end(), std::begin(call.args));
  return evaluate(compile(policy, {{}, now}).program, call);
}

// netlink(7): the answer to socket(AF_NETLINK, SOCK_RAW, PROTOCOL) under the policy default.
std::uint32_t netlink(int protocol, const CapabilitySet& kept) {
  const Policy policy = read_policy(built_in_policy("default").text, "default");
  seccomp_data call{};
  call.nr = SYS_socket;
  call.arch = native_architecture();
  call.args[0] = AF_NETLINK;
  call.args[1] = SOCK_RAW;
  call.args[2] = static_cast<std::uint64_t>(protocol);
  return evaluate(compile(policy, {kept, now}).program, call);
}

TEST(SeccompDefault, OpensTheKernelsAuditToWhoeverKeepsACapabilityForIt) {
  EXPECT_EQ(netlink(NETLINK_AUDIT, {}), SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
  EXPECT_EQ(netlink(NETLINK_AUDIT, capabilities({"NET_RAW", "SYS_ADMIN"})),
            SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
  const std::array opening{"AUDIT_WRITE", "AUDIT_CONTROL", "AUDIT_READ", "NET_ADMIN"};
  for (unsigned chosen = 1; chosen < 1U << opening.size(); ++chosen) {
    CapabilitySet kept;
    for (std::size_t i = 0; i < opening.size(); ++i)
      if ((chosen >> i & 1U) != 0) kept = kept | capabilities({opening[i]});
    const bool all = kept.contains(capabilities({"NET_ADMIN"}));
    EXPECT_EQ(netlink(NETLINK_AUDIT, kept), SECCOMP_RET_ALLOW) << kept.bits();
    EXPECT_EQ(netlink(NETLINK_ROUTE, kept), SECCOMP_RET_ALLOW) << kept.bits();
    EXPECT_EQ(netlink(NETLINK_USERSOCK, kept), all ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM)
        << kept.bits();
  }
}

// With one or two of the capabilities that it looks at, and with all but those.
TEST(SeccompDefault, NeverContradictsItself) {
  const Policy policy = read_policy(built_in_policy("default").text, "default");
  const CapabilitySet looked_at = conditions_of(policy, {{}, now}).looked_at;
  for (const Capability one : looked_at.members()) {
    for (const Capability other : looked_at.members()) {
      const CapabilitySet pair{one, other};
      for (const CapabilitySet& kept : {pair, looked_at - pair})
        EXPECT_NO_THROW(refuse_contradictions(policy, applying_rules(policy, {kept, now})));
    }
  }
}

TEST(SeccompCompile, RefusesTerminalInjectionWhateverThePolicySays) {
  const Policy policy = policy_of({rule({"ioctl"}, allowed)}, allowed);
  EXPECT_EQ(verdict(policy, 16, {0, TCGETS}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(policy, 16, {0, TIOCSTI}), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 16, {0, bit_32 + TIOCSTI}), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 16, {UINT64_MAX, TIOCSTI}), SECCOMP_RET_ERRNO | EBADF);
  EXPECT_EQ(verdict(policy, 0x40000000 + 514, {0, TIOCLINUX}), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 54, {0, TIOCLINUX}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | EPERM);
}

TEST(SeccompCompile, HasTheTerminalPartFirstAndNothingElseInIt) {
  Compiled compiled = compile(policy_of({}, allowed), {{}, now});
  std::vector<std::uint64_t>& code = compiled.program.code;
  ASSERT_GT(code.size(), compiled.program.terminal_part);
  code.resize(compiled.program.terminal_part);
  constexpr std::uint32_t reached_the_end = SECCOMP_RET_TRACE | 7;
  code.push_back(std::bit_cast<std::uint64_t>(sock_filter{BPF_RET | BPF_K, 0, 0, reached_the_end}));
  seccomp_data call{};
  call.arch = AUDIT_ARCH_X86_64;
  for (int number = 0; number < 600; ++number) {
    call.nr = number;
    EXPECT_EQ(evaluate(compiled.program, call), reached_the_end);
  }
  call.nr = 16;
  call.args[1] = TIOCSTI;
  EXPECT_EQ(evaluate(compiled.program, call), SECCOMP_RET_ERRNO | EPERM);
}

TEST(SeccompCompile, AnswersCallsNewerThanThePolicyWithENOSYS) {
  const Policy policy = policy_of({rule({"read", "openat2"}, allowed)});
  EXPECT_EQ(verdict(policy, 1), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 437), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(policy, 438), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(verdict(policy, -1), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 0x40000000 + 438), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(verdict(policy, 0x40000000 + 520), SECCOMP_RET_ERRNO | EPERM) << "x32's own, and old";
}

// socketcall(2), which number 102 of i386 is, and ipc(2), 117.
TEST(SeccompCompile, JudgesMultiplexedCallsByWhatTheyAre) {
  const Policy policy = policy_of({rule({"bind"}, refused), rule({"semop"}, refused)}, allowed);
  EXPECT_EQ(verdict(policy, 102, {2}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 102, {3}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(policy, 117, {1}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 117, {0x10001}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | EPERM)
      << "the kernel takes the upper 16 bits for a version";
}

TEST(SeccompCompile, LetsNoTestedCallThroughByAMultiplexedOne) {
  const std::vector<ArgumentTest> unix_sockets{{0, Comparison::eq, 1}};
  EXPECT_EQ(
      verdict(policy_of({rule({"socket"}, allowed, unix_sockets)}), 102, {1}, AUDIT_ARCH_I386),
      SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy_of({rule({"socket"}, refused, unix_sockets)}, allowed), 102, {1},
                    AUDIT_ARCH_I386),
            SECCOMP_RET_ERRNO | EPERM);
}

TEST(SeccompCompile, CutsNoValueTo32BitsForI386) {
  const Policy policy = policy_of({rule({"getpid"}, allowed, {{0, Comparison::eq, bit_32 + 5}})});
  EXPECT_EQ(verdict(policy, 20, {5}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(verdict(policy, 39, {bit_32 + 5}), SECCOMP_RET_ALLOW);
}

TEST(SeccompCompile, RemembersTheNamesThatItSkipped) {
  EXPECT_THAT(compile(sample("verdicts"), {{}, now}).unknown_calls,
              ElementsAre("and_no_such_either", "no_such_call_yet"));
  EXPECT_THAT(compile(sample("masks"), {{}, now}).unknown_calls, IsEmpty());
}

constexpr std::array strictest_first{Action::kill_process, Action::kill_thread, Action::trap,
                                     Action::error,        Action::trace,       Action::log,
                                     Action::allow};

TEST(SeccompCompile, SkipsNoUnknownNameThatTheDefaultWouldLetThrough) {
  for (std::size_t standard = 0; standard < strictest_first.size(); ++standard) {
    for (std::size_t own = 0; own < strictest_first.size(); ++own) {
      const Policy policy =
          policy_of({rule({"read"}, allowed), rule({"keyctrl"}, {strictest_first[own], 1})},
                    {strictest_first[standard], 1});
      SCOPED_TRACE(std::to_string(own) + " where the default is " + std::to_string(standard));
      if (own < standard)
        EXPECT_THROW(compile(policy, {{}, now}), Error);
      else
        EXPECT_THAT(compile(policy, {{}, now}).unknown_calls, ElementsAre("keyctrl"));
    }
  }
}

ErrorDetails refusal_of(const std::string& json, const CapabilitySet& kept = {}) {
  try {
    compile(read_policy(json, "p"), {kept, now});
  } catch (const Error& error) {
    return error.details();
  }
  return {};
}

TEST(SeccompCompile, NamesTheUnknownNameThatItRefuses) {
  const ErrorDetails details = refusal_of(R"({
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
      {"names": ["not_yet_a_call"], "action": "SCMP_ACT_ALLOW"},
      {"names": ["keyctl", "keyctrl"], "action": "SCMP_ACT_ERRNO"}
    ]
  })");
  EXPECT_EQ(details.step, "p: syscalls[1]");
  EXPECT_THAT(details.cause, StartsWith("keyctrl is not known to libseccomp 2."));
  EXPECT_THAT(details.cause, HasSubstr("the default, SCMP_ACT_ALLOW, would let it through"));
}

TEST(SeccompCompile, LooksForUnknownNamesInTheRulesThatApply) {
  const std::string json = R"({
    "defaultAction": "SCMP_ACT_LOG",
    "syscalls": [{"names": ["keyctrl"], "action": "SCMP_ACT_TRACE",
                  "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]
  })";
  EXPECT_EQ(refusal_of(json).step, "p: syscalls[0]");
  EXPECT_EQ(refusal_of(json, capabilities({"SYS_ADMIN"})).step, "");
}

TEST(SeccompCompile, PassesTheFlagsOn) {
  EXPECT_EQ(compile(sample("deny-list"), {{}, now}).program.flags,
            std::uint32_t{SECCOMP_FILTER_FLAG_LOG});
}

TEST(SeccompCompile, RefusesContradictions) {
  const Policy policy = policy_of({rule({"read"}, allowed), rule({"read"}, {Action::trap, 0})});
  EXPECT_THROW(compile(policy, {{}, now}), Error);
}

TEST(SeccompCompile, RefusesMoreInstructionsThanTheKernelTakes) {
  Policy policy = policy_of({});
  for (std::uint64_t value = 0; value < 1100; ++value)
    policy.rules.push_back(rule({"getpid"}, allowed, {{0, Comparison::eq, value}}));
  try {
    compile(policy, {{}, now});
    FAIL() << "it compiled";
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, "p");
    EXPECT_THAT(error.details().cause, HasSubstr("the kernel takes 4096"));
  }
}

}  // namespace
}  // namespace stepdown::seccomp
