// Runs at build time: libseccomp compiles the filters once, and the launcher carries the programs.
// Compiling one at every start would cost more than all the steps of the drop together.
//
// libseccomp's tree (SCMP_FLTATR_CTL_OPTIMIZE) would make them longer and nothing quicker: the
// kernel (5.11) remembers which calls a filter always allows, and runs no program for those.
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

#include "filter.h"

namespace stepdown::generator {

namespace {

// x32 (syscalls(2), numbers with bit 30 set) has no supervisor and no constant: a call of it that
// another program would hear a pretended answer to doesn't exist, so that none hears the truth.
constexpr std::uint32_t absent = SCMP_ACT_ERRNO(ENOSYS);
// The call returns 0 and nothing is done.
constexpr std::uint32_t success = SCMP_ACT_ERRNO(0);

// i386 and arm have two of each: the old name takes 16-bit ids.
constexpr std::initializer_list<int> get_calls = {
    SCMP_SYS(getuid),   SCMP_SYS(geteuid),   SCMP_SYS(getgid),   SCMP_SYS(getegid),
    SCMP_SYS(getuid32), SCMP_SYS(geteuid32), SCMP_SYS(getgid32), SCMP_SYS(getegid32)};
// Those whose answer goes through memory, which a filter alone can't write.
constexpr std::initializer_list<int> get_all_calls = {SCMP_SYS(getresuid), SCMP_SYS(getresgid),
                                                      SCMP_SYS(getresuid32), SCMP_SYS(getresgid32)};
constexpr std::initializer_list<int> set_calls = {
    SCMP_SYS(setuid),     SCMP_SYS(setgid),     SCMP_SYS(setreuid),    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),  SCMP_SYS(setresgid),  SCMP_SYS(setuid32),    SCMP_SYS(setgid32),
    SCMP_SYS(setreuid32), SCMP_SYS(setregid32), SCMP_SYS(setresuid32), SCMP_SYS(setresgid32)};
// Root's privileges that legacy programs use on the way down, and whose effect nobody asks back.
constexpr std::initializer_list<int> ignored_calls = {
    SCMP_SYS(setgroups), SCMP_SYS(setgroups32), SCMP_SYS(chown),
    SCMP_SYS(chown32),   SCMP_SYS(fchown),      SCMP_SYS(fchown32),
    SCMP_SYS(lchown),    SCMP_SYS(lchown32),    SCMP_SYS(fchownat)};
// They answer with the id so far, and never fail (setfsuid(2)).
constexpr std::initializer_list<int> filesystem_calls = {SCMP_SYS(setfsuid), SCMP_SYS(setfsuid32),
                                                         SCMP_SYS(setfsgid), SCMP_SYS(setfsgid32)};

void add_all(Filter& filter, std::initializer_list<int> calls, std::uint32_t action) {
  for (const int call : calls) filter.add(call, action, absent);
}

Filter terminal_injection() {
  Filter filter;
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    // The kernel reads 32 bits of the request: 0x100000000 + TIOCSTI is TIOCSTI, too.
    const scmp_arg_cmp is_request{1, SCMP_CMP_MASKED_EQ, 0xffffffffULL, request};
    filter.add(SCMP_SYS(ioctl), SCMP_ACT_ERRNO(EPERM), SCMP_ACT_ERRNO(EPERM), {is_request});
  }
  return filter;
}

Filter identity_calls() {
  Filter filter;
  for (const auto& calls : {get_calls, get_all_calls, set_calls, filesystem_calls})
    add_all(filter, calls, SCMP_ACT_NOTIFY);
  add_all(filter, ignored_calls, success);
  // Decides what a set call may do later. The kernel reads 32 bits of the option.
  const scmp_arg_cmp keeps_capabilities{0, SCMP_CMP_MASKED_EQ, 0xffffffffULL, PR_SET_KEEPCAPS};
  filter.add(SCMP_SYS(prctl), SCMP_ACT_NOTIFY, absent, {keeps_capabilities});
  // The limit in which a process carries its identity (launch/identity_server.h) is not the app's
  // to set: pam_limits, say, sets every one back. Reading it is.
  const auto is_locks = [](unsigned argument) {
    return scmp_arg_cmp{argument, SCMP_CMP_MASKED_EQ, 0xffffffffULL, RLIMIT_LOCKS};
  };
  const scmp_arg_cmp sets{2, SCMP_CMP_NE, 0, 0};
  filter.add(SCMP_SYS(setrlimit), success, success, {is_locks(0)});
  filter.add(SCMP_SYS(prlimit64), success, success, {is_locks(1), sets});
  return filter;
}

Filter binds() {
  Filter filter;
  // libseccomp adds i386's socketcall(2) with SYS_BIND by itself.
  filter.add(SCMP_SYS(bind), SCMP_ACT_NOTIFY, absent);
  return filter;
}

Filter pretended_root() {
  Filter filter;
  for (const auto& calls : {get_calls, set_calls, filesystem_calls, ignored_calls})
    add_all(filter, calls, success);
  return filter;
}

}  // namespace

}  // namespace stepdown::generator

int main() {
  using namespace stepdown::generator;
  // The machine that builds needn't have what the one that runs will be asked for: user
  // notification.
  require(seccomp_api_set(5), "seccomp_api_set");
  std::puts("// Made by src/seccomp/generator.");
  std::puts("#pragma once\n\n#include <linux/filter.h>\n");
  std::puts("namespace stepdown::seccomp::programs {\n");
  terminal_injection().print("terminal_injection");
  identity_calls().print("identity_calls");
  binds().print("binds");
  pretended_root().print("pretended_root");
  std::puts("\n}  // namespace stepdown::seccomp::programs");
  return std::fflush(stdout) == 0 ? 0 : 1;
}
