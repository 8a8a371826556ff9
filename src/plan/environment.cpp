#include "plan/environment.h"

#include <algorithm>

namespace stepdown {

namespace {

bool names(std::string_view entry, std::string_view name) {
  return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
}

}  // namespace

std::optional<std::string_view> variable(const Environment& environment, std::string_view name) {
  for (const std::string& entry : environment)
    if (names(entry, name)) return std::string_view(entry).substr(name.size() + 1);
  return std::nullopt;
}

void remove_variable(Environment& environment, std::string_view name) {
  std::erase_if(environment, [name](const std::string& entry) { return names(entry, name); });
}

void set_variable(Environment& environment, std::string_view name, std::string_view value) {
  std::string entry = std::string(name) + "=" + std::string(value);
  const auto first = std::find_if(environment.begin(), environment.end(),
                                  [name](const std::string& other) { return names(other, name); });
  if (first == environment.end()) {
    environment.push_back(std::move(entry));
    return;
  }
  *first = std::move(entry);
  environment.erase(std::remove_if(first + 1, environment.end(),
                                   [name](const std::string& other) { return names(other, name); }),
                    environment.end());
}

}  // namespace stepdown
