#include "ownership/rules.h"

#include <linux/magic.h>

#include <algorithm>
#include <iterator>

namespace stepdown::ownership {

namespace {

constexpr std::string_view off_limits[] = {"/proc", "/sys", "/dev"};

bool is_at_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

// /lib, /lib64, /libx32, /libexec …: whatever the distribution keeps its libraries in.
bool is_library_directory(std::string_view path) {
  return path.starts_with("/lib") && path.find('/', 1) == std::string_view::npos;
}

}  // namespace

bool is_right(const struct statx& entry, Owner target) {
  return entry.stx_uid == raw(target.uid) && entry.stx_gid == raw(target.gid);
}

Verdict judge(const struct statx& entry, std::uint64_t mount, Owner target) {
  if (entry.stx_mnt_id != mount) return Verdict::other_mount;
  if (S_ISDIR(entry.stx_mode)) {
    const bool shared = (entry.stx_mode & (S_ISVTX | S_IWOTH)) != 0;
    return shared ? Verdict::left_alone : Verdict::directory;
  }
  if (S_ISBLK(entry.stx_mode) || S_ISCHR(entry.stx_mode)) return Verdict::device;
  if (is_right(entry, target)) return Verdict::right;
  if (entry.stx_nlink > 1 && entry.stx_uid != raw(target.uid)) return Verdict::hard_link;
  return Verdict::wrong;
}

bool target_can_write(const struct statx& entry, const HandOverTarget& target) {
  // The mode of a symlink means nothing, and neither does its owner (symlink(7)).
  if (S_ISLNK(entry.stx_mode)) return true;
  const auto is_entrys_group = [&entry](Gid gid) { return raw(gid) == entry.stx_gid; };
  unsigned shift = 0;
  if (entry.stx_uid == raw(target.owner.uid)) {
    shift = 6;
  } else if (is_entrys_group(target.owner.gid) ||
             std::any_of(target.groups.begin(), target.groups.end(), is_entrys_group)) {
    shift = 3;
  }
  const unsigned wanted = S_ISDIR(entry.stx_mode) ? S_IWOTH | S_IXOTH : S_IWOTH;
  return ((static_cast<unsigned>(entry.stx_mode) >> shift) & wanted) == wanted;
}

bool symlinks_are_trusted_in(const struct statx& directory) {
  return directory.stx_uid == raw(root_uid) && (directory.stx_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool may_create_in(const struct statx& directory, Owner target) {
  return directory.stx_uid == raw(root_uid) || directory.stx_uid == raw(target.uid);
}

std::optional<std::string> refused_by_name(std::string_view path, bool recursive) {
  for (const std::string_view top : off_limits) {
    if (is_at_or_below(path, top) && !is_at_or_below(path, "/dev/shm")) {
      return "nothing in " + std::string(top) + " is ever handed over";
    }
  }
  if (path == "/" ||
      std::find(std::begin(never_as_a_whole), std::end(never_as_a_whole), path) !=
          std::end(never_as_a_whole) ||
      is_library_directory(path)) {
    return std::string(path) + " is never handed over";
  }
  if (path == "/run" && recursive) return "/run is handed over only by itself, as /run:top";
  return std::nullopt;
}

bool is_kernel_interface(std::uint64_t filesystem_magic) {
  switch (filesystem_magic) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case SMACK_MAGIC:
    case BPF_FS_MAGIC:
    case BINFMTFS_MAGIC:
    case EFIVARFS_MAGIC:
    case PSTOREFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
      return true;
    default:
      return false;
  }
}

}  // namespace stepdown::ownership
