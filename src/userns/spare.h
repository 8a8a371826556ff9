// A user namespace that no process lives in: where mount_setattr(2), MOUNT_ATTR_IDMAP, takes its
// maps from.
#pragma once

#include <sys/types.h>

#include <vector>

#include "stepdown/ids.h"
#include "sys/fd.h"

namespace stepdown::userns {

// A child keeps the namespace alive until it has its maps; it ends with this object, or with this
// process. Made early: within a chroot(2) nobody gets a user namespace (unshare(2)), while its maps
// may be known only there.
class SpareNamespace {
 public:
  // /proc must be a procfs that counts as this process does. Error (step "userns"): the kernel
  // refuses user namespaces, or the child ended.
  SpareNamespace();

  // The namespace (setns(2)) with these maps, written once. Error.
  sys::Fd with_maps(const std::vector<IdMapping>& uid_map, const std::vector<IdMapping>& gid_map);

 private:
  struct Child {
    Child() = default;
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    pid_t pid = -1;
    sys::Fd channel;  // its end is the end of the child
  };

  void write(const char* name, const std::vector<IdMapping>& map) const;

  Child child_;
  sys::Fd directory_;  // the child's in procfs
};

}  // namespace stepdown::userns
