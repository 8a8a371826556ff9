// Going into a new user namespace (user_namespaces(7)): unshare(2), and the maps, which have to be
// written from outside.
#pragma once

#include <string>

#include "stepdown/user_namespace.h"

namespace stepdown::userns {

// Why this process can't go into a user namespace of its own, and what to do about it, in words;
// empty when it can. What a container runtime's seccomp filter says to unshare(0): one call, since
// a launch that has changed nothing so far may as well see the rest from the real calls.
std::string filter_obstacle();
// Asks without trying: the filter, max_user_namespaces of zero, a missing /proc.
std::string obstacle();
// The same by trying it in a child, which ends at once: that shows a chroot, a security module and
// the limit of namespaces too. Costs a process. Tells most when this process already has the ids
// and capabilities with which it will call enter: security modules ask who wants a namespace.
std::string obstacle_by_trial();

// Moves this process, which keeps its pid and must be single-threaded, into a new namespace, owned
// by its effective uid, with the maps of `wanted`, written by who `wanted.writer` says. Nothing
// here touches capabilities. MapWriter::helper: the caller has made CAP_SETUID, CAP_SETGID and
// CAP_DAC_OVERRIDE (and CAP_SETFCAP where the uid map covers outside 0) effective, and should have
// given up the others, because the helper inherits what is held. Afterwards this process holds
// every capability in the namespace and none outside. It ends undumpable. Error (step "userns"): a
// call failed, a helper failed or died, or the kernel's maps are not `wanted`'s; then the process
// may be in a namespace that maps nothing, and must not go on.
void enter(const UserNamespace& wanted);

}  // namespace stepdown::userns
