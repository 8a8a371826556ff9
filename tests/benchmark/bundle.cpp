#include "bundle.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace benchmarks {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json volume_mount(const fs::path& source) {
  return {{"destination", "/data"},
          {"type", "bind"},
          {"source", source},
          {"options", {"bind", "rw", "nosuid", "nodev"}}};
}

json hook_of(const Words& words) {
  Words arguments = words;
  arguments.front() = "stepdown";
  return {{"path", words.front()},
          {"args", arguments},
          {"env", {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}},
          {"timeout", 60}};
}

}  // namespace

void own_mounts() {
  if (unshare(CLONE_NEWNS) != 0) check(errno, "unshare");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) check(errno, "mount");
}

Workplace::Workplace(bool on_tmpfs) {
  if (!on_tmpfs) return;
  own_mounts();
  if (mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "mode=0755") != 0)
    check(errno, "a tmpfs");
  mounted_ = true;
}

Workplace::~Workplace() {
  if (mounted_) umount2(directory_.path().c_str(), MNT_DETACH);
}

Bundles::Bundles(const fs::path& directory, const fs::path& program)
    : directory_(directory), runc_(needed_program("runc")) {
  fs::create_directories(directory_ / "rootfs" / "data");
  fs::copy_file(program, directory_ / "rootfs" / "program");
}

fs::path Bundles::add(const Container& container) const {
  const fs::path bundle = directory_ / container.name;
  fs::create_directory(bundle);
  output_of({runc_, "spec", "--bundle", bundle});
  fs::path path = bundle / "config.json";
  json config = json::parse(std::ifstream(path));
  config["root"]["path"] = directory_ / "rootfs";
  json& process = config["process"];
  process["terminal"] = false;
  process["args"] = {"/program"};
  process["user"] = {{"uid", container.user}, {"gid", container.user}};
  if (container.user != 0) process["capabilities"] = json::object();
  if (!container.volume.empty()) config["mounts"].push_back(volume_mount(container.volume));
  if (!container.hook.empty()) {
    config["hooks"]["createRuntime"] = json::array({hook_of(container.hook)});
  }
  std::ofstream(path) << config;
  return path;
}

Words Bundles::run(const fs::path& config) const {
  const fs::path bundle = config.parent_path();
  // Its cgroup is named after it, and the machine's.
  const std::string id =
      "stepdown-benchmark-" + std::to_string(getpid()) + "-" + bundle.filename().string();
  return {"--root", directory_ / "state", "run", "--bundle", bundle, id};
}

VolumeTree::VolumeTree(const fs::path& path, int files) : path_(path) {
  fs::path directory;
  for (int i = 0; i < files; ++i) {
    if (i % 1000 == 0) {
      directory = path_ / std::to_string(i / 1000);
      fs::create_directories(directory);
    }
    const int file = open((directory / std::to_string(i)).c_str(),
                          O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) check(errno, "a file of the volume");
    close(file);
  }
}

void VolumeTree::give_to(uid_t user) const {
  struct stat top {};
  if (stat(path_.c_str(), &top) != 0) check(errno, path_);
  if (top.st_uid == user) return;
  const auto give = [user](const fs::path& path) {
    if (lchown(path.c_str(), user, user) != 0) check(errno, path);
  };
  give(path_);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path_)) give(entry);
  const int filesystem = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (filesystem < 0 || syncfs(filesystem) != 0) check(errno, path_);
  close(filesystem);
}

void keep_streams() {
  const int old = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (old < 0) check(errno, "fcntl");
  // The variable may be set (the GNU C Library's manual, Standard Streams).
  stdout = fdopen(old, "w");
  if (stdout == nullptr) check(errno, "fdopen");
  const int nothing = memfd_create("streams", MFD_CLOEXEC);
  if (nothing < 0) check(errno, "memfd_create");
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO}) {
    if (dup2(nothing, stream) < 0) check(errno, "dup2");
  }
  close(nothing);
}

}  // namespace benchmarks
