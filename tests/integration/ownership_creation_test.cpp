#include "ownership_world.h"

namespace {

using namespace ownership_world;

TEST(Creation, GivesTheLastDirectoryToTheTargetAndItsParentsToRoot) {
  in_a_world([](const std::string& top) {
    ::umask(0077);
    const HandOverReport report = hand_over(top + "/a/b/c");
    EXPECT_EQ(report.entries, 1U);
    EXPECT_EQ(report.changed, 1U);
    for (const char* parent : {"/a", "/a/b"}) {
      EXPECT_EQ(owner_of(top + parent), root) << parent;
      EXPECT_EQ(mode_of(top + parent), 0755U) << parent;
    }
    EXPECT_EQ(owner_of(top + "/a/b/c"), app);
    EXPECT_EQ(mode_of(top + "/a/b/c"), 0755U);
    EXPECT_EQ(::umask(0), 0077U);
  });
}

TEST(Creation, HappensForTheTopAloneToo) {
  in_a_world([](const std::string& top) {
    hand_over(top + "/data", false);
    EXPECT_EQ(owner_of(top + "/data"), app);
  });
}

TEST(Creation, FollowsWhereASymlinkOfRootPoints) {
  in_a_world([](const std::string& top) {
    symbolic_link("volumes/data", top + "/link");
    EXPECT_EQ(survey(top + "/link").resolved, top + "/volumes/data");
    hand_over(top + "/link");
    EXPECT_EQ(owner_of(top + "/volumes"), root);
    EXPECT_EQ(owner_of(top + "/volumes/data"), app);
  });
}

TEST(Creation, DoesNotMistakeANamesakeForWhatIsMissing) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    hand_over(top + "/missing/data");
    EXPECT_EQ(owner_of(top + "/data"), root);
    EXPECT_EQ(owner_of(top + "/missing/data"), app);
  });
}

TEST(Creation, HappensInADirectoryOfTheTarget) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", app, 0700);
    hand_over(top + "/data/cache");
    EXPECT_EQ(owner_of(top + "/data/cache"), app);
  });
}

TEST(Creation, IsRefusedInADirectoryOfAStranger) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", stranger);
    for (const char* path : {"/data/cache", "/data/a/b"}) {
      EXPECT_THROW(survey(top + path), Error) << path;
      EXPECT_THROW(hand_over(top + path), Error) << path;
    }
    EXPECT_FALSE(exists(top + "/data/cache"));
    EXPECT_FALSE(exists(top + "/data/a"));
  });
}

TEST(Creation, SaysWhatAReadOnlyMountNeeds) {
  in_a_world([](const std::string& top) {
    make_read_only(directory(top + "/data"));
    const stepdown::ErrorDetails error = error_of([&top] { hand_over(top + "/data/cache"); });
    EXPECT_EQ(error.number, EROFS);
    EXPECT_EQ(error.syscall, "mkdirat(2)");
    EXPECT_NE(error.hint.find("--tmpfs " + top + "/data/cache"), std::string::npos) << error.hint;
  });
}

TEST(Creation, NamesTheCapabilityThatItNeeds) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", app);
    drop_capabilities({CAP_DAC_OVERRIDE});
    const stepdown::ErrorDetails error = error_of([&top] { hand_over(top + "/data/cache"); });
    EXPECT_EQ(error.number, EACCES);
    EXPECT_EQ(error.needs, std::vector<std::string>{"DAC_OVERRIDE"});
  });
}

}  // namespace
