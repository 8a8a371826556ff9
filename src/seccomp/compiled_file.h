// The file that `stepdown seccomp compile` writes: a header, and a program. Whoever may write the
// file may write any policy; what its digest finds is damage and mistakes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "stepdown/seccomp.h"

namespace stepdown::seccomp {

using Digest = std::array<std::uint8_t, 32>;  // SHA-256
Digest digest_of(std::string_view bytes);

struct CompiledFile {
  std::uint32_t architecture = 0;  // AUDIT_ARCH_* that it was compiled for
  Digest policy{};                 // of the JSON
  FilterConditions conditions;
  FilterProgram program;
  friend bool operator==(const CompiledFile&, const CompiledFile&) = default;
};

// By its first bytes, which no JSON begins with.
bool is_compiled_file(std::string_view bytes);

std::string write_compiled_file(const CompiledFile& file);

// Error, step `name`: another version of the format, truncated or longer than it says, a digest
// that differs, another architecture, a program that is empty or too long.
CompiledFile read_compiled_file(std::string_view bytes, const std::string& name);

// AUDIT_ARCH_* of this binary, whose kernel gives the same name to calls of it.
std::uint32_t this_architecture();

bool hold(const FilterConditions& conditions, const FilterSituation& situation);

// Error, step `name`, with the command line that compiles it anew: conditions that don't hold.
void refuse_other_situation(const FilterConditions& conditions, const FilterSituation& situation,
                            const std::string& name);

}  // namespace stepdown::seccomp
