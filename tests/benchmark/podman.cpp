#include "podman.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "bundle.h"

namespace benchmarks {

namespace fs = std::filesystem;

namespace {

void mount_at(const fs::path& target, const char* type, unsigned long flags,
              const std::string& options) {
  if (mount(type, target.c_str(), type, flags, options.c_str()) != 0) check(errno, target);
}

// What is written there stays in `layers`.
void overlay_at(const fs::path& target, const fs::path& layers) {
  fs::create_directories(layers / "upper");
  fs::create_directories(layers / "work");
  mount_at(target, "overlay", 0,
           "lowerdir=" + target.string() + ",upperdir=" + (layers / "upper").string() +
               ",workdir=" + (layers / "work").string());
}

// conmon gives /dev/null to crun as stdin, and a runtime may give its streams to the container's
// user.
void null_of_our_own(const fs::path& node) {
  if (mknod(node.c_str(), S_IFCHR, makedev(1, 3)) != 0) check(errno, node);
  fs::permissions(node, fs::perms{0666});
  if (mount(node.c_str(), "/dev/null", nullptr, MS_BIND, nullptr) != 0) check(errno, "/dev/null");
}

// crun refuses a hierarchy that is half of version 1. Here it makes no cgroup.
void cgroups_of_version_2() {
  constexpr const char* target = "/sys/fs/cgroup";
  if (umount2(target, MNT_DETACH) != 0) check(errno, target);
  mount_at(target, "cgroup2", MS_RDONLY, "");
}

}  // namespace

OtherMounts::OtherMounts()
    : working_directory_(fs::current_path()),
      before_(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
  if (before_ < 0) check(errno, "/proc/self/ns/mnt");
  own_mounts();
}

OtherMounts::~OtherMounts() {
  setns(before_, CLONE_NEWNS);
  close(before_);
  std::error_code ignored;
  fs::current_path(working_directory_, ignored);  // setns(2) makes it the root directory
}

Podman::Podman(const fs::path& directory, const fs::path& program)
    : directory_(directory / "podman"),
      podman_(needed_program("podman")),
      crun_(needed_program("crun")) {
  fs::create_directory(directory_);
  mount_at(directory_, "tmpfs", 0, "mode=0755");
  fs::create_directories(directory_ / "rootfs" / "data");
  fs::copy_file(program, directory_ / "rootfs" / "program");
  overlay_at("/etc", directory_ / "etc");
  overlay_at("/var/lib", directory_ / "lib");
  for (const char* target : {"/run", "/dev/shm"}) mount_at(target, "tmpfs", 0, "mode=0755");
  null_of_our_own(directory_ / "null");
  cgroups_of_version_2();
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) check(errno, "PR_SET_CHILD_SUBREAPER");
}

Podman::~Podman() {
  wait_for_the_rest();
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

Words Podman::run(uid_t user, const std::string& volume) const {
  const std::string id = std::to_string(user);
  // Without the limits, podman would raise its own to what a machine may not let it have.
  return {podman_,
          "--root",
          directory_ / "root",
          "--runroot",
          directory_ / "runroot",
          "--tmpdir",
          directory_ / "tmp",
          "--runtime",
          crun_,
          "--cgroup-manager=cgroupfs",
          "--events-backend=file",
          "run",
          "--rm",
          "--network=none",
          "--cgroups=disabled",
          "--ulimit=nofile=1024:4096",
          "--ulimit=nproc=1000:1000",
          "--user",
          id + ":" + id,
          "-v",
          volume,
          "--rootfs",
          directory_ / "rootfs",
          "/program"};
}

void Podman::wait_for_the_rest() {
  while (wait(nullptr) > 0 || errno == EINTR) {
  }
}

}  // namespace benchmarks
