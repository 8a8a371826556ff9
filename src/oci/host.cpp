#include "oci/host.h"

#include <unistd.h>

#include <array>
#include <climits>

#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "own binary";

bool same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

struct stat this_binary() {
  if (!sys::proc_counts_as_we_do())
    refuse(step, "/proc is no procfs of this process's PID namespace", "mount -t proc proc /proc");
  struct stat status {};
  if (::stat("/proc/self/exe", &status) != 0) throw_errno(step, "stat(2)", "/proc/self/exe");
  return status;
}

std::string path_of_this_binary() {
  const struct stat binary = this_binary();
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink("/proc/self/exe", target.data(), target.size());
  if (length < 0) throw_errno(step, "readlink(2)", "/proc/self/exe");
  std::string path(target.data(), static_cast<std::size_t>(length));
  struct stat there {};
  if (!path.starts_with('/') || ::stat(path.c_str(), &there) != 0 || !same(there, binary))
    refuse(step, path + " isn't this binary: it was replaced or unmounted meanwhile",
           "start the container again");
  if ((there.st_mode & S_IWOTH) != 0)
    refuse(step, path + " can be changed by anybody", "chmod o-w " + path);
  return path;
}

}  // namespace stepdown::oci
