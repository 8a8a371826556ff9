// Policies of the seccomp tests, and the words by which the probe tries them.
#pragma once

#include <string>

namespace stepdown::world {

constexpr const char* policy = "/srv/policy.json";
constexpr const char* compiled = "/srv/policy.bpf";

// keyctl, personality but for asking, and chroot for who doesn't keep SYS_CHROOT.
constexpr const char* denying = R"({
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
    {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
     "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_NE"}]},
    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
     "excludes": {"caps": ["CAP_SYS_CHROOT"]}}
  ]
})";

// What a static program calls before its main, and to end.
constexpr const char* startup_calls =
    R"("execve", "exit_group", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
       "prlimit64", "readlink", "readlinkat", "getrandom", "mprotect", "newfstatat", "fstat",
       "futex", "ioctl")";

// Everything but these calls kills; and sigaltstack, which builds with AddressSanitizer make before
// whatever doesn't return.
inline std::string killing(const std::string& but) {
  return R"({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"action": "SCMP_ACT_ALLOW",
             "names": ["sigaltstack", )" +
         but + "]}]}";
}

// The probe's word for a system call, with arguments as "1:0x2".
inline std::string call(long number, const std::string& arguments = {}) {
  return "+call=" + std::to_string(number) + (arguments.empty() ? "" : ":") + arguments;
}

}  // namespace stepdown::world
