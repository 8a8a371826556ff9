// Policies as their JSON states them: what is read, what is refused and where, and which rules
// apply.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "seccomp/policy.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

#if defined(__x86_64__)
const std::string here = "amd64";
const std::string here_scmp = "SCMP_ARCH_X86_64";
const std::string beside_scmp = "SCMP_ARCH_X86";
constexpr std::uint32_t beside = AUDIT_ARCH_I386;
#elif defined(__aarch64__)
const std::string here = "arm64";
const std::string here_scmp = "SCMP_ARCH_AARCH64";
const std::string beside_scmp = "SCMP_ARCH_ARM";
constexpr std::uint32_t beside = AUDIT_ARCH_ARM;
#endif
const std::string elsewhere = "s390x";

const FilterSituation nothing_kept{{}, {6, 1}};

Policy read(const std::string& json) {
  return read_policy(json, "p");
}

template <class Action>
std::string refusal_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.details().step + ": " + error.details().cause;
  }
  return "no refusal";
}

std::string refusal(const std::string& json) {
  return refusal_of([&] { read(json); });
}

// A policy with these rules, comma-separated.
std::string with_rules(const std::string& rules) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules + "]}";
}
// With one rule for socket(2), these its tests.
std::string with_tests(const std::string& tests) {
  return with_rules(R"({"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[)" + tests + "]}");
}
// With one rule more than its name and action.
std::string with_rule(const std::string& more) {
  return with_rules(R"({"names":["read"],"action":"SCMP_ACT_ALLOW",)" + more + "}");
}
std::string with(const std::string& more) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO",)" + more + "}";
}

const std::string complete = R"({
  "comment": "everything that a policy can hold",
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
              {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
              {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"],
  "syscalls": [
    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "",
     "includes": {}, "excludes": {}},
    {"name": "clone", "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM",
     "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
              {"index": 1, "value": 3, "op": "SCMP_CMP_GT"}],
     "includes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["amd64", "arm64"], "minKernel": "4.8"},
     "excludes": {"caps": ["CAP_SYS_BOOT"], "arches": ["s390x"], "minKernel": "7.0"}}]})";

TEST(SeccompPolicy, IsReadWhole) {
  const Policy policy = read(complete);
  EXPECT_EQ(policy.name, "p");
  EXPECT_EQ(policy.standard, (Verdict{Action::error, ENOSYS}));
  EXPECT_THAT(policy.other_architectures, ElementsAre(beside));
  EXPECT_EQ(policy.flags, unsigned{SECCOMP_FILTER_FLAG_LOG});
  ASSERT_EQ(policy.rules.size(), 2U);
  const Rule first{{"read", "write"}, {Action::allow, 0}, {}, {}, {}, "syscalls[0]"};
  EXPECT_EQ(policy.rules[0], first);
  const Rule second{
      {"clone"},
      {Action::error, EPERM},
      {{0, Comparison::masked_eq, 0, 0x7e020000}, {1, Comparison::gt, 3}},
      {CapabilitySet{Capability::sys_admin}, {"amd64", "arm64"}, KernelVersion{4, 8}},
      {CapabilitySet{*capability_from_name("SYS_BOOT")}, {"s390x"}, KernelVersion{7, 0}},
      "syscalls[1]"};
  EXPECT_EQ(policy.rules[1], second);
}

TEST(SeccompPolicy, MayBeItsDefaultAlone) {
  EXPECT_THAT(read(R"({"defaultAction":"SCMP_ACT_ALLOW"})").rules, IsEmpty());
  EXPECT_THAT(read(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]})").rules, IsEmpty());
}

TEST(SeccompPolicy, TakesWhatGoWritesForNothing) {
  const Policy policy = read(
      R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":null,"defaultErrno":"",
          "architectures":null,"archMap":[],"flags":null,"listenerPath":"","syscalls":[
          {"name":"","names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":null,"errno":"",
           "args":null,"includes":null,"excludes":{"caps":null,"arches":[],"minKernel":""}},
          {"name":"write","names":null,"action":"SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(policy.standard, (Verdict{Action::error, EPERM}));
  ASSERT_EQ(policy.rules.size(), 2U);
  EXPECT_EQ(policy.rules[0].excludes, Requirements{});
  EXPECT_THAT(policy.rules[1].calls, ElementsAre("write"));
}

TEST(SeccompPolicy, KnowsEveryAction) {
  const auto verdict = [](const std::string& action) {
    return read(R"({"defaultAction":"SCMP_ACT_)" + action + "\"}").standard;
  };
  EXPECT_EQ(verdict("KILL"), (Verdict{Action::kill_thread, 0}));
  EXPECT_EQ(verdict("KILL_THREAD"), (Verdict{Action::kill_thread, 0}));
  EXPECT_EQ(verdict("KILL_PROCESS"), (Verdict{Action::kill_process, 0}));
  EXPECT_EQ(verdict("TRAP"), (Verdict{Action::trap, 0}));
  EXPECT_EQ(verdict("ERRNO"), (Verdict{Action::error, EPERM}));
  EXPECT_EQ(verdict("TRACE"), (Verdict{Action::trace, EPERM}));
  EXPECT_EQ(verdict("LOG"), (Verdict{Action::log, 0}));
  EXPECT_EQ(verdict("ALLOW"), (Verdict{Action::allow, 0}));
}

TEST(SeccompPolicy, TakesErrnosByNumberAndByName) {
  const auto number = [](const std::string& keys) { return read(with(keys)).standard.data; };
  EXPECT_EQ(number(R"("defaultErrnoRet":0)"), 0);
  EXPECT_EQ(number(R"("defaultErrnoRet":4095)"), 4095);
  EXPECT_EQ(number(R"("defaultErrno":"ENOSYS")"), ENOSYS);
  EXPECT_EQ(number(R"("defaultErrno":"EWOULDBLOCK")"), EAGAIN);
  EXPECT_EQ(number(R"("defaultErrno":"ENOTSUP")"), EOPNOTSUPP);
  EXPECT_EQ(number(R"("defaultErrno":"EDEADLOCK")"), EDEADLK);
  EXPECT_EQ(number(R"("defaultErrno":"133")"), 133);
  EXPECT_EQ(number(R"("defaultErrnoRet":38,"defaultErrno":"ENOSYS")"), ENOSYS);
  const Policy trace =
      read(with_rules(R"({"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":7})"));
  EXPECT_EQ(trace.rules.at(0).verdict, (Verdict{Action::trace, 7}));
}

TEST(SeccompPolicy, KnowsEveryComparison) {
  const auto test = [](const std::string& op) {
    return read(with_tests(R"({"index":5,"value":18446744073709551614,"op":"SCMP_CMP_)" + op +
                           "\"}"))
        .rules.at(0)
        .tests;
  };
  constexpr std::uint64_t value = UINT64_MAX - 1;
  EXPECT_THAT(test("NE"), ElementsAre(ArgumentTest{5, Comparison::ne, value}));
  EXPECT_THAT(test("LT"), ElementsAre(ArgumentTest{5, Comparison::lt, value}));
  EXPECT_THAT(test("LE"), ElementsAre(ArgumentTest{5, Comparison::le, value}));
  EXPECT_THAT(test("EQ"), ElementsAre(ArgumentTest{5, Comparison::eq, value}));
  EXPECT_THAT(test("GE"), ElementsAre(ArgumentTest{5, Comparison::ge, value}));
  EXPECT_THAT(test("GT"), ElementsAre(ArgumentTest{5, Comparison::gt, value}));
  EXPECT_THAT(test("MASKED_EQ"), ElementsAre(ArgumentTest{5, Comparison::masked_eq, 0, value}));
}

TEST(SeccompPolicy, AnArgumentTestedTwiceMakesEveryTestOfTheRuleAnAlternative) {
  const Policy policy = read(with_tests(R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"},
      {"index":1,"value":7,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"})"));
  ASSERT_EQ(policy.rules.size(), 3U);
  EXPECT_THAT(policy.rules[0].tests, ElementsAre(ArgumentTest{0, Comparison::eq, 1}));
  EXPECT_THAT(policy.rules[1].tests, ElementsAre(ArgumentTest{1, Comparison::eq, 7}));
  EXPECT_THAT(policy.rules[2].tests, ElementsAre(ArgumentTest{0, Comparison::eq, 2}));
  for (const Rule& rule : policy.rules) {
    EXPECT_EQ(rule.place, "syscalls[0]");
    EXPECT_THAT(rule.calls, ElementsAre("socket"));
  }
}

TEST(SeccompPolicy, NamesACallOnceInARule) {
  const Policy policy = read(with_rules(R"({"names":["a","b","a"],"action":"SCMP_ACT_ALLOW"})"));
  EXPECT_THAT(policy.rules.at(0).calls, ElementsAre("a", "b"));
}

TEST(SeccompPolicy, CoversOfOtherArchitecturesThoseThatThisMachineRuns) {
  const auto list = [](const std::string& names) {
    return read(with(R"("architectures":[)" + names + "]")).other_architectures;
  };
  const auto quote = [](const std::string& text) { return '"' + text + '"'; };
  EXPECT_THAT(list(quote(here_scmp)), IsEmpty());
  EXPECT_THAT(list(R"("SCMP_ARCH_NATIVE")"), IsEmpty());
  EXPECT_THAT(list(R"("SCMP_ARCH_S390X","SCMP_ARCH_RISCV64")"), IsEmpty());
  EXPECT_THAT(list(quote(beside_scmp) + "," + quote(here_scmp) + "," + quote(beside_scmp)),
              ElementsAre(beside));
  // The entry of another machine says nothing here.
  EXPECT_THAT(read(with(R"("archMap":[{"architecture":"SCMP_ARCH_S390X","subArchitectures":[)" +
                        quote(beside_scmp) + "]}]"))
                  .other_architectures,
              IsEmpty());
}

TEST(SeccompPolicy, KnowsItsFlags) {
  const auto flags = [](const std::string& names) {
    return read(with(R"("flags":[)" + names + "]")).flags;
  };
  EXPECT_EQ(flags(""), 0U);
  EXPECT_EQ(flags(R"("SECCOMP_FILTER_FLAG_TSYNC")"), 0U);
  EXPECT_EQ(flags(R"("SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_LOG")"),
            SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

struct Refused {
  std::string json;
  std::string message;
};
void PrintTo(const Refused& refused, std::ostream* out) {
  *out << refused.json;
}
class Faults : public testing::TestWithParam<Refused> {};

TEST_P(Faults, AreRefusedByTheirPlace) {
  EXPECT_EQ(refusal(GetParam().json), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Verdicts, Faults,
    testing::Values(
        Refused{"[]", "p: an object is expected, not an array"},
        Refused{"{}", R"(p: the key "defaultAction" is missing)"},
        Refused{R"({"defaultAction":""})", R"(p: defaultAction: unknown action "")"},
        Refused{R"({"defaultAction":"SCMP_ACT_ALOW"})",
                R"(p: defaultAction: unknown action "SCMP_ACT_ALOW")"},
        Refused{R"({"defaultAction":"scmp_act_allow"})",
                R"(p: defaultAction: unknown action "scmp_act_allow")"},
        Refused{R"({"defaultAction":"SCMP_ACT_\u001b[2J"})",
                R"(p: defaultAction: unknown action "SCMP_ACT_\x1b[2J")"},
        Refused{R"({"defaultAction":"SCMP_ACT_NOTIFY"})",
                "p: defaultAction: SCMP_ACT_NOTIFY hands calls to a listener, a process outside "
                "that decides them, and there is none here"},
        Refused{with_rules(R"({"names":["a"],"action":"SCMP_ACT_ALLOW"},
                              {"names":["b"],"action":"SCMP_ACT_NOTIFY"})"),
                "p: syscalls[1].action: SCMP_ACT_NOTIFY hands calls to a listener, a process "
                "outside that decides them, and there is none here"},
        Refused{with_rules(R"({"names":["a"],"action":"ALLOW"})"),
                R"(p: syscalls[0].action: unknown action "ALLOW")"},
        Refused{with_rules(R"({"names":["a"]})"), R"(p: syscalls[0]: the key "action" is missing)"},
        Refused{with(R"("defaultErrnoRet":4096)"),
                "p: defaultErrnoRet: a whole number from 0 to 4095 is expected, not 4096"},
        Refused{with(R"("defaultErrnoRet":-1)"),
                "p: defaultErrnoRet: a whole number from 0 to 4095 is expected, not -1"},
        Refused{with(R"("defaultErrno":"EPREM")"), R"(p: defaultErrno: unknown errno "EPREM")"},
        Refused{with(R"("defaultErrno":"4096")"), R"(p: defaultErrno: unknown errno "4096")"},
        Refused{with(R"("defaultErrno":"1x")"), R"(p: defaultErrno: unknown errno "1x")"},
        Refused{with(R"("defaultErrnoRet":1,"defaultErrno":"ENOSYS")"),
                R"(p: defaultErrno: "ENOSYS" is 38, but defaultErrnoRet is 1)"},
        Refused{R"({"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1})",
                "p: defaultErrnoRet: SCMP_ACT_ALLOW has no errno"},
        Refused{with_rule(R"("errnoRet":1)"),
                "p: syscalls[0].errnoRet: SCMP_ACT_ALLOW has no errno"},
        Refused{with_rule(R"("errno":"EPERM")"),
                "p: syscalls[0].errno: SCMP_ACT_ALLOW has no errno"}));

INSTANTIATE_TEST_SUITE_P(
    Keys, Faults,
    testing::Values(
        Refused{with(R"("exclude":{})"), "p: exclude: unknown key"},
        Refused{with(R"("DefaultErrnoRet":1)"), "p: DefaultErrnoRet: unknown key"},
        Refused{with_rule(R"("exclude":{})"), "p: syscalls[0].exclude: unknown key"},
        Refused{with_rule(R"("excludes":{"cap":[]})"), "p: syscalls[0].excludes.cap: unknown key"},
        Refused{with_rule(R"("includes":{"minkernel":"4.8"})"),
                "p: syscalls[0].includes.minkernel: unknown key"},
        Refused{with_tests(R"({"index":0,"value":1,"op":"SCMP_CMP_EQ","mask":1})"),
                "p: syscalls[0].args[0].mask: unknown key"},
        Refused{with(R"("archMap":[{"architecture":"SCMP_ARCH_X86_64","subarchitectures":[]}])"),
                "p: archMap[0].subarchitectures: unknown key"},
        Refused{with(R"("listenerPath":"/run/x")"),
                "p: listenerPath: this policy hands calls to a listener, a process outside that "
                "decides them, and there is none here"},
        Refused{with(R"("listenerMetadata":"x")"),
                "p: listenerMetadata: this policy hands calls to a listener, a process outside "
                "that decides them, and there is none here"},
        Refused{with_rule(R"("action":"SCMP_ACT_ALLOW")"),
                "p: syscalls[0].action: this key stands here twice"},
        Refused{with(R"("flags":["SECCOMP_FILTER_FLAG_NEW"])"),
                R"(p: flags[0]: unknown flag "SECCOMP_FILTER_FLAG_NEW")"},
        Refused{with(R"("flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])"),
                "p: flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for filters with a "
                "listener, and there is none here"}));

INSTANTIATE_TEST_SUITE_P(
    Names, Faults,
    testing::Values(Refused{with_rules(R"({"names":[],"action":"SCMP_ACT_ALLOW"})"),
                            "p: syscalls[0]: no system call is named"},
                    Refused{with_rules(R"({"action":"SCMP_ACT_ALLOW"})"),
                            "p: syscalls[0]: no system call is named"},
                    Refused{with_rules(R"({"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"})"),
                            R"(p: syscalls[0]: either "name" or "names", not both)"},
                    Refused{with_rules(R"({"names":["a",""],"action":"SCMP_ACT_ALLOW"})"),
                            R"(p: syscalls[0].names[1]: no name of a system call: "")"},
                    Refused{with_rules(R"({"names":["open "],"action":"SCMP_ACT_ALLOW"})"),
                            R"(p: syscalls[0].names[0]: no name of a system call: "open ")"},
                    Refused{with_rules(R"({"name":"op\u0007en","action":"SCMP_ACT_ALLOW"})"),
                            R"(p: syscalls[0].name: no name of a system call: "op\x07en")"},
                    Refused{with_rules(R"({"names":["a",null],"action":"SCMP_ACT_ALLOW"})"),
                            "p: syscalls[0].names[1]: a string is expected, not null"},
                    Refused{with_rules("null"),
                            "p: syscalls[0]: an object is expected, not null"}));

INSTANTIATE_TEST_SUITE_P(
    Tests, Faults,
    testing::Values(
        Refused{with_tests(R"({"index":6,"value":1,"op":"SCMP_CMP_EQ"})"),
                "p: syscalls[0].args[0].index: a whole number from 0 to 5 is expected, not 6"},
        Refused{with_tests(R"({"value":1,"op":"SCMP_CMP_EQ"})"),
                R"(p: syscalls[0].args[0]: the key "index" is missing)"},
        Refused{with_tests(R"({"index":0,"op":"SCMP_CMP_EQ"})"),
                R"(p: syscalls[0].args[0]: the key "value" is missing)"},
        Refused{with_tests(R"({"index":0,"value":1})"),
                R"(p: syscalls[0].args[0]: the key "op" is missing)"},
        Refused{with_tests(R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"},null)"),
                "p: syscalls[0].args[1]: an object is expected, not null"},
        Refused{with_tests(R"({"index":0,"value":1,"op":"EQ"})"),
                R"(p: syscalls[0].args[0].op: unknown comparison "EQ")"},
        Refused{with_tests(R"({"index":0,"value":-1,"op":"SCMP_CMP_EQ"})"),
                "p: syscalls[0].args[0].value: a whole number from 0 to 18446744073709551615 is "
                "expected, not -1"},
        Refused{with_tests(R"({"index":0,"value":1.0,"op":"SCMP_CMP_EQ"})"),
                "p: syscalls[0].args[0].value: a whole number from 0 to 18446744073709551615 is "
                "expected, not 1.0"},
        Refused{with_tests(R"({"index":0,"value":18446744073709551616,"op":"SCMP_CMP_EQ"})"),
                "p: syscalls[0].args[0].value: this number doesn't fit into 64 bits"},
        Refused{with_tests(R"({"index":0,"value":1,"valueTwo":1,"op":"SCMP_CMP_EQ"})"),
                "p: syscalls[0].args[0].valueTwo: only SCMP_CMP_MASKED_EQ has a second value"},
        Refused{with_tests(R"({"index":0,"value":1,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"})"),
                "p: syscalls[0].args[0]: this can never hold: valueTwo has bits that the mask, "
                "value, hasn't"},
        Refused{with_tests(R"({"index":0,"value":0,"op":"SCMP_CMP_LT"})"),
                "p: syscalls[0].args[0]: this can never hold of an unsigned number of 64 bits"},
        Refused{with_tests(R"({"index":0,"value":18446744073709551615,"op":"SCMP_CMP_GT"})"),
                "p: syscalls[0].args[0]: this can never hold of an unsigned number of 64 bits"}));

INSTANTIATE_TEST_SUITE_P(
    Requirements, Faults,
    testing::Values(
        Refused{with_rule(R"("includes":{"caps":["CAP_SYS_ADMIM"]})"),
                R"(p: syscalls[0].includes.caps[0]: unknown capability "CAP_SYS_ADMIM")"},
        Refused{with_rule(R"("excludes":{"caps":["CAP_CHOWN","ALL"]})"),
                R"(p: syscalls[0].excludes.caps[1]: unknown capability "ALL")"},
        Refused{with_rule(R"("excludes":{"arches":["amd46"]})"),
                R"(p: syscalls[0].excludes.arches[0]: unknown architecture "amd46")"},
        Refused{with_rule(R"("includes":{"arches":[""]})"),
                R"(p: syscalls[0].includes.arches[0]: unknown architecture "")"},
        Refused{with_rule(R"("includes":{"minKernel":"4"})"),
                R"(p: syscalls[0].includes.minKernel: no kernel version: "4")"},
        Refused{with_rule(R"("includes":{"minKernel":"4.8.1"})"),
                R"(p: syscalls[0].includes.minKernel: no kernel version: "4.8.1")"},
        Refused{with_rule(R"("includes":{"minKernel":"-4.8"})"),
                R"(p: syscalls[0].includes.minKernel: no kernel version: "-4.8")"},
        Refused{with_rule(R"("excludes":{"minKernel":"4.256"})"),
                R"(p: syscalls[0].excludes.minKernel: no kernel version: "4.256")"},
        Refused{with_rule(R"("excludes":{"minKernel":".8"})"),
                R"(p: syscalls[0].excludes.minKernel: no kernel version: ".8")"},
        Refused{with_rule(R"("excludes":{"minKernel":"4."})"),
                R"(p: syscalls[0].excludes.minKernel: no kernel version: "4.")"},
        Refused{with(R"("architectures":["SCMP_ARCH_X86-64"])"),
                R"(p: architectures[0]: unknown architecture "SCMP_ARCH_X86-64")"},
        Refused{with(R"("archMap":[{"subArchitectures":[]}])"),
                R"(p: archMap[0]: the key "architecture" is missing)"},
        Refused{with(R"("archMap":[{"architecture":"SCMP_ARCH_S390X","subArchitectures":["x"]}])"),
                R"(p: archMap[0].subArchitectures[0]: unknown architecture "x")"},
        Refused{
            with(
                R"("archMap":[{"architecture":"SCMP_ARCH_ARM"},{"architecture":"SCMP_ARCH_ARM"}])"),
            "p: archMap[1].architecture: a second entry for this architecture"},
        Refused{
            with(
                R"("architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_ARM"}])"),
            R"(p: either "architectures" or "archMap", not both)"}));

TEST(SeccompPolicy, EveryBeginningOfOneIsRefused) {
  for (std::size_t size = 0; size < complete.size(); ++size) {
    EXPECT_THAT(refusal(complete.substr(0, size)), StartsWith("p: line ")) << size;
  }
}

TEST(SeccompPolicy, WithAnyByteChangedIsAPolicyOrAnErrorWithItsName) {
  std::size_t refused = 0;
  for (std::size_t i = 0; i < complete.size(); ++i) {
    for (const char other : {'\0', ' ', '"', '0', '{', ']', ',', '\xff'}) {
      std::string text = complete;
      text[i] = other;
      const std::string message = refusal(text);
      if (message == "no refusal") continue;
      ++refused;
      EXPECT_THAT(message, StartsWith("p: "));
    }
  }
  EXPECT_GT(refused, complete.size());
}

// Calls `visit` with the place of every value of the document, and a pointer to it.
template <class Visit>
void for_each_value(const Json& json, const std::string& place, const Json::json_pointer& pointer,
                    const Visit& visit) {
  visit(place, pointer);
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      for_each_value(value, place.empty() ? key : place + "." + key, pointer / key, visit);
    }
  } else if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); ++i) {
      for_each_value(json[i], place + "[" + std::to_string(i) + "]", pointer / i, visit);
    }
  }
}

TEST(SeccompPolicy, AValueOfAnotherTypeIsRefusedWhereverItStands) {
  const Json document = Json::parse(complete);
  const Json values = Json::parse(R"([{}, {"a": 1}, [], [[]], "x", 1.5, -1, 7, true])");
  std::size_t tried = 0;
  for_each_value(
      document, "", Json::json_pointer(), [&](const std::string& place, const auto& pointer) {
        for (const Json& value : values) {
          const Json& original = document[pointer];
          const bool same = original.type_name() == std::string(value.type_name());
          if (same && value != 1.5 && value != -1) continue;
          if (original.is_null() && value.is_array() && value.empty()) continue;
          Json changed = document;
          changed[pointer] = value;
          ++tried;
          EXPECT_THAT(refusal(changed.dump()), StartsWith(place.empty() ? "p: " : "p: " + place))
              << place << " as " << value;
        }
      });
  EXPECT_GT(tried, 300U);
}

TEST(SeccompPolicy, EveryValueThatMattersIsNeededOrMayBeNull) {
  const Json document = Json::parse(complete);
  const std::vector<std::string> needed{"defaultAction", "architecture", "action",
                                        "index",         "value",        "op"};
  for_each_value(document, "", Json::json_pointer(),
                 [&](const std::string& place, const auto& pointer) {
                   if (place.empty()) return;
                   Json changed = document;
                   changed[pointer] = nullptr;
                   const std::string key = place.substr(place.rfind('.') + 1);
                   const bool element = key.back() == ']';
                   const bool may_be =
                       !element && std::find(needed.begin(), needed.end(), key) == needed.end();
                   if (key == "names" || key == "name") return;  // one of them is needed
                   EXPECT_EQ(refusal(changed.dump()) == "no refusal", may_be) << place;
                 });
}

TEST(SeccompPolicy, DeepAndLargeTextsAreRefused) {
  std::string deep;
  for (std::size_t i = 0; i < largest_policy; ++i) deep += '[';
  EXPECT_THAT(refusal(deep), HasSubstr("arrays and objects within one another"));
  EXPECT_THAT(refusal(with(R"("syscalls":)" + deep.substr(0, 5000))),
              HasSubstr("arrays and objects within one another"));
  EXPECT_EQ(refusal(complete + std::string(10 * largest_policy, ' ')),
            "p: more than 1048576 bytes of JSON");
}

TEST(SeccompPolicy, AShortTextDoesNotBecomeAHugePolicy) {
  std::string names = "\"a0\"";
  std::string tests = R"({"index":0,"value":0,"op":"SCMP_CMP_EQ"})";
  for (unsigned i = 1; i < 1000; ++i) {
    names += ",\"a" + std::to_string(i) + "\"";
    tests += R"(,{"index":0,"value":)" + std::to_string(i) + R"(,"op":"SCMP_CMP_EQ"})";
  }
  const std::string rule =
      R"({"action":"SCMP_ACT_ALLOW","names":[)" + names + R"(],"args":[)" + tests + "]}";
  EXPECT_THAT(refusal(with_rules(rule)), StartsWith("p: syscalls[0]: with this one there are more "
                                                    "than 8192 rules"));
}

TEST(SeccompPolicy, NamesAnArchitectureOnceInEachOfARulesAlternatives) {
  const Policy policy = read(with_rules(
      R"({"action":"SCMP_ACT_ALLOW","names":["keyctl"],)"
      R"("args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}],)"
      R"("includes":{"arches":["amd64","s390x","amd64"]},)"
      R"("excludes":{"arches":["arm","arm","arm","mips"]}})"));
  ASSERT_EQ(policy.rules.size(), 2U);
  for (const Rule& rule : policy.rules) {
    EXPECT_THAT(rule.includes.architectures, ElementsAre("amd64", "s390x"));
    EXPECT_THAT(rule.excludes.architectures, ElementsAre("arm", "mips"));
  }
}

// Requirements.

std::vector<std::string> applying(const Policy& policy, const FilterSituation& situation) {
  std::vector<std::string> calls;
  for (const Rule& rule : applying_rules(policy, situation)) {
    calls.insert(calls.end(), rule.calls.begin(), rule.calls.end());
  }
  return calls;
}

bool applies(const std::string& requirements, const FilterSituation& situation) {
  return !applying(read(with_rule(requirements)), situation).empty();
}

TEST(SeccompRequirements, IncludesNeedEveryCapabilityAndExcludesNone) {
  const std::string both = R"({"caps":["CAP_KILL","CAP_CHOWN"]})";
  const auto situation = [](CapabilitySet kept) { return FilterSituation{kept, {6, 1}}; };
  const CapabilitySet none;
  const CapabilitySet kill{Capability::kill};
  const CapabilitySet more{Capability::kill, Capability::chown, Capability::setuid};
  EXPECT_FALSE(applies(R"("includes":)" + both, situation(none)));
  EXPECT_FALSE(applies(R"("includes":)" + both, situation(kill)));
  EXPECT_TRUE(applies(R"("includes":)" + both, situation(more)));
  EXPECT_TRUE(applies(R"("excludes":)" + both, situation(none)));
  EXPECT_FALSE(applies(R"("excludes":)" + both, situation(kill)));
  EXPECT_FALSE(applies(R"("excludes":)" + both, situation(more)));
}

TEST(SeccompRequirements, IncludesNeedOneOfTheArchitecturesAndExcludesNone) {
  const auto arches = [](const std::string& names) { return R"({"arches":[)" + names + "]}"; };
  const std::string mine = '"' + here + '"';
  const std::string other = '"' + elsewhere + '"';
  EXPECT_TRUE(applies(R"("includes":)" + arches(other + "," + mine), nothing_kept));
  EXPECT_FALSE(applies(R"("includes":)" + arches(other), nothing_kept));
  EXPECT_FALSE(applies(R"("excludes":)" + arches(other + "," + mine), nothing_kept));
  EXPECT_TRUE(applies(R"("excludes":)" + arches(other), nothing_kept));
}

TEST(SeccompRequirements, AKernelIsThisOneOrLater) {
  const auto at = [](unsigned major, unsigned minor) {
    return FilterSituation{{}, {major, minor}};
  };
  const std::string since = R"({"minKernel":"5.10"})";
  for (const auto& [situation, later] : {std::pair{at(4, 19), false},
                                         {at(5, 9), false},
                                         {at(5, 10), true},
                                         {at(5, 11), true},
                                         {at(6, 0), true}}) {
    EXPECT_EQ(applies(R"("includes":)" + since, situation), later) << situation.kernel.minor;
    EXPECT_EQ(applies(R"("excludes":)" + since, situation), !later) << situation.kernel.minor;
  }
}

const std::string conditional = with_rules(R"(
    {"names":["a"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_KILL","CAP_CHOWN"]}},
    {"names":["b"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_CHOWN"],"minKernel":"5.10"}},
    {"names":["c"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
    {"names":["d"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"6.2"}})");

TEST(SeccompConditions, NameWhatThePolicyLooksAt) {
  const CapabilitySet kept{Capability::chown, Capability::setuid};
  const FilterConditions middle = conditions_of(read(conditional), {kept, {5, 15}});
  EXPECT_EQ(middle.looked_at, (CapabilitySet{Capability::kill, Capability::chown}));
  EXPECT_EQ(middle.kept, (CapabilitySet{Capability::chown}));
  EXPECT_EQ(middle.kernel_from, (KernelVersion{5, 10}));
  EXPECT_EQ(middle.below, (KernelVersion{6, 2}));
  const FilterConditions old = conditions_of(read(conditional), {{}, {3, 10}});
  EXPECT_EQ(old.kernel_from, (KernelVersion{0, 0}));
  EXPECT_EQ(old.below, (KernelVersion{4, 8}));
  const FilterConditions recent = conditions_of(read(conditional), {{}, {6, 2}});
  EXPECT_EQ(recent.kernel_from, (KernelVersion{6, 2}));
  EXPECT_EQ(recent.below, std::nullopt);
  EXPECT_EQ(conditions_of(read(with_rule("\"args\":[]")), {kept, {6, 1}}), FilterConditions{});
}

TEST(SeccompConditions, HoldOnlyWhereTheSameRulesApply) {
  const Policy policy = read(conditional);
  std::vector<FilterSituation> situations;
  for (const CapabilitySet kept :
       {CapabilitySet{}, CapabilitySet{Capability::kill}, CapabilitySet{Capability::chown},
        CapabilitySet{Capability::kill, Capability::chown}, CapabilitySet{Capability::setuid}}) {
    for (const KernelVersion kernel :
         {KernelVersion{4, 7}, KernelVersion{4, 8}, KernelVersion{5, 9}, KernelVersion{5, 10},
          KernelVersion{6, 1}, KernelVersion{6, 2}, KernelVersion{7, 0}}) {
      situations.push_back({kept, kernel});
    }
  }
  std::size_t held = 0;
  for (const FilterSituation& compiled : situations) {
    const FilterConditions conditions = conditions_of(policy, compiled);
    for (const FilterSituation& now : situations) {
      if ((now.kept & conditions.looked_at) != conditions.kept) continue;
      if (now.kernel < conditions.kernel_from) continue;
      if (conditions.below && now.kernel >= *conditions.below) continue;
      ++held;
      EXPECT_EQ(applying(policy, compiled), applying(policy, now));
    }
  }
  EXPECT_GT(held, situations.size());  // not of themselves alone
}

}  // namespace
}  // namespace stepdown::seccomp
