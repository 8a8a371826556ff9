// The runtime door's `exec`: the hole that every entrypoint dropper has.
#pragma once

#include <string>
#include <vector>

#include "oci/runtime.h"
#include "stepdown/log.h"
#include "stepdown/options.h"

namespace stepdown::oci {

// Gives the process of the exec the user and the limits of its container: rewrites what
// --process names, or puts the process together; --process names the result, a sealed file without
// a name. The caller's file stays as it is. What the real runtime is
// to be told; a descriptor that it names stays open across execve(2). Error.
std::vector<std::string> step_down_exec(const std::string& runtime, const Options& options,
                                        const RuntimeWords& words, const Log& log);

}  // namespace stepdown::oci
