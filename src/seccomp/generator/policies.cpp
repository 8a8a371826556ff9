// Runs at build time: compiles the built-in policies, each for an app that keeps none of the
// capabilities that the policy looks at, which is nearly every app. The others' are compiled at
// their start.
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "seccomp/compile.h"
#include "stepdown/error.h"

namespace stepdown::generator {

namespace {

// Newer than any: a built-in policy means something else for old kernels alone.
constexpr KernelVersion newest_kernel{9999, 0};

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw_errno(file.string(), "open(2)");
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Built {
  std::string name;
  FilterProgram program;
  FilterConditions conditions;
};

Built build(const std::filesystem::path& file) {
  const seccomp::Policy policy = seccomp::read_policy(text_of(file), file.string());
  const FilterSituation situation{{}, newest_kernel};
  seccomp::Compiled compiled = seccomp::compile(policy, situation);
  if (!compiled.unknown_calls.empty())
    refuse(file.string(), "libseccomp doesn't know " + compiled.unknown_calls.front());
  return {file.stem().string(), std::move(compiled.program),
          seccomp::conditions_of(policy, situation)};
}

void print_code(std::size_t number, const FilterProgram& program) {
  std::printf("inline constexpr std::uint64_t compiled_policy_%zu[] = {\n", number);
  for (const std::uint64_t line : program.code) std::printf("    0x%016" PRIx64 ",\n", line);
  std::puts("};");
}

std::string text_of(const KernelVersion& kernel) {
  return "{" + std::to_string(kernel.major) + ", " + std::to_string(kernel.minor) + "}";
}

void print_entry(std::size_t number, const Built& built) {
  const FilterConditions& conditions = built.conditions;
  std::printf("    {\"%s\", compiled_policy_%zu, %u, %u,\n", built.name.c_str(), number,
              built.program.terminal_part, built.program.flags);
  std::printf(
      "     {CapabilitySet::from_bits(0x%" PRIx64 "), {}, %s, %s}},\n", conditions.looked_at.bits(),
      text_of(conditions.kernel_from).c_str(),
      conditions.below ? ("KernelVersion" + text_of(*conditions.below)).c_str() : "std::nullopt");
}

void print(const std::vector<Built>& policies) {
  std::puts("// Made by src/seccomp/generator/policies.cpp.");
  std::puts("#pragma once\n\n#include <array>\n\n#include \"seccomp/compiled_policy.h\"\n");
  std::puts("namespace stepdown::seccomp {\n");
  for (std::size_t i = 0; i < policies.size(); ++i) print_code(i, policies[i].program);
  std::printf("inline constexpr std::array<CompiledPolicy, %zu> compiled_policies{{\n",
              policies.size());
  for (std::size_t i = 0; i < policies.size(); ++i) print_entry(i, policies[i]);
  std::puts("}};\n\n}  // namespace stepdown::seccomp");
}

}  // namespace

}  // namespace stepdown::generator

int main(int count, char** words) {
  using namespace stepdown::generator;
  try {
    std::vector<Built> policies;
    for (const char* file : std::vector<const char*>(words + 1, words + count))
      policies.push_back(build(file));
    print(policies);
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
