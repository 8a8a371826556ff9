#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "oci/host.h"
#include "oci/runtime.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::oci {

namespace {

// Not the PATH of the environment: an engine may pass on anybody's.
constexpr auto directories = std::to_array<const char*>({"/usr/local/sbin", "/usr/local/bin",
                                                         "/usr/sbin", "/usr/bin", "/sbin", "/bin",
                                                         // Where the packages of CRI-O have theirs.
                                                         "/usr/libexec/crio"});

// A script in the runtime's place may be what calls this door: they would start each other for
// ever.
void refuse_script(const std::string& path) {
  const sys::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) throw_errno(path, "open(2)");
  std::array<char, 2> start{};
  if (::read(file.get(), start.data(), start.size()) == 2 && start[0] == '#' && start[1] == '!')
    refuse("runtime", path + " is a script, which may lead back here",
           "--runtime-path FILE names the runtime behind this one: /usr/bin/runc");
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
          ::access(path.c_str(), X_OK) == 0 && !is_this_binary(status)) {
        refuse_script(path);
        return path;
      }
    }
  refuse("runtime", "neither runc nor crun is installed", "--runtime-path FILE names another one");
}

}  // namespace stepdown::oci
