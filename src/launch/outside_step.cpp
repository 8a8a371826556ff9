#include <algorithm>
#include <string_view>

#include "launch/bind_server.h"
#include "launch/steps.h"
#include "launch/supervisor.h"
#include "seccomp/supervised_filter.h"
#include "stepdown/error.h"

namespace stepdown::steps {

namespace {

// What the supervisor is to be: the app's user, outside, with the one capability.
Launch supervisors_own(const Launch& launch) {
  Launch own = launch;
  Plan& plan = own.plan;
  plan.user_namespace.reset();
  plan.keep = plan.bounding = {Capability::net_bind_service};
  plan.directory.reset();
  plan.umask.reset();
  plan.seccomp.reset();
  return own;
}

// The same steps as the app's, on the supervisor itself.
void drop_and_verify(const Launch& own) {
  constexpr std::string_view steps[] = {"narrow",       "bounding",     "ambient", "securebits",
                                        "capabilities", "no-new-privs", "verify",  "filter"};
  for (const Step& step : sequence()) {
    if (std::find(std::begin(steps), std::end(steps), step.name) == std::end(steps)) continue;
    Findings findings;
    step.examine(own, findings);
    for (const StepFinding& finding : findings) {
      if (finding.state == StepState::blocked)
        refuse("outside", finding.name + ": " + finding.reason);
      if (finding.state == StepState::to_do) step.apply(own);
    }
  }
}

std::vector<PortRequest> ports_from_outside(const Plan& plan) {
  std::vector<PortRequest> ports;
  for (const PortUse& use : plan.ports)
    if (use.way == PortWay::supervisor) ports.push_back({use.number, use.protocol});
  return ports;
}

}  // namespace

void examine_outside(const Launch& launch, Findings& findings) {
  if (!binds_from_outside(launch.plan)) return;
  StepFinding finding{.name = "outside",
                      .detail =
                          "stay outside as the app's parent, with NET_BIND_SERVICE: bind for "
                          "it, reap, forward signals to the app",
                      .syscall = "fork(2)"};
  if (launch.plan.init == Init::group) finding.detail += "'s process group";
  for (const std::string& obstacle : {seccomp::supervision_obstacle(), bind_service_obstacle()}) {
    if (obstacle.empty() || !finding.reason.empty()) continue;
    finding.state = StepState::blocked;
    finding.reason = obstacle;
  }
  findings.push_back(std::move(finding));
}

void apply_outside(const Launch& launch) {
  const std::vector<PortRequest> ports = ports_from_outside(launch.plan);
  SupervisorsPart part;
  part.settle = [&launch] {
    drop_and_verify(supervisors_own(launch));
    hold_only({Capability::net_bind_service});
  };
  part.serve = [ports](sys::Fd listener) { serve_binds(std::move(listener), ports); };
  part.forwards_to_group = launch.plan.init == Init::group;
  part.log_descriptor = launch.log_descriptor;
  leave_supervisor_behind(launch.log, part);
}

}  // namespace stepdown::steps
