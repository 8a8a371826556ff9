#include "launch/id_maps.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "inspect/status_text.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace stepdown::steps {

namespace {

bool holds(const IdMapping& line, const IdMapping& wanted) {
  const std::uint64_t end = std::uint64_t{line.inside} + line.length;
  return wanted.outside >= line.inside && std::uint64_t{wanted.outside} + wanted.length <= end;
}

// PROC_USER_INIT_INO of the kernel: the initial namespace, where there is nothing to look up.
bool is_initial_namespace() {
  char name[64];
  const ssize_t length = ::readlink("/proc/self/ns/user", name, sizeof name);
  return length > 0 &&
         std::string_view(name, static_cast<std::size_t>(length)) == "user:[4026531837]";
}

}  // namespace

std::optional<std::string> unmapped(const char* map, const std::vector<IdMapping>& wanted) {
  if (is_initial_namespace()) return std::nullopt;
  const sys::Fd file = sys::open_procfs(map);
  if (!file) return std::nullopt;
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(file.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  const std::vector<IdMapping> lines = inspect::parse_id_map(map, text);
  for (const IdMapping& range : wanted) {
    if (std::any_of(lines.begin(), lines.end(),
                    [&range](const IdMapping& line) { return holds(line, range); }))
      continue;
    const std::string first = std::to_string(range.outside);
    return (range.length == 1 ? "id " + first + " is"
                              : "ids " + first + " to " +
                                    std::to_string(range.outside + (range.length - 1)) + " are") +
           " not mapped in this user namespace (" + map + "): give the engine a range that has " +
           (range.length == 1 ? "it" : "them");
  }
  return std::nullopt;
}

}  // namespace stepdown::steps
