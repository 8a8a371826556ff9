// `stepdown hook doctor DIR…`: the traps of hooks.d files (oci-hooks(5)) that engines say nothing
// about.
#pragma once

#include <string>
#include <vector>

namespace stepdown::oci {

struct HookProblem {
  std::string file;   // path
  std::string place;  // "hook.path"; empty for the file
  std::string problem, remedy;
  friend bool operator==(const HookProblem&, const HookProblem&) = default;
};
// Every *.json of the directories, by name. Error: a directory can't be read.
std::vector<HookProblem> examine_hook_directories(const std::vector<std::string>& directories);

}  // namespace stepdown::oci
