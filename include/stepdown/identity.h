// Who the app shall be: `USER[:GROUP]` resolved against passwd(5) and group(5) with Docker's
// semantics, by a parser of our own, because a static binary must not need NSS and because every
// malformed id must be an error instead of a 0.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/ids.h"

namespace stepdown {

// The texts of the two account files and the names to give them in messages. A missing file is an
// empty text.
struct AccountFiles {
  std::string passwd;
  std::string group;
  std::string passwd_path = "/etc/passwd";
  std::string group_path = "/etc/group";
  // subuid(5) and subgid(5), read where a user namespace may need them.
  std::string subuid = {};
  std::string subgid = {};
  std::string subuid_path = "/etc/subuid";
  std::string subgid_path = "/etc/subgid";
};

// Reads both files. Error: one that is not a regular file, or larger than 10 MiB, or can't be read.
AccountFiles read_account_files(const std::string& passwd_path = "/etc/passwd",
                                const std::string& group_path = "/etc/group");

// The same of the root filesystem that the descriptor `root` (a directory) has open: links and ".."
// lead nowhere else, and what isn't regular isn't opened. Messages say "(in the image)".
AccountFiles read_account_files_in(int root);

// Adds the texts of subuid(5) and subgid(5), which the paths in `files` name. Errors likewise.
void read_subordinate_files(AccountFiles& files);

// A passwd(5) line. `home` and `shell` are empty where the line ends before them.
struct Account {
  std::string name;
  Uid uid{};
  Gid gid{};
  std::string home;
  std::string shell;
  friend bool operator==(const Account&, const Account&) = default;
};

// The first entry with that name, or that uid; nullopt when there is none. Error: the line that is
// used is malformed or out of range (names file and line).
std::optional<Account> find_account(const AccountFiles& files, std::string_view name);
std::optional<Account> find_account(const AccountFiles& files, Uid uid);

// The gid of the first group with that name. Errors as above.
std::optional<Gid> find_group(const AccountFiles& files, std::string_view name);

// Every group whose member list names `user`, in file order, without duplicates.
std::vector<Gid> groups_of(const AccountFiles& files, std::string_view user);

// `count` ids from `first` on that an account may map into a user namespace.
struct SubordinateRange {
  std::uint32_t first = 0, count = 0;
  friend bool operator==(const SubordinateRange&, const SubordinateRange&) = default;
};
// The ranges of every line "OWNER:FIRST:COUNT" whose owner is `user` (when it has a name) or the
// number `uid`, in file order; `path` names the file in messages. Error: such a line is malformed,
// empty or reaches 4294967295.
std::vector<SubordinateRange> subordinate_ranges(const std::string& text, const std::string& path,
                                                 const std::string& user, Uid uid);

// The words of `USER[:GROUP]`, cut at the first ':'. An empty part counts as not given.
struct UserSpec {
  std::string user;
  std::string group;
  friend bool operator==(const UserSpec&, const UserSpec&) = default;
};
// Error: a second ':'.
UserSpec parse_user_spec(std::string_view spec);

// All digits: an id 0…2147483647; nullopt when `word` is not all digits (then it is a name).
// Error: digits out of range. `step` names the word in the message ("--user").
std::optional<std::uint32_t> parse_id(std::string_view step, std::string_view word);

struct Identity {
  std::string user;  // the account's name, or empty for a number without an entry
  Uid uid{};
  Gid gid{};
  std::vector<Gid> groups;      // supplementary groups, the primary gid first, no duplicates
  std::string home;             // never empty: "/" without an entry or where the entry has none
  bool explicit_group = false;  // GROUP was given by the user: consent to gid 0 as primary
  friend bool operator==(const Identity&, const Identity&) = default;
};

// What a missing GROUP means for a number that has no entry.
enum class MissingGroup {
  refuse,       // stepdown: an error that asks for USER:GROUP
  use_callers,  // gosu, su-exec: the gid of the caller
};

// Resolves per the design's list ("Identity" 1 to 6, but for --group-add). An empty USER means the
// caller's uid `caller_uid` as a number (Docker: ":GROUP" keeps the current user).
// Errors: unknown user, unknown group, out-of-range ids, malformed used lines, a missing GROUP.
Identity resolve_identity(const AccountFiles& files, const UserSpec& spec, Uid caller_uid,
                          Gid caller_gid, MissingGroup missing_group);

// One word of --group-add: a number needs no entry; an unknown name is an error.
Gid resolve_group(const AccountFiles& files, std::string_view step, std::string_view word);

}  // namespace stepdown
