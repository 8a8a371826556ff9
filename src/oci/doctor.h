// `stepdown hook doctor DIR…`: the traps of hooks.d files (oci-hooks(5)) that engines say nothing
// about.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stepdown::oci {

struct HookProblem {
  std::string file;   // path
  std::string place;  // "hook.path"; empty for the file
  std::string problem, remedy;
  friend bool operator==(const HookProblem&, const HookProblem&) = default;
};

// What can be told from the text alone; `file` is its path, by which it is CRI-O's as well or not.
// Pure.
std::vector<HookProblem> examine_hook_text(const std::string& file, std::string_view text,
                                           bool crio_is_here = false);

// Every *.json of the directories, by name; where two have the same name, engines take the one of
// the later directory. Error: a directory can't be read.
std::vector<HookProblem> examine_hook_directories(const std::vector<std::string>& directories);

}  // namespace stepdown::oci
