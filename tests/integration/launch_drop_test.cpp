// What the app is after the step down from root: the defaults, and the options that soften them.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <chrono>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

const Words as_app = {"--user", "app", "--", "probe"};

// ---- the defaults ----

TEST(StepsDown, KeepsItsPid) {
  const Outcome outcome = World().run(as_app);
  EXPECT_EQ(outcome.app().pid, outcome.pid);
}

TEST(StepsDown, IsPid1WhereItWasStartedAsPid1) {
  Start start;
  start.words = as_app;
  start.pid_namespace = true;
  EXPECT_EQ(World().run(start).app().pid, 1);
}

TEST(StepsDown, LeavesTheTargetsIdsInAllFourPlaces) {
  const Outcome outcome = World().run(as_app);
  EXPECT_EQ(outcome.app().uids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(outcome.app().gids, Ids({1000, 1000, 1000, 1000}));
}

TEST(StepsDown, InitialisesTheGroups) {
  Start start;
  start.words = as_app;
  start.caller.groups = {0, 4, 7777};
  EXPECT_EQ(World().run(start).app().groups, Ids({1000, 2000}));
}

TEST(StepsDown, LeavesNoCapabilityInAnySet) {
  const Report app = World().run(as_app).app();
  EXPECT_EQ(app.inheritable, 0U);
  EXPECT_EQ(app.permitted, 0U);
  EXPECT_EQ(app.effective, 0U);
  EXPECT_EQ(app.bounding, 0U);
  EXPECT_EQ(app.ambient, 0U);
}

TEST(StepsDown, LeavesNothingOfFullRootEither) {
  const Report app = World().run(root_with(~Caps{0}), as_app).app();
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
}

TEST(StepsDown, EmptiesInheritableAndAmbientThatTheCallerBrought) {
  Caller caller = root_with_docker_default();
  caller.inheritable = docker_default;  // as Docker did before CVE-2022-24769
  caller.ambient = caps({CAP_NET_RAW});
  const Report app = World().run(caller, as_app).app();
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
}

TEST(StepsDown, SetsNoNewPrivs) {
  EXPECT_TRUE(World().run(as_app).app().no_new_privs);
}

TEST(StepsDown, LocksNorootAndNoAmbientRaiseAndNothingElse) {
  EXPECT_EQ(World().run(as_app).app().securebits, noroot_and_no_ambient_raise_locked);
}

TEST(StepsDown, RefusesToPushCharactersIntoTerminals) {
  const Report app = World().run(as_app).app();
  EXPECT_EQ(app.seccomp, 2);
  EXPECT_EQ(app.result("tiocsti"), "EPERM");
  EXPECT_EQ(app.result("tioclinux"), "EPERM");
  EXPECT_EQ(app.result("tcgets"), "EBADF") << "other requests must reach the kernel";
}

TEST(StepsDown, RefusesThemWithBitsAboveThe32ThatTheKernelReads) {
  const Report app = World().run(as_app).app();
  EXPECT_EQ(app.result("tiocsti_above"), "EPERM");
  EXPECT_EQ(app.result("tioclinux_above"), "EPERM");
}

#if defined(__x86_64__)
TEST(StepsDown, RefusesThemThroughTheOtherSystemCallTables) {
  const Report app = World().run(as_app).app();
  for (const char* table : {"tiocsti_i386", "tiocsti_x32"}) {
    EXPECT_NE(app.result(table), "EBADF") << table << " reached the kernel";
    EXPECT_NE(app.result(table), "ok") << table;
  }
}
#endif

TEST(StepsDown, CanNeverBecomeRootAgain) {
  const Report app = World().run(as_app).app();
  for (const char* call :
       {"setuid_0", "seteuid_0", "setresuid_0", "setfsuid_0", "setgid_0", "setgroups_0"})
    EXPECT_EQ(app.result(call), "EPERM") << call;
}

TEST(StepsDown, GainsNothingFromASetuidRootProgram) {
  World world;
  world.copy("/srv/bin/probe", "/srv/bin/setuid-probe", 04755);
  const Report app =
      world.run({"--user", "app", "--", "probe", "+exec=/srv/bin/setuid-probe"}).app();
  EXPECT_EQ(app.argv, Words({"/srv/bin/setuid-probe"}));
  EXPECT_EQ(app.uids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(app.permitted, 0U);
}

TEST(StepsDown, SaysNothingOnSuccess) {
  const Outcome outcome = World().run(as_app);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(outcome.out.starts_with("pid=")) << outcome.out;
}

// ---- CAP_SETPCAP: bounding set and securebits exactly when it is effective ----

TEST(StepsDown, NeedsOnlySetuidAndSetgid) {
  const Caps held = caps({CAP_SETUID, CAP_SETGID});
  const Outcome outcome = World().run(root_with(held), as_app);
  const Report app = outcome.app();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(app.uids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
}

TEST(StepsDown, LeavesBoundingAndSecurebitsWithoutSetpcap) {
  const Caps held = docker_default & ~caps({CAP_SETPCAP});
  const Report app = World().run(root_with(held), as_app).app();
  EXPECT_EQ(app.bounding, held);
  EXPECT_EQ(app.securebits, 0U);
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
}

TEST(StepsDown, SetsThemForANonRootCallerWhoHasSetpcap) {
  Caller caller = user(1000, 1000, {1000, 2000});
  caller.ambient = caps({CAP_SETPCAP});
  const Report app = World().run(caller, as_app).app();
  EXPECT_EQ(app.bounding, 0U);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
}

TEST(StepsDown, RefusesARootTargetWithoutSetpcap) {
  const Outcome outcome = World().run(root_with(docker_default & ~caps({CAP_SETPCAP})),
                                      {"--allow-root", "--user", "root:root", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("SETPCAP")) << outcome.err;
}

// ---- root as target ----

TEST(StepsDown, RefusesRootAsTarget) {
  for (const char* root : {"root", "0", "0:0", "root:app"}) {
    const Outcome outcome = World().run({"--user", root, "--", "probe"});
    EXPECT_FALSE(outcome.app_ran()) << root;
    EXPECT_EQ(outcome.status, 125) << root;
    EXPECT_TRUE(outcome.says("--allow-root")) << outcome.err;
  }
}

TEST(StepsDown, LeavesAnAllowedRootWithoutCapabilities) {
  const Report app = World().run({"--allow-root", "--user", "root:root", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids({0, 0, 0, 0}));
  EXPECT_EQ(app.gids, Ids({0, 0, 0, 0}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
}

TEST(StepsDown, LeavesAnAllowedRootTheCapabilitiesThatAreKept) {
  const Report app =
      World()
          .run({"--allow-root", "--keep-cap", "CHOWN", "--user", "root:root", "--", "probe"})
          .app();
  EXPECT_EQ(app.effective, caps({CAP_CHOWN}));
  EXPECT_EQ(app.permitted, caps({CAP_CHOWN}));
  EXPECT_EQ(app.bounding, caps({CAP_CHOWN}));
}

// ---- what the caller brings ----

TEST(StepsDown, WorksUnderNoNewPrivs) {
  Caller caller = root_with_docker_default();
  caller.no_new_privs = true;
  const Report app = World().run(caller, as_app).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
}

TEST(StepsDown, NeedsNoSetgidWhereTheGroupsAreRightAlready) {
  Caller caller = root_with(caps({CAP_SETUID}));
  caller.gid = 1000;
  caller.groups = {1000, 2000};
  const Report app = World().run(caller, as_app).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
}

TEST(StepsDown, LeavesNoCapabilityEvenWhereTheKernelWouldNotClearThem) {
  for (const int bits :
       {SECBIT_NO_SETUID_FIXUP, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED}) {
    Caller caller = root_with_docker_default();
    caller.securebits = static_cast<unsigned>(bits);
    const Outcome outcome = World().run(caller, as_app);
    if (!outcome.app_ran()) {
      EXPECT_EQ(outcome.status, 125);
      continue;
    }
    const Report app = outcome.app();
    EXPECT_EQ(app.uids, Ids(4, 1000));
    EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
    EXPECT_EQ(app.securebits & noroot_and_no_ambient_raise_locked,
              noroot_and_no_ambient_raise_locked);
  }
}

TEST(StepsDown, ClearsNoSetuidFixupForTheAppsChildren) {
  Caller caller = root_with_docker_default();
  caller.securebits = SECBIT_NO_SETUID_FIXUP;
  EXPECT_EQ(World().run(caller, as_app).app().securebits, noroot_and_no_ambient_raise_locked);
}

TEST(StepsDown, NeedsNoSetpcapWhereAnotherHasLockedTheSecurebitsShut) {
  const Outcome outcome =
      World().run({"--allow-root", "root", "/srv/bin/stepdown", "--allow-root", "root", "probe"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Report& app = outcome.app();
  EXPECT_EQ(app.uids, Ids(4, 0));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
}

TEST(StepsDown, ComesToTheSameEndWhereKeepCapsIsLocked) {
  for (const Words& options : {Words{}, Words{"--keep-cap", "KILL"}}) {
    Words words = options;
    words.insert(words.end(), as_app.begin(), as_app.end());
    Caller caller = root_with_docker_default();
    caller.securebits = SECBIT_KEEP_CAPS_LOCKED;
    const Outcome outcome = World().run(caller, words);
    if (!outcome.app_ran()) {
      EXPECT_EQ(outcome.status, 125);
      continue;
    }
    const Caps kept = options.empty() ? 0 : caps({CAP_KILL});
    EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
    EXPECT_EQ(outcome.app().permitted, kept);
    EXPECT_EQ(outcome.app().effective, kept);
    EXPECT_EQ(outcome.app().bounding, kept);
  }
}

TEST(StepsDown, SetsHundredsOfGroups) {
  World world;
  Ids expected = {1000, 2000};
  for (std::uint32_t gid = 5000; gid < 5300; ++gid) {
    world.group += "g" + std::to_string(gid) + ":x:" + std::to_string(gid) + ":root,app,other\n";
    expected.push_back(gid);
  }
  EXPECT_EQ(world.run(as_app).app().groups, expected);
}

// setgroups(2) takes 65536. The file has 9 MB; looking for each group among all those before it
// takes half a minute.
TEST(StepsDown, IsRefusedInTimeWhereThereAreMoreGroupsThanAProcessCanHave) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  for (int gid = 100000; gid < 740000; ++gid)
    world.group += "g:x:" + std::to_string(gid) + ":app\n";
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = world.run({"--own", "/srv/data", "--user", "app", "--", "probe"});
  // Half a second; a sanitized build on a busy machine has its time.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(40));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("65536")) << outcome.err;
  EXPECT_EQ(owner_of("/srv/data").uid, 0U);
}

// The members' 65536, and the primary group makes one more.
TEST(StepsDown, IsBlockedWhereThereIsOneGroupTooMany) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.group.clear();
  for (int gid = 100000; gid < 165536; ++gid)
    world.group += "g:x:" + std::to_string(gid) + ":app\n";
  const Outcome outcome = world.run({"--own", "/srv/data", "--user", "app", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("65536")) << outcome.err;
  EXPECT_EQ(owner_of("/srv/data").uid, 0U);
  EXPECT_EQ(world.run({"plan", "--user", "app", "--", "probe"}).status, 1);
}

// ---- --keep-cap ----

TEST(KeepCap, KeepsThatOneInEverySetAndNoOther) {
  for (const char* name : {"NET_RAW", "cap_net_raw"}) {
    const Report app = World().run({"--keep-cap", name, "--user", "app", "--", "probe"}).app();
    const Caps kept = caps({CAP_NET_RAW});
    EXPECT_EQ(app.ambient, kept);
    EXPECT_EQ(app.effective, kept);
    EXPECT_EQ(app.permitted, kept);
    EXPECT_EQ(app.inheritable, kept);
    EXPECT_EQ(app.bounding, kept);
    EXPECT_EQ(app.uids, Ids({1000, 1000, 1000, 1000}));
    EXPECT_TRUE(app.no_new_privs);
    EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
  }
}

TEST(KeepCap, IsRepeatable) {
  const Report app =
      World()
          .run({"--keep-cap", "NET_RAW", "--keep-cap", "KILL", "--user", "app", "--", "probe"})
          .app();
  EXPECT_EQ(app.effective, caps({CAP_NET_RAW, CAP_KILL}));
  EXPECT_EQ(app.bounding, caps({CAP_NET_RAW, CAP_KILL}));
}

TEST(KeepCap, WorksWithoutSetpcap) {
  const Caps held = caps({CAP_SETUID, CAP_SETGID, CAP_KILL});
  const Report app =
      World().run(root_with(held), {"--keep-cap", "KILL", "--user", "app", "--", "probe"}).app();
  EXPECT_EQ(app.effective, caps({CAP_KILL}));
  EXPECT_EQ(app.ambient, caps({CAP_KILL}));
  EXPECT_EQ(app.bounding, held);
}

TEST(KeepCap, IsKeptForANonRootCallerWhoHoldsIt) {
  Caller caller = user(1000, 1000, {1000, 2000});
  caller.ambient = caps({CAP_NET_RAW, CAP_KILL});
  const Report app =
      World().run(caller, {"--keep-cap", "KILL", "--user", "app", "--", "probe"}).app();
  EXPECT_EQ(app.effective, caps({CAP_KILL}));
  EXPECT_EQ(app.ambient, caps({CAP_KILL}));
  EXPECT_EQ(app.inheritable, caps({CAP_KILL}));
}

TEST(KeepCap, IsBlockedWhereTheCallerLacksIt) {
  const Outcome outcome = World().run({"--keep-cap", "SYS_ADMIN", "--user", "app", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--cap-add SYS_ADMIN")) << outcome.err;
}

TEST(KeepCap, RefusesWhatIsNoCapability) {
  for (const char* word : {"NET_ROW", "13", "", "all"}) {
    const Outcome outcome = World().run({"--keep-cap", word, "--user", "app", "--", "probe"});
    EXPECT_FALSE(outcome.app_ran()) << word;
    EXPECT_EQ(outcome.status, 125) << word;
  }
}

// ---- --allow-new-privs ----

TEST(AllowNewPrivs, LeavesNoNewPrivsBoundingAndSecurebitsAlone) {
  const Outcome outcome = World().run({"--allow-new-privs", "--user", "app", "--", "probe"});
  const Report app = outcome.app();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_FALSE(app.no_new_privs);
  EXPECT_EQ(app.bounding, docker_default);
  EXPECT_EQ(app.securebits, 0U);
  EXPECT_EQ(app.uids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
}

TEST(AllowNewPrivs, LetsSetuidProgramsWork) {
  World world;
  world.copy("/srv/bin/probe", "/srv/bin/setuid-probe", 04755);
  const Report app =
      world
          .run({"--allow-new-privs", "--user", "app", "--", "probe", "+exec=/srv/bin/setuid-probe"})
          .app();
  EXPECT_EQ(app.uids, Ids({1000, 0, 0, 0}));
}

TEST(AllowNewPrivs, DoesNotUndoWhatTheCallerSet) {
  Caller caller = root_with_docker_default();
  caller.no_new_privs = true;
  const Report app =
      World().run(caller, {"--allow-new-privs", "--user", "app", "--", "probe"}).app();
  EXPECT_TRUE(app.no_new_privs);
}

// ---- filters of the engine that are in the way ----

// Of `--user app --chdir /srv/out --umask 0027`, started by root with Docker's default.
void expect_planned_state(const Report& app) {
  EXPECT_EQ(app.uids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(app.gids, Ids({1000, 1000, 1000, 1000}));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(app.result("tiocsti"), "EPERM");
  EXPECT_EQ(app.cwd, "/srv/out");
  EXPECT_EQ(app.umask, 0027U);
  EXPECT_EQ(app.fd_numbers(), std::vector<int>({0, 1, 2}));
}

Outcome run_filtered(const FilteredCall& call) {
  Start start;
  start.words = {"--user", "app", "--chdir", "/srv/out", "--umask", "0027", "--", "probe"};
  start.caller.groups = {0, 4};
  start.open_fds = {3, 17, 300};
  start.caller.filter = {call};
  return World().run(start);
}

TEST(StepsDown, RunsInThePlannedStateWithoutAFilterInTheWay) {
  expect_planned_state(run_filtered({SYS_kexec_load, EPERM}).app());
}

class UnderALyingFilter : public testing::TestWithParam<FilteredCall> {};

// A call that claims success and did nothing: only asking the kernel afterwards finds out.
TEST_P(UnderALyingFilter, TheAppIsNotStartedInAnotherStateThanPlanned) {
  const Outcome outcome = run_filtered(GetParam());
  if (outcome.app_ran())
    expect_planned_state(outcome.app());
  else
    EXPECT_EQ(outcome.status, 125);
}

INSTANTIATE_TEST_SUITE_P(Calls, UnderALyingFilter,
                         testing::Values(FilteredCall{SYS_setgroups, 0},
                                         FilteredCall{SYS_setresgid, 0},
                                         FilteredCall{SYS_setresuid, 0},
                                         FilteredCall{SYS_capset, 0}, FilteredCall{SYS_chdir, 0},
                                         FilteredCall{SYS_umask, 0},
                                         FilteredCall{SYS_prctl, 0, PR_SET_NO_NEW_PRIVS},
                                         FilteredCall{SYS_prctl, 0, PR_CAPBSET_DROP},
                                         FilteredCall{SYS_prctl, 0, PR_SET_SECUREBITS}),
                         [](const auto& instance) {
                           return "call" + std::to_string(instance.param.number) + "_" +
                                  std::to_string(instance.param.first_argument.value_or(0)) +
                                  "_error" + std::to_string(instance.param.error);
                         });

class UnderARefusingFilter : public testing::TestWithParam<FilteredCall> {};

TEST_P(UnderARefusingFilter, TheAppIsNotStartedInAnotherStateThanPlanned) {
  const Outcome outcome = run_filtered(GetParam());
  if (outcome.app_ran()) {
    expect_planned_state(outcome.app());
  } else {
    // 126 where the refused call is the one that finds out whether the command can be executed.
    EXPECT_TRUE(outcome.status == 125 || outcome.status == 126) << outcome.status;
    EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Calls, UnderARefusingFilter,
    testing::Values(FilteredCall{SYS_setgroups, EPERM}, FilteredCall{SYS_setresgid, EPERM},
                    FilteredCall{SYS_setresuid, EAGAIN}, FilteredCall{SYS_capset, EPERM},
                    FilteredCall{SYS_chdir, EPERM},
                    // Engines with an old libseccomp answer EPERM to calls that it does not know.
                    FilteredCall{SYS_close_range, EPERM}, FilteredCall{SYS_close_range, ENOSYS},
                    FilteredCall{SYS_openat2, EPERM}, FilteredCall{SYS_faccessat2, EPERM},
                    FilteredCall{SYS_prctl, EPERM, PR_SET_NO_NEW_PRIVS},
                    FilteredCall{SYS_prctl, EPERM, PR_CAPBSET_DROP},
                    FilteredCall{SYS_prctl, EPERM, PR_SET_SECUREBITS}),
    [](const auto& instance) {
      return "call" + std::to_string(instance.param.number) + "_" +
             std::to_string(instance.param.first_argument.value_or(0)) + "_error" +
             std::to_string(instance.param.error);
    });

// The descriptors would be the app's.
TEST(StepsDown, IsRefusedWhereCloseRangeLies) {
  const Outcome outcome = run_filtered({SYS_close_range, 0});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("close_range(2)")) << outcome.err;
}

TEST(StepsDown, DoesNotStartTheAppWithoutTheTerminalFilter) {
  Start start;
  start.words = as_app;
  start.caller.filter = {{SYS_seccomp, ENOSYS}, {SYS_prctl, EINVAL, PR_SET_SECCOMP}};
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
}

}  // namespace
}  // namespace stepdown::world
