#include "capability/apply.h"
#include "launch/bind_server.h"
#include "launch/identity_server.h"
#include "launch/steps.h"
#include "launch/supervisor.h"

namespace stepdown::steps {

namespace {

// What stays behind has dropped everything but what the plan keeps for the app. Of that it needs
// one, to signal an app that used CAP_SETUID to become somebody else (kill(2)); and all of it to
// write into the memory of an app that has it (ptrace(2), "Ptrace access mode checking").
void keep_what_a_supervisor_needs(const Plan& plan) {
  const CapabilitySet needed =
      is_supervised(plan) ? plan.keep : plan.keep & CapabilitySet{Capability::kill};
  // The ambient set follows (capabilities(7)).
  if (plan.keep != needed) capability::set_process(needed, needed, needed);
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
  part.settle = [&launch] { keep_what_a_supervisor_needs(launch.plan); };
  if (is_supervised(launch.plan)) part.serve = serve_identity_calls;
  part.forwards_to_group = launch.plan.init == Init::group;
  leave_supervisor_behind(launch.log, part);
}

}  // namespace stepdown::steps
