// The process that becomes the container's first, while the runtime makes the container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "oci/document.h"
#include "stepdown/ids.h"
#include "sys/fd.h"

namespace stepdown::oci {

// Held by descriptors: its number can't come to mean another process meanwhile. Every error is of
// the step "state: pid".
class InitProcess {
 public:
  // Error: no such process; /proc is no procfs, or one of another PID namespace, where the number
  // means somebody else.
  explicit InitProcess(pid_t pid);

  // Whether its namespace of this kind ("mnt", "net": namespaces(7)) is this process's own.
  [[nodiscard]] bool shares(const char* kind) const;
  // "uid_map" or "gid_map", as ids of this process's user namespace.
  [[nodiscard]] std::vector<IdMapping> id_map(const char* name) const;
  // setns(2) into its namespace of that CLONE_NEW… type.
  void join(int type) const;

 private:
  sys::Fd pidfd_;
  sys::Fd directory_;  // in procfs
};

// Those of the user namespace that the runtime and this process are in, by which the maps of this
// container's own have to be read; none where it has no other. Error, step "/proc".
IdMaps own_id_maps_for(const Container& container);
IdMaps own_id_maps();
// Whether an id of the runtime's user namespace, by one of these maps, is the host's 0.
bool is_hosts_root(const std::vector<IdMapping>& runtime, std::uint32_t id);

// For a hook that runs within the container's namespaces: whether the runtime, which is the parent
// of the container's first process, is in the same namespace of this kind. Error (step "/proc"): it
// can't be told.
bool shared_with_runtime(const char* kind);

}  // namespace stepdown::oci
