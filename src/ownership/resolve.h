// From a path to the inode it means, without trusting anything that lies on the way.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <vector>

#include "stepdown/ownership.h"
#include "sys/fd.h"

namespace stepdown::ownership {

// An inode that is held by an O_PATH descriptor, so that it stays the one that was looked at.
struct Pinned {
  sys::Fd fd;
  struct statx status {};
  std::size_t path_length = 0;  // of the canonical path up to here
};

struct Resolution {
  std::vector<Pinned> trail;         // from "/" to the deepest component that exists
  std::vector<std::string> missing;  // the components that don't
  std::string path;                  // canonical, the missing components included

  [[nodiscard]] bool exists() const { return missing.empty(); }
  [[nodiscard]] const Pinned& last() const { return trail.back(); }
};

// Component by component. Error: a symlink that an untrusted user could have planted, more than 40
// of them (path_resolution(7)), or a call that fails.
Resolution resolve(const std::string& step, const std::string& path);

struct Examined {
  Resolution resolution;
  bool read_only_mount = false;  // of what was reached, or of where it would be created
};
// Resolves, and judges what was reached. Error: as above, or the path may not be handed over.
Examined examine(const OwnedPath& own, Owner target);
// The same under another name of the step than "--own PATH".
Examined examine(const std::string& step, const OwnedPath& own, Owner target);

// "--own /data", the name of the step in messages.
std::string step_name(const OwnedPath& own);

// Throws Error for the call that just failed with EACCES because the process lacks `capability`,
// or for what else errno says.
[[noreturn]] void throw_access_error(const std::string& step, const std::string& syscall,
                                     const std::string& cause, const std::string& capability);

}  // namespace stepdown::ownership
