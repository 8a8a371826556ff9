// Keys and meanings are those of OCI's runtime-spec ("Seccomp"), of Docker's
// profiles/seccomp/seccomp.go and of containers/common's pkg/seccomp/types.go. Engines pass over
// what they don't know; here it is refused, as a misspelt "excludes" would widen the policy.
#include "seccomp/policy.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <set>
#include <utility>

#include "json/strict_json.h"
#include "seccomp/policy_words.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

using json::shown;
using json::Value;

constexpr unsigned arguments_of_a_call = 6;
// A program has at most 4096 instructions (BPF_MAXINSNS), so what has more rules than this, a rule
// with two names counted twice, can't become one; and a short text can't become a large policy.
constexpr std::size_t most_rules = 8192;

constexpr std::string_view no_listener =
    "hands calls to a listener, a process outside that decides them, and there is none here";

// Go writes "" for a string that isn't there.
bool has_text(const Value& object, std::string_view key) {
  return object.has(key) && !object.at(key).string().empty();
}

// Any object of a policy may have a comment.
void allow_keys(const Value& object, std::vector<std::string_view> keys) {
  keys.emplace_back("comment");
  object.only(keys);
  has_text(object, "comment");  // a string
}

Action read_action(const Value& word) {
  if (const auto action = action_from_name(word.string())) return *action;
  if (word.string() == "SCMP_ACT_NOTIFY") {
    word.refuse("SCMP_ACT_NOTIFY " + std::string(no_listener));
  }
  word.refuse("unknown action " + shown(word.string()),
              "SCMP_ACT_ALLOW, _LOG, _ERRNO, _TRACE, _TRAP, _KILL, _KILL_THREAD, _KILL_PROCESS");
}

// containers/common takes names and numbers.
std::uint16_t read_errno(const Value& word) {
  const std::string& text = word.string();
  if (const auto number = errno_from_name(text)) return *number;
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || number > most_errno) {
    word.refuse("unknown errno " + shown(text), "as EPERM, or 1");
  }
  return number;
}

struct VerdictKeys {
  std::string_view action, number, name;
};
constexpr VerdictKeys keys_of_default{"defaultAction", "defaultErrnoRet", "defaultErrno"};
constexpr VerdictKeys keys_of_rule{"action", "errnoRet", "errno"};

Verdict read_verdict(const Value& object, const VerdictKeys& keys) {
  Verdict verdict{read_action(object.at(keys.action)), 0};
  const bool takes_data = verdict.action == Action::error || verdict.action == Action::trace;
  // runtime-spec: EPERM unless it is given, and an error where the action has no use for it.
  if (takes_data) verdict.data = EPERM;
  const bool numbered = object.has(keys.number);
  const bool named = has_text(object, keys.name);
  for (const std::string_view key : {keys.number, keys.name}) {
    if (!takes_data && (key == keys.number ? numbered : named)) {
      object.at(key).refuse(std::string(action_name(verdict.action)) + " has no errno");
    }
  }
  if (numbered) {
    verdict.data = static_cast<std::uint16_t>(object.at(keys.number).number(0, most_errno));
  }
  if (named) {
    const Value word = object.at(keys.name);
    const std::uint16_t number = read_errno(word);
    if (numbered && number != verdict.data) {
      word.refuse(shown(word.string()) + " is " + std::to_string(number) + ", but " +
                  std::string(keys.number) + " is " + std::to_string(verdict.data));
    }
    verdict.data = number;
  }
  return verdict;
}

bool can_hold(const ArgumentTest& test) {
  switch (test.comparison) {
    case Comparison::lt:
      return test.value != 0;
    case Comparison::gt:
      return test.value != UINT64_MAX;
    case Comparison::masked_eq:
      return (test.value & ~test.mask) == 0;
    case Comparison::ne:
    case Comparison::le:
    case Comparison::eq:
    case Comparison::ge:
      break;
  }
  return true;
}

ArgumentTest read_test(const Value& object) {
  allow_keys(object, {"index", "value", "valueTwo", "op"});
  ArgumentTest test;
  test.index = static_cast<unsigned>(object.at("index").number(0, arguments_of_a_call - 1));
  const Value op = object.at("op");
  const auto comparison = comparison_from_name(op.string());
  if (!comparison) {
    op.refuse("unknown comparison " + shown(op.string()),
              "SCMP_CMP_EQ, _NE, _LT, _LE, _GE, _GT, _MASKED_EQ");
  }
  test.comparison = *comparison;
  test.value = object.at("value").number(0, UINT64_MAX);
  const std::uint64_t second =
      object.has("valueTwo") ? object.at("valueTwo").number(0, UINT64_MAX) : 0;
  if (test.comparison == Comparison::masked_eq) {
    test.mask = std::exchange(test.value, second);
  } else if (second != 0) {
    object.at("valueTwo").refuse("only SCMP_CMP_MASKED_EQ has a second value");
  }
  if (!can_hold(test)) {
    object.refuse(test.comparison == Comparison::masked_eq
                      ? "this can never hold: valueTwo has bits that the mask, value, hasn't"
                      : "this can never hold of an unsigned number of 64 bits");
  }
  return test;
}

KernelVersion read_kernel(const Value& word) {
  const std::string& text = word.string();
  const char* const end = text.data() + text.size();
  std::uint8_t major = 0;
  std::uint8_t minor = 0;
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '.') {
    const auto second = std::from_chars(first.ptr + 1, end, minor);
    if (second.ec == std::errc() && second.ptr == end) return {major, minor};
  }
  word.refuse("no kernel version: " + shown(text), "as 4.8");
}

Requirements read_requirements(const Value& object) {
  allow_keys(object, {"arches", "caps", "minKernel"});
  Requirements requirements;
  if (object.has("arches")) {
    for (const Value& arch : object.at("arches").elements()) {
      if (!is_engine_architecture(arch.string())) {
        arch.refuse("unknown architecture " + shown(arch.string()), "as amd64, arm64");
      }
      // Once each, of those that there are: a rule is copied for each of its alternatives.
      std::vector<std::string>& known = requirements.architectures;
      if (std::find(known.begin(), known.end(), arch.string()) == known.end())
        known.push_back(arch.string());
    }
  }
  if (object.has("caps")) {
    for (const Value& cap : object.at("caps").elements()) {
      const auto capability = capability_from_name(cap.string());
      if (!capability) cap.refuse("unknown capability " + shown(cap.string()), "as CAP_SYS_ADMIN");
      requirements.capabilities = requirements.capabilities | CapabilitySet{*capability};
    }
  }
  if (has_text(object, "minKernel")) requirements.kernel = read_kernel(object.at("minKernel"));
  return requirements;
}

std::string read_call(const Value& word) {
  const auto of_a_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const std::string& name = word.string();
  constexpr std::size_t longest = 64;  // the kernel's longest has 28
  if (name.empty() || name.size() > longest || !std::all_of(name.begin(), name.end(), of_a_name)) {
    word.refuse("no name of a system call: " + shown(name));
  }
  return name;
}

std::vector<std::string> read_calls(const Value& object) {
  const bool old = has_text(object, "name");
  std::vector<std::string> calls;
  std::set<std::string> seen;
  if (object.has("names")) {
    for (const Value& word : object.at("names").elements()) {
      if (old) object.refuse("either \"name\" or \"names\", not both");
      std::string call = read_call(word);
      if (seen.insert(call).second) calls.push_back(std::move(call));
    }
  }
  if (old) calls.push_back(read_call(object.at("name")));
  if (calls.empty()) object.refuse("no system call is named", "\"names\": [\"...\"]");
  return calls;
}

Rule read_rule(const Value& object) {
  allow_keys(object,
             {"names", "name", "action", "errnoRet", "errno", "args", "includes", "excludes"});
  Rule rule;
  rule.place = object.place();
  rule.calls = read_calls(object);
  rule.verdict = read_verdict(object, keys_of_rule);
  if (object.has("args")) {
    for (const Value& test : object.at("args").elements()) rule.tests.push_back(read_test(test));
  }
  if (object.has("includes")) rule.includes = read_requirements(object.at("includes"));
  if (object.has("excludes")) rule.excludes = read_requirements(object.at("excludes"));
  return rule;
}

bool tests_an_argument_twice(const Rule& rule) {
  std::array<bool, arguments_of_a_call> tested{};
  return std::any_of(rule.tests.begin(), rule.tests.end(), [&tested](const ArgumentTest& test) {
    return std::exchange(tested.at(test.index), true);
  });
}

// libseccomp takes one test of each argument. Where a rule has more, engines make a rule of its own
// of every test of it, those of the other arguments included (runc, libcontainer/seccomp/
// seccomp_linux.go, matchCall).
std::vector<Rule> alternatives(Rule rule) {
  if (!tests_an_argument_twice(rule)) return {std::move(rule)};
  const std::vector<ArgumentTest> tests = std::exchange(rule.tests, {});
  std::vector<Rule> rules(tests.size(), rule);
  for (std::size_t i = 0; i < tests.size(); ++i) rules[i].tests = {tests[i]};
  return rules;
}

std::vector<Rule> read_rules(const Value& list) {
  std::vector<Rule> rules;
  std::size_t count = 0;
  for (const Value& object : list.elements()) {
    Rule rule = read_rule(object);
    count += rule.calls.size() * (tests_an_argument_twice(rule) ? rule.tests.size() : 1);
    if (count > most_rules) {
      object.refuse("with this one there are more than " + std::to_string(most_rules) +
                    " rules, counted for each name; a filter has at most 4096 instructions");
    }
    for (Rule& alternative : alternatives(std::move(rule))) rules.push_back(std::move(alternative));
  }
  return rules;
}

std::uint32_t read_architecture(const Value& word) {
  const auto architecture = architecture_from_name(word.string());
  if (!architecture) {
    word.refuse("unknown architecture " + shown(word.string()), "as SCMP_ARCH_X86_64");
  }
  return *architecture;
}

std::vector<std::uint32_t> read_architecture_list(const Value& list) {
  std::vector<std::uint32_t> architectures;
  for (const Value& word : list.elements()) architectures.push_back(read_architecture(word));
  return architectures;
}

// Of the entry for this machine.
std::vector<std::uint32_t> read_architecture_map(const Value& list) {
  std::vector<std::uint32_t> found;
  std::set<std::uint32_t> seen;
  for (const Value& entry : list.elements()) {
    allow_keys(entry, {"architecture", "subArchitectures"});
    const std::uint32_t main = read_architecture(entry.at("architecture"));
    if (!seen.insert(main).second) {
      entry.at("architecture").refuse("a second entry for this architecture");
    }
    if (!entry.has("subArchitectures")) continue;
    std::vector<std::uint32_t> sub = read_architecture_list(entry.at("subArchitectures"));
    if (main == native_architecture()) found = std::move(sub);
  }
  return found;
}

std::vector<std::uint32_t> read_architectures(const Value& object) {
  const auto given = [&object](std::string_view key) {
    return object.has(key) && !object.at(key).elements().empty();
  };
  if (given("architectures") && given("archMap")) {
    object.refuse("either \"architectures\" or \"archMap\", not both");
  }
  std::vector<std::uint32_t> other;
  if (given("architectures")) other = read_architecture_list(object.at("architectures"));
  if (given("archMap")) other = read_architecture_map(object.at("archMap"));
  std::erase_if(other, [](std::uint32_t architecture) {
    return architecture == native_architecture() || !runs_here(architecture);
  });
  std::sort(other.begin(), other.end());
  other.erase(std::unique(other.begin(), other.end()), other.end());
  return other;
}

std::uint32_t read_flag(const Value& word) {
  const std::string& name = word.string();
  if (name == "SECCOMP_FILTER_FLAG_LOG") return SECCOMP_FILTER_FLAG_LOG;
  if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // There is one thread when the filter is loaded.
  if (name == "SECCOMP_FILTER_FLAG_TSYNC") return 0;
  if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") {
    word.refuse(
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for filters with a listener, and there "
        "is none here");
  }
  word.refuse("unknown flag " + shown(name),
              "SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW");
}

void refuse_listener(const Value& object) {
  for (const std::string_view key : {"listenerPath", "listenerMetadata"}) {
    if (has_text(object, key)) object.at(key).refuse("this policy " + std::string(no_listener));
  }
}

}  // namespace

Policy read_policy(std::string_view text, const std::string& name) {
  const json::Json document = json::parse(text, name, {largest_policy});
  const Value object(document, name);
  allow_keys(object, {"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures",
                      "archMap", "syscalls", "flags", "listenerPath", "listenerMetadata"});
  refuse_listener(object);
  Policy policy;
  policy.name = name;
  policy.standard = read_verdict(object, keys_of_default);
  policy.other_architectures = read_architectures(object);
  if (object.has("flags")) {
    for (const Value& word : object.at("flags").elements()) policy.flags |= read_flag(word);
  }
  if (object.has("syscalls")) policy.rules = read_rules(object.at("syscalls"));
  return policy;
}

}  // namespace stepdown::seccomp
