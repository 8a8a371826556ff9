// Containers of runc's for the benchmarks: bundles that differ only in who their process is, in
// their volume and in their hook.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "harness.h"

namespace benchmarks {

struct Container {
  std::string name;                // a word
  uid_t user;                      // and its group
  std::filesystem::path volume{};  // mounted at /data
  Words hook{};                    // of createRuntime, the program first
};

// What is mounted from now on is seen by this process and its children alone.
void own_mounts();

// A directory for bundles and volumes: on a tmpfs, where Docker and containerd have their bundles,
// or on the filesystem of temporary files. What is mounted is seen by this process and its
// children.
class Workplace {
 public:
  explicit Workplace(bool on_tmpfs);
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace();
  [[nodiscard]] const Directory& directory() const { return directory_; }

 private:
  Directory directory_;
  bool mounted_ = false;
};

// One root filesystem, which is the program alone, and the bundles upon it.
class Bundles {
 public:
  Bundles(const std::filesystem::path& directory, const std::filesystem::path& program);

  // Makes it, and returns where its config.json is.
  [[nodiscard]] std::filesystem::path add(const Container& container) const;
  // The words after `runc` that run the container of this bundle to its end.
  [[nodiscard]] Words run(const std::filesystem::path& config) const;
  [[nodiscard]] const std::filesystem::path& runc() const { return runc_; }

 private:
  std::filesystem::path directory_, runc_;
};

// A volume of empty files, a thousand in each of its directories.
class VolumeTree {
 public:
  VolumeTree(const std::filesystem::path& path, int files);
  // Nothing happens where the top is that user's.
  void give_to(uid_t user) const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// runc gives the streams of a container to its user (libcontainer, fixStdioPermissions). So that it
// gets neither the terminal nor the log, the programs that are started find something else there.
void keep_streams();

}  // namespace benchmarks
