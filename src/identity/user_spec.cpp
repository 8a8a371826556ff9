// The words of `USER[:GROUP]`.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "identity/words.h"
#include "stepdown/error.h"
#include "stepdown/identity.h"

namespace stepdown {

UserSpec parse_user_spec(std::string_view spec) {
  const std::size_t colon = spec.find(':');
  UserSpec words{.user = std::string(spec.substr(0, colon)), .group = {}};
  if (colon == std::string_view::npos) return words;
  words.group = spec.substr(colon + 1);
  if (words.group.find(':') != std::string::npos) {
    refuse("user " + identity::quoted(spec), "more than one ':'",
           "give a user and at most one group, USER[:GROUP]; further groups with --group-add");
  }
  return words;
}

std::optional<std::uint32_t> parse_id(std::string_view step, std::string_view word) {
  const std::optional<std::uint64_t> value = identity::decimal(word);
  if (!value) return std::nullopt;
  if (*value > largest_id) {
    std::string hint = "give an id from ";
    hint += identity::id_range;
    refuse(step, "the id " + identity::quoted(word) + " is out of range", hint);
  }
  return static_cast<std::uint32_t>(*value);
}

}  // namespace stepdown
