#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "launch/steps.h"
#include "stepdown/error.h"

namespace stepdown::steps {

namespace {

constexpr const char* step = "verify";

std::string bits(CapabilitySet set) {
  return list(set);
}
std::string bits(bool value) {
  return value ? "set" : "not set";
}
std::string bits(unsigned value) {
  return std::to_string(value);
}

template <typename Id>
std::string bits(const IdQuad<Id>& ids) {
  return std::to_string(raw(ids.real)) + " " + std::to_string(raw(ids.effective)) + " " +
         std::to_string(raw(ids.saved)) + " " + std::to_string(raw(ids.filesystem));
}

template <typename Value>
void same(const char* what, const Value& planned, const Value& found) {
  if (planned == found) return;
  refuse(step, std::string("the kernel did not keep the plan: ") + what + " should be " +
                   bits(planned) + " and is " + bits(found));
}

// Root is tried for once more, and must be refused: with EPERM, or with EINVAL where the id 0 has
// no meaning in this user namespace.
void must_be_refused(const char* call, int result) {
  if (result == 0) refuse(step, std::string(call) + " succeeded: root could be had back");
  if (errno != EPERM && errno != EINVAL) throw_errno(step, call, "failed, but not as a refusal");
}

void try_root(const Plan& plan, const Caller& caller, const Credentials& want) {
  if (want.uid.real != root_uid && !plan.keep.has(Capability::setuid)) {
    must_be_refused("setresuid(0, 0, 0)", ::setresuid(0, 0, 0));
    must_be_refused("setuid(0)", ::setuid(0));
  }
  if (plan.keep.has(Capability::setgid) || !plan.drop_privileges) return;
  if (want.gid.real != root_gid) must_be_refused("setresgid(0, 0, 0)", ::setresgid(0, 0, 0));
  if (caller.pretended) return;  // it says 0 and does nothing
  const gid_t none = 0;
  must_be_refused("setgroups(0)", ::setgroups(0, &none));
}

FileIdentity identity_of(const char* path) {
  struct stat status {};
  if (::stat(path, &status) != 0) throw_errno(step, "stat(2)", path);
  return {status.st_dev, status.st_ino};
}

void same_surroundings(const Launch& launch) {
  const Plan& plan = launch.plan;
  const mode_t mask = ::umask(077);
  if (::umask(mask) != 077) refuse(step, "umask(2) did not keep what it was given");
  same("umask", static_cast<unsigned>(plan.umask.value_or(launch.caller.umask)),
       static_cast<unsigned>(mask));
  const FileIdentity planned =
      plan.directory ? identity_of(plan.directory->c_str()) : launch.caller.directory;
  if (plan.directory && identity_of(".") != planned)
    refuse(step, "the current directory is not " + *plan.directory);
}

}  // namespace

void examine_verify(const Launch&, Findings& findings) {
  findings.push_back(
      {.name = "verify", .detail = "ask the kernel for all of this, and try to become root again"});
}

void apply_verify(const Launch& launch) {
  const Standing planned = end_state(launch.plan, launch.caller);
  const Credentials& want = planned.credentials;
  const Credentials found = own_credentials();
  same("the uids (real, effective, saved, filesystem)", want.uid, found.uid);
  same("the gids (real, effective, saved, filesystem)", want.gid, found.gid);
  if (!same_groups(want.groups, found.groups, want.gid.real))
    refuse(step, "the kernel did not keep the plan: the groups should be " + list(want.groups) +
                     " and are " + list(found.groups));
  same("the permitted set", want.capabilities.permitted, found.capabilities.permitted);
  same("the effective set", want.capabilities.effective, found.capabilities.effective);
  same("the inheritable set", want.capabilities.inheritable, found.capabilities.inheritable);
  same("the ambient set", want.capabilities.ambient, found.capabilities.ambient);
  same("the bounding set", want.capabilities.bounding, found.capabilities.bounding);
  same("no_new_privs", want.no_new_privs, found.no_new_privs);
  same("securebits", planned.securebits, own_securebits());
  same_surroundings(launch);
  if (launch.plan.drop_privileges) try_root(launch.plan, launch.caller, want);
}

}  // namespace stepdown::steps
