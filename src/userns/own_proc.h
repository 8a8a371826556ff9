// This process's own directory in procfs, where the maps of its user namespace are written and read
// (proc_pid_uid_map(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "stepdown/user_namespace.h"
#include "sys/fd.h"

namespace stepdown::userns {

// Held by an O_PATH descriptor, so that it stays this process's for a child as well, whatever pid
// namespace the /proc at hand belongs to. Every error is of the step "userns".
class OwnProc {
 public:
  // Error: /proc is missing, is no procfs, or belongs to a pid namespace that lacks this process.
  OwnProc();

  // This process's pid in the words of that procfs.
  [[nodiscard]] const std::string& pid() const { return pid_; }

  // One write(2) of all of it, as the kernel wants it for the maps. `needs` are the capabilities
  // that the message names when it is EPERM.
  void write(const char* name, std::string_view text, std::vector<std::string> needs = {}) const;
  // uid_map and gid_map; `privileged` when it takes CAP_SETUID and CAP_SETGID, which the messages
  // then name.
  void write_maps(const UserNamespace& wanted, bool privileged) const;

  [[nodiscard]] std::string read(const char* name) const;
  [[nodiscard]] std::vector<IdMapping> read_map(const char* name) const;

 private:
  [[nodiscard]] sys::Fd open(const char* name, int flags) const;

  sys::Fd directory_;
  std::string pid_;
};

}  // namespace stepdown::userns
