#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "oci/host.h"
#include "oci/runtime.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

// Not the PATH of the environment: an engine may pass on anybody's.
constexpr auto directories = std::to_array<const char*>(
    {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"});

bool is_this_binary(const struct stat& status) {
  const struct stat own = this_binary();
  return status.st_dev == own.st_dev && status.st_ino == own.st_ino;
}

}  // namespace

std::string find_runtime(const Options& options) {
  if (options.door.runtime_path) {
    const std::string& path = *options.door.runtime_path;
    const std::string step = "--runtime-path " + path;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) throw_errno(step, "stat(2)");
    if (!S_ISREG(status.st_mode)) refuse(step, "not a regular file");
    if (::access(path.c_str(), X_OK) != 0) throw_errno(step, "access(2)", "it can't be executed");
    if (is_this_binary(status))
      refuse(step, "this is stepdown itself", "name the runtime behind it: /usr/bin/runc");
    return path;
  }
  for (const char* name : {"runc", "crun"})
    for (const char* directory : directories) {
      std::string path = std::string(directory) + "/" + name;
      struct stat status {};
      if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
          ::access(path.c_str(), X_OK) == 0 && !is_this_binary(status))
        return path;
    }
  refuse("runtime", "neither runc nor crun is installed", "--runtime-path FILE names another one");
}

}  // namespace stepdown::oci
