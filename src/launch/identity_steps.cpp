#include <grp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string_view>

#include "capability/apply.h"
#include "launch/id_maps.h"
#include "launch/identity_calls.h"
#include "launch/steps.h"

namespace stepdown::steps {

namespace {

std::string number(Uid id) {
  return std::to_string(raw(id));
}
std::string number(Gid id) {
  return std::to_string(raw(id));
}

bool groups_are_right(const Launch& launch) {
  const Identity& identity = launch.plan.identity;
  return same_groups(launch.caller.credentials.groups, identity.groups, identity.gid);
}

bool gid_is_right(const Launch& launch) {
  return launch.caller.credentials.gid.all_are(launch.plan.identity.gid);
}

bool uid_is_right(const Launch& launch) {
  return launch.caller.credentials.uid.all_are(launch.plan.identity.uid);
}

// EINVAL: the id has no meaning in this user namespace (setresuid(2)).
std::string_view unmapped_hint(int number) {
  return number == EINVAL
             ? "it is not mapped in this user namespace: give the engine a range that has it"
             : std::string_view();
}

constexpr const char* filtered =
    "the capability is held, yet the call is refused: a seccomp filter, an LSM or "
    "/proc/self/setgroups (user_namespaces(7)) forbids it";

void block_unmapped(const Launch& launch, StepFinding& finding, const char* map, std::uint32_t id) {
  if (finding.state != StepState::to_do) return;
  if (!launch.explains && !leaves_traces(launch)) return;
  const auto missing = unmapped(map, {{0, id, 1}});
  if (!missing) return;
  finding.state = StepState::blocked;
  finding.reason = *missing;
}

void block_if_refused(StepFinding& finding, bool refused) {
  if (!refused) return;
  finding.state = StepState::blocked;
  finding.reason = filtered;
}

void need(StepFinding& finding, const char* capability) {
  finding.state = StepState::blocked;
  finding.needs = {capability};
  finding.reason = std::string("CAP_") + capability + " is not held";
}

// What is kept, SETPCAP for the steps that lock the door, and what writes the maps of a user
// namespace must survive 0 → N.
bool carries_capabilities(const Launch& launch) {
  const Plan& plan = launch.plan;
  if (plan.user_namespace)
    return plan.user_namespace->writer == MapWriter::helper || binds_from_outside(plan);
  return plan.drop_privileges &&
         (!plan.keep.empty() || can_lock(standing_before_drop(plan, launch.caller)));
}

}  // namespace

void set_groups(const std::vector<Gid>& groups) {
  std::vector<gid_t> numbers;
  for (const Gid gid : groups) numbers.push_back(raw(gid));
  if (::setgroups(numbers.size(), numbers.data()) != 0)
    throw_errno("groups", "setgroups(2)", list(groups), unmapped_hint(errno));
}

void set_gid(Gid gid) {
  if (::setresgid(raw(gid), raw(gid), raw(gid)) != 0)
    throw_errno("gid", "setresgid(2)", number(gid), unmapped_hint(errno));
}

void set_uid(Uid uid) {
  if (::setresuid(raw(uid), raw(uid), raw(uid)) != 0)
    throw_errno("uid", "setresuid(2)", number(uid), unmapped_hint(errno));
}

void become(const Identity& identity, const Credentials& now) {
  if (!same_groups(now.groups, identity.groups, identity.gid)) set_groups(identity.groups);
  if (!now.gid.all_are(identity.gid)) set_gid(identity.gid);
  if (!now.uid.all_are(identity.uid)) set_uid(identity.uid);
}

void examine_groups(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  StepFinding finding{.name = "groups",
                      .detail = "set the groups " + list(plan.identity.groups),
                      .syscall = "setgroups(2)"};
  if (groups_are_right(launch)) {
    finding.state = StepState::already;
    if (!plan.undroppable_groups.empty())
      finding.reason = "the groups " + list(plan.undroppable_groups) +
                       " are more than planned and can't be dropped without CAP_SETGID; ";
    if (!plan.missing_groups.empty())
      finding.reason += "the groups " + list(plan.missing_groups) +
                        " are the account's and can't be added without CAP_SETGID; ";
    if (!finding.reason.empty()) {
      finding.state = StepState::moot;
      finding.reason += "accepted, since the caller is not root";
    }
  } else if (!launch.caller.credentials.capabilities.effective.has(Capability::setgid)) {
    need(finding, "SETGID");
  } else {
    // More groups than there can be: EINVAL says that only the number was wrong.
    block_if_refused(finding, ::setgroups(NGROUPS_MAX + 1, nullptr) == 0 || errno != EINVAL);
    if (plan.identity.groups.size() > NGROUPS_MAX) {
      finding.detail = "set " + std::to_string(plan.identity.groups.size()) + " groups";
      finding.state = StepState::blocked;
      finding.reason = "more groups than a process can have (65536): /etc/group";
    }
    for (const Gid gid : plan.identity.groups)
      block_unmapped(launch, finding, "/proc/self/gid_map", raw(gid));
  }
  findings.push_back(std::move(finding));
}

void apply_groups(const Launch& launch) {
  set_groups(launch.plan.identity.groups);
}

void examine_gid(const Launch& launch, Findings& findings) {
  const Gid gid = launch.plan.identity.gid;
  const Credentials& me = launch.caller.credentials;
  StepFinding finding{
      .name = "gid", .detail = "become gid " + number(gid), .syscall = "setresgid(2)"};
  if (gid_is_right(launch)) {
    finding.state = StepState::already;
  } else if (launch.caller.pretended || me.capabilities.effective.has(Capability::setgid)) {
    // -1 leaves all three as they are (setresgid(2)).
    constexpr gid_t same = static_cast<gid_t>(-1);
    block_if_refused(finding, ::setresgid(same, same, same) != 0);
    block_unmapped(launch, finding, "/proc/self/gid_map", raw(gid));
  } else if (!me.gid.any_is(gid)) {
    need(finding, "SETGID");
  }
  findings.push_back(std::move(finding));
}

void apply_gid(const Launch& launch) {
  set_gid(launch.plan.identity.gid);
}

void examine_uid(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  const Uid uid = plan.identity.uid;
  const Credentials& me = launch.caller.credentials;
  StepFinding finding{
      .name = "uid", .detail = "become uid " + number(uid), .syscall = "setresuid(2)"};
  finding.reason = plan.identity_note;
  if (uid_is_right(launch)) {
    finding.state = plan.keeps_caller ? StepState::moot : StepState::already;
  } else if (launch.caller.pretended || me.capabilities.effective.has(Capability::setuid)) {
    constexpr uid_t same = static_cast<uid_t>(-1);
    block_if_refused(finding, ::setresuid(same, same, same) != 0);
    block_unmapped(launch, finding, "/proc/self/uid_map", raw(uid));
  } else if (!me.uid.any_is(uid)) {
    need(finding, "SETUID");
  }
  if (finding.state == StepState::to_do && carries_capabilities(launch) &&
      (launch.caller.securebits & SECBIT_KEEP_CAPS_LOCKED) != 0) {
    finding.state = StepState::blocked;
    finding.reason =
        "the securebit KEEP_CAPS is locked: what the next steps need would not survive it";
  }
  findings.push_back(std::move(finding));
}

void apply_uid(const Launch& launch) {
  const bool carry = carries_capabilities(launch);
  if (carry) capability::keep_over_setuid(true);
  set_uid(launch.plan.identity.uid);
  if (carry) capability::keep_over_setuid(false);
  // A supervisor that pretends needs its memory to answer getresuid(2), and is of the same user.
  if (launch.caller.pretended) return;
  // Where fs.suid_dumpable is 1 (proc(5)) the kernel does not do it: until execve(2) no process of
  // the app's user may look into this one.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno("uid", "prctl(PR_SET_DUMPABLE)");
}

}  // namespace stepdown::steps
