// Containers of podman's for the benchmarks, under crun.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "harness.h"

namespace benchmarks {

// This process in a mount namespace of its own, until the object ends.
class OtherMounts {
 public:
  OtherMounts();
  OtherMounts(const OtherMounts&) = delete;
  OtherMounts& operator=(const OtherMounts&) = delete;
  ~OtherMounts();

 private:
  std::filesystem::path working_directory_;
  int before_;
};

// While it exists, this process and its children are where podman finds its storage, and where all
// else that podman writes outside of it ends with the object, too.
class Podman {
 public:
  // Has a directory in that one. The program is all that is in the root filesystem.
  Podman(const std::filesystem::path& directory, const std::filesystem::path& program);
  Podman(const Podman&) = delete;
  Podman& operator=(const Podman&) = delete;
  ~Podman();

  // The words that run the program to its end, with a volume as -v has it.
  [[nodiscard]] Words run(uid_t user, const std::string& volume) const;
  // After `podman run` has ended, conmon still cleans up.
  static void wait_for_the_rest();

 private:
  std::filesystem::path directory_, podman_, crun_;
  OtherMounts mounts_;
};

}  // namespace benchmarks
