// The commands of stepdown, one file each. Every one takes the words after its name, returns the
// exit status and throws Error; main prints it.
#pragma once

#include <string>
#include <vector>

namespace stepdown::cli {

using Words = std::vector<std::string>;

int run_command(const Words& words);
int plan_command(const Words& words);
int check_command(const Words& words);
int profile_command(const Words& words);
int seccomp_command(const Words& words);
int hook_command(const Words& words);
int runtime_command(const Words& words);
// Under the names gosu and su-exec: their grammar. `name` is the one that was called.
int gosu_command(const std::string& name, const Words& words);

}  // namespace stepdown::cli
