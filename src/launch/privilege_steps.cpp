#include <linux/securebits.h>

#include "capability/apply.h"
#include "launch/steps.h"

namespace stepdown::steps {

namespace {

Standing before(const Launch& launch) {
  return standing_before_drop(launch.plan, launch.caller);
}

// What the steps after uid still need: SETPCAP, to change the bounding set and the securebits.
CapabilitySet tools(const Launch& launch) {
  return launch.plan.no_new_privs && can_lock(before(launch)) ? CapabilitySet{Capability::setpcap}
                                                              : CapabilitySet{};
}

bool sets_are_right(const Launch& launch) {
  const CapabilityState me = before(launch).credentials.capabilities;
  const CapabilitySet keep = launch.plan.keep;
  return me.permitted == keep && me.effective == keep && me.inheritable == keep;
}

// Bounding set and securebits, where SETPCAP is missing: either nobody needs them, or the plan
// can't be kept. uid 0 regains at execve(2) whatever the bounding set holds.
void settle_without_setpcap(const Launch& launch, StepFinding& finding) {
  if (launch.plan.identity.uid == root_uid) {
    finding.state = StepState::blocked;
    finding.needs = {"SETPCAP"};
    finding.reason = "CAP_SETPCAP is not held, and uid 0 would regain capabilities at execve";
    return;
  }
  finding.state = StepState::moot;
  finding.reason = "CAP_SETPCAP is not held; with no_new_privs and uid " +
                   std::to_string(raw(launch.plan.identity.uid)) + " nothing can come of it";
}

// NOROOT or NO_CAP_AMBIENT_RAISE is off, and locked so (capabilities(7), "The securebits flags").
bool has_locked_open(unsigned bits) {
  const auto locked_open = [bits](unsigned bit) {
    return (bits & bit << 1U) != 0 && (bits & bit) == 0;
  };
  return locked_open(SECBIT_NOROOT) || locked_open(SECBIT_NO_CAP_AMBIENT_RAISE);
}

// By whoever started this: an outer stepdown.
bool is_locked_shut(unsigned bits) {
  constexpr unsigned shut = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                            SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  return (bits & shut) == shut;
}

bool leave_alone(const Launch& launch, StepFinding& finding) {
  if (launch.plan.no_new_privs) return false;
  finding.state = StepState::moot;
  finding.reason = "left alone: --allow-new-privs";
  return true;
}

}  // namespace

void examine_narrow(const Launch& launch, Findings& findings) {
  if (!launch.plan.drop_privileges) return;
  const CapabilitySet needed = tools(launch) | launch.plan.keep;
  if (needed.empty()) return;
  StepFinding finding{.name = "narrow",
                      .detail = "keep for the next steps: " + list(needed),
                      .syscall = "capset(2)"};
  const CapabilitySet missing =
      launch.plan.keep - before(launch).credentials.capabilities.permitted;
  if (!missing.empty()) {
    finding.state = StepState::blocked;
    for (const Capability member : missing.members())
      finding.needs.push_back(capability_flag(member));
    finding.reason = list(missing) + " can't be kept: not held";
  }
  findings.push_back(std::move(finding));
}

void apply_narrow(const Launch& launch) {
  const CapabilitySet keep = launch.plan.keep;
  const CapabilitySet held = keep | tools(launch);
  capability::set_process(held, held, keep);
}

void examine_bounding(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  if (!plan.drop_privileges) return;
  StepFinding finding{.name = "bounding",
                      .detail = "reduce the bounding set to: " + list(plan.bounding),
                      .syscall = "prctl(PR_CAPBSET_DROP)"};
  const Standing now = before(launch);
  if (plan.bounding.contains(now.credentials.capabilities.bounding))
    finding.state = StepState::already;
  else if (!leave_alone(launch, finding) && !can_lock(now))
    settle_without_setpcap(launch, finding);
  findings.push_back(std::move(finding));
}

void apply_bounding(const Launch& launch) {
  capability::reduce_bounding(before(launch).credentials.capabilities.bounding,
                              launch.plan.bounding);
}

void examine_ambient(const Launch& launch, Findings& findings) {
  if (!launch.plan.drop_privileges) return;
  const CapabilitySet keep = launch.plan.keep;
  const Standing now = before(launch);
  const CapabilityState& me = now.credentials.capabilities;
  StepFinding finding{.name = "ambient",
                      .detail = "ambient capabilities: " + list(keep),
                      .syscall = "prctl(PR_CAP_AMBIENT)"};
  if (me.ambient == keep && (keep.empty() || now.credentials.uid.effective != root_uid)) {
    finding.state = StepState::already;
  } else if (!keep.empty() && (now.securebits & SECBIT_NO_CAP_AMBIENT_RAISE) != 0) {
    finding.state = StepState::blocked;
    finding.reason =
        "the securebit NO_CAP_AMBIENT_RAISE is set: " + list(keep) + " can't reach the app";
  }
  findings.push_back(std::move(finding));
}

void apply_ambient(const Launch& launch) {
  capability::set_ambient(launch.plan.keep);
}

void examine_securebits(const Launch& launch, Findings& findings) {
  if (!launch.plan.drop_privileges) return;
  StepFinding finding{.name = "securebits",
                      .detail = "lock NOROOT and NO_CAP_AMBIENT_RAISE",
                      .syscall = "prctl(PR_SET_SECUREBITS)"};
  if (leave_alone(launch, finding)) {
    findings.push_back(std::move(finding));
    return;
  }
  const Standing now = before(launch);
  if (!can_lock(now) && !is_locked_shut(now.securebits))
    settle_without_setpcap(launch, finding);
  else if (end_state(launch.plan, launch.caller).securebits == now.securebits)
    finding.state = StepState::already;
  else if (has_locked_open(now.securebits)) {
    finding.state = StepState::blocked;
    finding.reason = "a securebit that would have to be set is locked: whoever started this did it";
  }
  findings.push_back(std::move(finding));
}

void apply_securebits(const Launch& launch) {
  capability::set_securebits(end_state(launch.plan, launch.caller).securebits);
}

void examine_capabilities(const Launch& launch, Findings& findings) {
  if (!launch.plan.drop_privileges) return;
  StepFinding finding{.name = "capabilities",
                      .detail = "permitted, effective, inheritable: " + list(launch.plan.keep),
                      .syscall = "capset(2)"};
  if (sets_are_right(launch)) finding.state = StepState::already;
  findings.push_back(std::move(finding));
}

void apply_capabilities(const Launch& launch) {
  const CapabilitySet keep = launch.plan.keep;
  capability::set_process(keep, keep, keep);
}

void examine_no_new_privs(const Launch& launch, Findings& findings) {
  if (!launch.plan.drop_privileges) return;
  StepFinding finding{.name = "no-new-privs",
                      .detail = "execve gives no privileges from here on",
                      .syscall = "prctl(PR_SET_NO_NEW_PRIVS)"};
  if (launch.caller.credentials.no_new_privs)
    finding.state = StepState::already;
  else
    leave_alone(launch, finding);
  findings.push_back(std::move(finding));
}

void apply_no_new_privs(const Launch&) {
  capability::set_no_new_privs();
}

}  // namespace stepdown::steps
