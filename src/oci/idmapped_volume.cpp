// A volume of a container, given to the app by the ids that its mount shows.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "oci/init_process.h"
#include "oci/volume.h"
#include "ownership/resolve.h"
#include "ownership/rules.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

Owner owner_in(const struct statx& status) {
  return {Uid{status.stx_uid}, Gid{status.stx_gid}};
}

std::string words(Owner owner) {
  return std::to_string(raw(owner.uid)) + ":" + std::to_string(raw(owner.gid));
}

std::vector<IdMapping> one_id(std::uint32_t on_disk, std::uint32_t in_the_mount) {
  return {{on_disk, in_the_mount, 1}};
}

// What they say of a filesystem or a kernel that can't (mount_setattr(2)). EPERM: no rights over
// the filesystem, as with a rootless engine, or the mount is an idmapped one already.
bool is_inability(int number) {
  return number == EINVAL || number == EOPNOTSUPP || number == ENOSYS || number == EPERM;
}

std::string inability(const char* call, int number) {
  return std::string(call) + ": " + std::strerror(number);
}

}  // namespace

IdmappedVolume::IdmappedVolume(Volume volume, userns::SpareNamespace& maps, Owner target,
                               const IdMaps& runtime, bool allow_root)
    : volume_(std::move(volume)), target_(target) {
  const Owner owner = owner_in(volume_.top.status);
  already_right_ = owner == target_;
  if (already_right_) return;
  if ((is_hosts_root(runtime.uid, raw(owner.uid)) || is_hosts_root(runtime.gid, raw(owner.gid))) &&
      !allow_root)
    refuse(volume_.step,
           volume_.path + " belongs to " + words(owner) +
               " on the host: what the app makes there would be root's, a set-user-ID program too",
           "give the volume to a user of the host, use --own, or accept that with --idmap-root "
           "where no user of the host can reach the volume");
  namespace_ = maps.with_maps(one_id(raw(owner.uid), raw(target_.uid)),
                              one_id(raw(owner.gid), raw(target_.gid)));
  static_cast<void>(mapped_copy(unsupported_));
}

sys::Fd IdmappedVolume::mapped_copy(std::string& reason) const {
  // With all that is mounted below: it would be hidden otherwise.
  sys::Fd copy(::open_tree(volume_.top.fd.get(), "",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (!copy) {
    if (!is_inability(errno)) throw_errno(volume_.step, "open_tree(2)", volume_.path);
    reason = inability("open_tree(2)", errno);
    return {};
  }
  mount_attr wanted{};
  wanted.attr_set = volume_.attributes | MOUNT_ATTR_IDMAP;
  wanted.userns_fd = static_cast<std::uint64_t>(namespace_.get());
  if (::mount_setattr(copy.get(), "", AT_EMPTY_PATH, &wanted, sizeof wanted) != 0) {
    if (!is_inability(errno)) throw_errno(volume_.step, "mount_setattr(2)", volume_.path);
    reason = inability("mount_setattr(2)", errno);
    return {};
  }
  // A filesystem that was mounted within a user namespace counts in the words of that one.
  struct statx status {};
  if (!sys::look(copy.get(), status)) throw_errno(volume_.step, "statx(2)", volume_.path);
  if (owner_in(status) == target_) return copy;
  reason = "the filesystem has ids of its own";
  return {};
}

void IdmappedVolume::attach() const {
  std::string reason;
  const sys::Fd copy = mapped_copy(reason);
  if (!copy) refuse(volume_.step, reason);
  // What is attached to a shared mount comes about in its whole peer group, which may reach to the
  // host (mount_namespaces(7)). The copy has taken the group over; the mount below needs it no
  // more.
  mount_attr alone{};
  alone.propagation = MS_PRIVATE;
  if (::mount_setattr(volume_.top.fd.get(), "", AT_EMPTY_PATH, &alone, sizeof alone) != 0)
    throw_errno(volume_.step, "mount_setattr(2)", volume_.path);
  if (::move_mount(copy.get(), "", volume_.top.fd.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    throw_errno(volume_.step, "move_mount(2)", volume_.path);
  const ownership::Resolution now = ownership::resolve(volume_.step, volume_.path);
  if (!now.exists() || owner_in(now.last().status) != target_)
    refuse(volume_.step, volume_.path + " is not the mount that was made there");
}

}  // namespace stepdown::oci
