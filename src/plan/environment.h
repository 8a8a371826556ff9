// The app's environment: what changes of the caller's, and nothing else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

using Environment = std::vector<std::string>;  // "K=V"

// The first value of that name, as getenv(3) would find it.
std::optional<std::string_view> variable(const Environment& environment, std::string_view name);
// Replaces the first, removes further ones; adds it where there is none.
void set_variable(Environment& environment, std::string_view name, std::string_view value);
void remove_variable(Environment& environment, std::string_view name);

}  // namespace stepdown
