#include "oci/volume.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string_view>

#include "ownership/rules.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

// "/data//x/" and "/data/./x" are "/data/x"; nullopt where ".." would lead somewhere else.
std::optional<std::string> clean(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(name.size() + 1, path.size()));
    if (name == "..") return std::nullopt;
    if (!name.empty() && name != ".") (result += '/') += name;
  }
  return result.empty() ? "/" : result;
}

// Interfaces of the kernel that a runtime mounts; what else it calls a type is some filesystem.
bool is_data(const Mount& mount) {
  constexpr std::array interfaces = {
      std::string_view("proc"),   std::string_view("sysfs"),   std::string_view("cgroup"),
      std::string_view("devpts"), std::string_view("cgroup2"), std::string_view("mqueue"),
      std::string_view("bpf"),    std::string_view("debugfs"), std::string_view("tracefs"),
  };
  return std::find(interfaces.begin(), interfaces.end(), mount.type) == interfaces.end();
}

// By its type or by an option, for runc and crun alike.
bool is_bind(const Mount& mount) {
  return mount.type == "bind" ||
         std::any_of(mount.options.begin(), mount.options.end(), [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

// The last one: it lies on top.
std::size_t mount_of(const std::string& step, const std::string& path, const Container& container) {
  const std::optional<std::string> wanted = clean(path);
  if (!wanted)
    refuse(step, "a destination has no .. in it", "write the destination as the container has it");
  const auto found =
      std::find_if(container.mounts.rbegin(), container.mounts.rend(),
                   [&wanted](const Mount& mount) { return clean(mount.destination) == wanted; });
  if (found == container.mounts.rend())
    refuse(step, "the container has no volume there",
           "docker: --mount type=volume,target=" + *wanted +
               "; a directory of the image belongs to whom the image says (COPY --chown)");
  if (!is_data(*found)) refuse(step, "what is mounted there is no volume but a " + found->type);
  return static_cast<std::size_t>(found.base() - container.mounts.begin()) - 1;
}

// In the order in which they count: the last word wins. A runtime may remount as they say only
// after the hooks (crun does), and what it remounts is then the mount below ours.
std::uint64_t attributes_of(const Mount& mount) {
  struct Word {
    std::string_view name;
    std::uint64_t bit;
    bool set;
  };
  constexpr std::array words = {
      Word{"ro", MOUNT_ATTR_RDONLY, true},
      Word{"rro", MOUNT_ATTR_RDONLY, true},
      Word{"rw", MOUNT_ATTR_RDONLY, false},
      Word{"rrw", MOUNT_ATTR_RDONLY, false},
      Word{"nosuid", MOUNT_ATTR_NOSUID, true},
      Word{"rnosuid", MOUNT_ATTR_NOSUID, true},
      Word{"suid", MOUNT_ATTR_NOSUID, false},
      Word{"rsuid", MOUNT_ATTR_NOSUID, false},
      Word{"nodev", MOUNT_ATTR_NODEV, true},
      Word{"rnodev", MOUNT_ATTR_NODEV, true},
      Word{"dev", MOUNT_ATTR_NODEV, false},
      Word{"rdev", MOUNT_ATTR_NODEV, false},
      Word{"noexec", MOUNT_ATTR_NOEXEC, true},
      Word{"rnoexec", MOUNT_ATTR_NOEXEC, true},
      Word{"exec", MOUNT_ATTR_NOEXEC, false},
      Word{"rexec", MOUNT_ATTR_NOEXEC, false},
      Word{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, true},
  };
  std::uint64_t attributes = 0;
  for (const std::string& option : mount.options) {
    for (const Word& word : words)
      if (word.name == option) attributes = (attributes & ~word.bit) | (word.set ? word.bit : 0U);
  }
  return attributes;
}

void refuse_other_than_mount(const Volume& volume, const struct statx& root) {
  const struct statx& status = volume.top.status;
  // Who owns an engine's socket is root.
  if (!S_ISDIR(status.stx_mode) && !S_ISREG(status.stx_mode))
    refuse(volume.step, volume.path + " is neither a directory nor a regular file");
  if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0)
    refuse(volume.step, "needs Linux 5.8: nothing else tells where a mount begins");
  if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0 || status.stx_mnt_id == root.stx_mnt_id)
    refuse(volume.step, volume.path + " is a part of the image: no volume is mounted there");
}

// The runtime follows the image's links, and so what the config mounts at one path may lie at the
// one of another mount.
void refuse_links(const Volume& volume, const std::string& destination) {
  if (clean(destination) != volume.path)
    refuse(
        volume.step,
        "the image has a symbolic link on the way: the runtime mounts the volume at " +
            volume.path + ", where another one may lie as well",
        "mount it where it really lies, and name that: images have /var/run -> /run, so /run/app "
        "instead of /var/run/app");
}

// Another mount may have come on top by a link of the image, whose own path is none of ours, or
// above it, so that what lies there came along with that one (rbind).
void refuse_another_volume(const Volume& volume, const std::vector<ownership::Pinned>& above,
                           const Mount& mount, std::size_t place, const Outside& outside) {
  const auto is_source = [&outside](const ownership::Pinned& inode, std::size_t first) {
    const auto end = outside.sources.end();
    return std::find(outside.sources.begin() + static_cast<std::ptrdiff_t>(first), end,
                     sys::inode_of(inode.status)) != end;
  };
  const bool others = is_source(volume.top, 0) ||
                      std::any_of(above.begin(), above.end(), [&](const ownership::Pinned& inode) {
                        return is_source(inode, place + 1);
                      });
  if (is_bind(mount) ? outside.sources[place] != sys::inode_of(volume.top.status) : others)
    refuse(volume.step,
           "what lies at " + volume.path + " is not what the config mounts there (" + mount.source +
               ")",
           "a symbolic link of the image may have led another mount there: see where the image has "
           "links at the destinations of the container's mounts");
}

void refuse_directories_of_the_host(const Volume& volume, const Outside& outside) {
  const sys::InodeId inode = sys::inode_of(volume.top.status);
  if (std::find(outside.directories.begin(), outside.directories.end(), inode) !=
          outside.directories.end() ||
      (outside.devices != 0 && sys::device_of(volume.top.status) == outside.devices))
    refuse(volume.step, "that volume is a directory of the host's own system",
           "mount the directory that the app writes to, and nothing above it");
}

}  // namespace

Outside look_outside(const Container& container, const std::string& bundle) {
  Outside outside;
  std::uint64_t root = 0;
  const auto add = [&outside](const char* path) -> std::uint64_t {
    struct statx status {};
    if (::statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_INO, &status) != 0) return 0;
    outside.directories.push_back(sys::inode_of(status));
    return sys::device_of(status);
  };
  const auto absolute = [&bundle](const std::string& path) {
    return path.starts_with('/') ? path : bundle + "/" + path;
  };
  root = add("/");
  outside.devices = add("/dev");
  if (outside.devices == root) outside.devices = 0;
  for (const char* path : {"/proc", "/sys", "/run"}) add(path);
  for (const char* path : ownership::never_as_a_whole) add(path);
  // Who owns a directory above the configuration or the root filesystem writes them, above where
  // they are called to be and above where a link has led.
  const auto add_all_above = [&](std::string path) {
    const std::size_t length = path.size();
    while (add(path.c_str()) != 0 && outside.directories.back() != outside.directories.front())
      path += "/..";
    for (path.resize(length); !path.empty(); path.resize(path.rfind('/'))) add(path.c_str());
  };
  add_all_above(bundle);
  add_all_above(absolute(container.root));
  for (const Mount& mount : container.mounts) {
    std::optional<sys::InodeId>& source = outside.sources.emplace_back();
    if (!is_bind(mount)) continue;
    struct statx status {};
    if (::statx(AT_FDCWD, absolute(mount.source).c_str(), AT_NO_AUTOMOUNT, STATX_INO, &status) == 0)
      source = sys::inode_of(status);
  }
  return outside;
}

Volume find_volume(const std::string& step, const OwnedPath& path, const Container& container,
                   const Outside& outside, Owner target) {
  const std::size_t place = mount_of(step, path.path, container);
  const Mount& mount = container.mounts[place];
  ownership::Examined examined = ownership::examine(step, path, target);
  if (!examined.resolution.exists()) refuse(step, "nothing is mounted there");
  Volume volume;
  volume.step = step;
  volume.path = examined.resolution.path;
  volume.attributes = attributes_of(mount);
  volume.read_only =
      examined.read_only_mount || (volume.attributes & std::uint64_t{MOUNT_ATTR_RDONLY}) != 0;
  const struct statx root = examined.resolution.trail.front().status;
  volume.top = std::move(examined.resolution.trail.back());
  examined.resolution.trail.pop_back();
  refuse_links(volume, path.path);
  refuse_other_than_mount(volume, root);
  refuse_directories_of_the_host(volume, outside);
  refuse_another_volume(volume, examined.resolution.trail, mount, place, outside);
  return volume;
}

void refuse_attributes_below(const Volume& volume, const Container& container) {
  const auto is_below = [&volume](const std::optional<std::string>& path) {
    return path && path->starts_with(volume.path + "/");
  };
  for (const Mount& mount : container.mounts) {
    if (attributes_of(mount) == 0) continue;
    // By its name, and where a link of the image leads it.
    if (is_below(clean(mount.destination)) ||
        is_below(ownership::resolve(volume.step, mount.destination).path))
      refuse(volume.step,
             "the config mounts " + mount.destination +
                 " within it with options such as ro and nosuid, which an idmapped mount above "
                 "would lose",
             "use --own " + volume.path + ", or mount the other one somewhere else");
  }
}

}  // namespace stepdown::oci
