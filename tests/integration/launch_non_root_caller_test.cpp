// Started by somebody who is not root: the same entrypoint verifies and becomes the app.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

const Words as_app = {"--user", "app", "--", "probe"};
const Words exactly_app = {"--exact-user", "--user", "app", "--", "probe"};

TEST(NonRootCaller, WhoIsTheTargetAlreadyBecomesTheApp) {
  const Outcome outcome = World().run(user(1000, 1000, {1000, 2000}), as_app);
  const Report app = outcome.app();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(app.pid, outcome.pid);
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
  EXPECT_EQ(app.bounding, docker_default) << "can't be changed without SETPCAP";
  EXPECT_EQ(app.securebits, 0U);
  EXPECT_EQ(app.result("tiocsti"), "EPERM");
}

TEST(NonRootCaller, NeedsNothingThatKubernetesRestrictedTakesAway) {
  for (const Words& words : {as_app, exactly_app}) {
    const Outcome outcome = World().run(restricted_user(1000, 1000, {1000, 2000}), words);
    const Report app = outcome.app();
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(app.uids, Ids(4, 1000));
    EXPECT_EQ(app.bounding, 0U);
    EXPECT_TRUE(app.no_new_privs);
  }
}

TEST(NonRootCaller, KeepsAnotherIdentityThatItCanNotChange) {
  const Report app = World().run(user(1001, 1001, {1001, 3000}), as_app).app();
  EXPECT_EQ(app.uids, Ids(4, 1001));
  EXPECT_EQ(app.gids, Ids(4, 1001));
  EXPECT_EQ(app.groups, Ids({1001, 3000}));
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
}

TEST(NonRootCaller, HasTheHomeOfTheIdentityThatItKeeps) {
  EXPECT_EQ(World().run(user(1001, 1001, {1001}), as_app).app().value_of("HOME"), "/home/other");
  EXPECT_EQ(World().run(user(5000, 5000, {5000}), as_app).app().value_of("HOME"), "/");
}

TEST(NonRootCaller, MayHaveAUidWithoutAnEntryAndGroup0AsOpenShiftGives) {
  const Report app = World().run(user(1000650000, 0, {0, 1000650000}), as_app).app();
  EXPECT_EQ(app.uids, Ids(4, 1000650000));
  EXPECT_EQ(app.gids, Ids(4, 0));
  EXPECT_EQ(app.groups, Ids({0, 1000650000}));
}

TEST(NonRootCaller, IsToldInThePlanThatItKeepsItsIdentity) {
  const Outcome outcome =
      World().run(user(5000, 5000, {5000}), {"plan", "--user", "app", "--", "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("5000"), std::string::npos) << outcome.out;
}

TEST(NonRootCaller, IsRefusedUnderExactUserUnlessItIsTheTarget) {
  EXPECT_EQ(World().run(user(1000, 1000, {1000, 2000}), exactly_app).app().uids, Ids(4, 1000));
  for (const Caller& caller : {user(1001, 1001, {1001}), user(5000, 5000, {5000}),
                               user(1000, 1001, {1001}), user(1001, 1000, {1000, 2000})}) {
    const Outcome outcome = World().run(caller, exactly_app);
    EXPECT_FALSE(outcome.app_ran()) << caller.uid << ":" << caller.gid;
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("1000")) << outcome.err;
  }
}

TEST(NonRootCaller, MayHaveGroupsThatItCanNotDrop) {
  // docker run --user 1000:1000 --group-add 9999, a pod's fsGroup
  for (const Words& words : {as_app, exactly_app}) {
    const Outcome outcome = World().run(user(1000, 1000, {1000, 2000, 9999}), words);
    EXPECT_EQ(outcome.app().groups, Ids({1000, 2000, 9999}));
    EXPECT_EQ(outcome.status, 0);
  }
}

TEST(NonRootCaller, IsToldInThePlanOfTheGroupsThatItCanNotDrop) {
  const Outcome outcome =
      World().run(user(1000, 1000, {1000, 2000, 9999}), {"plan", "--user", "app", "--", "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("9999"), std::string::npos) << outcome.out;
}

TEST(NonRootCaller, MayHaveAnEmptyGroupListWhereThePlanIsThePrimaryGroup) {
  Start start;
  start.words = {"--exact-user", "--user", "other", "--", "probe"};
  start.caller = restricted_user(1001, 1001, {});
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().groups, Ids({}));
  EXPECT_EQ(outcome.app().gids, Ids(4, 1001));
}

TEST(NonRootCaller, WhoCanChangeIdsDoes) {
  Caller caller = user(1001, 1001, {1001, 3000});
  caller.ambient = caps({CAP_SETUID, CAP_SETGID});
  for (const Words& words : {as_app, exactly_app}) {
    const Report app = World().run(caller, words).app();
    EXPECT_EQ(app.uids, Ids(4, 1000));
    EXPECT_EQ(app.gids, Ids(4, 1000));
    EXPECT_EQ(app.groups, Ids({1000, 2000}));
    EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
    EXPECT_TRUE(app.no_new_privs);
    EXPECT_EQ(app.result("setuid_0"), "EPERM");
  }
}

TEST(NonRootCaller, NeverEndsAsAMixtureOfTwoIdentities) {
  for (const Caps held : {caps({CAP_SETUID}), caps({CAP_SETGID})}) {
    Caller caller = user(1001, 1001, {1001, 3000});
    caller.ambient = held;
    const Outcome outcome = World().run(caller, as_app);
    if (outcome.app_ran()) {
      EXPECT_EQ(outcome.app().uids, Ids(4, 1001));
      EXPECT_EQ(outcome.app().gids, Ids(4, 1001));
      for (const std::uint32_t gid : outcome.app().groups)
        EXPECT_TRUE(gid == 1001 || gid == 3000) << gid;
    } else {
      EXPECT_EQ(outcome.status, 125);
    }
    EXPECT_FALSE(World().run(caller, exactly_app).app_ran());
  }
}

TEST(NonRootCaller, WithTheRightUidAndSetgidGetsTheGroups) {
  Caller caller = user(1000, 3000, {3000});
  caller.ambient = caps({CAP_SETGID});
  const Report app = World().run(caller, exactly_app).app();
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.groups, Ids({1000, 2000}));
  EXPECT_EQ(app.permitted, 0U);
}

TEST(NonRootCaller, LosesTheCapabilitiesThatItBrought) {
  Caller caller = user(1000, 1000, {1000, 2000});
  caller.ambient = caps({CAP_NET_RAW, CAP_DAC_OVERRIDE});
  caller.inheritable = caps({CAP_CHOWN});
  const Report app = World().run(caller, as_app).app();
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
}

TEST(NonRootCaller, NeverBecomesRoot) {
  const Outcome outcome =
      World().run(user(1000, 1000, {1000}),
                  {"--allow-root", "--exact-user", "--user", "root:root", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
}

TEST(NonRootCaller, OfNobodysIdsIsAsGoodAsAnyOther) {
  const Report app =
      World().run(user(65534, 65534, {65534}), {"--user", "nobody", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 65534));
}

TEST(NonRootCaller, LeavesStdioAlone) {
  Start start;
  start.caller = user(1000, 1000, {1000, 2000});
  start.words = {"--user", "app", "--", "probe", "+fstat=1"};
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.app().result("+fstat=1"), "0:0 10600");
}

// A rootless engine with keep-id, where the image has no root: nobody in there is uid 0.
TEST(NonRootCaller, BecomesTheAppInAUserNamespaceWithoutAUid0) {
  Start start;
  start.caller = user(1000, 1000, {1000});
  start.binary = "/usr/bin/unshare";
  start.name = "unshare";
  start.words = {"--user",
                 "--map-user=1000",
                 "--map-group=1000",
                 "/srv/bin/stepdown",
                 "--user",
                 "1000:1000",
                 "--",
                 "probe"};
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Report app = outcome.app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.ambient, 0U);
  EXPECT_TRUE(app.no_new_privs);
}

}  // namespace
}  // namespace stepdown::world
