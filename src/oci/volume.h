// A volume of a container that is being created, handed over from outside.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "oci/document.h"
#include "stepdown/log.h"
#include "stepdown/ownership.h"
#include "sys/fd.h"

namespace stepdown::oci {

// Enters the mount namespace of process `pid` and makes the root filesystem of the bundle this
// process's root (chroot(2)): every path from now on is one of the container's, and no link in it
// leads out. The process must have one thread, and opens nothing before that leads out. Error:
// /proc isn't a procfs; a call failed.
void enter_container(pid_t pid, const std::string& bundle, const std::string& root);

// After enter_container. The path must be the destination of one of the container's mounts of data
// (bind, volume, tmpfs), and what is reached must be the root of a mount. Error, step "--own DEST".
void own_volume(const OwnedPath& own, const Container& container, const HandOverTarget& target,
                const Log& log);

enum class IdmapOutcome { mapped, already_right, unsupported };
// Replaces the mount by an idmapped one in which the volume's owner is the target
// (mount_setattr(2), MOUNT_ATTR_IDMAP). Nothing on the disk changes. `unsupported`: the filesystem
// or the kernel can't, with the reason in `reason`. Error, step "--idmap DEST": a volume of root's
// without `allow_root`.
IdmapOutcome idmap_volume(const std::string& destination, const Container& container, Owner target,
                          bool allow_root, std::string& reason);

}  // namespace stepdown::oci
