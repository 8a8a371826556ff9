// A policy's program on its way into the kernel, and how it is seen to have arrived there.
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "stepdown/seccomp.h"
#include "sys/fd.h"

namespace stepdown::seccomp {

#if defined(__x86_64__)
constexpr std::uint32_t native_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t native_architecture = AUDIT_ARCH_AARCH64;
#endif

// What the program says of a call of this process: SECCOMP_RET_* with its data.
std::uint32_t verdict_of(const FilterProgram& program, long number,
                         const std::array<std::uint64_t, 6>& arguments = {});
// By SECCOMP_RET_ALLOW or _LOG.
bool allows(const FilterProgram& program, long number,
            const std::array<std::uint64_t, 6>& arguments = {});
// Whatever the arguments, of which it doesn't even look at one.
bool always_allows(const FilterProgram& program, long number);

// The same program, but what it answers with an errno waits for a supervisor (seccomp_unotify(2)):
// all but the refusals of its terminal part. So does the knock.
FilterProgram notifying(const FilterProgram& program);
// It is longer; whether the kernel takes it (BPF_MAXINSNS).
bool fits_notifying(const FilterProgram& program);

// ioctl(2) on no file with a request that nobody has: by what it is answered an app's process sees
// that its supervisor is at work. Without one the answer is ENOSYS, without the program EBADF.
bool is_knock(const seccomp_data& call);
constexpr int answer_to_knock = EISCONN;
// Error, step "seccomp": another answer.
void knock();

// Both load it for this thread and everything it executes, and see that it is there. They need
// no_new_privs, and the terminal filter. Error, step "seccomp".
void load_policy(const FilterProgram& program);
// Returns where the calls wait; closed at execve(2).
sys::Fd load_notifying_policy(const FilterProgram& program);

}  // namespace stepdown::seccomp
