// Which ids have a meaning in the user namespace that this process is in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stepdown/ids.h"

namespace stepdown::steps {

// Looking at /proc is among the dearest things a launch does, and ids without a meaning are refused
// by the call that uses them: who asks beforehand is the plan, and a launch that would hand paths
// over first.
//
// Of the ids outside that `wanted` names, the first range that no line of `map`
// ("/proc/self/uid_map") holds as a whole, which is what the kernel asks of a new namespace's maps;
// in words. nullopt: all are mapped, or there is no procfs to tell.
std::optional<std::string> unmapped(const char* map, const std::vector<IdMapping>& wanted);

}  // namespace stepdown::steps
