// Finding the command.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/plan.h"

namespace stepdown {

// Looks along `path`, a ':'-separated list (the usual directories where nullopt), for the first
// executable regular file. A name with a '/' is a path itself, relative to `directory`.
CommandLookup find_command(const std::string& name, std::optional<std::string_view> path,
                           const std::string& directory);

// Follows `file` to the program that the kernel would load in the end, through a script's "#!" and
// that interpreter's own (execve(2), "Interpreter scripts"), and says what is missing on the way.
struct LoadedProgram {
  std::string file;                    // the last one, whose file capabilities count
  std::optional<std::string> missing;  // an interpreter or dynamic loader that is not there: words
};
LoadedProgram follow_interpreters(const std::string& file, const std::string& directory);

}  // namespace stepdown
