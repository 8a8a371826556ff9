#include <algorithm>

#include "launch/steps.h"

namespace stepdown {

namespace steps {

std::string list(const std::vector<Gid>& groups) {
  std::string text = "[";
  for (const Gid gid : groups) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(raw(gid));
  }
  return text + "]";
}

std::string list(CapabilitySet set) {
  std::string text;
  for (const Capability member : set.members()) {
    if (!text.empty()) text += ", ";
    text += capability_name(member);
  }
  return text.empty() ? "none" : text;
}

}  // namespace steps

std::string_view state_name(StepState state) {
  switch (state) {
    case StepState::already:
      return "already";
    case StepState::to_do:
      return "to-do";
    case StepState::moot:
      return "moot";
    case StepState::blocked:
      break;
  }
  return "blocked";
}

std::vector<StepFinding> examine(const Launch& launch) {
  std::vector<StepFinding> findings;
  for (const Step& step : sequence()) step.examine(launch, findings);
  return findings;
}

bool is_blocked(const std::vector<StepFinding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const StepFinding& finding) {
    return finding.state == StepState::blocked;
  });
}

void launch_app(const Launch& launch) {
  // Everything is examined before anything is changed: a blocked plan leaves no trace.
  std::vector<StepFinding> findings;
  std::vector<bool> due;
  for (const Step& step : sequence()) {
    const std::size_t before = findings.size();
    step.examine(launch, findings);
    due.push_back(
        std::any_of(findings.begin() + static_cast<std::ptrdiff_t>(before), findings.end(),
                    [](const StepFinding& finding) { return finding.state == StepState::to_do; }));
  }
  if (is_blocked(findings)) {
    ErrorDetails details;
    details.step = blocked_message(findings, launch.plan.identity, launch.caller);
    details.status = exit_status::not_found;
    for (const StepFinding& finding : findings)
      if (finding.state == StepState::blocked)
        details.status = std::min(details.status, finding.status);
    throw Error(std::move(details));
  }
  for (const StepFinding& finding : findings)
    if (launch.log && !finding.reason.empty())
      launch.log(LogLevel::info, finding.name + ": " + finding.reason);
  for (std::size_t index = 0; index < sequence().size(); ++index) {
    const Step& step = sequence()[index];
    if (!due[index] || step.apply == nullptr) continue;
    // Below a policy that kills, a word could be the last.
    const bool silent = launch.plan.seccomp && step.apply == steps::apply_exec;
    if (launch.log && !silent) launch.log(LogLevel::debug, std::string("step ") + step.name);
    step.apply(launch);
  }
  refuse("exec", "the sequence ended without becoming the app");
}

}  // namespace stepdown
