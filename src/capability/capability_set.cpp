#include "stepdown/capability_set.h"

#include <sys/capability.h>

#include <memory>

namespace stepdown {

namespace {

constexpr std::string_view prefix = "cap_";

// ASCII alone: a locale must not decide which capability a word names.
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

std::vector<Capability> CapabilitySet::members() const {
  std::vector<Capability> found;
  for (unsigned number = 0; number < 64; ++number) {
    if (has(Capability{number})) found.push_back(Capability{number});
  }
  return found;
}

std::optional<Capability> capability_from_name(std::string_view name) {
  std::string word;
  for (const char c : name) word += lower(c);
  // cap_from_name(3) would take numbers and stop at the first character that is none of a name's.
  if (word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos) {
    return std::nullopt;
  }
  if (!word.starts_with(prefix)) word.insert(0, prefix);
  cap_value_t number = 0;
  if (cap_from_name(word.c_str(), &number) != 0) return std::nullopt;
  return Capability{static_cast<unsigned>(number)};
}

std::string capability_name(Capability capability) {
  const auto number = static_cast<unsigned>(capability);
  const std::unique_ptr<char, int (*)(void*)> name(cap_to_name(static_cast<cap_value_t>(number)),
                                                   cap_free);
  // cap_to_name(3) gives the bare number of a capability that it doesn't know.
  if (name && std::string_view(name.get()).starts_with(prefix)) return name.get();
  return std::string(prefix) + std::to_string(number);
}

std::string capability_flag(Capability capability) {
  std::string flag = capability_name(capability).substr(prefix.size());
  for (char& c : flag) c = upper(c);
  return flag;
}

}  // namespace stepdown
