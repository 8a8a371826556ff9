// A volume of a container that is being created, found and handed over from outside. All of it
// after enter_container or enter_root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "oci/document.h"
#include "ownership/resolve.h"
#include "stepdown/log.h"
#include "stepdown/ownership.h"
#include "sys/files.h"
#include "userns/spare.h"

namespace stepdown::oci {

// What can be seen only before the container is entered.
struct Outside {
  // The directories of the host that are never handed over as a whole, though a container may have
  // them as a volume (docker run -v /:/host).
  std::vector<sys::InodeId> directories;
  std::uint64_t devices = 0;  // the device of the filesystem on /dev, 0 where it has none
  // What the bind mounts of the config are made of, in the order of its mounts; nullopt for those
  // of another kind, and where nothing is found.
  std::vector<std::optional<sys::InodeId>> sources;
};
Outside look_outside(const Container& container, const std::string& bundle);

struct Volume {
  std::string step;  // of errors: "--own /data"
  ownership::Pinned top;
  std::string path;  // canonical, in the container
  bool read_only = false;
  std::uint64_t attributes = 0;  // MOUNT_ATTR_RDONLY and so on, which the config asks for
};

// `path` must be the destination of one of the container's mounts, word by word, and one of data;
// what is reached, by no link, must be the root of a mount that isn't the root filesystem's, made
// of what the config says, and nothing that --own refuses (ownership.h). Error.
Volume find_volume(const std::string& step, const OwnedPath& path, const Container& container,
                   const Outside& outside, Owner target);

// Error: the config has a mount below with attributes (ro, nosuid and so on). A runtime may set
// them only after the hooks (crun does), and not on the copy that an idmapped mount has of it.
void refuse_attributes_below(const Volume& volume, const Container& container);

// Error: nothing that a walk could do would let the target write there.
void check_hand_over(const Volume& volume, const HandOverTarget& target);
// The walk (ownership.h). Error: a call failed; what was handed over before that stays so.
void hand_over(Volume volume, bool recursive, const HandOverTarget& target, const Log& log);

// An idmapped mount in the place of a volume's own (mount_setattr(2), MOUNT_ATTR_IDMAP): the
// volume's owner, which is that of its top directory, is the target in there and the other way
// round. Nothing on the disk changes, whatever its size. Files of other owners belong to nobody
// (65534) in there; what is mounted below the top stays as it is.
class IdmappedVolume {
 public:
  // Tries, on a copy of the mount that nobody sees, and keeps none. Error: a volume of root's, by
  // the `runtime`'s own maps, without `allow_root`. Where the filesystem or the kernel can't,
  // `unsupported` says why.
  IdmappedVolume(Volume volume, userns::SpareNamespace& maps, Owner target, const IdMaps& runtime,
                 bool allow_root);

  [[nodiscard]] const std::string& unsupported() const { return unsupported_; }
  // The target owns it as it is: there is nothing to do.
  [[nodiscard]] bool already_right() const { return already_right_; }
  [[nodiscard]] const Volume& volume() const { return volume_; }
  // Error: it could be done a moment ago and can't now.
  void attach() const;
  // The volume itself, for a walk instead.
  [[nodiscard]] Volume give_back() && { return std::move(volume_); }

 private:
  [[nodiscard]] sys::Fd mapped_copy(std::string& reason) const;

  Volume volume_;
  Owner target_;
  sys::Fd namespace_;
  bool already_right_ = false;
  std::string unsupported_;
};

}  // namespace stepdown::oci
