// --own, --writable, --readable as the launcher does them on its way down.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <cstdio>

#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;

Words as_app(const Words& options, const Words& wishes = {}) {
  Words words = options;
  words.insert(words.end(), {"--user", "app", "--", "probe"});
  words.insert(words.end(), wishes.begin(), wishes.end());
  return words;
}

void expect_refused(const Outcome& outcome, const std::string& naming = "") {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  EXPECT_TRUE(outcome.says(naming)) << "not named: " << naming << "\nin: " << outcome.err;
}

TEST(Own, HandsTheTreeOverAndTheAppCanWriteThere) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.file("/srv/data/sub/file", "", 0, 0, 0600);
  const Report app = world
                         .run(as_app({"--own", "/srv/data"},
                                     {"+create-in=/srv/data", "+append=/srv/data/sub/file"}))
                         .app();
  EXPECT_EQ(app.result("+create-in=/srv/data"), "ok");
  EXPECT_EQ(app.result("+append=/srv/data/sub/file"), "ok");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{1000, 1000, 0755}));
  EXPECT_EQ(owner_of("/srv/data/sub"), (Owned{1000, 1000, 0755}));
  EXPECT_EQ(owner_of("/srv/data/sub/file"), (Owned{1000, 1000, 0600}));
}

TEST(Own, LeavesWhatIsBelowTopAlone) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.file("/srv/data/file", "", 0, 0, 0600);
  EXPECT_EQ(world.run(as_app({"--own", "/srv/data:top"}, {"+create-in=/srv/data"}))
                .app()
                .result("+create-in=/srv/data"),
            "ok");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{1000, 1000, 0755}));
  EXPECT_EQ(owner_of("/srv/data/file"), (Owned{0, 0, 0600}));
}

TEST(Own, CreatesWhatIsMissing) {
  const World world;
  EXPECT_EQ(world.run(as_app({"--own", "/srv/new/data"}, {"+create-in=/srv/new/data"}))
                .app()
                .result("+create-in=/srv/new/data"),
            "ok");
  EXPECT_EQ(owner_of("/srv/new/data").uid, 1000U);
}

TEST(Own, IsRepeatable) {
  World world;
  world.directory("/srv/one", 0, 0, 0755);
  world.directory("/srv/two", 0, 0, 0755);
  EXPECT_EQ(world.run(as_app({"--own", "/srv/one", "--own=/srv/two"})).status, 0);
  EXPECT_EQ(owner_of("/srv/one").uid, 1000U);
  EXPECT_EQ(owner_of("/srv/two").uid, 1000U);
}

TEST(Own, DoesNotTouchWhatIsRight) {
  World world;
  world.directory("/srv/data", 1000, 1000, 0755);
  world.file("/srv/data/file", "", 1000, 1000, 0644);
  const std::string top = change_stamp("/srv/data"), file = change_stamp("/srv/data/file");
  EXPECT_EQ(world.run(as_app({"--own", "/srv/data"})).status, 0);
  EXPECT_EQ(change_stamp("/srv/data"), top);
  EXPECT_EQ(change_stamp("/srv/data/file"), file);
}

TEST(Own, IsMootWithoutChownWhereTheTargetCanWriteAlready) {
  World world;
  world.directory("/srv/data", 0, 2000, 02775);  // a pod's fsGroup volume
  const Caps held = caps({CAP_SETUID, CAP_SETGID});
  EXPECT_EQ(world.run(root_with(held), as_app({"--own", "/srv/data"}, {"+create-in=/srv/data"}))
                .app()
                .result("+create-in=/srv/data"),
            "ok");
  EXPECT_EQ(
      world.run(restricted_user(1000, 1000, {1000, 2000}), as_app({"--own", "/srv/data"})).status,
      0);
  EXPECT_EQ(owner_of("/srv/data"), (Owned{0, 2000, 02775}));
}

TEST(Own, IsBlockedWithoutChownWhereTheTargetCanNotWrite) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  for (const Caller& caller :
       {root_with(caps({CAP_SETUID, CAP_SETGID})), restricted_user(1000, 1000, {1000, 2000})}) {
    const Outcome outcome = world.run(caller, as_app({"--own", "/srv/data"}));
    expect_refused(outcome, "/srv/data");
    EXPECT_TRUE(outcome.says("CHOWN")) << outcome.err;
  }
  EXPECT_EQ(owner_of("/srv/data"), (Owned{0, 0, 0755}));
}

TEST(Own, IsRefusedOnAReadOnlyMountThatTheTargetCanNotWrite) {
  World world;
  world.read_only_mount("/srv/data");
  const Outcome outcome = world.run(as_app({"--own", "/srv/data"}));
  expect_refused(outcome, "/srv/data");
  EXPECT_TRUE(outcome.says("read-only") || outcome.says("Read-only")) << outcome.err;
}

TEST(Own, FollowsNoSymlinkThatAnUntrustedUserPlanted) {
  World world;
  world.directory("/srv/theirs", 1001, 1001, 0755);
  world.directory("/srv/victim", 0, 0, 0755);
  world.symlink("/srv/victim", "/srv/theirs/link");
  expect_refused(world.run(as_app({"--own", "/srv/theirs/link"})), "/srv/theirs/link");
  EXPECT_EQ(owner_of("/srv/victim"), (Owned{0, 0, 0755}));
}

TEST(Own, DoesNotFollowSymlinksInTheTree) {
  World world;
  world.file("/srv/victim", "", 0, 0, 0600);
  world.directory("/srv/data", 0, 0, 0755);
  world.symlink("/srv/victim", "/srv/data/link");
  EXPECT_EQ(world.run(as_app({"--own", "/srv/data"})).status, 0);
  EXPECT_EQ(owner_of("/srv/victim"), (Owned{0, 0, 0600}));
}

TEST(Own, NeverWalksAWorldWritableDirectory) {
  World world;
  world.directory("/srv/tmp", 0, 0, 01777);
  world.file("/srv/tmp/roots", "", 0, 0, 0600);
  EXPECT_EQ(world.run(as_app({"--own", "/srv/tmp"})).status, 0);
  EXPECT_EQ(owner_of("/srv/tmp"), (Owned{0, 0, 01777}));
  EXPECT_EQ(owner_of("/srv/tmp/roots"), (Owned{0, 0, 0600}));
}

class RefusesToOwn : public testing::TestWithParam<std::string> {};

// In a root directory of its own: were it not refused, the machine's files would not suffer.
TEST_P(RefusesToOwn, WhatBelongsToTheSystem) {
  World world;
  world.bare_root("/srv/root");
  for (const char* directory :
       {"etc", "usr", "bin", "sbin", "lib32", "boot", "root", "home", "var", "run", "sys", "dev"})
    if (!exists(std::string("/srv/root/") + directory))
      world.directory(std::string("/srv/root/") + directory, 0, 0, 0755);
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.words = {"--own", GetParam(), "--user", "1000:1000", "--", "/probe"};
  expect_refused(world.run(start));
  EXPECT_EQ(owner_of("/srv/root" + GetParam()).uid, 0U);
}

INSTANTIATE_TEST_SUITE_P(Paths, RefusesToOwn,
                         testing::Values("/", "/etc", "/usr", "/bin", "/sbin", "/lib32", "/boot",
                                         "/root", "/home", "/var", "/run", "/etc/", "//etc",
                                         "/var/../etc"));

TEST(Own, OfRunAloneIsPossible) {
  World world;
  world.bare_root("/srv/root");
  world.directory("/srv/root/run", 0, 0, 0755);
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.words = {"--own", "/run:top", "--user", "1000:1000", "--", "/probe"};
  EXPECT_TRUE(world.run(start).app_ran());
  EXPECT_EQ(owner_of("/srv/root/run").uid, 1000U);
}

// Root's, and the app can't write there: neither handed over nor left for the app to stumble over.
TEST(Own, IsBlockedOnAStickyDirectoryThatTheTargetCanNotWrite) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.directory("/srv/sticky", 0, 0, 01755);
  const Words words = as_app({"--own", "/srv/data", "--own", "/srv/sticky"});
  const Outcome outcome = world.run(words);
  expect_refused(outcome, "/srv/sticky");
  EXPECT_TRUE(outcome.says("sticky")) << outcome.err;
  EXPECT_EQ(owner_of("/srv/sticky"), (Owned{0, 0, 01755}));
  EXPECT_EQ(owner_of("/srv/data"), (Owned{0, 0, 0755})) << "found before anything is changed";
  Words plan = words;
  plan.insert(plan.begin(), "plan");
  EXPECT_EQ(world.run(plan).status, 1);
}

TEST(Own, OfAPathWithASlashAtItsEndIsTheSamePath) {
  World world;
  for (const char* path : {"/srv/data/", "/srv/data///"}) {
    world.directory("/srv/data/sub", 0, 0, 0755);
    world.directory("/srv/data", 0, 0, 0755);
    const Outcome outcome = world.run(
        as_app({"--own", path, "--writable", "/srv/data/sub", "--readable", "/srv/data/sub"},
               {"+create-in=/srv/data/sub"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(outcome.app_ran()) << path;
    std::remove("/srv/data/sub/made-by-app");
  }
}

// ---- --writable ----

TEST(WritableOption, IsCheckedAsTheTarget) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  expect_refused(world.run(as_app({"--writable", "/srv/data"})), "/srv/data");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{0, 0, 0755})) << "never chowned";
}

TEST(WritableOption, IsFineWhereTheTargetOrOneOfItsGroupsCanWrite) {
  World world;
  world.directory("/srv/own", 1000, 1000, 0700);
  world.directory("/srv/groups", 0, 2000, 0770);
  EXPECT_EQ(world.run(as_app({"--writable", "/srv/own", "--writable", "/srv/groups"})).status, 0);
  EXPECT_EQ(world
                .run(restricted_user(1000, 1000, {1000, 2000}),
                     as_app({"--writable", "/srv/own", "--writable", "/srv/groups"}))
                .status,
            0);
}

TEST(WritableOption, IsFineWhereOwnMakesItSo) {
  World world;
  world.directory("/srv/data/sub", 0, 0, 0755);
  EXPECT_EQ(world.run(as_app({"--own", "/srv/data", "--writable", "/srv/data/sub"})).status, 0);
}

TEST(WritableOption, MustExist) {
  expect_refused(World().run(as_app({"--writable", "/srv/nowhere"})), "/srv/nowhere");
}

// ---- --readable ----

TEST(ReadableOption, NamesTheFirstOffendersAndTheDockerfileLineThatMendsThem) {
  World world;
  world.directory("/srv/app", 0, 0, 0755);
  world.file("/srv/app/good", "", 0, 0, 0644);
  world.file("/srv/app/secret", "", 0, 0, 0600);
  world.file("/srv/app/closed/inside", "", 0, 0, 0644);
  world.directory("/srv/app/closed", 0, 0, 0700);
  const Outcome outcome = world.run(as_app({"--readable", "/srv/app"}));
  expect_refused(outcome, "/srv/app/secret");
  EXPECT_TRUE(outcome.says("/srv/app/closed")) << outcome.err;
  EXPECT_FALSE(outcome.says("/srv/app/good")) << outcome.err;
  EXPECT_TRUE(outcome.says("COPY --chown")) << outcome.err;
}

TEST(ReadableOption, IsFineWhereAllCanBeRead) {
  World world;
  world.file("/srv/app/good", "", 0, 0, 0644);
  world.file("/srv/app/groups", "", 0, 2000, 0640);
  world.symlink("/srv/app/nowhere", "/srv/app/dangling");
  EXPECT_EQ(world.run(as_app({"--readable", "/srv/app"})).status, 0);
}

}  // namespace
}  // namespace stepdown::world
