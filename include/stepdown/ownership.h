// Handing paths over to the app's user, without ever following what an attacker may have planted:
// resolution of one path, what may not be named at all, and the walk over a tree.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/ids.h"
#include "stepdown/log.h"

namespace stepdown {

struct Owner {
  Uid uid{};
  Gid gid{};
  friend bool operator==(const Owner&, const Owner&) = default;
};

// One path that belongs to the app (--own PATH[:top]).
struct OwnedPath {
  std::string path;       // absolute
  bool recursive = true;  // false: `:top`, the path itself alone
  friend bool operator==(const OwnedPath&, const OwnedPath&) = default;
};
// "PATH" or "PATH:top". Error: empty or not absolute, a NUL.
OwnedPath parse_owned_path(std::string_view word);

// What a look at an owned path found; nothing is changed.
struct OwnedPathSurvey {
  enum class Kind {
    missing,         // will be created as a directory, with its missing parents
    already_right,   // not recursive (or no directory), and uid and gid are the target's
    to_hand_over,    // a directory whose content is not known before the walk, or a wrong owner
    world_writable,  // sticky or world-writable directory: never walked nor chowned
  };
  Kind kind{};
  std::optional<Owner> owner;  // of the resolved inode, where there is one
  mode_t mode = 0;             // st_mode of the resolved inode, where there is one
  std::string resolved;        // the canonical path that was reached ("/data")
  bool read_only_mount = false;
  bool needs_dac_read_search = false;  // the directory can't be listed by this process as it is
};
// Error: the path is one of those that are refused (see design.md, "Owned paths"), passes through a
// symlink that an untrusted user could have planted, or can't be resolved. `own`'s own step name
// ("--own /data") is in the message.
OwnedPathSurvey survey_owned_path(const OwnedPath& own, Owner target);

// By owner and mode bits alone, which is all there is to go by while nobody can become the target:
// the target can write to what was surveyed.
struct HandOverTarget;
bool may_write_by_mode(const OwnedPathSurvey& survey, const HandOverTarget& target);

// The uid and gid of the inode that `path` resolves to, by the same careful resolution (--user-of).
// Error: it does not exist or can't be resolved.
Owner owner_of_path(const std::string& step, const std::string& path);

// What the walk did.
struct HandOverReport {
  std::uint64_t entries = 0;       // entries looked at, the top included
  std::uint64_t changed = 0;       // entries whose owner was changed
  std::uint64_t hard_links = 0;    // left alone: another name for a file that someone else owns
  std::string first_hard_link;     // path of the first one, for the message
  std::uint64_t other_mounts = 0;  // left alone: something else is mounted there
  std::uint64_t devices = 0;       // left alone: character and block devices
  std::uint64_t shared = 0;        // left alone: sticky or world-writable directories below the top
  std::uint64_t unlisted = 0;      // the target's already, and not for this process to list
  std::uint64_t unchangeable = 0;  // EPERM or EROFS, and the target can write there all the same
};

struct HandOverTarget {
  Owner owner;
  std::vector<Gid> groups;  // supplementary groups: who may write where chown is refused
};

// Hands `own` over to the target: creates it if it is missing, changes what is not right, touches
// nothing else (no ctime changes on entries that are right). `progress` is called now and then with
// the number of entries so far. Errors: as survey_owned_path, and any call that fails, but for
// EPERM and EROFS where the target can write there all the same.
HandOverReport hand_over(const OwnedPath& own, const HandOverTarget& target,
                         const std::function<void(const HandOverReport&)>& progress);

// Files below `path` (and path itself) that this process, as it is now, can't read (directories:
// list and enter). Never follows a symlink below the top, stays on no particular mount. At most
// `limit` of them, as "PATH (mode 0600, owner 0:0)".
std::vector<std::string> unreadable_below(const std::string& path, std::size_t limit);

// What to do about a read-only mount at `path`: "add a volume or --tmpfs PATH:uid=…,gid=…". A tmpfs
// over a directory of the image is root's otherwise.
std::string writable_mount_hint(const std::string& path, Owner target);

// nullopt when this process, as it is now, can write at `path` (a directory: create entries in it;
// a file: open it for writing); else the reason in words.
std::optional<std::string> not_writable_reason(const std::string& path);

}  // namespace stepdown
