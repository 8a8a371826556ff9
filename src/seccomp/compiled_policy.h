// What the build makes of a built-in policy: generated/compiled_policies.h is an array of these.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "stepdown/seccomp.h"

namespace stepdown::seccomp {

struct CompiledPolicy {
  std::string_view name;
  std::span<const std::uint64_t> code;
  std::uint32_t terminal_part = 0;
  std::uint32_t flags = 0;
  FilterConditions conditions;
};

}  // namespace stepdown::seccomp
