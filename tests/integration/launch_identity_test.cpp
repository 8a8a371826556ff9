// Who the app becomes: USER[:GROUP] against the account files, the owner of a path, variables.
#include <gtest/gtest.h>

#include <string>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

Words as(const std::string& spec) {
  return {"--user", spec, "--", "probe"};
}

// Refused by stepdown itself; nothing ran.
void expect_refused(const Outcome& outcome, const std::string& naming = "") {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  EXPECT_TRUE(outcome.says(naming)) << "not named: " << naming << "\nin: " << outcome.err;
}

struct Resolved {
  std::string spec;
  std::uint32_t uid, gid;
  Ids groups;
  std::string home;
};
void PrintTo(const Resolved& resolved, std::ostream* stream) {
  *stream << resolved.spec;
}

class Resolves : public testing::TestWithParam<Resolved> {};

TEST_P(Resolves, AsDockerDoes) {
  const World world;
  const Resolved& expected = GetParam();
  const Report app = world.run(as(expected.spec)).app();
  EXPECT_EQ(app.uids, Ids(4, expected.uid));
  EXPECT_EQ(app.gids, Ids(4, expected.gid));
  EXPECT_EQ(app.memberships(), expected.groups);
  EXPECT_EQ(app.value_of("HOME"), expected.home);
}

TEST_P(Resolves, AsTheFirstWordToo) {
  const World world;
  const Report app = world.run(Words{GetParam().spec, "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, GetParam().uid));
  EXPECT_EQ(app.gids, Ids(4, GetParam().gid));
  EXPECT_EQ(app.memberships(), GetParam().groups);
}

INSTANTIATE_TEST_SUITE_P(
    Specs, Resolves,
    testing::Values(Resolved{"app", 1000, 1000, {1000, 2000}, "/home/app"},
                    Resolved{"app:", 1000, 1000, {1000, 2000}, "/home/app"},
                    Resolved{"1000", 1000, 1000, {1000, 2000}, "/home/app"},
                    Resolved{"app:media", 1000, 3000, {3000}, "/home/app"},
                    Resolved{"app:3000", 1000, 3000, {3000}, "/home/app"},
                    Resolved{"1000:1000", 1000, 1000, {1000}, "/home/app"},
                    Resolved{"app:5555", 1000, 5555, {5555}, "/home/app"},
                    Resolved{"4242:4343", 4242, 4343, {4343}, "/"},
                    Resolved{"4242:media", 4242, 3000, {3000}, "/"},
                    Resolved{"2147483647:2147483647", 2147483647, 2147483647, {2147483647}, "/"},
                    Resolved{"nobody", 65534, 65534, {65534}, "/nonexistent"},
                    Resolved{"65534:65534", 65534, 65534, {65534}, "/nonexistent"},
                    Resolved{"app:0", 1000, 0, {0}, "/home/app"},
                    Resolved{"app:root", 1000, 0, {0}, "/home/app"}));

class RefusesSpec : public testing::TestWithParam<std::string> {};

TEST_P(RefusesSpec, AsTheValueOfUser) {
  const World world;
  expect_refused(world.run(Words{"--user=" + GetParam(), "--", "probe"}));
}

TEST_P(RefusesSpec, AsTheFirstWord) {
  const World world;
  expect_refused(world.run(Words{GetParam(), "probe"}));
}

INSTANTIATE_TEST_SUITE_P(Specs, RefusesSpec,
                         testing::Values("nosuchuser", "app:nosuchgroup", "4242",
                                         "4242:nosuchgroup", "4294967296", "4294967296:1000",
                                         "2147483648", "4294967295", "18446744073709551616",
                                         "1000:4294967296", "1000:2147483648", "-1", "-1:1000",
                                         "1000:-1", "+1000", "0x3e8", " 1000", "1000 ", "1000:+1",
                                         "app:app:app", "1000:1000:1000", "APP"));

TEST(LaunchIdentity, AsksForAGroupWhereANumberHasNoEntry) {
  expect_refused(World().run(as("4242")), "4242:");
}

TEST(LaunchIdentity, ANumberThatIsANameIsStillANumber) {
  World world;
  world.passwd = "4242:x:1000:1000::/home/app:\n" + world.passwd;
  world.group += "4343:x:1000:\n";
  const Report app = world.run(as("4242:4343")).app();
  EXPECT_EQ(app.uids, Ids(4, 4242));
  EXPECT_EQ(app.gids, Ids(4, 4343));
}

TEST(LaunchIdentity, TheFirstEntryWins) {
  World world;
  world.passwd += "app:x:0:0::/evil:/bin/sh\n";
  const Report app = world.run(as("app")).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.value_of("HOME"), "/home/app");
}

TEST(LaunchIdentity, AGroupThatIsListedTwiceCountsOnce) {
  World world;
  world.group += "again:x:2000:app\nprimary:x:1000:app\n";
  EXPECT_EQ(world.run(as("app")).app().memberships(), Ids({1000, 2000}));
}

// ---- malformed account files: an error, never a 0 ----

class RefusesEntry : public testing::TestWithParam<std::string> {};

TEST_P(RefusesEntry, ThatIsUsedAndNamesFileAndLine) {
  World world;
  world.passwd = "root:x:0:0:root:/root:/bin/sh\n" + GetParam() + "\n";
  expect_refused(world.run(as("app")), "/etc/passwd:2");
}

TEST_P(RefusesEntry, ButPassesItOverWhereItIsNotUsed) {
  World world;
  world.passwd = GetParam() + "\nother:x:1001:1001::/home/other:/bin/sh\n";
  EXPECT_EQ(world.run(as("other")).app().uids, Ids(4, 1001));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RefusesEntry,
    testing::Values("app:x:abc:1000::/home/app:/bin/sh", "app:x:1000:abc::/home/app:/bin/sh",
                    "app:x::1000::/home/app:/bin/sh", "app:x:1000:::/home/app:/bin/sh",
                    "app:x:4294967296:1000::/home/app:/bin/sh",
                    "app:x:1000:4294967296::/home/app:/bin/sh",
                    "app:x:2147483648:1000::/home/app:/bin/sh", "app:x:-1:1000::/home/app:/bin/sh",
                    "app:x: 1000:1000::/home/app:/bin/sh", "app:x:0x10:1000::/home/app:/bin/sh",
                    "app:x:1000", "app:x", "app"));

TEST(LaunchIdentity, RefusesAMalformedGroupThatIsUsedAndNamesFileAndLine) {
  for (const std::string line : {"media:x:abc:", "media:x:4294967296:", "media:x", "media:x::"}) {
    World world;
    world.group = "root:x:0:\n" + line + "\n";
    expect_refused(world.run(as("app:media")), "/etc/group:2");
  }
}

TEST(LaunchIdentity, RefusesAMalformedGroupThatListsTheUser) {
  World world;
  world.group += "broken:x:abc:app\n";
  expect_refused(world.run(as("app")), "/etc/group:");
}

TEST(LaunchIdentity, NeedsNoMoreOfAnEntryThanTheGid) {
  World world;
  world.passwd = "# a comment\n\napp:x:1000:1000\n";
  const Report app = world.run(as("app")).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.value_of("HOME"), "/");
}

TEST(LaunchIdentity, RefusesAPasswdThatIsNoRegularFileAndDoesNotWaitForIt) {
  World world;
  world.fifo("/srv/fifo");
  world.passwd_file = "/srv/fifo";
  expect_refused(world.run(as("app")), "/etc/passwd");
}

TEST(LaunchIdentity, RefusesAPasswdAbove10MiB) {
  World world;
  world.passwd += std::string(10 * 1024 * 1024, '#');
  expect_refused(world.run(as("app")), "/etc/passwd");
}

// ---- gid 0 ----

TEST(LaunchIdentity, RefusesAPrimaryGroup0FromTheAccountFiles) {
  expect_refused(World().run(as("rootgroup")), "--allow-root-group");
  const Report app =
      World().run({"--allow-root-group", "--user", "rootgroup", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 1002));
  EXPECT_EQ(app.gids, Ids(4, 0));
}

TEST(LaunchIdentity, RefusesASupplementaryGroup0FromTheAccountFiles) {
  expect_refused(World().run(as("wheel")), "--allow-root-group");
  const Report app = World().run({"--allow-root-group", "--user", "wheel", "--", "probe"}).app();
  EXPECT_EQ(app.memberships(), Ids({0, 1003}));
}

// ---- --group-add and --keep-groups ----

TEST(GroupAdd, AddsNamesAndNumbers) {
  const Report app = World()
                         .run({"--group-add", "media", "--group-add=5555", "--group-add", "staff",
                               "--user", "app", "--", "probe"})
                         .app();
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.memberships(), Ids({1000, 2000, 3000, 5555}));
}

TEST(GroupAdd, ComesOnTopOfAnExplicitGroup) {
  EXPECT_EQ(World()
                .run({"--group-add", "media", "--user", "app:5555", "--", "probe"})
                .app()
                .memberships(),
            Ids({3000, 5555}));
}

TEST(GroupAdd, RefusesWhatIsNoGroup) {
  for (const std::string word : {"nosuchgroup", "4294967296", "-1", "0x1"})
    expect_refused(World().run({"--group-add=" + word, "--user", "app", "--", "probe"}));
}

TEST(KeepGroups, KeepsWhatTheEngineAddedAndNeverGid0) {
  Start start;
  start.caller.groups = {0, 4, 7777};  // adm lists root: its account explains 4
  start.words = {"--keep-groups", "--user", "app", "--", "probe"};
  EXPECT_EQ(World().run(start).app().memberships(), Ids({1000, 2000, 7777}));
}

// ---- --user-of ----

TEST(UserOf, IsTheOwnerOfThePath) {
  World world;
  world.directory("/srv/data", 1001, 3000, 0755);
  const Report app = world.run({"--user-of", "/srv/data", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 1001));
  EXPECT_EQ(app.gids, Ids(4, 3000));
  EXPECT_EQ(app.value_of("HOME"), "/home/other");
}

TEST(UserOf, TakesAllWordsAsTheCommand) {
  World world;
  world.directory("/srv/data", 1001, 1001, 0755);
  const Report app = world.run({"--user-of", "/srv/data", "probe", "app"}).app();
  EXPECT_EQ(app.uids, Ids(4, 1001));
  EXPECT_EQ(app.argv, Words({"probe", "app"}));
}

TEST(UserOf, TakesTheHomeFromUserWhereTheUidHasNoEntry) {
  World world;
  world.directory("/srv/data", 4321, 4322, 0755);
  const Report app = world.run({"--user-of", "/srv/data", "--user", "app", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 4321));
  EXPECT_EQ(app.gids, Ids(4, 4322));
  EXPECT_EQ(app.value_of("HOME"), "/home/app");
}

TEST(UserOf, NeedsNoEntryAndNoUser) {
  World world;
  world.directory("/srv/data", 4321, 4322, 0755);
  const Report app = world.run({"--user-of", "/srv/data", "--", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 4321));
  EXPECT_EQ(app.value_of("HOME"), "/");
}

TEST(UserOf, RefusesARootOwnedPath) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  expect_refused(world.run({"--user-of", "/srv/data", "--", "probe"}), "/srv/data");
}

TEST(UserOf, FallsBackToUserForARootOwnedPath) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  EXPECT_EQ(world.run({"--user-of", "/srv/data", "--user", "app", "--", "probe"}).app().uids,
            Ids(4, 1000));
}

TEST(UserOf, RefusesTheOverflowIdWithoutAnEntry) {
  World world;
  world.passwd = "app:x:1000:1000::/home/app:/bin/sh\n";
  world.directory("/srv/data", 65534, 65534, 0755);
  expect_refused(world.run({"--user-of", "/srv/data", "--", "probe"}), "/srv/data");
  EXPECT_EQ(world.run({"--user-of", "/srv/data", "--user", "app", "--", "probe"}).app().uids,
            Ids(4, 1000));
}

TEST(UserOf, AcceptsNobodyWhereItHasAnEntry) {
  World world;
  world.directory("/srv/data", 65534, 65534, 0755);
  EXPECT_EQ(world.run({"--user-of", "/srv/data", "--", "probe"}).app().uids, Ids(4, 65534));
}

TEST(UserOf, FollowsNoSymlinkThatAnUntrustedUserPlanted) {
  World world;
  world.directory("/srv/theirs", 1001, 1001, 0755);
  world.directory("/srv/target", 1000, 1000, 0755);
  world.symlink("/srv/target", "/srv/theirs/link");
  expect_refused(world.run({"--user-of", "/srv/theirs/link", "--", "probe"}), "/srv/theirs/link");
}

TEST(UserOf, RefusesWhatDoesNotExist) {
  expect_refused(World().run({"--user-of", "/srv/nowhere", "--", "probe"}), "/srv/nowhere");
}

// ---- --user-env ----

Start with_variables(const Words& variables, const Words& words) {
  Start start;
  start.words = words;
  for (const std::string& variable : variables) start.environment.push_back(variable);
  return start;
}

TEST(UserEnv, TakesUidAndGidFromTheEnvironment) {
  const Report app = World()
                         .run(with_variables({"PUID=1234", "PGID=1235"},
                                             {"--user-env", "PUID:PGID", "--", "probe"}))
                         .app();
  EXPECT_EQ(app.uids, Ids(4, 1234));
  EXPECT_EQ(app.gids, Ids(4, 1235));
  EXPECT_EQ(app.memberships(), Ids({1235}));
}

TEST(UserEnv, TakesTheGroupFromTheEntryWhereNoVariableIsNamedForIt) {
  const Report app =
      World().run(with_variables({"PUID=1000"}, {"--user-env", "PUID", "--", "probe"})).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.gids, Ids(4, 1000));
  EXPECT_EQ(app.value_of("HOME"), "/home/app");
}

TEST(UserEnv, GoesBeforeUser) {
  const Words words = {"--user-env", "PUID:PGID", "--user", "app", "--", "probe"};
  EXPECT_EQ(World().run(with_variables({"PUID=1234", "PGID=1235"}, words)).app().uids,
            Ids(4, 1234));
}

TEST(UserEnv, FallsBackToUserWhereItIsUnset) {
  const Words words = {"--user-env", "PUID:PGID", "--user", "app", "--", "probe"};
  EXPECT_EQ(World().run(with_variables({}, words)).app().uids, Ids(4, 1000));
}

TEST(UserEnv, IsRefusedWhereItIsUnsetAndThereIsNoUser) {
  expect_refused(World().run({"--user-env", "PUID:PGID", "--", "probe"}), "PUID");
}

TEST(UserEnv, RefusesMalformedValuesAndDoesNotFallBack) {
  for (const std::string value : {"4294967296", "2147483648", "-1", "+1", "0x3e8", " 1000", "1000 ",
                                  "10.5", "1000\n", "18446744073709551616"}) {
    const Words words = {"--user-env", "PUID:PGID", "--user", "app", "--", "probe"};
    expect_refused(World().run(with_variables({"PUID=" + value, "PGID=1000"}, words)), "PUID");
    expect_refused(World().run(with_variables({"PUID=1000", "PGID=" + value}, words)), "PGID");
  }
}

TEST(UserEnv, RefusesRoot) {
  expect_refused(
      World().run(with_variables({"PUID=0", "PGID=0"}, {"--user-env", "PUID:PGID", "--", "probe"})),
      "--allow-root");
}

}  // namespace
}  // namespace stepdown::world
