#include "launch/steps.h"

namespace stepdown {

namespace {

using namespace steps;

// Everything between root and the app, in the only correct order. `plan` explains this list, `run`
// walks it. A step that can't be done stops the launch; nothing is retried and nothing is skipped.
constexpr Step steps_in_order[] = {
    // While CAP_CHOWN and CAP_FOWNER are still held: what the app will write to becomes its own.
    {"own-stdio", examine_stdio, apply_stdio},
    {"own", examine_own, apply_own},
    // Nothing to do: the capability a port needs is kept by the steps below.
    {"port", examine_ports, nullptr},
    // Groups before ids: setgroups(2) and setresgid(2) need CAP_SETGID, which setresuid(2) takes.
    {"groups", examine_groups, apply_groups},
    {"gid", examine_gid, apply_gid},
    // From here on the uid is the app's. 0 to N clears ambient and effective, so the capability
    // work comes after it, with the permitted set carried over by PR_SET_KEEPCAPS.
    {"uid", examine_uid, apply_uid},
    // The app's own user namespace is owned by its user: pidfd_getfd(2) on the app asks for that,
    // and so do the maps. Who is to bind low ports for the app stays outside.
    {"outside", examine_outside, apply_outside},
    // All capabilities again, but inside. What follows gives those up.
    {"userns", examine_userns, apply_userns},
    // Permitted shrinks to what is kept and SETPCAP, which the next three steps need in effective.
    // Inheritable grows now: it can't gain what has left the bounding set.
    {"narrow", examine_narrow, apply_narrow},
    {"bounding", examine_bounding, apply_bounding},
    // Ambient needs permitted and inheritable, and comes before the securebit that forbids raising.
    {"ambient", examine_ambient, apply_ambient},
    {"securebits", examine_securebits, apply_securebits},
    // The last privilege goes: SETPCAP.
    {"capabilities", examine_capabilities, apply_capabilities},
    // Before execve(2), or a "+ep" file could still give back what the bounding set holds.
    {"no-new-privs", examine_no_new_privs, apply_no_new_privs},
    // As the app's user, who must be able to enter the directory.
    {"directory", examine_directory, apply_directory},
    {"umask", examine_umask, apply_umask},
    {"descriptors", examine_descriptors, apply_descriptors},
    // The kernel is asked whether all of the above is so, and root is tried for once more.
    {"verify", examine_verify, apply_verify},
    // Can the app, as it now is, write and read where it must?
    {"access", examine_access, apply_access},
    // Filters last: they could refuse the calls above. A filter is verified by its return value.
    {"filter", examine_filter, apply_filter},
    // The supervisor stays behind here, as unprivileged as the app: the app's process goes on.
    {"init", examine_init, apply_init},
    // The app's alone: the supervisor opens the app's memory for writing, which the rules forbid,
    // and stands outside, where the app's signals don't reach.
    {"landlock", examine_landlock, apply_landlock},
    // The filter whose calls the supervisor answers is the app's alone. After verify: under it
    // setresuid(0, 0, 0) may say 0.
    {"supervised", examine_supervised, apply_supervised},
    // The policy, which may refuse each of the calls above. Not the supervisor's: what stays behind
    // has to reap and to signal whatever the app may.
    {"seccomp", examine_seccomp, apply_seccomp},
    {"exec", examine_exec, apply_exec},
};

}  // namespace

std::span<const Step> sequence() {
  return steps_in_order;
}

}  // namespace stepdown
