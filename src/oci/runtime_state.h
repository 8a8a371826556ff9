// What the real runtime says about a container.
#pragma once

#include <string>

#include "oci/document.h"
#include "oci/runtime.h"

namespace stepdown::oci {

// By its command `state`, with the same global options. Error: it fails, with what it said; it
// takes too long; the answer is no state, or another container's.
State ask_runtime(const std::string& runtime, const RuntimeWords& words, const std::string& id);

}  // namespace stepdown::oci
