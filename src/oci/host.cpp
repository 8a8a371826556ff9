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

// Of the initial user namespace, in every kernel (PROC_USER_INIT_INO).
bool in_initial_user_namespace() {
  constexpr ino_t initial = 0xEFFFFFFDU;
  struct stat status {};
  return ::stat("/proc/self/ns/user", &status) == 0 && status.st_ino == initial;
}

// Root, or who runs this and may do as much. Rootless engines call in a user namespace, where the
// host's root is the overflow uid (user_namespaces(7)).
bool may_own(uid_t owner) {
  constexpr uid_t overflow = 65534;
  return owner == 0 || owner == ::geteuid() || (owner == overflow && !in_initial_user_namespace());
}

struct stat this_binary() {
  if (!sys::proc_counts_as_we_do())
    refuse(step, "/proc is no procfs of this process's PID namespace", "mount -t proc proc /proc");
  struct stat status {};
  if (::stat("/proc/self/exe", &status) != 0) throw_errno(step, "stat(2)", "/proc/self/exe");
  return status;
}

}  // namespace

bool is_this_binary(const struct stat& status) {
  return same(status, this_binary());
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
  if (!may_own(there.st_uid))
    refuse(step, path + " belongs to uid " + std::to_string(there.st_uid) + ", who can change it",
           "chown 0 " + path);
  if ((there.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    refuse(step, path + " can be changed by others than its owner", "chmod go-w " + path);
  return path;
}

}  // namespace stepdown::oci
