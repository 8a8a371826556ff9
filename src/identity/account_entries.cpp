// Look-ups in the texts of passwd(5) and group(5). Only a line that is used must be well-formed;
// Docker and gosu read a malformed id as 0, here it is an error that names the line.
#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "identity/lines.h"
#include "identity/words.h"
#include "stepdown/error.h"
#include "stepdown/identity.h"

namespace stepdown {

namespace {

using identity::decimal;
using identity::Line;
using identity::Lines;
using identity::malformed;
using identity::quoted;
using identity::require_readable;
using identity::Source;

namespace passwd_field {
constexpr std::size_t uid = 2, gid = 3, home = 5, shell = 6;
}
namespace group_field {
constexpr std::size_t gid = 2, members = 3;
}

Source passwd_of(const AccountFiles& files) {
  return {files.passwd_path, "name:password:uid:gid:comment:home:shell, see passwd(5)"};
}

Source group_of(const AccountFiles& files) {
  return {files.group_path, "name:password:gid:members, see group(5)"};
}

std::uint32_t id_of(const Source& source, const Line& line, std::size_t field,
                    std::string_view what) {
  std::string cause = "the ";
  cause += what;
  cause += " of " + quoted(line.name());
  if (field >= line.count) malformed(source, line, cause + " is missing");
  const std::optional<std::uint64_t> value = decimal(line.fields[field]);
  if (!value || *value > largest_id) {
    cause += " is " + quoted(line.fields[field]) + ", not a number from ";
    cause += identity::id_range;
    malformed(source, line, cause);
  }
  return static_cast<std::uint32_t>(*value);
}

Account account_of(const Source& source, const Line& line) {
  require_readable(source, line);
  const std::string_view home = line.fields[passwd_field::home];
  // It would become a part of $HOME. The shell, which nothing here uses, is free text.
  if (home.ends_with('\r')) {
    malformed(source, line, "the home of " + quoted(line.name()) + " is " + quoted(home));
  }
  return {.name = std::string(line.name()),
          .uid = Uid{id_of(source, line, passwd_field::uid, "uid")},
          .gid = Gid{id_of(source, line, passwd_field::gid, "gid")},
          .home = std::string(home),
          .shell = std::string(line.fields[passwd_field::shell])};
}

Gid gid_of(const Source& source, const Line& line) {
  require_readable(source, line);
  return Gid{id_of(source, line, group_field::gid, "gid")};
}

std::string_view without_blanks(std::string_view word) {
  const std::size_t start = word.find_first_not_of(identity::blanks);
  if (start == std::string_view::npos) return {};
  return word.substr(start, word.find_last_not_of(identity::blanks) - start + 1);
}

bool lists(const Source& source, const Line& line, std::string_view user) {
  std::string_view rest = line.fields[group_field::members];
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string_view member = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (member == user) return true;
    // glibc takes "root, app" for a membership of app and Docker does not: neither is guessed.
    if (without_blanks(member) == user) {
      malformed(source, line, "there is a blank beside the member " + quoted(user));
    }
  }
  return false;
}

}  // namespace

std::optional<Account> find_account(const AccountFiles& files, std::string_view name) {
  if (name.empty()) return std::nullopt;
  for (Lines lines(files.passwd); lines.next();) {
    if (lines.line().name() == name) return account_of(passwd_of(files), lines.line());
  }
  return std::nullopt;
}

std::optional<Account> find_account(const AccountFiles& files, Uid uid) {
  for (Lines lines(files.passwd); lines.next();) {
    if (decimal(lines.line().fields[passwd_field::uid]) == raw(uid)) {
      return account_of(passwd_of(files), lines.line());
    }
  }
  return std::nullopt;
}

std::optional<Gid> find_group(const AccountFiles& files, std::string_view name) {
  if (name.empty()) return std::nullopt;
  for (Lines lines(files.group); lines.next();) {
    if (lines.line().name() == name) return gid_of(group_of(files), lines.line());
  }
  return std::nullopt;
}

std::vector<Gid> groups_of(const AccountFiles& files, std::string_view user) {
  std::vector<Gid> groups;
  std::set<Gid> seen;
  if (user.empty()) return groups;
  const Source source = group_of(files);
  for (Lines lines(files.group); lines.next();) {
    if (!lists(source, lines.line(), user)) continue;
    const Gid gid = gid_of(source, lines.line());
    if (!seen.insert(gid).second) continue;
    // A process can't have more (setgroups(2)).
    if (groups.size() == NGROUPS_MAX)
      refuse(files.group_path, "it lists " + quoted(user) + " in more than 65536 groups");
    groups.push_back(gid);
  }
  return groups;
}

}  // namespace stepdown
