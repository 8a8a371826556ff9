#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "launch/identity_server.h"
#include "launch/steps.h"
#include "launch/supervisor.h"
#include "seccomp/supervised_filter.h"
#include "seccomp/terminal_filter.h"
#include "stepdown/error.h"

namespace stepdown::steps {

namespace {

constexpr const char* step = "supervised";

// Every answer but root's would be the truth, and the image's scripts would see it.
void must_look_like_root() {
  if (::syscall(SYS_getuid) != 0) refuse(step, "getuid(2) is not answered as root would see it");
}

// No descriptor: EBADF says that the supervisor let the call through; without one it is ENOSYS.
void must_reach_the_supervisor() {
  if (::syscall(SYS_bind, -1, nullptr, 0) != -1 || errno != EBADF)
    throw_errno(step, "bind(2)", "it is not answered by the supervisor");
}

std::string obstacle(const Plan& plan) {
  if (plan.pretend_root == PretendRoot::supervised) {
    const std::string found = seccomp::supervision_obstacle();
    return found.empty() ? carrying_obstacle() : found;
  }
  // What the step "outside" has found is not said twice.
  if (plan.pretend_root != PretendRoot::fixed ||
      seccomp::availability() == seccomp::Availability::available)
    return {};
  return "seccomp filters can't be had here";
}

}  // namespace

void examine_supervised(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  StepFinding finding{.name = step, .syscall = "seccomp(2)"};
  if (plan.pretend_root == PretendRoot::supervised)
    finding.detail = "the supervisor answers getuid, setuid and their kin as root would see them";
  else if (plan.pretend_root == PretendRoot::fixed)
    finding.detail =
        "getuid, setuid and their kin always say 0 (static: an entrypoint that drops and looks "
        "again will go round in circles)";
  else if (binds_from_outside(plan))
    finding.detail = "the supervisor outside answers bind";
  else
    return;
  finding.reason = obstacle(plan);
  if (!finding.reason.empty()) finding.state = StepState::blocked;
  findings.push_back(std::move(finding));
}

void apply_supervised(const Launch& launch) {
  const Plan& plan = launch.plan;
  if (plan.pretend_root == PretendRoot::fixed) {
    seccomp::load_pretended_root();
    must_look_like_root();
  } else if (plan.pretend_root == PretendRoot::supervised) {
    carry_root();
    hand_listener_over(seccomp::load_supervised(seccomp::Supervised::identity_calls));
    must_look_like_root();
  } else {
    hand_listener_over(seccomp::load_supervised(seccomp::Supervised::binds));
    must_reach_the_supervisor();
  }
}

}  // namespace stepdown::steps
