#include "stepdown/user_namespace.h"

#include <algorithm>
#include <array>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/text.h"

namespace stepdown {

namespace {

constexpr std::string_view form =
    "three numbers, INSIDE:OUTSIDE:LENGTH, as 0:1000:1 (user_namespaces(7))";

// The kernel takes less than a page in its one write (user_namespaces(7)); no page is smaller.
constexpr std::size_t smallest_page = 4096;

constexpr std::uint32_t no_id = 4294967295;  // (uid_t)-1, setresuid(2)

std::string words_of(const IdMapping& line) {
  return std::to_string(line.inside) + ":" + std::to_string(line.outside) + ":" +
         std::to_string(line.length);
}

std::string step_of(std::string_view option, const IdMapping& line) {
  return std::string(option) + " " + words_of(line);
}

void check_line(std::string_view option, const IdMapping& line) {
  if (line.length == 0) refuse(step_of(option, line), "it maps no id: LENGTH is 0", form);
  const auto reaches = [&line](std::uint32_t first) { return no_id - first < line.length; };
  if (reaches(line.inside) || reaches(line.outside))
    refuse(step_of(option, line), "it reaches 4294967295, which is no id",
           "ids go up to 4294967294: choose a smaller LENGTH");
}

bool share(std::uint32_t first_a, std::uint32_t length_a, std::uint32_t first_b,
           std::uint32_t length_b) {
  return first_a < first_b ? first_b - first_a < length_a : first_a - first_b < length_b;
}

bool covers(std::uint32_t first, std::uint32_t length, std::uint32_t id) {
  return share(first, length, id, 1);
}

void check_distinct(std::string_view option, const IdMapping& line, const IdMapping& earlier) {
  const bool inside = share(line.inside, line.length, earlier.inside, earlier.length);
  const bool outside = share(line.outside, line.length, earlier.outside, earlier.length);
  if (!inside && !outside) return;
  refuse(step_of(option, line),
         std::string("it shares ") + (inside ? "inside" : "outside") + " ids with " +
             words_of(earlier),
         "every id can be mapped once on either side");
}

}  // namespace

IdMapping parse_id_mapping(std::string_view option, std::string_view word) {
  std::array<std::uint32_t, 3> numbers{};
  std::string_view rest = word;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const bool last = i + 1 == numbers.size();
    const std::size_t end = last ? rest.size() : rest.find(':');
    const auto number = inspect::parse_decimal<std::uint32_t>(rest.substr(0, end));
    if (end == std::string_view::npos || !number)
      refuse(std::string(option) + " '" + sys::escaped(word) + "'",
             "not three numbers of at most 4294967295", std::string("give ") += form);
    numbers[i] = *number;
    if (!last) rest.remove_prefix(end + 1);
  }
  const IdMapping line{numbers[0], numbers[1], numbers[2]};
  check_line(option, line);
  return line;
}

std::string id_map_text(const std::vector<IdMapping>& map) {
  std::string text;
  for (const IdMapping& line : map) {
    if (!text.empty()) text += '\n';
    text += std::to_string(line.inside) + ' ' + std::to_string(line.outside) + ' ' +
            std::to_string(line.length);
  }
  return text;
}

void check_id_map(std::string_view option, const std::vector<IdMapping>& map) {
  if (map.empty())
    refuse(option, "the map is empty", std::string("give at least one line: ") += form);
  if (map.size() > largest_id_map)
    refuse(option, std::to_string(map.size()) + " lines; the kernel takes at most 340",
           "join ranges that lie side by side");
  for (std::size_t i = 0; i < map.size(); ++i) {
    check_line(option, map[i]);
    for (std::size_t earlier = 0; earlier < i; ++earlier)
      check_distinct(option, map[i], map[earlier]);
  }
  const std::size_t size = id_map_text(map).size();
  if (size >= smallest_page)
    refuse(option,
           "the lines come to " + std::to_string(size) +
               " bytes; the kernel takes less than a page of 4096",
           "join ranges that lie side by side");
}

std::optional<std::uint32_t> inside_id(const std::vector<IdMapping>& map, std::uint32_t outside) {
  for (const IdMapping& line : map)
    if (covers(line.outside, line.length, outside)) return line.inside + (outside - line.outside);
  return std::nullopt;
}

bool maps_outside(const std::vector<IdMapping>& map, std::uint32_t outside) {
  return inside_id(map, outside).has_value();
}

}  // namespace stepdown
