// Look-ups in the texts of passwd(5) and group(5). Only a line that is used must be well-formed;
// Docker and gosu read a malformed id as 0, here it is an error that names the line.
#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "identity/words.h"
#include "stepdown/error.h"
#include "stepdown/identity.h"

namespace stepdown {

namespace {

using identity::decimal;
using identity::quoted;

// A line cut into its fields, as views into the file's text.
struct Line {
  std::size_t number = 0;  // from 1
  std::string_view text;   // without leading blanks
  std::array<std::string_view, 7> fields;
  std::size_t count = 0;  // of the fields that are there, at most 7

  [[nodiscard]] std::string_view name() const { return fields[0]; }
};

namespace passwd_field {
constexpr std::size_t uid = 2, gid = 3, home = 5, shell = 6;
}
namespace group_field {
constexpr std::size_t gid = 2, members = 3;
}

// Walks over the lines that are entries.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  bool next() {
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      const std::string_view text = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++line_.number;
      // Docker and glibc skip leading blanks, too.
      const std::size_t start = text.find_first_not_of(identity::blanks);
      if (start == std::string_view::npos || !is_entry(text[start])) continue;
      cut(text.substr(start));
      return true;
    }
    return false;
  }
  [[nodiscard]] const Line& line() const { return line_; }

 private:
  // '+' and '-' begin an instruction to nss_compat (nsswitch.conf(5)), which getpwnam(3) never
  // takes for an account either: "-app" even means that app is to be left out.
  static bool is_entry(char first) { return first != '#' && first != '+' && first != '-'; }

  void cut(std::string_view text) {
    line_.text = text;
    line_.fields.fill({});
    line_.count = 0;
    while (line_.count < line_.fields.size()) {
      const std::size_t end = text.find(':');
      line_.fields[line_.count++] = text.substr(0, end);
      if (end == std::string_view::npos) return;
      text.remove_prefix(end + 1);
    }
  }

  std::string_view rest_;
  Line line_;
};

// The file that a line came from, as messages need it.
struct Source {
  const std::string& path;
  std::string_view form;
};

Source passwd_of(const AccountFiles& files) {
  return {files.passwd_path, "name:password:uid:gid:comment:home:shell, see passwd(5)"};
}

Source group_of(const AccountFiles& files) {
  return {files.group_path, "name:password:gid:members, see group(5)"};
}

[[noreturn]] void malformed(const Source& source, const Line& line, std::string_view cause) {
  std::string hint = "correct that line: ";
  hint += source.form;
  if (line.text.ends_with('\r')) {
    hint += "\n  it ends in a carriage return: convert the file to Unix line ends";
  }
  refuse(source.path + ":" + std::to_string(line.number), cause, hint);
}

// What every used line must have.
void require_readable(const Source& source, const Line& line) {
  if (line.text.find('\0') != std::string_view::npos) {
    malformed(source, line, "the line contains a NUL byte");
  }
  if (line.name().empty()) malformed(source, line, "the entry has no name");
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
