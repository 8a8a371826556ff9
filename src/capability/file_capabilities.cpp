#include "stepdown/file_capabilities.h"

#include <linux/capability.h>
#include <linux/xattr.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <array>
#include <cstdint>

#include "stepdown/error.h"

namespace stepdown {

namespace {

// The attribute is little-endian on every machine (struct vfs_cap_data).
std::uint32_t word(std::string_view bytes, std::size_t index) {
  std::uint32_t value = 0;
  for (std::size_t byte = 0; byte < 4; ++byte)
    value |= std::uint32_t{static_cast<unsigned char>(bytes[index * 4 + byte])} << (8 * byte);
  return value;
}

std::size_t length_of_revision(std::uint32_t revision) {
  switch (revision) {
    case VFS_CAP_REVISION_1:
      return XATTR_CAPS_SZ_1;
    case VFS_CAP_REVISION_2:
      return XATTR_CAPS_SZ_2;
    case VFS_CAP_REVISION_3:
      return XATTR_CAPS_SZ_3;
    default:
      return 0;
  }
}

}  // namespace

std::optional<FileCapabilities> parse_file_capabilities(std::string_view bytes) {
  const std::uint32_t magic = bytes.size() >= 4 ? word(bytes, 0) : 0;
  const std::uint32_t revision = magic & VFS_CAP_REVISION_MASK;
  const std::size_t length = length_of_revision(revision);
  if (length == 0 || bytes.size() != length)
    refuse("security.capability", "the command's file capabilities are malformed",
           "remove them with: setcap -r FILE");
  FileCapabilities file;
  file.effective = (magic & VFS_CAP_FLAGS_EFFECTIVE) != 0;
  std::uint64_t permitted = word(bytes, 1);
  std::uint64_t inheritable = word(bytes, 2);
  if (revision != VFS_CAP_REVISION_1) {
    permitted |= std::uint64_t{word(bytes, 3)} << 32;
    inheritable |= std::uint64_t{word(bytes, 4)} << 32;
  }
  // The kernel hands out revision 2 where the root of this namespace is meant (user_namespaces(7)).
  if (revision == VFS_CAP_REVISION_3 && word(bytes, 5) != 0) return std::nullopt;
  file.permitted = CapabilitySet::from_bits(permitted);
  file.inheritable = CapabilitySet::from_bits(inheritable);
  return file;
}

std::optional<FileCapabilities> read_file_capabilities(const std::string& path) {
  std::array<char, XATTR_CAPS_SZ_3> bytes{};
  const ssize_t length = ::getxattr(path.c_str(), XATTR_NAME_CAPS, bytes.data(), bytes.size());
  if (length < 0) return std::nullopt;
  struct statvfs mount {};
  if (::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0) return std::nullopt;
  return parse_file_capabilities({bytes.data(), static_cast<std::size_t>(length)});
}

ExecOutcome exec_outcome(const CapabilityState& before, bool no_new_privs,
                         const std::optional<FileCapabilities>& file) {
  ExecOutcome after;
  if (!file) {
    after.ambient = before.ambient;
    after.permitted = before.ambient;
    after.effective = before.ambient;
    return after;
  }
  // A file with capabilities of any kind is privileged: the ambient set is cleared.
  after.permitted = (before.bounding & file->permitted) | (before.inheritable & file->inheritable);
  if (file->effective && !after.permitted.contains(file->permitted)) after.refused = true;
  if (no_new_privs) after.permitted = after.permitted & before.permitted;
  if (file->effective) after.effective = after.permitted;
  return after;
}

}  // namespace stepdown
