// What a filter program says of a call, without the kernel: for the supervisor that logs refusals,
// and for the tests that judge the compiler.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>

#include "stepdown/seccomp.h"

namespace stepdown::seccomp {

// SECCOMP_RET_* with its data. Error, step "seccomp": an instruction that the kernel's seccomp
// doesn't take, or one out of the program's bounds.
std::uint32_t evaluate(const FilterProgram& program, const seccomp_data& call);

}  // namespace stepdown::seccomp
