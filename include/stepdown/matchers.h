// GoogleTest matchers for tests of privilege drop: the rules of `stepdown check` on a process.
//
//   EXPECT_THAT(stepdown::read_process(pid), stepdown::Satisfies("restricted,uid=10001"));
//
// Header-only; whoever includes it links GoogleTest's gmock. stepdown itself does not.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "stepdown/inspect.h"

namespace stepdown {

// Holds when every rule of `rules` (as --require takes them) does, for the process and all of its
// threads; else says which do not and what was found. Error: a rule that does not exist.
MATCHER_P(Satisfies, rules,
          std::string(negation ? "breaks a rule of " : "satisfies ") + std::string(rules)) {
  bool ok = true;
  for (const Rule& rule : parse_rules(std::string(rules))) {
    const Finding finding = judge(rule, arg);
    if (finding.ok) continue;
    *result_listener << (ok ? "but " : "; ") << finding.rule << ": " << finding.detail;
    ok = false;
  }
  return ok;
}

}  // namespace stepdown
