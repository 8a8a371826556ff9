// Which rules of a policy apply, by what the app keeps and the kernel that runs.
#include <algorithm>
#include <map>

#include "seccomp/policy.h"
#include "seccomp/policy_words.h"

namespace stepdown::seccomp {

namespace {

bool has_requirements(const Rule& rule) {
  return rule.includes != Requirements{} || rule.excludes != Requirements{};
}

// Decides its calls in every situation, whatever their arguments.
bool is_general(const Rule& rule) {
  return !has_requirements(rule) && rule.tests.empty();
}

bool applies(const Rule& rule, const FilterSituation& situation) {
  const auto here = [](const Requirements& requirements) {
    return std::any_of(requirements.architectures.begin(), requirements.architectures.end(),
                       is_native_architecture);
  };
  const Requirements& includes = rule.includes;
  const Requirements& excludes = rule.excludes;
  return situation.kept.contains(includes.capabilities) &&
         (includes.architectures.empty() || here(includes)) &&
         (!includes.kernel || situation.kernel >= *includes.kernel) &&
         (situation.kept & excludes.capabilities).empty() && !here(excludes) &&
         (!excludes.kernel || situation.kernel < *excludes.kernel);
}

}  // namespace

std::vector<Rule> applying_rules(const Policy& policy, const FilterSituation& situation) {
  std::map<std::string_view, Verdict> decided;
  std::vector<Rule> rules;
  for (const Rule& rule : policy.rules) {
    if (!applies(rule, situation)) continue;
    Rule left = rule;
    if (is_general(rule)) {
      for (const std::string& call : rule.calls) decided.emplace(call, rule.verdict);
    } else if (has_requirements(rule)) {
      std::erase_if(left.calls, [&](const std::string& call) {
        const auto earlier = decided.find(call);
        return earlier != decided.end() && earlier->second != rule.verdict;
      });
    }
    if (!left.calls.empty()) rules.push_back(std::move(left));
  }
  return rules;
}

FilterConditions conditions_of(const Policy& policy, const FilterSituation& situation) {
  FilterConditions conditions;
  for (const Rule& rule : policy.rules) {
    for (const Requirements* requirements : {&rule.includes, &rule.excludes}) {
      conditions.looked_at = conditions.looked_at | requirements->capabilities;
      if (!requirements->kernel) continue;
      const KernelVersion threshold = *requirements->kernel;
      if (threshold <= situation.kernel) {
        conditions.kernel_from = std::max(conditions.kernel_from, threshold);
      } else {
        conditions.below = std::min(conditions.below.value_or(threshold), threshold);
      }
    }
  }
  conditions.kept = situation.kept & conditions.looked_at;
  return conditions;
}

}  // namespace stepdown::seccomp
