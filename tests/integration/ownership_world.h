// A world of its own for each test of the ownership room: a forked child in a private mount
// namespace, with a fresh tmpfs. Expectations that fail in the child fail the test.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>

#include "stepdown/error.h"
#include "stepdown/ownership.h"

namespace ownership_world {

using stepdown::Error;
using stepdown::Gid;
using stepdown::HandOverReport;
using stepdown::HandOverTarget;
using stepdown::OwnedPath;
using stepdown::OwnedPathSurvey;
using stepdown::Owner;
using stepdown::Uid;

constexpr Owner app{Uid{1000}, Gid{1001}};
constexpr Owner stranger{Uid{2000}, Gid{2001}};
constexpr Owner root{Uid{0}, Gid{0}};

// The world itself must come about as the test says, or the test means nothing.
inline void must(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

inline std::string directory(const std::string& path, Owner owner = root, mode_t mode = 0755) {
  must(::mkdir(path.c_str(), 0700) == 0, "mkdir " + path);
  must(::chown(path.c_str(), raw(owner.uid), raw(owner.gid)) == 0, "chown " + path);
  must(::chmod(path.c_str(), mode) == 0, "chmod " + path);
  return path;
}

inline std::string node(const std::string& path, mode_t kind, Owner owner = root,
                        mode_t mode = 0644, dev_t device = 0) {
  must(::mknod(path.c_str(), kind | 0600, device) == 0, "mknod " + path);
  must(::chown(path.c_str(), raw(owner.uid), raw(owner.gid)) == 0, "chown " + path);
  must(::chmod(path.c_str(), mode) == 0, "chmod " + path);
  return path;
}

inline std::string file(const std::string& path, Owner owner = root, mode_t mode = 0644) {
  return node(path, S_IFREG, owner, mode);
}

inline std::string symbolic_link(const std::string& target, const std::string& path) {
  must(::symlink(target.c_str(), path.c_str()) == 0, "symlink " + path);
  return path;
}

inline void hard_link(const std::string& existing, const std::string& path) {
  must(::link(existing.c_str(), path.c_str()) == 0, "link " + path);
}

inline void bind_mount(const std::string& from, const std::string& to) {
  must(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind " + to);
}

inline void make_read_only(const std::string& path) {
  bind_mount(path, path);
  must(::mount(nullptr, path.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0,
       "remount " + path);
}

inline void mount_tmpfs(const std::string& path, const char* options = "mode=0755") {
  must(::mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0, "mount " + path);
}

// Open as long as the world exists.
inline int pinned(const std::string& path) {
  const int fd = ::open(path.c_str(), O_PATH | O_NOFOLLOW);
  must(fd >= 0, "open " + path);
  return fd;
}

inline struct stat status_of(const std::string& path) {
  struct stat status {};
  must(::lstat(path.c_str(), &status) == 0, "lstat " + path);
  return status;
}

inline Owner owner_of(const std::string& path) {
  const struct stat status = status_of(path);
  return {Uid{status.st_uid}, Gid{status.st_gid}};
}

inline mode_t mode_of(const std::string& path) {
  return status_of(path).st_mode & 07777;
}

inline bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

inline HandOverReport hand_over(const std::string& path, bool recursive = true) {
  return stepdown::hand_over(OwnedPath{path, recursive}, HandOverTarget{app, {app.gid}}, {});
}

inline OwnedPathSurvey survey(const std::string& path, bool recursive = true) {
  return stepdown::survey_owned_path(OwnedPath{path, recursive}, app);
}

// The Error that `action` throws; a failed expectation and an empty one when it throws none.
inline stepdown::ErrorDetails error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.details();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

// Takes capabilities out of the effective and permitted sets of this process.
inline void drop_capabilities(std::initializer_list<unsigned> capabilities) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  must(::syscall(SYS_capget, &header, data) == 0, "capget");
  for (const unsigned capability : capabilities) {
    data[0].effective &= ~(1U << capability);
    data[0].permitted &= ~(1U << capability);
  }
  must(::syscall(SYS_capset, &header, data) == 0, "capset");
}

inline void become(Owner owner) {
  must(::setgroups(0, nullptr) == 0, "setgroups");
  must(::setresgid(raw(owner.gid), raw(owner.gid), raw(owner.gid)) == 0, "setresgid");
  must(::setresuid(raw(owner.uid), raw(owner.uid), raw(owner.uid)) == 0, "setresuid");
}

// Child: runs the body and says whether all its expectations held.
[[noreturn]] inline void live_in(const std::string& top,
                                 const std::function<void(const std::string&)>& body) {
  try {
    ::umask(022);
    must(::unshare(CLONE_NEWNS) == 0, "unshare");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
    mount_tmpfs(top);
    body(top);
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  std::fflush(nullptr);
  ::_exit(::testing::Test::HasFailure() ? 1 : 0);
}

// `body` gets the path of its tmpfs, a directory of root.
inline void in_a_world(const std::function<void(const std::string&)>& body) {
  std::string top = "/tmp/ownership-test-XXXXXX";
  ASSERT_NE(::mkdtemp(top.data()), nullptr);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) live_in(top, body);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "see the failures above";
  ::rmdir(top.c_str());
}

}  // namespace ownership_world
