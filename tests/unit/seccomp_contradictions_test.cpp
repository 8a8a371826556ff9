// Which rules of a policy contradict each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bitset>

#include "seccomp/policy.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

const FilterSituation nothing_kept{{}, {6, 1}};

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

Policy read(const std::string& json) {
  return read_policy(json, "p");
}

// A policy with these rules, comma-separated.
std::string with_rules(const std::string& rules) {
  return R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules + "]}";
}

std::string contradiction(const std::string& json, const FilterSituation& situation) {
  return refusal_of([&] {
    const Policy policy = read(json);
    refuse_contradictions(policy, applying_rules(policy, situation));
  });
}

std::string rule(const std::string& call, const std::string& action, const std::string& tests = "",
                 const std::string& more = "") {
  return R"({"names":[")" + call + R"("],"action":"SCMP_ACT_)" + action + R"(","args":[)" + tests +
         "]" + more + "}";
}
std::string test(unsigned index, const std::string& op, std::uint64_t value,
                 std::uint64_t second = 0) {
  return R"({"index":)" + std::to_string(index) + R"(,"op":"SCMP_CMP_)" + op + R"(","value":)" +
         std::to_string(value) + R"(,"valueTwo":)" + std::to_string(second) + "}";
}
std::string contradiction(const std::vector<std::string>& rules) {
  std::string list;
  for (const std::string& text : rules) list += (list.empty() ? "" : ",") + text;
  return contradiction(with_rules(list), nothing_kept);
}

TEST(SeccompContradictions, AreTwoVerdictsOnOneCall) {
  EXPECT_EQ(contradiction({rule("read", "ALLOW"), rule("open", "ALLOW"), rule("read", "KILL")}),
            "p: syscalls[2]: contradicts syscalls[0]: read is SCMP_ACT_KILL_THREAD here and "
            "SCMP_ACT_ALLOW there");
  EXPECT_EQ(contradiction({rule("read", "ERRNO", "", R"(,"errnoRet":1)"),
                           rule("read", "ERRNO", "", R"(,"errnoRet":38)")}),
            "p: syscalls[1]: contradicts syscalls[0]: read is SCMP_ACT_ERRNO (38) here and "
            "SCMP_ACT_ERRNO (1) there");
  // With the default's verdict as with any other.
  EXPECT_THAT(contradiction({rule("read", "ALLOW"), rule("read", "ERRNO")}),
              StartsWith("p: syscalls[1]: contradicts syscalls[0]"));
}

TEST(SeccompContradictions, AreShownByAnExample) {
  EXPECT_EQ(contradiction({rule("socket", "ALLOW", test(0, "EQ", 16)), rule("socket", "ERRNO")}),
            "p: syscalls[1]: contradicts syscalls[0]: socket where, for one, argument 0 is 16 is "
            "SCMP_ACT_ERRNO (1) here and SCMP_ACT_ALLOW there");
  EXPECT_EQ(contradiction({rule("clone", "ALLOW", test(0, "MASKED_EQ", 0xf00, 0x500)),
                           rule("clone", "ERRNO", test(0, "GT", 0x1000) + "," + test(3, "NE", 0))}),
            "p: syscalls[1]: contradicts syscalls[0]: clone where, for one, argument 0 is 5376 and "
            "argument 3 is 1 is SCMP_ACT_ERRNO (1) here and SCMP_ACT_ALLOW there");
}

TEST(SeccompContradictions, AreNoneWhereNoCallIsMeantByBoth) {
  EXPECT_EQ(contradiction({rule("read", "ALLOW"), rule("write", "KILL")}), "no refusal");
  EXPECT_EQ(contradiction({rule("read", "ALLOW"), rule("read", "ALLOW")}), "no refusal");
  EXPECT_EQ(contradiction({rule("personality", "ALLOW", test(0, "EQ", 0)),
                           rule("personality", "ERRNO", test(0, "NE", 0))}),
            "no refusal");
  EXPECT_EQ(contradiction({rule("clone", "ALLOW", test(0, "MASKED_EQ", 0x7e020000, 0)),
                           rule("clone", "ERRNO", test(0, "MASKED_EQ", 0x20000, 0x20000))}),
            "no refusal");
  // 16 x 2^60 + 15 is the last that is below.
  EXPECT_EQ(contradiction({rule("f", "ALLOW", test(0, "MASKED_EQ", 0xf000000000000000, 0)),
                           rule("f", "ERRNO", test(0, "GT", 0x0fffffffffffffff))}),
            "no refusal");
}

// A netlink audit socket is refused with an errno of its own; every other socket is allowed by one
// of two rules, and both allow most.
TEST(SeccompContradictions, AreNoneInASetThatSplitsOneCall) {
  const std::string refused =
      rule("socket", "ERRNO", test(0, "EQ", 16) + "," + test(2, "EQ", 9), R"(,"errnoRet":22)");
  const std::string family = rule("socket", "ALLOW", test(0, "NE", 16));
  const std::string protocol = rule("socket", "ALLOW", test(2, "NE", 9));
  EXPECT_EQ(contradiction({refused, family, protocol}), "no refusal");
  EXPECT_EQ(contradiction({protocol, refused, family}), "no refusal");
  EXPECT_THAT(contradiction({refused, family, rule("socket", "ALLOW", test(2, "NE", 8))}),
              StartsWith("p: syscalls[2]: contradicts syscalls[0]: socket where, for one, argument "
                         "0 is 16 and argument 2 is 9 is"));
}

TEST(SeccompContradictions, AreSoughtAmongAlternativesAsWell) {
  EXPECT_THAT(contradiction({rule("f", "ALLOW", test(0, "EQ", 1) + "," + test(0, "EQ", 2)),
                             rule("f", "KILL", test(0, "EQ", 2))}),
              StartsWith("p: syscalls[1]: contradicts syscalls[0]: f where, for one, argument 0 is "
                         "2 is"));
}

TEST(SeccompContradictions, AreAmongRulesThatApplyTogether) {
  const std::string kill = R"({"caps":["CAP_KILL"]})";
  const std::string with_kill = R"(,"includes":)" + kill;
  const std::string without = R"(,"excludes":)" + kill;
  const FilterSituation kept{CapabilitySet{Capability::kill}, {6, 1}};
  const std::string split =
      with_rules(rule("f", "ALLOW", "", with_kill) + "," + rule("f", "KILL", "", without));
  EXPECT_EQ(contradiction(split, nothing_kept), "no refusal");
  EXPECT_EQ(contradiction(split, kept), "no refusal");
  const std::string together =
      with_rules(rule("f", "ALLOW", "", with_kill) + "," + rule("f", "KILL", "", with_kill));
  EXPECT_EQ(contradiction(together, nothing_kept), "no refusal");
  EXPECT_THAT(contradiction(together, kept), StartsWith("p: syscalls[1]: contradicts syscalls[0]"));
}

// As podman's own default says of setns.
TEST(SeccompContradictions, ARuleWithRequirementsHasNoSayOnWhatOneBeforeItDecidesForAll) {
  const std::string without = R"(,"excludes":{"caps":["CAP_KILL"]})";
  const std::string json = with_rules(
      rule("f", "ALLOW") + "," + R"({"names":["f","g"],"action":"SCMP_ACT_KILL")" + without + "}");
  EXPECT_EQ(contradiction(json, nothing_kept), "no refusal");
  const std::vector<Rule> rules = applying_rules(read(json), nothing_kept);
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_THAT(rules[0].calls, ElementsAre("f"));
  EXPECT_EQ(rules[0].verdict.action, Action::allow);
  EXPECT_THAT(rules[1].calls, ElementsAre("g"));
  // Not where the one for all comes later, nor where it tests arguments.
  EXPECT_THAT(contradiction({rule("f", "KILL", "", without), rule("f", "ALLOW")}),
              StartsWith("p: syscalls[1]: contradicts syscalls[0]"));
  EXPECT_THAT(contradiction({rule("f", "ALLOW", test(0, "EQ", 1)), rule("f", "KILL", "", without)}),
              StartsWith("p: syscalls[1]: contradicts syscalls[0]"));
}

// Against trying every number: those whose bits are four chosen ones, and one more for each gap
// between them. A comparison with a number of the chosen bits depends on nothing else.
struct Domain {
  std::vector<unsigned> chosen;  // bit numbers, ascending
  std::vector<unsigned> gaps;
};

bool holds(const ArgumentTest& test, std::uint64_t x) {
  switch (test.comparison) {
    case Comparison::ne:
      return x != test.value;
    case Comparison::lt:
      return x < test.value;
    case Comparison::le:
      return x <= test.value;
    case Comparison::eq:
      return x == test.value;
    case Comparison::ge:
      return x >= test.value;
    case Comparison::gt:
      return x > test.value;
    case Comparison::masked_eq:
      break;
  }
  return (x & test.mask) == test.value;
}

std::uint64_t spread(std::uint64_t number, const std::vector<unsigned>& bits) {
  std::uint64_t result = 0;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if ((number >> i & 1U) != 0) result |= std::uint64_t{1} << bits[i];
  }
  return result;
}

std::vector<ArgumentTest> tests_over(const Domain& domain) {
  std::vector<ArgumentTest> tests;
  for (std::uint64_t value = 0; value < 16; ++value) {
    const std::uint64_t wide = spread(value, domain.chosen);
    for (const Comparison comparison : {Comparison::ne, Comparison::lt, Comparison::le,
                                        Comparison::eq, Comparison::ge, Comparison::gt}) {
      tests.push_back({2, comparison, wide});
    }
    for (std::uint64_t mask = 0; mask < 16; ++mask) {
      tests.push_back({2, Comparison::masked_eq, wide, spread(mask, domain.chosen)});
    }
  }
  return tests;
}

class Pairs : public testing::TestWithParam<Domain> {};

TEST_P(Pairs, ContradictExactlyWhereANumberIsMeantByBoth) {
  const Domain& domain = GetParam();
  std::vector<unsigned> bits = domain.chosen;
  bits.insert(bits.end(), domain.gaps.begin(), domain.gaps.end());
  const std::vector<ArgumentTest> tests = tests_over(domain);
  std::vector<std::bitset<512>> meant(tests.size());
  for (std::size_t i = 0; i < tests.size(); ++i) {
    for (std::uint64_t number = 0; number < std::uint64_t{1} << bits.size(); ++number) {
      meant[i][number] = holds(tests[i], spread(number, bits));
    }
  }
  Policy policy;
  policy.name = "p";
  std::vector<Rule> rules(2);
  rules[0] = {{"f"}, {Action::allow, 0}, {}, {}, {}, "first"};
  rules[1] = {{"f"}, {Action::trap, 0}, {}, {}, {}, "second"};
  const std::string before = "p: second: contradicts first: f where, for one, argument 2 is ";
  for (std::size_t a = 0; a < tests.size(); ++a) {
    for (std::size_t b = 0; b < tests.size(); ++b) {
      rules[0].tests = {tests[a]};
      rules[1].tests = {tests[b]};
      const std::string message = refusal_of([&] { refuse_contradictions(policy, rules); });
      const bool both = (meant[a] & meant[b]).any();
      ASSERT_EQ(message != "no refusal", both) << a << " " << b;
      if (!both) continue;
      ASSERT_THAT(message, StartsWith(before));
      const std::uint64_t example = std::stoull(message.substr(before.size()));
      ASSERT_TRUE(holds(tests[a], example) && holds(tests[b], example)) << message;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, Pairs,
                         testing::Values(Domain{{0, 1, 2, 3}, {4}}, Domain{{60, 61, 62, 63}, {0}},
                                         Domain{{30, 31, 32, 33}, {0, 63}},
                                         Domain{{0, 31, 32, 63}, {7, 40}},
                                         Domain{{1, 4, 7, 60}, {0, 2, 5, 20, 62}}));

}  // namespace
}  // namespace stepdown::seccomp
