// --seccomp: what policies refuse, what they let through, and that no app starts without the one it
// was to have.
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>

#include "launch_world.h"
#include "seccomp/notifying.h"
#include "seccomp/terminal_filter.h"
#include "seccomp_world.h"
#include "stepdown/seccomp.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class LaunchWithPolicy : public testing::Test {
 protected:
  void SetUp() override { world_.file(policy, denying, 0, 0, 0644); }
  [[nodiscard]] Outcome run(const Words& options, const Words& asked = {}) const {
    return world_.run(probing(options, asked));
  }
  void write(const std::string& text, const std::string& path = policy) const {
    world_.file(path, text, 0, 0, 0644);
  }
  // Exit status 125, no app, and an owned path is as it was.
  [[nodiscard]] std::string refused(const Words& options) const {
    return world::refused(world_, probing(options));
  }
  // Compiled for an app that keeps these.
  void compile(const Words& keep_caps = {}) const {
    Words words = {"seccomp", "compile", policy, "-o", compiled};
    for (const std::string& each : keep_caps) words.insert(words.end(), {"--keep-cap", each});
    const Outcome outcome = world_.run(words);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  World world_;
};

// With a filter: seccomp(2) says 0 and does nothing.
void answer_seccomp_with_success() {
  std::array lines = {sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_seccomp},
                      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO},
                      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{lines.size(), lines.data()};
  checked(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program), "seccomp");
}

// What a child said with its exception; empty where it had none.
std::string ends_in_a_child(const std::function<void()>& deed) {
  std::array<int, 2> ends{};
  checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    std::string text;
    try {
      deed();
    } catch (const std::exception& trouble) {
      text = trouble.what();
    }
    _exit(write(ends[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  close(ends[1]);
  std::array<char, 1024> buffer{};
  const ssize_t length = read(ends[0], buffer.data(), buffer.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0 ? "status " + std::to_string(status)
                     : std::string(buffer.data(), static_cast<std::size_t>(length));
}

Json seccomp_step(const Outcome& plan) {
  const Json document = Json::parse(plan.out);
  for (const auto& step : document.at("steps"))
    if (step.at("name") == "seccomp") return step;
  return nullptr;
}

// ---- what is refused ----

TEST_F(LaunchWithPolicy, RefusesWhatThePolicyRefusesAndNothingElse) {
  const Words deeds = {call(SYS_keyctl), call(SYS_personality, "1"), call(SYS_getpriority),
                       call(SYS_personality, "0xffffffff")};
  const Report before = run({}, deeds).app();
  for (const std::string& deed : deeds)
    EXPECT_THAT(before.result(deed), testing::AnyOf("ok", "EINVAL")) << deed;
  const Report app = run({"--seccomp", policy}, deeds).app();
  EXPECT_EQ(app.result(deeds[0]), "EACCES");
  EXPECT_EQ(app.result(deeds[1]), "EPERM");
  EXPECT_EQ(app.result(deeds[2]), "ok");
  EXPECT_EQ(app.result(deeds[3]), "ok");
  EXPECT_EQ(app.uids, Ids(4, 1000));
}

TEST_F(LaunchWithPolicy, RefusesByDefaultWhatAContainersAppNeverNeeds) {
  const Words deeds = {call(SYS_keyctl),
                       call(SYS_mount),
                       call(SYS_bpf),
                       call(SYS_chroot),
                       call(SYS_unshare, std::to_string(CLONE_NEWUSER)),
                       call(SYS_ptrace)};
  const Report app = run({"--seccomp", "default"}, deeds).app();
  for (const std::string& deed : deeds) EXPECT_EQ(app.result(deed), "EPERM") << deed;
}

TEST_F(LaunchWithPolicy, TellsLibcsToFallBackFromCallsNewerThanThePolicy) {
  EXPECT_EQ(run({"--seccomp", "default"}, {call(2000)}).app().result(call(2000)), "ENOSYS");
}

TEST_F(LaunchWithPolicy, FollowsWhatThePlanKeeps) {
  const std::string deed = call(SYS_chroot);
  EXPECT_EQ(run({"--seccomp", "default"}, {deed}).app().result(deed), "EPERM");
  EXPECT_EQ(run({"--seccomp", "default", "--keep-cap", "SYS_CHROOT"}, {deed}).app().result(deed),
            "EFAULT");
}

TEST_F(LaunchWithPolicy, RunsRealPrograms) {
  const Outcome outcome =
      world_.run({"--user", "app", "--seccomp", "default", "--", "/bin/sh", "-c",
                  "id -u; ls / | grep -c etc; (sleep 0; echo done) & wait"});
  EXPECT_EQ(outcome.out, "1000\n1\ndone\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(LaunchWithPolicy, NeverLetsTheTerminalBeTypedInto) {
  const Words deeds = {call(SYS_ioctl, "0:0x5412"), call(SYS_ioctl, "0:0x541c"),
                       call(SYS_ioctl, "0:0x100005412"), call(SYS_ioctl, "0:0x10000541c")};
  for (const char* name : {"none", "default", policy}) {
    const Report app = run({"--seccomp", name}, deeds).app();
    for (const std::string& deed : deeds) EXPECT_EQ(app.result(deed), "EPERM") << name << deed;
  }
}

// ---- which policy ----

TEST_F(LaunchWithPolicy, NoneIsNone) {
  const Report app = run({"--seccomp", "none"}, {call(SYS_personality, "1")}).app();
  EXPECT_EQ(app.result(call(SYS_personality, "1")), "ok");
}

TEST_F(LaunchWithPolicy, TakesTheProfilesPolicyAndTheWordsAbove) {
  write("user = 'app'\nseccomp = '/srv/policy.json'\nseccomp-log = true\n", "/srv/app.toml");
  const auto answer = [&](const Words& options) {
    Words words = {"--profile", "/srv/app.toml"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "probe", call(SYS_keyctl)});
    return world_.run(words).app().result(call(SYS_keyctl));
  };
  EXPECT_EQ(answer({}), "EACCES");
  EXPECT_EQ(answer({"--seccomp", "default"}), "EPERM");
  EXPECT_EQ(answer({"--seccomp", "none"}), "EINVAL");
}

TEST_F(LaunchWithPolicy, GoesWithoutNoNewPrivsOnlyAsNone) {
  EXPECT_THAT(refused({"--seccomp", "default", "--allow-new-privs"}), HasSubstr("no_new_privs"));
  EXPECT_TRUE(run({"--seccomp", "none", "--allow-new-privs"}).app_ran());
}

TEST_F(LaunchWithPolicy, NamesWhatThereIsForAnUnknownName) {
  EXPECT_THAT(refused({"--seccomp", "defualt"}), HasSubstr("default"));
  EXPECT_THAT(refused({"--seccomp", "/srv/none.json"}), HasSubstr("/srv/none.json"));
  world_.fifo("/srv/fifo");
  EXPECT_THAT(refused({"--seccomp", "/srv/fifo"}), HasSubstr("regular file"));
}

TEST_F(LaunchWithPolicy, NamesThePlaceOfAFault) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["keyctl"],)");
  EXPECT_THAT(refused({"--seccomp", policy}), HasSubstr("/srv/policy.json"));
  write(R"({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ALOW"}]})");
  EXPECT_THAT(refused({"--seccomp", policy}),
              AllOf(HasSubstr("syscalls[0].action"), HasSubstr("SCMP_ACT_ALOW")));
}

// ---- compiled ----

TEST_F(LaunchWithPolicy, LoadsACompiledFile) {
  compile();
  const Report app = run({"--seccomp", compiled}, {call(SYS_keyctl), call(SYS_chroot)}).app();
  EXPECT_EQ(app.result(call(SYS_keyctl)), "EACCES");
  EXPECT_EQ(app.result(call(SYS_chroot)), "EPERM");
}

TEST_F(LaunchWithPolicy, RefusesACompiledFileOfAnotherSituation) {
  compile();
  EXPECT_THAT(refused({"--seccomp", compiled, "--keep-cap", "SYS_CHROOT"}),
              AllOf(HasSubstr("stepdown seccomp compile"), HasSubstr("--keep-cap SYS_CHROOT")));
  compile({"SYS_CHROOT"});
  EXPECT_THAT(refused({"--seccomp", compiled}), HasSubstr("stepdown seccomp compile"));
  EXPECT_EQ(run({"--seccomp", compiled, "--keep-cap", "SYS_CHROOT"}, {call(SYS_chroot)})
                .app()
                .result(call(SYS_chroot)),
            "EFAULT");
  // Of no interest to the policy.
  EXPECT_TRUE(
      run({"--seccomp", compiled, "--keep-cap", "SYS_CHROOT", "--keep-cap", "KILL"}).app_ran());
}

TEST_F(LaunchWithPolicy, RefusesADamagedFile) {
  compile();
  const std::string whole = read_file(compiled);
  for (std::size_t at = 0; at < whole.size(); at += whole.size() / 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    write(damaged, compiled);
    SCOPED_TRACE(at);
    EXPECT_THAT(refused({"--seccomp", compiled}), HasSubstr(compiled));
  }
  write(whole.substr(0, whole.size() - 1), compiled);
  EXPECT_THAT(refused({"--seccomp", compiled}), HasSubstr(compiled));
}

// ---- what the launcher needs below it ----

TEST_F(LaunchWithPolicy, IsBlockedWhereNothingCouldStart) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_THAT(refused({"--seccomp", policy}),
              AllOf(HasSubstr("seccomp: "), HasSubstr("refuses execve (EPERM)"),
                    HasSubstr("must allow execve")));
  EXPECT_EQ(run({}).status, 0);
  const Outcome plan =
      world_.run({"plan", "--json", "--seccomp", policy, "--user", "app", "probe"});
  EXPECT_EQ(plan.status, 1);
  EXPECT_EQ(seccomp_step(plan).at("state"), "blocked");
  write(R"({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": []})");
  EXPECT_THAT(refused({"--seccomp", policy}), HasSubstr("kills who calls execve"));
  write(R"({"defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_THAT(refused({"--seccomp", policy}), HasSubstr("exit_group"));
}

TEST_F(LaunchWithPolicy, NeedsNothingButThePolicysFewCalls) {
  write(killing(startup_calls));
  for (const char* level : {"warning", "debug"}) {
    const Outcome outcome = world_.run(
        {"--log-level", level, "--seccomp", policy, "--user", "app", "--", "probe", "+end=7"});
    EXPECT_EQ(outcome.status, 7) << outcome.err;
  }
  // To see that the list above is short: the probe's report needs more.
  EXPECT_LT(run({"--seccomp", policy}).status, 0);
}

TEST_F(LaunchWithPolicy, EndsAsEverWhereTheCommandCantBeExecuted) {
  world_.program("/srv/bin/garbage", "\x01garbage");
  const auto launch = [&](const std::string& text) {
    write(text);
    return world_.run({"--seccomp", policy, "--user", "app", "--", "garbage"});
  };
  const Outcome explained = launch(denying);
  EXPECT_EQ(explained.status, 126);
  EXPECT_TRUE(explained.says("neither a program for this machine")) << explained.err;
  const Outcome said = launch(killing("\"execve\", \"exit_group\", \"write\", \"ioctl\""));
  EXPECT_EQ(said.status, 126);
  EXPECT_TRUE(said.says("garbage: execve(2): Exec format error")) << said.err;
  const Outcome silent = launch(killing("\"execve\", \"exit_group\", \"ioctl\""));
  EXPECT_EQ(silent.status, 126);
  EXPECT_EQ(silent.err, "");
}

TEST_F(LaunchWithPolicy, SaysThatACommandIsMissingBelowAPolicyToo) {
  const Outcome outcome =
      world_.run({"--seccomp", policy, "--user", "app", "--chdir", "/srv", "--", "none-such"});
  EXPECT_EQ(outcome.status, 127);
  EXPECT_TRUE(outcome.says("not found")) << outcome.err;
}

TEST_F(LaunchWithPolicy, IsBlockedWhereFiltersCantBeHad) {
  Caller caller = root_with_docker_default();
  caller.filter = {{SYS_seccomp, EPERM}};
  Start start = probing({"--seccomp", "default"});
  start.caller = caller;
  EXPECT_THAT(world::refused(world_, start), HasSubstr("seccomp: seccomp filters can't be had"));
}

// Success that is somebody else's filter's answer: the small filter, loaded before, tells.
TEST_F(LaunchWithPolicy, IsNotTakenForLoadedByAnAnswerInTheKernelsPlace) {
  const ReadyFilter filter = ready_filter({policy, denying}, {CapabilitySet{}, running_kernel()});
  const auto loads_it = [&filter](bool faked) {
    return [&filter, faked] {
      checked(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
      seccomp::refuse_terminal_injection();
      if (faked) answer_seccomp_with_success();
      seccomp::load_policy(filter.program);
    };
  };
  EXPECT_EQ(ends_in_a_child(loads_it(false)), "");
  EXPECT_THAT(ends_in_a_child(loads_it(true)), HasSubstr("is not there"));
}

// ---- beside the rest ----

TEST_F(LaunchWithPolicy, GoesWithAUserNamespace) {
  const Report app = run({"--userns", "--seccomp", policy}, {call(SYS_keyctl)}).app();
  EXPECT_EQ(app.result(call(SYS_keyctl)), "EACCES");
  EXPECT_EQ(app.uids, Ids(4, 0));
}

TEST_F(LaunchWithPolicy, GoesWithLowPortsFromOutside) {
  Start start = probing({"--userns", "--port", "80", "--seccomp", "default"},
                        {"+tcp=80", "+tcp=81", call(SYS_keyctl)});
  start.unprivileged_port_start = 1024;
  const Report app = world_.run(start).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp=81"), "EACCES");
  EXPECT_EQ(app.result(call(SYS_keyctl)), "EPERM");
}

TEST_F(LaunchWithPolicy, GoesWithPretendedRoot) {
  for (const char* mode : {"--pretend-root", "--pretend-root=static"}) {
    const Report app = run({mode, "--seccomp", "default"}, {call(SYS_keyctl)}).app();
    EXPECT_EQ(app.result(call(SYS_keyctl)), "EPERM");
    EXPECT_EQ(app.result("setresuid_0"), "ok");
  }
}

TEST_F(LaunchWithPolicy, GoesWithLandlock) {
  const Report app =
      run({"--read-only", "--seccomp", "default"}, {call(SYS_keyctl), "+create-in=/srv/out"}).app();
  EXPECT_EQ(app.result(call(SYS_keyctl)), "EPERM");
  EXPECT_EQ(app.result("+create-in=/srv/out"), "EACCES");
}

TEST_F(LaunchWithPolicy, GoesBelowAnotherLauncher) {
  world_.symlink("stepdown", "/srv/bin/gosu");
  for (const Words& inner :
       {Words{"stepdown", "--seccomp", policy, "--user", "app", "--"},
        Words{"stepdown", "--seccomp", "default", "--user", "app", "--"}, Words{"gosu", "app"}}) {
    Words words = {"--seccomp", "default", "--user", "app", "--"};
    words.insert(words.end(), inner.begin(), inner.end());
    words.insert(words.end(), {"probe", call(SYS_mount), call(SYS_ioctl, "0:0x5412")});
    const Report app = world_.run(words).app();
    EXPECT_EQ(app.result(call(SYS_mount)), "EPERM");
    EXPECT_EQ(app.result(call(SYS_ioctl, "0:0x5412")), "EPERM");
    EXPECT_EQ(app.uids, Ids(4, 1000));
  }
}

TEST_F(LaunchWithPolicy, IsNotTheSupervisors) {
  watched(world_, probing({"--init", "--seccomp", policy}), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Seccomp_filters"), "1");
    EXPECT_EQ(status_of(only_child_of(pid), "Seccomp_filters"), "2");
  });
}

// ---- plan ----

TEST_F(LaunchWithPolicy, IsShownByPlan) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["no_such_call"], "action": "SCMP_ACT_ALLOW"}]})");
  const auto shown = [&](const std::string& name) {
    const Outcome outcome =
        world_.run({"plan", "--json", "--seccomp", name, "--user", "app", "probe"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return seccomp_step(outcome);
  };
  const Json json = shown(policy);
  EXPECT_EQ(json.at("state"), "to-do");
  EXPECT_EQ(json.at("detail"),
            "allow the system calls of the policy /srv/policy.json (compiled now)");
  EXPECT_THAT(std::string(json.at("reason")), HasSubstr("no_such_call"));
  EXPECT_EQ(shown("default").at("detail"), "allow the system calls of the policy default (ready)");
  compile();
  EXPECT_EQ(shown(compiled).at("detail"),
            "allow the system calls of the policy /srv/policy.bpf (ready)");
  EXPECT_TRUE(shown("none").is_null());
}

}  // namespace
}  // namespace stepdown::world
