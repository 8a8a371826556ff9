// What the app's user will run into is found out before anything is changed, and only that: what
// the hand-over is about to mend, or what is the app's already, stands in nobody's way.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;

const Caps hand_over_and_ids = caps({CAP_CHOWN, CAP_SETUID, CAP_SETGID});

Words as_app(Words options, const Words& command = {"probe"}) {
  options.insert(options.end(), {"--user", "app", "--"});
  options.insert(options.end(), command.begin(), command.end());
  return options;
}

Words plan_of(Words words) {
  words.insert(words.begin(), "plan");
  return words;
}

void noexec_mount(const std::string& path) {
  if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOEXEC, "mode=0755") != 0)
    throw std::system_error(errno, std::generic_category(), "mount " + path);
}

// ---- a second start ----

// What a database leaves: directories that nobody but its own user may list.
class SecondStart : public testing::Test {
 protected:
  void SetUp() override {
    world_.file("/srv/data/file", "", 0, 0, 0644);
    ASSERT_EQ(start().status, 0);
    ASSERT_EQ(owner_of("/srv/data/file").uid, 1000U);
  }
  Outcome start(const Words& options = {}) const {
    Words words = {"--own", "/srv/data"};
    words.insert(words.end(), options.begin(), options.end());
    return world_.run(root_with(hand_over_and_ids),
                      as_app(words, {"probe", "+append=/srv/data/file"}));
  }
  World world_;
};

TEST_F(SecondStart, NeedsNoMoreCapabilitiesOverDirectoriesThatTheAppClosed) {
  world_.file("/srv/data/base/file", "", 1000, 1000, 0600);
  world_.directory("/srv/data/base", 1000, 1000, 0700);
  const std::string closed = change_stamp("/srv/data/base");
  const Outcome outcome = start();
  EXPECT_EQ(outcome.app().result("+append=/srv/data/file"), "ok");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(change_stamp("/srv/data/base"), closed);
}

TEST_F(SecondStart, StillHandsOverWhatAppearedBesideThem) {
  world_.directory("/srv/data/a-closed", 1000, 1000, 0700);
  world_.directory("/srv/data/z-closed", 1000, 1000, 0700);
  world_.file("/srv/data/m-roots", "", 0, 0, 0644);
  EXPECT_EQ(start().status, 0);
  EXPECT_EQ(owner_of("/srv/data/m-roots"), (Owned{1000, 1000, 0644}));
}

TEST_F(SecondStart, TellsInTheLogThatItDidNotLookInside) {
  world_.directory("/srv/data/base", 1000, 1000, 0700);
  const Outcome outcome = start({"--log-level", "info"});
  EXPECT_TRUE(outcome.app_ran());
  EXPECT_TRUE(outcome.says("DAC_READ_SEARCH")) << outcome.err;
}

TEST_F(SecondStart, IsFineWhereTheAppClosedTheTopItself) {
  world_.directory("/srv/data", 1000, 1000, 0700);
  EXPECT_EQ(start().app().result("+append=/srv/data/file"), "ok");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{1000, 1000, 0700}));
}

TEST_F(SecondStart, IsRefusedOverADirectoryThatSomebodyElseClosed) {
  world_.file("/srv/data/theirs/file", "", 1001, 1001, 0600);
  world_.directory("/srv/data/theirs", 1001, 1001, 0700);
  const Outcome outcome = start();
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("/srv/data/theirs")) << outcome.err;
  EXPECT_TRUE(outcome.says("--cap-add DAC_READ_SEARCH")) << outcome.err;
}

// ---- what the hand-over mends is no obstacle ----

TEST(HandOverOnLaunch, MakesReadableWhatItOwns) {
  World world;
  world.file("/srv/data/file", "", 0, 0, 0600);
  world.directory("/srv/data", 0, 0, 0700);
  const Words words = as_app({"--own", "/srv/data", "--readable", "/srv/data"},
                             {"probe", "+append=/srv/data/file"});
  EXPECT_EQ(world.run(plan_of(words)).status, 0);
  EXPECT_EQ(world.run(words).app().result("+append=/srv/data/file"), "ok");
}

TEST(HandOverOnLaunch, MakesReadableWhatItOwnsBelow) {
  World world;
  world.file("/srv/app/code", "", 0, 0, 0644);
  for (const char* name : {"1", "2", "3", "4", "5", "6", "7", "8"})
    world.file(std::string("/srv/app/data/") + name, "", 0, 0, 0600);
  const Words words = as_app({"--readable", "/srv/app", "--own", "/srv/app/data"});
  EXPECT_EQ(world.run(plan_of(words)).status, 0);
  EXPECT_TRUE(world.run(words).app_ran());
  EXPECT_EQ(owner_of("/srv/app/data/8").uid, 1000U);
}

TEST(HandOverOnLaunch, OfAPathWithASlashAtItsEndIsTheSame) {
  World world;
  world.file("/srv/app/data/file", "", 0, 0, 0600);
  const Words words = as_app(
      {"--readable", "/srv/app", "--own", "/srv/app/data/", "--writable", "/srv/app/data/file"});
  EXPECT_EQ(world.run(plan_of(words)).status, 0);
  EXPECT_TRUE(world.run(words).app_ran());
}

TEST(HandOverOnLaunch, OpensTheDirectoryThatTheAppStartsIn) {
  World world;
  world.directory("/srv/app", 0, 0, 0700);
  const Words words = as_app({"--own", "/srv/app", "--chdir", "/srv/app"});
  EXPECT_EQ(world.run(plan_of(words)).status, 0);
  EXPECT_EQ(world.run(words).app().cwd, "/srv/app");
}

TEST(HandOverOnLaunch, MakesExecutableWhatItOwns) {
  World world;
  world.copy("/srv/bin/probe", "/srv/app/probe", 0700);
  world.directory("/srv/app", 0, 0, 0700);
  const Words words = as_app({"--own", "/srv/app"}, {"/srv/app/probe"});
  EXPECT_EQ(world.run(plan_of(words)).status, 0);
  EXPECT_TRUE(world.run(words).app_ran());
}

TEST(HandOverOnLaunch, DoesNotHideWhatIsUnreadableBesideIt) {
  World world;
  for (const char* name : {"1", "2", "3", "4", "5", "6", "7", "8"})
    world.file(std::string("/srv/app/data/") + name, "", 0, 0, 0600);
  world.file("/srv/app/secret", "", 0, 0, 0600);
  const std::string before = change_stamp("/srv/app/data");
  const Outcome outcome = world.run(as_app({"--readable", "/srv/app", "--own", "/srv/app/data"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("/srv/app/secret")) << outcome.err;
  EXPECT_FALSE(outcome.says("/srv/app/data/1")) << outcome.err;
  EXPECT_EQ(change_stamp("/srv/app/data"), before);
}

// ---- what it does not mend is found first ----

struct Trap {
  std::string name;
  Words options;
  Words command;
  int status;
  std::string naming;   // what the message must contain
  std::string watched;  // an owned path that must stay as it is, besides /srv/data
  Caps held;
};
void PrintTo(const Trap& trap, std::ostream* stream) {
  *stream << trap.name;
}

class BeforeAnyChange : public testing::TestWithParam<Trap> {
 protected:
  void SetUp() override {
    world_.directory("/srv/data", 0, 0, 0755);
    world_.file("/srv/data/file", "", 0, 0, 0644);
    world_.file("/srv/locked-file", "", 0, 0, 0400);
    world_.directory("/srv/locked-directory", 0, 0, 0500);
    world_.directory("/srv/closed/inside", 0, 0, 0755);
    world_.copy("/srv/bin/probe", "/srv/closed/probe");
    world_.directory("/srv/closed", 0, 0, 0700);
    world_.directory("/srv/apps", 1000, 1000, 0755);
    world_.copy("/srv/bin/probe", "/srv/bin/private", 0700);
    world_.directory("/srv/noexec", 0, 0, 0755);
    noexec_mount("/srv/noexec");
    world_.copy("/srv/bin/probe", "/srv/noexec/probe");
  }
  Words words() const {
    Words options = {"--own", "/srv/data"};
    options.insert(options.end(), GetParam().options.begin(), GetParam().options.end());
    return as_app(options, GetParam().command);
  }
  Outcome run(const Words& all) const { return world_.run(root_with(GetParam().held), all); }
  World world_;
};

TEST_P(BeforeAnyChange, TheStartIsRefused) {
  const std::string top = change_stamp("/srv/data"), file = change_stamp("/srv/data/file");
  const std::string watched = change_stamp(GetParam().watched);
  const Outcome outcome = run(words());
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, GetParam().status) << outcome.err;
  EXPECT_TRUE(outcome.says(GetParam().naming)) << outcome.err;
  EXPECT_EQ(change_stamp("/srv/data"), top);
  EXPECT_EQ(change_stamp("/srv/data/file"), file);
  EXPECT_EQ(change_stamp(GetParam().watched), watched);
}

TEST_P(BeforeAnyChange, ThePlanIsBlocked) {
  const Outcome outcome = run(plan_of(words()));
  EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find(GetParam().naming), std::string::npos) << outcome.out;
}

INSTANTIATE_TEST_SUITE_P(Traps, BeforeAnyChange,
                         testing::Values(Trap{"OfAFileWhoseModeLocksItsOwnerOut",
                                              {"--own", "/srv/locked-file"},
                                              {"probe"},
                                              125,
                                              "chmod u+rw /srv/locked-file",
                                              "/srv/locked-file",
                                              docker_default},
                                         Trap{"OfADirectoryWhoseModeLocksItsOwnerOut",
                                              {"--own", "/srv/locked-directory"},
                                              {"probe"},
                                              125,
                                              "chmod u+rwx /srv/locked-directory",
                                              "/srv/locked-directory",
                                              docker_default},
                                         Trap{"OfWhatTheAppCanNotReach",
                                              {"--own", "/srv/closed/inside"},
                                              {"probe"},
                                              125,
                                              "can't enter /srv/closed",
                                              "/srv/closed/inside",
                                              docker_default},
                                         Trap{"OfAMissingPathBelowAnOwnedOne",
                                              {"--writable", "/srv/data/nosuch"},
                                              {"probe"},
                                              125,
                                              "--own /srv/data/nosuch",
                                              "/srv/data",
                                              docker_default},
                                         Trap{"OfAMissingPathThatRootMayNotCreate",
                                              {"--own", "/srv/apps/new"},
                                              {"probe"},
                                              125,
                                              "--cap-add DAC_OVERRIDE",
                                              "/srv/apps",
                                              hand_over_and_ids},
                                         Trap{"OfAnOwnedCommandOnANoexecMount",
                                              {"--own", "/srv/noexec"},
                                              {"/srv/noexec/probe"},
                                              126,
                                              "/srv/noexec/probe",
                                              "/srv/noexec/probe",
                                              docker_default},
                                         Trap{"OfACommandForRootAlone",
                                              {},
                                              {"private"},
                                              126,
                                              "/srv/bin/private",
                                              "/srv/data",
                                              docker_default},
                                         Trap{"OfACommandInAClosedDirectory",
                                              {},
                                              {"/srv/closed/probe"},
                                              126,
                                              "/srv/closed/probe",
                                              "/srv/data",
                                              docker_default},
                                         Trap{"OfACommandOnANoexecMount",
                                              {},
                                              {"/srv/noexec/probe"},
                                              126,
                                              "/srv/noexec/probe",
                                              "/srv/data",
                                              docker_default}),
                         [](const auto& instance) { return instance.param.name; });

// No more than what is named is needed: the same start, with that mended.

TEST(OwnOfAMissingPath, WorksWithTheCapabilityThatTheMessageNames) {
  World world;
  world.directory("/srv/apps", 1000, 1000, 0755);
  const Outcome outcome = world.run(root_with(hand_over_and_ids | caps({CAP_DAC_OVERRIDE})),
                                    as_app({"--own", "/srv/apps/new"}));
  EXPECT_TRUE(outcome.app_ran()) << outcome.err;
  EXPECT_EQ(owner_of("/srv/apps/new").uid, 1000U);
}

TEST(OwnOfALockedDirectory, WorksWithTheModeThatTheMessageNames) {
  World world;
  world.directory("/srv/locked", 0, 0, 0700);
  EXPECT_EQ(world.run(as_app({"--own", "/srv/locked"}, {"probe", "+create-in=/srv/locked"}))
                .app()
                .result("+create-in=/srv/locked"),
            "ok");
}

TEST(ACommand, ForTheAppsUserOrItsGroupAloneRuns) {
  World world;
  world.copy("/srv/bin/probe", "/srv/own/probe", 0700);
  world.copy("/srv/bin/probe", "/srv/groups/probe", 0750);
  ASSERT_EQ(chown("/srv/own/probe", 1000, 1000), 0);
  ASSERT_EQ(chown("/srv/groups/probe", 0, 2000), 0);
  ASSERT_EQ(chmod("/srv/groups/probe", 0750), 0);
  world.directory("/srv/groups", 0, 2000, 0750);
  EXPECT_TRUE(world.run(as_app({}, {"/srv/own/probe"})).app_ran());
  EXPECT_TRUE(world.run(as_app({}, {"/srv/groups/probe"})).app_ran());
}

TEST(OwnBelowAParent, ThatTheAppMayEnterButNotListWorks) {
  World world;
  world.directory("/srv/parent/data", 0, 0, 0755);
  world.directory("/srv/parent", 0, 0, 0711);
  EXPECT_TRUE(world.run(as_app({"--own", "/srv/parent/data"})).app_ran());
}

}  // namespace
}  // namespace stepdown::world
