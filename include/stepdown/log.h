// How the rooms below the command line report what they saw. The command line decides where it goes
// (spdlog); a library user may pass any function. Never stdout: that belongs to the app.
#pragma once

#include <functional>
#include <string_view>

namespace stepdown {

enum class LogLevel { debug, info, warning, error };

using Log = std::function<void(LogLevel, std::string_view)>;

}  // namespace stepdown
