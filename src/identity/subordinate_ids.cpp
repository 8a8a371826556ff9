// subuid(5) and subgid(5), read as strictly as the account files.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/lines.h"
#include "identity/words.h"
#include "stepdown/identity.h"

namespace stepdown {

namespace {

using identity::decimal;
using identity::Line;
using identity::Lines;
using identity::malformed;
using identity::quoted;
using identity::Source;

constexpr std::size_t field_count = 3;
constexpr std::size_t first_field = 1, count_field = 2;
constexpr std::uint64_t no_id = 4294967295;  // (uid_t)-1, setresuid(2)

std::uint64_t number_of(const Source& source, const Line& line, std::size_t field,
                        std::string_view what) {
  const std::optional<std::uint64_t> value = decimal(line.fields[field]);
  if (value && *value <= no_id) return *value;
  malformed(source, line,
            std::string(what) + " of " + quoted(line.name()) + " is " + quoted(line.fields[field]) +
                ", not a number from 0 to 4294967295");
}

SubordinateRange range_of(const Source& source, const Line& line) {
  require_readable(source, line);
  if (line.count != field_count)
    malformed(source, line,
              "the entry of " + quoted(line.name()) + " has " + std::to_string(line.count) +
                  " fields instead of 3");
  const std::uint64_t first = number_of(source, line, first_field, "the first id");
  const std::uint64_t count = number_of(source, line, count_field, "the count");
  if (count == 0) malformed(source, line, "the range of " + quoted(line.name()) + " is empty");
  if (first + count > no_id)
    malformed(source, line,
              "the range of " + quoted(line.name()) + " reaches 4294967295, which is no id");
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)};
}

}  // namespace

std::vector<SubordinateRange> subordinate_ranges(const std::string& text, const std::string& path,
                                                 const std::string& user, Uid uid) {
  const Source source{path, "OWNER:FIRST:COUNT, see subuid(5)"};
  std::vector<SubordinateRange> ranges;
  for (Lines lines(text); lines.next();) {
    const std::string_view owner = lines.line().name();
    const bool by_name = !user.empty() && owner == user;
    if (by_name || decimal(owner) == raw(uid)) ranges.push_back(range_of(source, lines.line()));
  }
  return ranges;
}

}  // namespace stepdown
