// The steps of the sequence, each as a look and a deed. What they have in common is here; their
// order is in sequence.cpp.
#pragma once

#include <string>
#include <vector>

#include "stepdown/launch.h"

namespace stepdown::steps {

using Findings = std::vector<StepFinding>;

void examine_stdio(const Launch& launch, Findings& findings);
void apply_stdio(const Launch& launch);
void examine_own(const Launch& launch, Findings& findings);
void apply_own(const Launch& launch);
void examine_ports(const Launch& launch, Findings& findings);
void examine_groups(const Launch& launch, Findings& findings);
void apply_groups(const Launch& launch);
void examine_gid(const Launch& launch, Findings& findings);
void apply_gid(const Launch& launch);
void examine_uid(const Launch& launch, Findings& findings);
void apply_uid(const Launch& launch);
void examine_outside(const Launch& launch, Findings& findings);
void apply_outside(const Launch& launch);
void examine_userns(const Launch& launch, Findings& findings);
void apply_userns(const Launch& launch);
void examine_narrow(const Launch& launch, Findings& findings);
void apply_narrow(const Launch& launch);
void examine_bounding(const Launch& launch, Findings& findings);
void apply_bounding(const Launch& launch);
void examine_ambient(const Launch& launch, Findings& findings);
void apply_ambient(const Launch& launch);
void examine_securebits(const Launch& launch, Findings& findings);
void apply_securebits(const Launch& launch);
void examine_capabilities(const Launch& launch, Findings& findings);
void apply_capabilities(const Launch& launch);
void examine_no_new_privs(const Launch& launch, Findings& findings);
void apply_no_new_privs(const Launch& launch);
void examine_directory(const Launch& launch, Findings& findings);
void apply_directory(const Launch& launch);
void examine_umask(const Launch& launch, Findings& findings);
void apply_umask(const Launch& launch);
void examine_descriptors(const Launch& launch, Findings& findings);
void apply_descriptors(const Launch& launch);
void examine_verify(const Launch& launch, Findings& findings);
void apply_verify(const Launch& launch);
void examine_access(const Launch& launch, Findings& findings);
void apply_access(const Launch& launch);
void examine_filter(const Launch& launch, Findings& findings);
void apply_filter(const Launch& launch);
void examine_init(const Launch& launch, Findings& findings);
void apply_init(const Launch& launch);
void examine_landlock(const Launch& launch, Findings& findings);
void apply_landlock(const Launch& launch);
void examine_supervised(const Launch& launch, Findings& findings);
void apply_supervised(const Launch& launch);
void examine_seccomp(const Launch& launch, Findings& findings);
void apply_seccomp(const Launch& launch);
void examine_exec(const Launch& launch, Findings& findings);
void apply_exec(const Launch& launch);

// Steps before the ids change what outlives a refusal: owned paths, standard streams. Then what can
// be known beforehand must be, whatever it costs; else the call that fails is as good.
bool leaves_traces(const Launch& launch);

// What the policy refuses is answered and logged by the supervisor that --init leaves; else the
// kernel logs it. Asks the kernel.
bool logs_by_supervisor(const Launch& launch);

// After a failed execve(2): look why it failed, or only say that it did, or not even that.
enum class LastWords { explain, say, nothing };
// Before a policy is loaded, which may refuse even memory: makes ready what apply_exec executes.
void prepare_exec(const Launch& launch, LastWords last_words);

// "[1000, 2000]", for details.
std::string list(const std::vector<Gid>& groups);
// "net_bind_service" or "none", for details.
std::string list(CapabilitySet set);

}  // namespace stepdown::steps
