// Where launchers get it wrong: set-user-ID copies of themselves, containers with nothing in them.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

// ---- AT_SECURE: stepdown is never set-user-ID ----

void expect_refused(const Outcome& outcome) {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  // A sanitized build ends with a status of LeakSanitizer's own, which under AT_SECURE can neither
  // do its work nor be told to leave it.
  if (!outcome.says("LeakSanitizer has encountered a fatal error")) {
    EXPECT_EQ(outcome.status, 125) << outcome.err;
  }
  EXPECT_NE(outcome.status, 0);
}

Outcome run_copy(const World& world, const Caller& caller, const Words& words,
                 const std::string& name = "stepdown") {
  Start start;
  start.caller = caller;
  start.binary = "/srv/copy";
  start.name = name;
  start.words = words;
  return world.run(start);
}

TEST(AtSecure, RefusesToRunSetuidRoot) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy", 04755);
  const Caller caller = user(1001, 1001, {1001});
  expect_refused(run_copy(world, caller, {"--user", "app", "--", "probe"}));
  expect_refused(run_copy(world, caller, {"--allow-root", "--user", "0:0", "--", "probe"}));
  expect_refused(run_copy(world, caller, {"plan", "--user", "app", "--", "probe"}));
}

TEST(AtSecure, RefusesToRunSetuidRootUnderItsOtherNames) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy", 04755);
  for (const char* name : {"gosu", "su-exec"})
    expect_refused(run_copy(world, user(1001, 1001, {1001}), {"root", "probe"}, name));
}

TEST(AtSecure, RefusesToRunSetgid) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy", 02755);
  expect_refused(run_copy(world, user(1001, 1001, {1001}), {"--user", "app", "--", "probe"}));
}

TEST(AtSecure, RefusesToRunWithFileCapabilities) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy");
  world.file_capabilities("/srv/copy", caps({CAP_SETUID, CAP_SETGID}), true);
  expect_refused(run_copy(world, user(1001, 1001, {1001}), {"--user", "app", "--", "probe"}));
  world.copy("/srv/bin/stepdown", "/srv/copy");
  world.file_capabilities("/srv/copy", caps({CAP_SETUID, CAP_SETGID}), false);
  expect_refused(run_copy(world, user(1001, 1001, {1001}), {"--user", "app", "--", "probe"}));
}

TEST(AtSecure, RefusesACallerWhoseRealUidIsAnother) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy");
  Caller caller = user(1001, 1001, {1001});
  caller.real_uid = 0;
  expect_refused(run_copy(world, caller, {"--user", "app", "--", "probe"}));
  Caller effective_root = root_with_docker_default();
  effective_root.real_uid = 1001;
  expect_refused(run_copy(world, effective_root, {"--user", "app", "--", "probe"}));
}

TEST(AtSecure, DoesNotHinderRootForWhomTheSetuidBitChangesNothing) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy", 04755);
  EXPECT_EQ(
      run_copy(world, root_with_docker_default(), {"--user", "app", "--", "probe"}).app().uids,
      Ids(4, 1000));
}

// ---- the name it is called by ----

TEST(Argv0, MayBeAnythingAndIsStepdownThen) {
  World world;
  world.copy("/srv/bin/stepdown", "/srv/copy");
  for (const char* name : {"", "/", "gosu/", "./x/stepdown", "gosu2", "-stepdown"}) {
    EXPECT_EQ(run_copy(world, root_with_docker_default(), {"app", "probe"}, name).app().uids,
              Ids(4, 1000))
        << name;
    EXPECT_EQ(run_copy(world, root_with_docker_default(), {"root", "probe"}, name).status, 125)
        << name;
  }
}

// ---- FROM scratch: no /proc, no /etc, no /dev ----

class FromScratch : public testing::Test {
 protected:
  void SetUp() override { world_.bare_root("/srv/root"); }
  Start start(const Words& words) const {
    Start made;
    made.root = "/srv/root";
    made.binary = "/stepdown";
    made.words = words;
    return made;
  }
  World world_;
};

TEST_F(FromScratch, TheAppRunsInThePlannedState) {
  const Outcome outcome = world_.run(start({"--user", "1000:1001", "--", "/probe", "x"}));
  const Report app = outcome.app();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(app.pid, outcome.pid);
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1001));
  EXPECT_EQ(app.groups, Ids({1001}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(app.result("tiocsti"), "EPERM");
  EXPECT_EQ(app.value_of("HOME"), "/");
  EXPECT_EQ(app.argv, Words({"/probe", "x"}));
}

TEST_F(FromScratch, FdsAreClosedWithoutAListOfThem) {
  Start with_fds = start({"1000:1000", "/probe"});
  with_fds.open_fds = {3, 50, 800};
  EXPECT_EQ(world_.run(with_fds).app().fd_numbers(), std::vector<int>({0, 1, 2}));
}

TEST_F(FromScratch, ANameIsAnUnknownUser) {
  const Outcome outcome = world_.run(start({"--user", "app", "--", "/probe"}));
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("app")) << outcome.err;
}

TEST_F(FromScratch, RootIsRefusedAndAllowedAsElsewhere) {
  EXPECT_EQ(world_.run(start({"0:0", "/probe"})).status, 125);
  EXPECT_EQ(world_.run(start({"--allow-root", "0:0", "/probe"})).app().permitted, 0U);
}

TEST_F(FromScratch, TreesAreHandedOver) {
  world_.file("/srv/root/data/file", "", 0, 0, 0600);
  const Report app =
      world_
          .run(start({"--own", "/data", "--user", "1000:1000", "--", "/probe", "+create-in=/data"}))
          .app();
  EXPECT_EQ(app.result("+create-in=/data"), "ok");
  EXPECT_EQ(owner_of("/srv/root/data/file"), (Owned{1000, 1000, 0600}));
}

TEST_F(FromScratch, ALowPortWorksAlthoughTheSysctlCanNotBeRead) {
  for (const int first_unprivileged : {1024, 0}) {
    Start serving = start({"--port", "80", "--user", "1000:1000", "--", "/probe", "+tcp=80"});
    serving.unprivileged_port_start = first_unprivileged;
    EXPECT_EQ(world_.run(serving).app().result("+tcp=80"), "ok");
  }
}

TEST_F(FromScratch, ANonRootCallerBecomesTheApp) {
  Start restricted = start({"--user", "1000:1000", "--", "/probe"});
  restricted.caller = restricted_user(1000, 1000, {1000});
  const Outcome outcome = world_.run(restricted);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
}

TEST_F(FromScratch, ThePlanCanBePrinted) {
  EXPECT_EQ(world_.run(start({"plan", "--user", "1000:1000", "--", "/probe"})).status, 0);
}

TEST_F(FromScratch, AMissingCommandIs127) {
  EXPECT_EQ(world_.run(start({"1000:1000", "/nosuch"})).status, 127);
  EXPECT_EQ(world_.run(start({"1000:1000", "nosuch"})).status, 127);
}

TEST_F(FromScratch, ClosedFdsDoNoHarmWhereThereIsNoNullDevice) {
  Start closed = start({"1000:1000", "/probe", "+fstat=0"});
  closed.in = Stdio::closed;
  const Outcome outcome = world_.run(closed);
  // Without a /dev/null there is nothing to put there: refused, or left closed.
  if (outcome.app_ran())
    EXPECT_EQ(outcome.app().result("+fstat=0"), "EBADF");
  else
    EXPECT_EQ(outcome.status, 125);
}

// ---- a /proc that lies ----

TEST(Verify, BelievesTheKernelAndNotAProcThatSomebodyForged) {
  World world;
  world.bare_root("/srv/root");
  if (!exists("/srv/root/proc")) {
    world.file("/srv/root/proc/self/status", "Uid:\t0\t0\t0\t0\nCapEff:\tffffffffffffffff\n", 0, 0,
               0644);
    world.file("/srv/root/proc/sys/kernel/cap_last_cap", "0\n", 0, 0, 0644);
    world.file("/srv/root/proc/sys/kernel/overflowuid", "1000\n", 0, 0, 0644);
  }
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.words = {"--user", "1000:1000", "--", "/probe"};
  const Report app = world.run(start).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
}

class FakeProc : public FromScratch {
 protected:
  void SetUp() override {
    FromScratch::SetUp();
    // A build for tests, whose libraries need one, has a true /proc mounted there.
    may_be_fake_ = !exists("/srv/root/proc");
    for (const char* directory : {"/srv/root/proc/self", "/srv/root/proc/sys/net/ipv4"})
      if (may_be_fake_) world_.directory(directory, 0, 0, 0755);
  }
  // By way of a shell, so that a read without an end does not take all of the memory.
  void expect_launch() const {
    Start start;
    start.binary = "/bin/sh";
    start.name = "sh";
    start.words = {"-c", std::string(may_be_fake_ ? "ulimit -v 500000; " : "") +
                             "exec chroot /srv/root /stepdown --port 80 1000:1000 /probe"};
    const Outcome outcome = world_.run(start);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  }
  bool may_be_fake_ = false;
};

const std::vector<std::string> files_of_proc = {
    "/srv/root/proc/self/uid_map", "/srv/root/proc/self/gid_map",
    "/srv/root/proc/sys/net/ipv4/ip_unprivileged_port_start"};

TEST_F(FakeProc, OfFifosDoesNotMakeItWait) {
  for (const std::string& path : files_of_proc)
    if (may_be_fake_) world_.fifo(path);
  expect_launch();
}

TEST_F(FakeProc, OfLinksToADeviceDoesNotMakeItReadForEver) {
  ASSERT_EQ(mknod("/srv/root/zero", S_IFCHR | 0666, makedev(1, 5)), 0);
  for (const std::string& path : files_of_proc)
    if (may_be_fake_) world_.symlink("/zero", path);
  expect_launch();
}

// ---- a user namespace, as userns-remap and rootless engines have it ----

TEST(InAUserNamespace, RootStepsDownAsElsewhere) {
  Start start;
  start.words = {"--user", "app", "--", "probe"};
  start.user_namespace = UserNamespace::with_parents_network;
  const Report app = World().run(start).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.result("setuid_0"), "EPERM");
}

TEST(InAUserNamespace, AnIdThatIsNotMappedIsRefused) {
  Start start;
  start.words = {"--user", "70000:70000", "--", "probe"};
  start.user_namespace = UserNamespace::with_parents_network;
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
}

TEST(InAUserNamespace, APathThatIsNotMappedNamesTheOptionThatMapsIt) {
  World world;
  world.passwd = "app:x:1000:1000::/home/app:/bin/sh\n";
  world.directory("/srv/data", 0, 0, 0755);  // shows as 65534 inside
  Start start;
  start.words = {"--user-of", "/srv/data", "--", "probe"};
  start.user_namespace = UserNamespace::with_parents_network;
  const Outcome outcome = world.run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--userns=keep-id")) << outcome.err;
}

TEST(InAUserNamespace, AUserNamespacesOwnNetworkNeedsNoMoreThanTheCapability) {
  Start start;
  start.words = {"--port", "80", "--user", "app", "--", "probe", "+tcp=80"};
  start.user_namespace = UserNamespace::with_own_network;
  start.unprivileged_port_start = 1024;
  const Outcome outcome = World().run(start);
  // Either it binds, or it is blocked and says so; never an app that finds out by itself.
  if (outcome.app_ran())
    EXPECT_EQ(outcome.app().result("+tcp=80"), "ok");
  else
    EXPECT_EQ(outcome.status, 125);
}

}  // namespace
}  // namespace stepdown::world
