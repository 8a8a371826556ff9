// Whether two rules can both hold of one call, exactly: of each argument there are at most two
// tests, and an argument can be chosen without regard to the others.
#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "seccomp/policy.h"
#include "seccomp/policy_words.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr std::size_t arguments_of_a_call = 6;

struct Interval {
  std::uint64_t first, last;
};

// What a test says of an argument x: x is in one of the intervals, and (x & mask) == value.
struct Condition {
  std::array<Interval, 2> intervals;
  std::size_t count = 1;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

Condition anything() {
  return {{{{0, UINT64_MAX}, {}}}};
}
Condition nothing() {
  return {{}, 0};
}
Condition between(std::uint64_t first, std::uint64_t last) {
  return {{{{first, last}, {}}}};
}
Condition unequal(std::uint64_t value) {
  if (value == 0) return between(1, UINT64_MAX);
  if (value == UINT64_MAX) return between(0, UINT64_MAX - 1);
  return {{{{0, value - 1}, {value + 1, UINT64_MAX}}}, 2};
}

Condition condition_of(const ArgumentTest& test) {
  const std::uint64_t value = test.value;
  switch (test.comparison) {
    case Comparison::ne:
      return unequal(value);
    case Comparison::lt:
      return value == 0 ? nothing() : between(0, value - 1);
    case Comparison::le:
      return between(0, value);
    case Comparison::eq:
      return between(value, value);
    case Comparison::ge:
      return between(value, UINT64_MAX);
    case Comparison::gt:
      return value == UINT64_MAX ? nothing() : between(value + 1, UINT64_MAX);
    case Comparison::masked_eq:
      break;
  }
  if ((value & ~test.mask) != 0) return nothing();
  Condition condition = anything();
  condition.mask = test.mask;
  condition.value = value;
  return condition;
}

// The smallest x from `least` on with (x & mask) == value; `value` has no bits beyond the mask.
std::optional<std::uint64_t> smallest_match(std::uint64_t least, std::uint64_t mask,
                                            std::uint64_t value) {
  const std::uint64_t wrong = (least & mask) ^ value;
  if (wrong == 0) return least;
  const std::uint64_t highest = std::bit_floor(wrong);
  std::uint64_t raised = highest;
  if ((value & highest) == 0) {
    // That bit must fall, so one above it must rise: the lowest that is free and not set.
    const std::uint64_t candidates = ~mask & ~least & ~(highest | (highest - 1));
    if (candidates == 0) return std::nullopt;
    raised = candidates & (~candidates + 1);
  }
  // Above the raised bit as it was, below it as small as the mask lets it be.
  return (least & ~(raised | (raised - 1))) | raised | (value & (raised - 1));
}

// The smallest x that both hold of.
std::optional<std::uint64_t> common_value(const Condition& a, const Condition& b) {
  if (((a.value ^ b.value) & a.mask & b.mask) != 0) return std::nullopt;
  std::optional<std::uint64_t> smallest;
  for (std::size_t i = 0; i < a.count; ++i) {
    for (std::size_t j = 0; j < b.count; ++j) {
      const auto match = smallest_match(std::max(a.intervals[i].first, b.intervals[j].first),
                                        a.mask | b.mask, a.value | b.value);
      if (!match || *match > std::min(a.intervals[i].last, b.intervals[j].last)) continue;
      smallest = std::min(smallest.value_or(*match), *match);
    }
  }
  return smallest;
}

using Conditions = std::array<std::optional<Condition>, arguments_of_a_call>;

Conditions conditions_of(const Rule& rule) {
  Conditions conditions;
  for (const ArgumentTest& test : rule.tests) conditions.at(test.index) = condition_of(test);
  return conditions;
}

// Arguments of a call that both rules hold of; those that neither looks at stay empty.
using Arguments = std::array<std::optional<std::uint64_t>, arguments_of_a_call>;

std::optional<Arguments> common_call(const Conditions& a, const Conditions& b) {
  Arguments arguments;
  for (std::size_t i = 0; i < arguments_of_a_call; ++i) {
    if (!a[i] && !b[i]) continue;
    arguments[i] = common_value(a[i].value_or(anything()), b[i].value_or(anything()));
    if (!arguments[i]) return std::nullopt;
  }
  return arguments;
}

std::string described(const Verdict& verdict) {
  std::string text(action_name(verdict.action));
  if (verdict.action == Action::error || verdict.action == Action::trace) {
    text += " (" + std::to_string(verdict.data) + ")";
  }
  return text;
}

std::string described(const Arguments& arguments) {
  std::string text;
  for (std::size_t i = 0; i < arguments_of_a_call; ++i) {
    if (!arguments[i]) continue;
    text += (text.empty() ? " where, for one, argument " : " and argument ") + std::to_string(i) +
            " is " + std::to_string(*arguments[i]);
  }
  return text;
}

[[noreturn]] void refuse_pair(const std::string& policy, const std::string& call,
                              const Rule& earlier, const Rule& later, const Arguments& arguments) {
  refuse(policy + ": " + later.place,
         "contradicts " + earlier.place + ": " + call + described(arguments) + " is " +
             described(later.verdict) + " here and " + described(earlier.verdict) + " there",
         "of such rules libseccomp would take one or the other");
}

}  // namespace

void refuse_contradictions(const Policy& policy, const std::vector<Rule>& applying) {
  std::vector<Conditions> conditions;
  conditions.reserve(applying.size());
  for (const Rule& rule : applying) conditions.push_back(conditions_of(rule));
  std::map<std::string_view, std::vector<std::size_t>> rules_of;
  for (std::size_t later = 0; later < applying.size(); ++later) {
    for (const std::string& call : applying[later].calls) {
      for (const std::size_t earlier : rules_of[call]) {
        if (applying[earlier].verdict == applying[later].verdict) continue;
        if (const auto both = common_call(conditions[earlier], conditions[later])) {
          refuse_pair(policy.name, call, applying[earlier], applying[later], *both);
        }
      }
      rules_of[call].push_back(later);
    }
  }
}

}  // namespace stepdown::seccomp
