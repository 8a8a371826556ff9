// --seccomp and --seccomp-log in a plan, and what becomes of a program whose refusals are logged.
#include <asm/unistd.h>
#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <bit>
#include <cerrno>

#include "plan_world.h"
#include "seccomp/evaluate.h"
#include "seccomp/notifying.h"
#include "seccomp/refusal.h"
#include "stepdown/error.h"

namespace stepdown::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr Capability sys_chroot{18};
constexpr KernelVersion kernel{6, 1};

// chroot is for those who keep SYS_CHROOT, personality(0) for everybody.
const std::string conditional = R"({
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
     "excludes": {"caps": ["CAP_SYS_CHROOT"]}},
    {"names": ["personality"], "action": "SCMP_ACT_ERRNO",
     "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_NE"}]}
  ]
})";

Host host_with(const std::string& policy) {
  Host machine = host();
  machine.seccomp_policy = PolicySource{"./policy.json", policy};
  machine.kernel = kernel;
  return machine;
}

Plan planned(const Options& words) {
  return make_plan(words, accounts(), container_root(), host_with(conditional));
}

Options with_policy() {
  Options words = options("app");
  words.seccomp = "./policy.json";
  return words;
}

std::string refusal_of(const Options& words) {
  try {
    planned(words);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

seccomp_data native_call(long number, std::uint64_t first = 0) {
  seccomp_data call{};
  call.nr = static_cast<int>(number);
  call.arch = seccomp::native_architecture;
  call.args[0] = first;
  return call;
}

TEST(PlansSeccomp, NoPolicyThatNobodyAskedFor) {
  EXPECT_FALSE(planned(options("app")).seccomp);
}

TEST(PlansSeccomp, ThePolicyForWhatIsKept) {
  const Plan none = planned(with_policy());
  EXPECT_EQ(none.seccomp->name, "./policy.json");
  EXPECT_FALSE(seccomp::allows(none.seccomp->program, __NR_chroot));
  Options words = with_policy();
  words.keep_caps = {sys_chroot};
  const Plan kept = planned(words);
  EXPECT_TRUE(seccomp::allows(kept.seccomp->program, __NR_chroot));
  EXPECT_EQ(kept.seccomp->conditions.kept, CapabilitySet{sys_chroot});
}

TEST(PlansSeccomp, NoneIsNoPolicy) {
  Options words = with_policy();
  words.seccomp = "none";
  words.seccomp_log = true;
  words.allow_new_privs = true;
  const Plan plan = planned(words);
  EXPECT_FALSE(plan.seccomp);
  EXPECT_FALSE(plan.seccomp_log);
}

TEST(PlansSeccomp, LogsOnlyWhenAsked) {
  Options words = with_policy();
  EXPECT_FALSE(planned(words).seccomp_log);
  words.seccomp_log = true;
  EXPECT_TRUE(planned(words).seccomp_log);
}

TEST(PlansSeccomp, RefusesToLogForNoPolicy) {
  Options words = options("app");
  words.seccomp_log = true;
  EXPECT_THAT(refusal_of(words), HasSubstr("--seccomp default"));
}

TEST(PlansSeccomp, RefusesAPolicyWithoutNoNewPrivs) {
  Options words = with_policy();
  words.allow_new_privs = true;
  EXPECT_THAT(refusal_of(words), StartsWith("--seccomp: "));
}

TEST(PlansSeccomp, ReadsTheWordsOfTheTable) {
  Options words;
  for (const OptionRow& row : option_table())
    if (row.name == "seccomp-log") row.set(words, {});
  EXPECT_TRUE(words.seccomp_log);
  for (const OptionRow& row : option_table())
    if (row.name == "seccomp") {
      row.set(words, "default");
      EXPECT_THROW(row.set(words, ""), Error);
    }
  EXPECT_EQ(words.seccomp, "default");
}

// ---- the program whose refusals wait for a supervisor ----

constexpr unsigned give_back = BPF_RET | BPF_K;

std::uint64_t line(unsigned code, std::uint32_t k) {
  return std::bit_cast<std::uint64_t>(sock_filter{static_cast<__u16>(code), 0, 0, k});
}

TEST(NotifyingProgram, AsksTheSupervisorForEveryErrnoButTheTerminals) {
  FilterProgram program;
  program.terminal_part = 1;
  program.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  program.code = {line(give_back, SECCOMP_RET_ERRNO | EPERM),
                  line(BPF_LD | BPF_W | BPF_ABS, SECCOMP_RET_ERRNO),
                  line(give_back, SECCOMP_RET_ERRNO | ENOSYS),
                  line(give_back, SECCOMP_RET_ERRNO),
                  line(give_back, SECCOMP_RET_KILL_PROCESS),
                  line(give_back, SECCOMP_RET_TRAP | 1),
                  line(give_back, SECCOMP_RET_TRACE | 1),
                  line(give_back, SECCOMP_RET_ALLOW)};
  const FilterProgram changed = seccomp::notifying(program);
  EXPECT_EQ(changed.flags, program.flags);
  ASSERT_GT(changed.code.size(), program.code.size());
  std::vector<std::uint64_t> expected = program.code;
  expected[2] = expected[3] = line(give_back, SECCOMP_RET_USER_NOTIF);
  const auto added = static_cast<std::ptrdiff_t>(changed.code.size() - program.code.size());
  EXPECT_EQ(std::vector(changed.code.begin() + added, changed.code.end()), expected);
}

TEST(NotifyingProgram, AsksTheSupervisorForTheKnockAlone) {
  FilterProgram program;
  program.code = {line(give_back, SECCOMP_RET_ALLOW)};
  program = seccomp::notifying(program);
  constexpr std::uint64_t request = 0x53444b4e;
  const auto verdict = [&](std::uint32_t architecture, int number, std::uint64_t file,
                           std::uint64_t asked) {
    const seccomp_data call{number, architecture, 0, {file, asked}};
    const std::uint32_t said = seccomp::evaluate(program, call);
    EXPECT_EQ(said == SECCOMP_RET_USER_NOTIF, seccomp::is_knock(call));
    return said;
  };
  constexpr std::uint32_t here = seccomp::native_architecture;
  EXPECT_EQ(verdict(here, __NR_ioctl, 0xffffffff, request), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(here, __NR_ioctl, ~std::uint64_t{0}, request), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(here, __NR_ioctl, 0, request), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(here, __NR_ioctl, 0xffffffff, request + 1), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(here, __NR_read, 0xffffffff, request), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(here, -1, 0xffffffff, request), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(verdict(AUDIT_ARCH_I386, __NR_ioctl, 0xffffffff, request), SECCOMP_RET_ALLOW);
}

TEST(NotifyingProgram, LeavesNoErrnoButTheTerminals) {
  const FilterProgram program = seccomp::notifying(planned(with_policy()).seccomp->program);
  EXPECT_EQ(seccomp::verdict_of(program, __NR_chroot), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(seccomp::verdict_of(program, __NR_getpid), SECCOMP_RET_ALLOW);
  // TIOCSTI
  EXPECT_EQ(seccomp::verdict_of(program, __NR_ioctl, {0, 0x5412}), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(seccomp::verdict_of(program, __NR_ioctl, {0xffffffff, 0x5412}),
            SECCOMP_RET_ERRNO | EBADF);
}

// ---- in words ----

TEST(RefusedCall, IsToldWithItsArguments) {
  EXPECT_EQ(seccomp::call_text(native_call(__NR_keyctl, 0x11)),
            "keyctl(0x11, 0x0, 0x0, 0x0, 0x0, 0x0)");
  EXPECT_EQ(seccomp::call_name(native_call(99999)), "call 99999");
}

#if defined(__x86_64__)
TEST(RefusedCall, IsToldByTheTableThatItComesFrom) {
  seccomp_data call = native_call(0x40000000 | __NR_keyctl);
  EXPECT_EQ(seccomp::call_name(call), "x32 keyctl");
  call.nr = 288;
  call.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(seccomp::call_name(call), "i386 keyctl");
}
#endif

TEST(RefusedCall, IsToldWithTheCapabilityThatAllowsIt) {
  const Plan plan = planned(with_policy());
  const FilterSituation situation{plan.keep, kernel};
  EXPECT_EQ(seccomp::way_to_allow(*plan.seccomp, situation, native_call(__NR_chroot)),
            "--keep-cap SYS_CHROOT would allow it");
  EXPECT_EQ(seccomp::way_to_allow(*plan.seccomp, situation, native_call(__NR_personality, 1)),
            "a rule of that file would have to allow it");
}

TEST(RefusedCall, OfABuiltInPolicyIsToldWithTheCommandThatShowsIt) {
  ReadyFilter filter = *planned(with_policy()).seccomp;
  filter.name = "default";
  EXPECT_THAT(seccomp::way_to_allow(filter, {{}, kernel}, native_call(__NR_personality, 1)),
              HasSubstr("stepdown seccomp show default"));
}

}  // namespace
}  // namespace stepdown::test
