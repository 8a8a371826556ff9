#include "launch/steps.h"
#include "seccomp/terminal_filter.h"

namespace stepdown::steps {

void examine_filter(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  if (!plan.drop_privileges) return;
  StepFinding finding{.name = "filter",
                      .detail = "refuse to type into the terminal (TIOCSTI, TIOCLINUX)",
                      .syscall = "seccomp(2)"};
  if (!plan.no_new_privs && !launch.caller.credentials.no_new_privs) {
    finding.state = StepState::moot;
    finding.reason = "left out: --allow-new-privs (a filter needs no_new_privs)";
  } else if (const auto answer = seccomp::availability();
             answer == seccomp::Availability::missing) {
    finding.state = plan.filter_required ? StepState::blocked : StepState::moot;
    finding.reason = "this kernel (or its emulation) has no seccomp filters";
  } else if (answer == seccomp::Availability::refused) {
    finding.state = StepState::blocked;
    finding.reason = "seccomp(2) is refused: a seccomp filter or an LSM forbids it";
  }
  findings.push_back(std::move(finding));
}

void apply_filter(const Launch&) {
  seccomp::refuse_terminal_injection();
}

}  // namespace stepdown::steps
