// Options that can't go together, whoever the caller and whatever the machine: what a profile and
// the command line are judged by alike.
#pragma once

#include <span>

#include "stepdown/options.h"

namespace stepdown {

// Each refuses (Error, whose step begins with the option) what can't be mended by more options.
using Contradiction = void (*)(const Options& options);
std::span<const Contradiction> contradictions();

}  // namespace stepdown
