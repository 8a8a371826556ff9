#include "launch/identity_server.h"
#include "launch/refusal_server.h"
#include "launch/steps.h"
#include "launch/supervisor.h"

namespace stepdown::steps {

namespace {

// What stays behind has dropped everything but what the plan keeps for the app. Of that it needs
// one, to signal an app that used CAP_SETUID to become somebody else (kill(2)); and all of it to
// write into the memory of an app that has it (ptrace(2), "Ptrace access mode checking").
CapabilitySet needed_to_supervise(const Plan& plan) {
  return is_supervised(plan) ? plan.keep : plan.keep & CapabilitySet{Capability::kill};
}

}  // namespace

void examine_init(const Launch& launch, Findings& findings) {
  if (launch.plan.init == Init::none || binds_from_outside(launch.plan)) return;
  findings.push_back(
      {.name = "init",
       .detail = std::string("stay as its parent: reap, forward signals to the app") +
                 (launch.plan.init == Init::group ? "'s process group" : ""),
       .syscall = "fork(2)"});
}

void apply_init(const Launch& launch) {
  SupervisorsPart part;
  part.settle = [&launch] {
    if (!launch.plan.keep.empty()) hold_only(needed_to_supervise(launch.plan));
  };
  if (is_supervised(launch.plan))
    part.serve = serve_identity_calls;
  else if (logs_by_supervisor(launch))
    part.serve = [&launch](sys::Fd listener) {
      const Plan& plan = launch.plan;
      serve_refusals(std::move(listener),
                     {*plan.seccomp, {plan.keep, running_kernel()}, launch.log_descriptor},
                     launch.log);
    };
  part.forwards_to_group = launch.plan.init == Init::group;
  part.log_descriptor = launch.log_descriptor;
  leave_supervisor_behind(launch.log, part);
}

}  // namespace stepdown::steps
