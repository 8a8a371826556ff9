// What may be handed over and what is left alone: pure functions of what was seen.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "stepdown/ownership.h"

namespace stepdown::ownership {

// What to do with one entry.
enum class Verdict {
  right,        // uid and gid are the target's: not touched, or its ctime would change
  wrong,        // to be changed
  directory,    // to be entered; its own owner is judged by is_right
  left_alone,   // a sticky or world-writable directory
  hard_link,    // another name for a file of someone else, who may not have agreed
  other_mount,  // something else is mounted there
  device,       // the owner of a device decides over hardware, not over data
};
// `mount` is STATX_MNT_ID of the top of the tree.
Verdict judge(const struct statx& entry, std::uint64_t mount, Owner target);

bool is_right(const struct statx& entry, Owner target);

// Whether the mode bits let the target write there already (a directory: create entries in it).
// Access control lists are not looked at, so this errs towards false.
bool target_can_write(const struct statx& entry, const HandOverTarget& target);

// Whether only root can have put a symlink into this directory.
bool symlinks_are_trusted_in(const struct statx& directory);

// Whether a missing path may be created in this directory: a stranger who owns it could swap what
// was created for something else.
bool may_create_in(const struct statx& directory, Owner target);

// What is never handed over as it is, though what lies below may be; "/" itself goes without
// saying.
inline constexpr const char* never_as_a_whole[] = {
    "/bin",   "/boot",   "/etc",  "/home", "/lib", "/lib32",
    "/lib64", "/libx32", "/root", "/sbin", "/usr", "/var",
};

// Why the canonical path `path` is refused by its name alone; nullopt when it isn't. `path` has
// neither symlinks, "." and ".." nor superfluous slashes.
std::optional<std::string> refused_by_name(std::string_view path, bool recursive);

// Whether statfs(2) says that this is an interface of the kernel and no place for data.
bool is_kernel_interface(std::uint64_t filesystem_magic);

}  // namespace stepdown::ownership
