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

// Whether the verdict on the call may depend on more than its number: on arguments, or on where it
// is made. Without, evaluate() says the same of each such call. Error as above.
bool looks_at_arguments(const FilterProgram& program, std::uint32_t architecture, int number);

}  // namespace stepdown::seccomp
