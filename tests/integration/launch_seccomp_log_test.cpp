// --seccomp-log: what the policy refuses is told once, with what would allow it, and is refused as
// without: by the supervisor that --init leaves, or else by the kernel's log.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>
#include <nlohmann/json.hpp>

#include "launch_world.h"
#include "seccomp_world.h"
#include "stepdown/capability_set.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::size_t count_of(const std::string& part, const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

class SeccompLog : public testing::Test {
 protected:
  void SetUp() override { write(denying); }
  void write(const std::string& text) const { world_.file(policy, text, 0, 0, 0644); }
  [[nodiscard]] Outcome run(const Words& more, const Words& asked) const {
    Words words = {"--seccomp", policy, "--seccomp-log"};
    words.insert(words.end(), more.begin(), more.end());
    return world_.run(probing(words, asked));
  }
  [[nodiscard]] std::string shown_by_plan(const Words& more) const {
    Words words = {"plan", "--user", "app"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"--", "probe"});
    const Outcome outcome = world_.run(words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  }
  [[nodiscard]] static Words tree_words(const std::string& role) {
    return {"/srv/bin/stepdown", "--user",        "1000:1000", "--init",         "--seccomp",
            "default",           "--seccomp-log", "--",        "/srv/bin/probe", "+play=" + role};
  }
  World world_;
};

// ---- by the supervisor ----

TEST_F(SeccompLog, TellsTheCallItsArgumentsItsCallerAndWhatAllowsIt) {
  const Outcome outcome =
      run({"--init"}, {"+name=prober", call(SYS_chroot, "0:0x11"), call(SYS_keyctl, "7")});
  EXPECT_TRUE(outcome.app_ran());
  EXPECT_THAT(outcome.err, testing::ContainsRegex(
                               "stepdown: the policy /srv/policy.json refused "
                               "chroot\\(0x0, 0x11, 0x0, 0x0, 0x0, 0x0\\) with EPERM to "
                               "prober \\(pid [0-9]+\\); --keep-cap SYS_CHROOT would allow it\n"));
  EXPECT_THAT(outcome.err, testing::ContainsRegex("refused keyctl\\(0x7, .* with EACCES to prober "
                                                  "\\(pid [0-9]+\\); a rule of that file would"));
}

TEST_F(SeccompLog, TellsTheWayOutOfABuiltInPolicy) {
  const Outcome outcome = world_.run(
      probing({"--init", "--seccomp", "default", "--seccomp-log"}, {call(SYS_keyctl), call(2000)}));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the policy default refused keyctl("),
                                 HasSubstr("stepdown seccomp show default")));
  // A libc falls back from ENOSYS, and nobody needs to know.
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("call 2000")));
  const Outcome told = world_.run(probing(
      {"--init", "--seccomp", "default", "--seccomp-log", "--log-level", "info"}, {call(2000)}));
  EXPECT_THAT(told.err, HasSubstr("refused call 2000(0x0, 0x0, 0x0, 0x0, 0x0, 0x0) with ENOSYS"));
}

TEST_F(SeccompLog, TellsEachCallOnce) {
  const Words deeds = {call(SYS_keyctl, "1"), call(SYS_keyctl, "2"), call(SYS_personality, "1"),
                       call(SYS_keyctl, "1")};
  const Outcome outcome = run({"--init"}, deeds);
  EXPECT_EQ(count_of("refused keyctl", outcome.err), 1U) << outcome.err;
  EXPECT_EQ(count_of("refused", outcome.err), 2U) << outcome.err;
}

TEST_F(SeccompLog, ChangesNoAnswer) {
  const Words deeds = {
      call(SYS_keyctl), call(SYS_personality, "1"),  call(SYS_personality, "0xffffffff"),
      call(SYS_chroot), call(SYS_ioctl, "0:0x5412"), call(SYS_ioctl, "0:0x100005412")};
  const Report without = world_.run(probing({"--init", "--seccomp", policy}, deeds)).app();
  const Report with = run({"--init"}, deeds).app();
  for (const std::string& deed : deeds) EXPECT_EQ(with.result(deed), without.result(deed)) << deed;
  EXPECT_EQ(with.result("tiocsti_above"), without.result("tiocsti_above"));
}

TEST_F(SeccompLog, PretendsSuccessWhereThePolicyDoes) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]})");
  const Outcome outcome = run({"--init"}, {call(SYS_sethostname)});
  EXPECT_EQ(outcome.app().result(call(SYS_sethostname)), "ok");
  EXPECT_THAT(outcome.err, HasSubstr("with success, undone to probe"));
}

TEST_F(SeccompLog, LeavesKillingToTheKernel) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_KILL_PROCESS"},
                         {"names": ["personality"], "action": "SCMP_ACT_TRAP"}]})");
  const Report app = run({"--init"}, {call(SYS_keyctl), call(SYS_personality)}).app();
  EXPECT_EQ(app.result(call(SYS_keyctl)), "signal 31");
  EXPECT_EQ(app.result(call(SYS_personality)), "signal 31");
}

TEST_F(SeccompLog, IsWrittenWhereAndHowTheWordsSay) {
  const Outcome outcome = run({"--init", "--log-format", "json", "--log-file", "/srv/log"},
                              {"+name=a\nb\x1b[2J\"", call(SYS_keyctl)});
  EXPECT_EQ(outcome.err, "");
  const std::string text = read_file("/srv/log");
  ASSERT_EQ(count_of("\n", text), 1U) << text;
  const Json line = Json::parse(text);
  EXPECT_EQ(line.at("level"), "warning");
  EXPECT_THAT(std::string(line.at("msg")), HasSubstr("refused keyctl("));
}

TEST_F(SeccompLog, ForgesNoLine) {
  const Outcome outcome = run({"--init"}, {"+name=a\nb\x1b[2J", call(SYS_keyctl)});
  EXPECT_EQ(count_of("\n", outcome.err), 1U) << outcome.err;
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
}

TEST_F(SeccompLog, EndsWithAFewHundredDifferentCalls) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})");
  const Outcome outcome =
      world_.run(probing({"--init", "--seccomp", "default", "--seccomp-log", "--log-level", "info"},
                         {"+numbers=5000:1000", call(SYS_keyctl)}));
  EXPECT_EQ(outcome.app().result("+numbers=5000:1000"), "1000");
  EXPECT_EQ(count_of(" refused call ", outcome.err), 256U);
  EXPECT_EQ(count_of("no further ones are told", outcome.err), 1U);
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("keyctl")));
  EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EPERM");
}

TEST_F(SeccompLog, AnswersManyThreadsWhateverSignalsCome) {
  const std::string deed = "+many=" + std::to_string(SYS_keyctl) + ":8:500";
  EXPECT_EQ(run({"--init"}, {deed}).app().result(deed), "EACCES 4000");
}

TEST_F(SeccompLog, KeepsTheManagersOfInit) {
  const Outcome outcome = run({"--init"}, {call(SYS_keyctl), "+exit=9"});
  EXPECT_EQ(outcome.status, 9);
}

TEST_F(SeccompLog, GoesWithLandlockAndAUserNamespace) {
  for (const Words& more : {Words{"--init", "--read-only"}, Words{"--init", "--userns"}}) {
    const Outcome outcome = run(more, {call(SYS_keyctl)});
    EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EACCES");
    EXPECT_EQ(count_of("refused keyctl", outcome.err), 1U) << outcome.err;
  }
}

TEST_F(SeccompLog, FailsWhatIsRefusedWhenTheSupervisorIsNoMore) {
  Tree tree(tree_words("refused"));
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  const pid_t app = tree.app();
  checked(kill(app, SIGUSR1), "kill");
  EXPECT_EQ(tree.line(), "app keyctl EPERM");
  checked(kill(tree.pid(), SIGKILL), "kill");
  EXPECT_EQ(tree.change(), "killed by 9");
  checked(kill(app, SIGUSR1), "kill");
  EXPECT_EQ(tree.line(), "app keyctl ENOSYS");
}

TEST_F(SeccompLog, WaitsForNobodyWhoDoesNotReadIt) {
  // Full, and open for reading here.
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), "pipe2");
  while (::write(ends[1], "x", 1) == 1) {
  }
  checked(fcntl(ends[1], F_SETFL, 0), "F_SETFL");
  {
    Tree tree(tree_words("refused"), Place::own_group,
              [&ends] { checked(dup2(ends[1], STDERR_FILENO), "dup2"); });
    ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
    checked(kill(tree.app(), SIGUSR1), "kill");
    EXPECT_EQ(tree.line(), "app keyctl EPERM");
  }
  close(ends[0]);
  close(ends[1]);
}

// All at once, or not at all, is what a pipe with room takes: pipe(7), PIPE_BUF.
TEST_F(SeccompLog, WritesLinesThatAPipeTakesInOnePiece) {
  std::string path = "/srv";
  while (path.size() < 3500) {
    path += "/" + std::string(200, '\x01');
    world_.directory(path, 0, 0, 0755);
  }
  path += "/p";
  std::string capabilities;
  for (unsigned each = 0; each <= CAP_LAST_CAP; ++each)
    capabilities += (each == 0 ? "\"" : ",\"") + capability_name(Capability{each}) + "\"";
  world_.file(path,
              R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                  {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": [)" +
                  capabilities + "]}}]}",
              0, 0, 0644);
  for (const std::string format : {"text", "json"}) {
    const Outcome outcome =
        world_.run(probing({"--seccomp", path, "--seccomp-log", "--init", "--log-format", format},
                           {"+name=\x01\x02\x03\x04\x05\x06\x07\x01\x02\x03\x04\x05\x06\x07",
                            call(SYS_keyctl, "0:1")}));
    EXPECT_EQ(count_of("refused keyctl", outcome.err), 1U) << outcome.err;
    EXPECT_EQ(count_of("\n", outcome.err), 1U) << outcome.err;
    EXPECT_THAT(outcome.err.size(), testing::AllOf(testing::Gt(1000U), testing::Le(PIPE_BUF)));
  }
}

TEST_F(SeccompLog, ForwardsSignalsWhileCallsAreRefused) {
  Tree tree(tree_words("busy=keyctl"));
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  ASSERT_EQ(tree.line(), "done");
  for (int number = 1; number < _NSIG; ++number) {
    if (number == SIGKILL || number == SIGSTOP || number == SIGCHLD) continue;
    checked(kill(tree.pid(), number), "kill");
    ASSERT_EQ(tree.line(), "app " + std::to_string(number));
  }
}

// ---- by the kernel ----

// The flags of the newest filter of a process (ptrace(2), PTRACE_SECCOMP_GET_METADATA).
std::uint64_t newest_filters_flags(pid_t pid) {
  checked(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), "PTRACE_SEIZE");
  checked(ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), "PTRACE_INTERRUPT");
  waitpid(pid, nullptr, __WALL);
  __ptrace_seccomp_metadata data{};
  data.filter_off = std::stoull(status_of(pid, "Seccomp_filters")) - 1;  // counted from the oldest
  const long result = ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof data, &data);
  const int error = errno;
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  errno = error;
  checked(result, "PTRACE_SECCOMP_GET_METADATA");
  return data.flags;
}

TEST_F(SeccompLog, AsksTheKernelToLogWithoutASupervisor) {
  watched(world_, probing({"--seccomp", policy, "--seccomp-log"}), [](pid_t pid) {
    EXPECT_EQ(newest_filters_flags(pid), std::uint64_t{SECCOMP_FILTER_FLAG_LOG});
  });
  watched(world_, probing({"--seccomp", policy}),
          [](pid_t pid) { EXPECT_EQ(newest_filters_flags(pid), 0U); });
  EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--seccomp-log"}),
              AllOf(HasSubstr("without --init"), HasSubstr("ausearch -m SECCOMP")));
}

TEST_F(SeccompLog, AsksTheKernelWhereTheSupervisorHasAnotherListener) {
  for (const Words& more : {Words{"--pretend-root"}, Words{"--pretend-root", "--init"},
                            Words{"--pretend-root=static", "--init"}}) {
    Words words = {"--seccomp", policy, "--seccomp-log"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_THAT(shown_by_plan(words), HasSubstr("ausearch -m SECCOMP"));
    const Outcome outcome = world_.run(probing(words, {call(SYS_keyctl)}));
    EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EACCES");
    EXPECT_EQ(outcome.app().result("setresuid_0"), "ok");
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(SeccompLog, AsksTheKernelWhereNoSupervisorCouldBeReached) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["sendmsg", "keyctl"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--seccomp-log", "--init"}),
              HasSubstr("the policy refuses sendmsg or close"));
  const Outcome outcome = run({"--init"}, {call(SYS_keyctl)});
  EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EPERM");
}

// Sent and closed is with arguments that nobody knows beforehand.
TEST_F(SeccompLog, AsksTheKernelWhereReachingASupervisorDependsOnArguments) {
  for (const std::string name : {"sendmsg", "close"}) {
    write(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
              {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"},
              {"names": [")" +
          name + R"("], "action": "SCMP_ACT_ERRNO",
               "args": [{"index": 0, "value": 1000, "op": "SCMP_CMP_EQ"}]}]})");
    EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--seccomp-log", "--init"}),
                AllOf(HasSubstr("looks at their arguments"), HasSubstr("ausearch -m SECCOMP")));
    const Outcome outcome = run({"--init"}, {call(SYS_keyctl)});
    EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EPERM");
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("refused keyctl")));
  }
}

std::string testing_keyctl(unsigned times) {
  std::string rules;
  for (std::uint64_t i = 1; i <= times; ++i)
    rules += (i == 1 ? "" : ",") + (R"({"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 0, "op": "SCMP_CMP_EQ", "value": )" +
                                    std::to_string(i << 32U | i) + "}]}");
  return R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)" + rules + "]}";
}

// The largest policy that the kernel takes has no room for what asks a supervisor.
TEST_F(SeccompLog, AsksTheKernelWhereAnotherInstructionIsTooMuch) {
  unsigned times = 500;
  const auto fits = [&](unsigned more) {
    write(testing_keyctl(more));
    return world_.run({"seccomp", "compile", policy, "-o", compiled}).status == 0;
  };
  for (unsigned step = 512; step > 0; step /= 2)
    if (fits(times + step)) times += step;
  write(testing_keyctl(times));
  EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--seccomp-log", "--init"}),
              AllOf(HasSubstr("no longer fit"), HasSubstr("ausearch -m SECCOMP")));
  const std::string refused = call(SYS_keyctl, "0x100000001");
  EXPECT_EQ(run({"--init"}, {refused}).app().result(refused), "EPERM");
}

TEST_F(SeccompLog, AsksTheKernelBelowAnotherLaunchersSupervisor) {
  const Outcome outcome =
      world_.run({"--init", "--seccomp", policy, "--seccomp-log", "--user", "app", "--", "stepdown",
                  "--init", "--seccomp", "default", "--seccomp-log", "--user", "app", "--", "probe",
                  call(SYS_keyctl), call(SYS_mount)});
  EXPECT_EQ(outcome.app().result(call(SYS_mount)), "EPERM");
  // Both refuse it; the filter that answers by itself goes before the one that asks.
  EXPECT_EQ(outcome.app().result(call(SYS_keyctl)), "EPERM");
}

// ---- and where there is nothing to log ----

TEST_F(SeccompLog, IsRefusedWithoutAPolicyAndHarmlessWithNone) {
  EXPECT_THAT(world::refused(world_, probing({"--seccomp-log"})), HasSubstr("--seccomp default"));
  EXPECT_TRUE(world_.run(probing({"--seccomp-log", "--seccomp", "none"})).app_ran());
}

TEST_F(SeccompLog, IsShownByPlan) {
  EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--seccomp-log", "--init"}),
              HasSubstr("the supervisor logs what it refuses"));
  EXPECT_THAT(shown_by_plan({"--seccomp", policy, "--init"}), testing::Not(HasSubstr("logs what")));
}

}  // namespace
}  // namespace stepdown::world
