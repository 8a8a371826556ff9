// Under the names gosu and su-exec: their grammar, and nothing stricter where a script could
// notice.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

class UnderTheName : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { world_.symlink("stepdown", "/srv/bin/" + GetParam()); }
  Start start(const Words& words) const {
    Start made;
    made.binary = "/srv/bin/" + GetParam();
    made.name = GetParam();
    made.words = words;
    return made;
  }
  Outcome run(const Words& words) const { return world_.run(start(words)); }
  void expect_refused(const Words& words) const {
    const Outcome outcome = run(words);
    EXPECT_FALSE(outcome.app_ran()) << outcome.out;
    EXPECT_EQ(outcome.status, 125) << outcome.err;
  }
  World world_;
};

INSTANTIATE_TEST_SUITE_P(Names, UnderTheName, testing::Values("gosu", "su-exec"),
                         [](const auto& instance) {
                           return instance.param == "gosu" ? "gosu" : "su_exec";
                         });

TEST_P(UnderTheName, StepsDownForGood) {
  const Outcome outcome = run({"app", "probe", "--color", "x"});
  const Report app = outcome.app();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(app.pid, outcome.pid);
  EXPECT_EQ(app.argv, Words({"probe", "--color", "x"}));
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(app.result("tiocsti"), "EPERM");
}

TEST_P(UnderTheName, IsKnownByItsPathToo) {
  Start with_path = start({"app", "probe"});
  with_path.name = "/usr/local/bin/" + GetParam();
  EXPECT_EQ(world_.run(with_path).app().uids, Ids(4, 1000));
}

TEST_P(UnderTheName, IsKnownAsACopyOrHardLinkToo) {
  world_.copy("/srv/bin/stepdown", "/srv/copy/" + GetParam());
  Start copied = start({"root", "probe"});
  copied.binary = "/srv/copy/" + GetParam();
  EXPECT_EQ(world_.run(copied).app().uids, Ids(4, 0));
}

TEST_P(UnderTheName, TakesAGroup) {
  const Report app = run({"app:media", "probe"}).app();
  EXPECT_EQ(app.gids, Ids(4, 3000));
  EXPECT_EQ(app.groups, Ids({3000}));
}

TEST_P(UnderTheName, LeavesRootAlone) {
  for (const char* root : {"root", "0", "0:0"}) {
    const Report app = run({root, "probe"}).app();
    EXPECT_EQ(app.uids, Ids(4, 0)) << root;
    EXPECT_EQ(app.permitted, docker_default);
    EXPECT_EQ(app.effective, docker_default);
    EXPECT_EQ(app.bounding, docker_default);
    EXPECT_FALSE(app.no_new_privs);
    EXPECT_EQ(app.securebits, 0U);
  }
}

TEST_P(UnderTheName, AllowsGroup0) {
  EXPECT_EQ(run({"rootgroup", "probe"}).app().gids, Ids(4, 0));
  EXPECT_EQ(run({"wheel", "probe"}).app().memberships(), Ids({0, 1003}));
}

TEST_P(UnderTheName, KeepsFds) {
  Start with_fds = start({"app", "probe"});
  with_fds.open_fds = {3, 7, 100};
  EXPECT_EQ(world_.run(with_fds).app().fd_numbers(), std::vector<int>({0, 1, 2, 3, 7, 100}));
}

TEST_P(UnderTheName, ChangesHomeAlone) {
  Start with_variables = start({"app", "probe"});
  with_variables.environment = {"PATH=/srv/bin", "HOME=/root", "USER=root", "LOGNAME=root",
                                "SHELL=/bin/bash"};
  const Report app = world_.run(with_variables).app();
  EXPECT_EQ(app.value_of("HOME"), "/home/app");
  EXPECT_EQ(app.value_of("USER"), "root");
  EXPECT_EQ(app.value_of("LOGNAME"), "root");
  EXPECT_EQ(app.value_of("SHELL"), "/bin/bash");
  EXPECT_EQ(app.environment.size(), 5U);
}

TEST_P(UnderTheName, KeepsTheCallersGroupForANumberWithoutAnEntry) {
  Start from_group = start({"4242", "probe"});
  from_group.caller.gid = 3000;
  const Report app = world_.run(from_group).app();
  EXPECT_EQ(app.uids, Ids(4, 4242));
  EXPECT_EQ(app.gids, Ids(4, 3000));
  EXPECT_EQ(app.value_of("HOME"), "/");
  EXPECT_EQ(run({"4242", "probe"}).app().gids, Ids(4, 0));
}

TEST_P(UnderTheName, AnswersVersionAndHelp) {
  for (const char* word : {"--version", "--help"}) {
    const Outcome outcome = run({word});
    EXPECT_EQ(outcome.status, 0) << word;
    EXPECT_NE(outcome.out, "") << word;
  }
}

TEST_P(UnderTheName, HasNoOptionsAndTakesNoDoubleDash) {
  // A double dash would be the name of the command.
  EXPECT_EQ(run({"app", "--", "probe"}).status, 127);
  EXPECT_EQ(run({"app", "--version"}).status, 127);
  expect_refused({"--user", "app", "probe"});
  expect_refused({"--allow-root", "root", "probe"});
  world_.copy("/srv/bin/probe", "/srv/bin/--");
  EXPECT_EQ(run({"app", "--", "probe"}).app().argv, Words({"--", "probe"}));
}

TEST_P(UnderTheName, KnowsNoCommandsOfOurs) {
  EXPECT_EQ(run({"check", "probe"}).app().uids, Ids(4, 1004));
  expect_refused({"run", "app", "probe"});
  expect_refused({"plan", "app", "probe"});
}

TEST_P(UnderTheName, NeedsAUserAndACommand) {
  expect_refused({});
  expect_refused({"app"});
}

TEST_P(UnderTheName, RefusesWhatWouldBecomeRootByMistake) {
  for (const char* spec : {"4294967296", "4294967296:1000", "1000:4294967296", "-1", "2147483648",
                           "nosuchuser", "app:nosuchgroup", "0x0", "+0"})
    expect_refused({spec, "probe"});
  world_.passwd = "root:x:0:0::/root:/bin/sh\napp:x:abc:1000::/home/app:/bin/sh\n";
  expect_refused({"app", "probe"});
}

TEST_P(UnderTheName, HasOurExitStatuses) {
  EXPECT_EQ(run({"app", "nosuchcommand"}).status, 127);
  EXPECT_EQ(run({"app", "/srv/extra"}).status, 126);
  EXPECT_EQ(run({"app", "probe", "+exit=42"}).status, 42);
  EXPECT_EQ(run({"nosuchuser", "probe"}).status, 125);
}

TEST_P(UnderTheName, ServesAScriptThatCallsItselfAgain) {
  world_.program("/srv/bin/entrypoint", "#!/bin/sh\nif [ \"$(id -u)\" = 0 ]; then exec " +
                                            GetParam() + " app \"$0\" \"$@\"; fi\nexec \"$@\"\n");
  Start entrypoint;
  entrypoint.binary = "/srv/bin/entrypoint";
  entrypoint.name = "entrypoint";
  entrypoint.words = {"probe", "serve"};
  const Outcome outcome = world_.run(entrypoint);
  EXPECT_EQ(outcome.app().pid, outcome.pid);
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  EXPECT_EQ(outcome.app().argv, Words({"probe", "serve"}));
}

TEST_P(UnderTheName, PassesOnUmaskDirectoryAndSignals) {
  Start surrounded = start({"app", "probe"});
  surrounded.umask = 0137;
  surrounded.cwd = "/srv/out";
  surrounded.blocked_signals = {10};
  surrounded.ignored_signals = {13};
  const Report app = world_.run(surrounded).app();
  EXPECT_EQ(app.umask, 0137U);
  EXPECT_EQ(app.cwd, "/srv/out");
  EXPECT_EQ(app.blocked, std::vector<int>{10});
  EXPECT_EQ(app.ignored, std::vector<int>{13});
}

// As qemu-user has it, in which images for other machines are built.
TEST_P(UnderTheName, RunsWithoutAFilterWhereTheKernelHasNoSeccomp) {
  Start without_seccomp = start({"app", "probe"});
  without_seccomp.caller.filter = {{SYS_seccomp, ENOSYS},
                                   {SYS_prctl, EINVAL, PR_SET_SECCOMP},
                                   {SYS_prctl, EINVAL, PR_GET_SECCOMP}};
  const Outcome outcome = world_.run(without_seccomp);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  EXPECT_TRUE(outcome.app().no_new_privs);
  EXPECT_EQ(outcome.app().result("tiocsti"), "EBADF");
}

}  // namespace
}  // namespace stepdown::world
