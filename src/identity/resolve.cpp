// From the words of USER[:GROUP] to ids, as Docker does it, but never to an id nobody wrote down.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "identity/words.h"
#include "stepdown/error.h"
#include "stepdown/identity.h"

namespace stepdown {

namespace {

using identity::quoted;

// A word that begins like no name does (useradd(8)) was probably meant as a number.
bool begins_like_a_name(std::string_view word) {
  const char first = word.empty() ? '\0' : word.front();
  return (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_';
}

[[noreturn]] void refuse_unknown(std::string_view step, std::string_view word,
                                 const std::string& path, bool file_is_empty,
                                 std::string_view remedy) {
  std::string cause = "no entry for " + quoted(word) + " in " + path;
  if (file_is_empty) cause += ", which is missing or empty";
  refuse(step, cause,
         begins_like_a_name(word)
             ? remedy
             : "an id is written in digits alone, without a sign, a blank or 0x");
}

// What the caller has by itself is held to the range of what can be given (stepdown/ids.h).
std::uint32_t in_range(std::uint32_t callers_id) {
  if (callers_id > largest_id) {
    refuse("user", "the caller's own id " + std::to_string(callers_id) + " is out of range",
           "give user and group as numbers up to 2147483647: --user 1000:1000");
  }
  return callers_id;
}

}  // namespace

Gid resolve_group(const AccountFiles& files, std::string_view step, std::string_view word) {
  if (word.empty()) refuse(step, "the group is empty", "give a group's name or number");
  if (const std::optional<std::uint32_t> number = parse_id(step, word)) return Gid{*number};
  if (const std::optional<Gid> gid = find_group(files, word)) return *gid;
  refuse_unknown(step, word, files.group_path, files.group.empty(),
                 "create it in the image (groupadd), or give its number, which needs no entry");
}

Identity resolve_identity(const AccountFiles& files, const UserSpec& spec, Uid caller_uid,
                          Gid caller_gid, MissingGroup missing_group) {
  const std::optional<std::uint32_t> number =
      spec.user.empty() ? in_range(raw(caller_uid)) : parse_id("user", spec.user);
  std::optional<Account> account =
      number ? find_account(files, Uid{*number}) : find_account(files, spec.user);
  if (!number && !account) {
    refuse_unknown("user", spec.user, files.passwd_path, files.passwd.empty(),
                   "create it in the image (useradd), or give numbers, which need no entry: "
                   "--user 1000:1000");
  }

  Identity identity;
  identity.explicit_group = !spec.group.empty();
  identity.uid = account ? account->uid : Uid{*number};
  if (identity.explicit_group) {
    identity.gid = resolve_group(files, "group", spec.group);
  } else if (account) {
    identity.gid = account->gid;
  } else if (missing_group == MissingGroup::use_callers) {
    identity.gid = Gid{in_range(raw(caller_gid))};
  } else {
    const std::string uid = std::to_string(*number);
    refuse(
        "user " + uid,
        "no entry in " + files.passwd_path + " tells its group (Docker would take gid 0, root's)",
        "give the group as well: --user " + uid + ":" + uid);
  }
  if (account) {
    identity.user = std::move(account->name);
    identity.home = std::move(account->home);
  }
  if (identity.home.empty()) identity.home = "/";

  identity.groups.push_back(identity.gid);
  if (account && !identity.explicit_group) {
    for (const Gid gid : groups_of(files, identity.user)) {
      if (gid != identity.gid) identity.groups.push_back(gid);
    }
  }
  return identity;
}

}  // namespace stepdown
