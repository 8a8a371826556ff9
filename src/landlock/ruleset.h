// A Landlock ruleset by its three system calls (landlock(7)). What it forbids is forbidden for
// good, to this thread and everything it executes or forks.
#pragma once

#include <cstdint>
#include <string>

#include "landlock/terms.h"
#include "sys/fd.h"

namespace stepdown::landlock {

struct Kernel {
  int abi = 0;           // 1 to newest_abi; 0: there is no Landlock
  std::string obstacle;  // why there is none
};
// Asks the kernel; changes nothing.
Kernel ask_kernel();

class Ruleset {
 public:
  // Error: the kernel refuses such a ruleset.
  explicit Ruleset(const Terms& terms);

  // Everything that the terms limit is allowed beneath the directory, or on the file, that `fd`
  // (O_PATH suffices) has open. What has no place in a filesystem, a pipe say, is never limited.
  void allow_beneath(int fd, const std::string& path);
  // Beneath a directory, what there is may be opened for writing, and nothing created or removed.
  void allow_opening_beneath(int fd, const std::string& path);
  void allow_binding(std::uint16_t port);

  // From here on this thread is bound by it. Needs no_new_privs.
  void enforce() const;

 private:
  void allow(int fd, const std::string& path, std::uint64_t rights);

  Terms terms_;
  sys::Fd fd_;
};

}  // namespace stepdown::landlock
