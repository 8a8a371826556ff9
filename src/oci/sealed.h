// A program file that nobody can write: for a stage that runs where the container's processes are.
#pragma once

#include <string>
#include <vector>

namespace stepdown::oci {

// Returns once this process runs from a sealed copy of its program (memfd_create(2)), with an empty
// environment; before that it executes itself from one, with `words` as its own (argv). Through
// /proc/PID/exe of this process, a process that may trace it (CAP_SYS_PTRACE in this user
// namespace, the same PID namespace) could write the host's file as soon as nobody executes it any
// more (CVE-2019-5736). All others are kept away by become_undumpable. Error.
void run_from_sealed_copy(std::vector<std::string> words);

}  // namespace stepdown::oci
