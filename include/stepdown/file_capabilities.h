// File capabilities and what execve(2) makes of them (capabilities(7), "Transformation of
// capabilities during execve()").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "stepdown/capability_set.h"

namespace stepdown {

// The security.capability extended attribute. `effective` is one bit for the whole file.
struct FileCapabilities {
  CapabilitySet permitted, inheritable;
  bool effective = false;
  friend bool operator==(const FileCapabilities&, const FileCapabilities&) = default;
};

// The bytes of the attribute (struct vfs_cap_data, revisions 1 to 3; linux/capability.h). nullopt
// for a revision 3 attribute that belongs to another user namespace's root: the kernel ignores it
// here. Error: a length or revision that the kernel would not take either.
std::optional<FileCapabilities> parse_file_capabilities(std::string_view bytes);

// Of the file that `path` leads to; nullopt when it has none, can't be looked at, or lies on a
// nosuid mount, where the kernel ignores them.
std::optional<FileCapabilities> read_file_capabilities(const std::string& path);

// What a thread that is not uid 0 (or whose securebits say NOROOT) has after it executed a file.
struct ExecOutcome {
  bool refused = false;  // execve fails with EPERM: a "+ep" capability is not in the bounding set
  CapabilitySet permitted, effective, ambient;
  friend bool operator==(const ExecOutcome&, const ExecOutcome&) = default;
};
ExecOutcome exec_outcome(const CapabilityState& before, bool no_new_privs,
                         const std::optional<FileCapabilities>& file);

}  // namespace stepdown
