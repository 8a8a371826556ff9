// Into the mount namespace of a container that is being created.
#pragma once

#include <string>

#include "oci/init_process.h"
#include "stepdown/identity.h"

namespace stepdown::oci {

// Joins the mount namespace of `init`, opens `root` of the bundle there, and makes it this
// process's root (chroot(2)): every path from now on is one of the container's, and no link in it
// leads out. Never /proc/PID/root: before pivot_root(2) that is still the host's. This process must
// have one thread (setns(2)). Returns the account files of the image. Error: the namespace is this
// process's own, or a call failed.
AccountFiles enter_container(const InitProcess& init, const std::string& bundle,
                             const std::string& root);

// The same for a process that is in the container's mount namespace already.
AccountFiles enter_root(const std::string& bundle, const std::string& root);

}  // namespace stepdown::oci
