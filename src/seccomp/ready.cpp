#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "built_in_policies.h"
#include "compiled_policies.h"
#include "seccomp/compile.h"
#include "seccomp/compiled_file.h"
#include "seccomp/policy.h"
#include "stepdown/error.h"
#include "stepdown/seccomp.h"
#include "sys/regular_file.h"

namespace stepdown {

namespace {

std::string step_of(const std::string& name) {
  return "--seccomp " + name;
}

// What the build made of a built-in policy, if it is that and was made for this situation.
const seccomp::CompiledPolicy* compiled_at_build(const PolicySource& source,
                                                 const FilterSituation& situation) {
  for (const BuiltInPolicy& policy : built_in_policies()) {
    if (policy.name != source.name || policy.text != source.bytes) continue;
    for (const seccomp::CompiledPolicy& compiled : seccomp::compiled_policies)
      if (compiled.name == policy.name && seccomp::hold(compiled.conditions, situation))
        return &compiled;
  }
  return nullptr;
}

ReadyFilter compile_now(const PolicySource& source, const FilterSituation& situation) {
  const seccomp::Policy policy = seccomp::read_policy(source.bytes, step_of(source.name));
  seccomp::Compiled compiled = seccomp::compile(policy, situation);
  ReadyFilter filter;
  filter.name = source.name;
  filter.program = std::move(compiled.program);
  filter.conditions = seccomp::conditions_of(policy, situation);
  filter.source = source.bytes;
  filter.unknown_calls = std::move(compiled.unknown_calls);
  filter.compiled_now = true;
  return filter;
}

}  // namespace

std::span<const BuiltInPolicy> built_in_policies() {
  return built_in_policy_texts;
}

const BuiltInPolicy& built_in_policy(const std::string& name) {
  std::string names;
  for (const BuiltInPolicy& policy : built_in_policies()) {
    if (policy.name == name) return policy;
    names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  refuse(step_of(name), "there is no built-in policy of that name",
         "there are " + names + "; a file is named with a slash: ./" + name);
}

PolicySource read_policy_source(const std::string& name_or_path) {
  if (name_or_path.find('/') == std::string::npos)
    return {name_or_path, std::string(built_in_policy(name_or_path).text)};
  auto file = sys::read_regular_file(name_or_path, largest_policy, "seccomp policy");
  if (!file) refuse(step_of(name_or_path), "there is no such file");
  return {name_or_path, std::move(file->text)};
}

ReadyFilter ready_filter(const PolicySource& source, const FilterSituation& situation) {
  if (seccomp::is_compiled_file(source.bytes)) {
    seccomp::CompiledFile file = seccomp::read_compiled_file(source.bytes, step_of(source.name));
    seccomp::refuse_other_situation(file.conditions, situation, step_of(source.name));
    return {source.name, std::move(file.program), file.conditions, {}, {}, false};
  }
  if (const auto* built = compiled_at_build(source, situation)) {
    FilterProgram program{
        {built->code.begin(), built->code.end()}, built->terminal_part, built->flags};
    return {source.name, std::move(program), built->conditions, source.bytes, {}, false};
  }
  return compile_now(source, situation);
}

std::string compile_policy(const PolicySource& source, const FilterSituation& situation) {
  if (seccomp::is_compiled_file(source.bytes))
    refuse(step_of(source.name), "it is compiled already", "compile the JSON that it was made of");
  ReadyFilter filter = compile_now(source, situation);
  return seccomp::write_compiled_file({seccomp::this_architecture(),
                                       seccomp::digest_of(source.bytes), filter.conditions,
                                       std::move(filter.program)});
}

KernelVersion running_kernel() {
  utsname kernel{};
  if (::uname(&kernel) != 0) throw_errno("seccomp", "uname(2)");
  const char* const end = kernel.release + std::strlen(kernel.release);
  KernelVersion version;
  const auto major = std::from_chars(kernel.release, end, version.major);
  const bool separated = major.ec == std::errc() && major.ptr != end && *major.ptr == '.';
  if (!separated || std::from_chars(major.ptr + 1, end, version.minor).ec != std::errc())
    refuse("seccomp", "uname(2) says no version of Linux: " + std::string(kernel.release));
  return version;
}

}  // namespace stepdown
