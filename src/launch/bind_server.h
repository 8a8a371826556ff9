// The supervisor's part in low ports inside a user namespace: from outside, where
// CAP_NET_BIND_SERVICE counts, it binds the app's sockets to the ports named with --port, and to
// nothing else. Every other bind(2) is let through, for the kernel to judge the app by its own
// rights; so is every one that is not beyond doubt.
#pragma once

#include <string>
#include <vector>

#include "stepdown/options.h"
#include "sys/fd.h"

namespace stepdown {

// Why this process can't do it, in words; empty when it can. pidfd_open(2) and pidfd_getfd(2) (5.6)
// must be allowed (Docker's default filter forbids the latter), SO_NETNS_COOKIE (5.14) and the
// procfs of this PID namespace be there, and Yama must let a process be looked into at all. Asks;
// changes nothing.
std::string bind_service_obstacle();

// Answers until nobody is left to ask, one call after another. Named ports count in the network
// namespace that this process is in. Error, step "supervisor": the listener is broken; binds then
// fail.
void serve_binds(sys::Fd listener, const std::vector<PortRequest>& ports);

}  // namespace stepdown
