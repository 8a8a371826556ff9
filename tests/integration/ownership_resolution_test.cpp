#include "ownership_world.h"

namespace {

using namespace ownership_world;

void expect_refused(const std::string& path) {
  const stepdown::ErrorDetails error = error_of([&path] { hand_over(path); });
  EXPECT_NE(error.cause.find("symbolic link"), std::string::npos) << error.cause;
  EXPECT_FALSE(error.hint.empty());
}

TEST(Resolution, FollowsASymlinkThatOnlyRootCanHaveMade) {
  in_a_world([](const std::string& top) {
    directory(top + "/real");
    symbolic_link("real", top + "/relative");
    symbolic_link(top + "/real", top + "/absolute");
    EXPECT_EQ(survey(top + "/relative").resolved, top + "/real");
    EXPECT_EQ(survey(top + "/absolute/").resolved, top + "/real");
    hand_over(top + "/absolute");
    EXPECT_EQ(owner_of(top + "/real"), app);
    EXPECT_EQ(owner_of(top + "/absolute"), root);
  });
}

TEST(Resolution, RefusesASymlinkInADirectoryThatOthersCanChange) {
  struct Holder {
    Owner owner;
    mode_t mode;
  };
  for (const Holder holder : {Holder{app, 0755}, Holder{stranger, 0755}, Holder{root, 0775},
                              Holder{root, 0757}, Holder{root, 01777}}) {
    in_a_world([holder](const std::string& top) {
      directory(top + "/victim");
      directory(top + "/victim/sub");
      directory(top + "/holder", holder.owner, holder.mode);
      symbolic_link(top + "/victim", top + "/holder/link");
      expect_refused(top + "/holder/link");
      expect_refused(top + "/holder/link/sub");
      expect_refused(top + "/holder/link/missing");
      EXPECT_EQ(owner_of(top + "/victim"), root);
      EXPECT_EQ(owner_of(top + "/victim/sub"), root);
      EXPECT_FALSE(exists(top + "/victim/missing"));
    });
  }
}

TEST(Resolution, RefusesADanglingSymlinkInADirectoryThatOthersCanChange) {
  in_a_world([](const std::string& top) {
    directory(top + "/holder", app);
    symbolic_link(top + "/planted", top + "/holder/link");
    expect_refused(top + "/holder/link");
    EXPECT_FALSE(exists(top + "/planted"));
  });
}

TEST(Resolution, GoesUpFromWhereASymlinkLed) {
  in_a_world([](const std::string& top) {
    directory(top + "/a");
    directory(top + "/a/b");
    directory(top + "/a/data");
    directory(top + "/data");
    symbolic_link("a/b", top + "/link");
    EXPECT_EQ(survey(top + "/link/../data").resolved, top + "/a/data");
    EXPECT_EQ(survey("/../../" + top + "/a/./b/../../data").resolved, top + "/data");
  });
}

TEST(Resolution, FollowsFortySymlinksAndNoMore) {
  in_a_world([](const std::string& top) {
    directory(top + "/0");
    for (int i = 1; i <= 41; ++i) {
      symbolic_link(std::to_string(i - 1), top + "/" + std::to_string(i));
    }
    EXPECT_EQ(survey(top + "/40").resolved, top + "/0");
    EXPECT_EQ(error_of([&top] { survey(top + "/41"); }).number, ELOOP);
    EXPECT_EQ(error_of([&top] { survey(symbolic_link("loop", top + "/loop")); }).number, ELOOP);
  });
}

TEST(Resolution, RefusesTheDoorsIntoOtherProcesses) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    const stepdown::ErrorDetails error = error_of([&top] { survey("/proc/self/root" + top); });
    EXPECT_NE(error.cause.find("procfs"), std::string::npos) << error.cause;
  });
}

TEST(Resolution, RefusesToGoUpFromWhatDoesNotExist) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    EXPECT_EQ(error_of([&top] { hand_over(top + "/missing/../data"); }).number, 0);
    EXPECT_FALSE(exists(top + "/missing"));
  });
}

TEST(Resolution, StopsAtAFileOnTheWay) {
  in_a_world([](const std::string& top) {
    file(top + "/file");
    EXPECT_EQ(error_of([&top] { hand_over(top + "/file/data"); }).number, ENOTDIR);
  });
}

TEST(Resolution, NamesTheCapabilityThatAClosedDirectoryNeeds) {
  in_a_world([](const std::string& top) {
    directory(top + "/closed", stranger, 0700);
    directory(top + "/closed/data");
    drop_capabilities({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH});
    const stepdown::ErrorDetails error = error_of([&top] { survey(top + "/closed/data"); });
    EXPECT_EQ(error.number, EACCES);
    EXPECT_EQ(error.needs, std::vector<std::string>{"DAC_READ_SEARCH"});
  });
}

TEST(OwnerOfPath, IsThatOfTheInodeThatAPathMeans) {
  in_a_world([](const std::string& top) {
    file(top + "/file", stranger);
    symbolic_link("file", top + "/link");
    EXPECT_EQ(stepdown::owner_of_path("--user-of", top + "/link"), stranger);
    EXPECT_EQ(stepdown::owner_of_path("--user-of", "/"), root);
  });
}

TEST(OwnerOfPath, CannotBeForgedByASymlink) {
  in_a_world([](const std::string& top) {
    directory(top + "/holder", stranger);
    symbolic_link("/", top + "/holder/link");
    EXPECT_THROW(stepdown::owner_of_path("--user-of", top + "/holder/link"), Error);
  });
}

TEST(OwnerOfPath, IsAnErrorForWhatDoesNotExist) {
  in_a_world([](const std::string& top) {
    const stepdown::ErrorDetails error =
        error_of([&top] { stepdown::owner_of_path("--user-of", top + "/missing"); });
    EXPECT_EQ(error.step, "--user-of");
    EXPECT_EQ(error.number, ENOENT);
  });
}

TEST(Survey, TellsWhatIsThere) {
  using Kind = OwnedPathSurvey::Kind;
  in_a_world([](const std::string& top) {
    EXPECT_EQ(survey(top + "/missing").kind, Kind::missing);
    EXPECT_EQ(survey(directory(top + "/mine", app)).kind, Kind::to_hand_over);
    EXPECT_EQ(survey(top + "/mine", false).kind, Kind::already_right);
    EXPECT_EQ(survey(file(top + "/file", app)).kind, Kind::already_right);
    EXPECT_EQ(survey(file(top + "/wrong", stranger)).kind, Kind::to_hand_over);
    EXPECT_EQ(survey(top + "/wrong").owner, stranger);
    EXPECT_EQ(survey(directory(top + "/open", app, 0777)).kind, Kind::world_writable);
    EXPECT_EQ(survey(top + "/open").mode & 07777, 0777U);
    EXPECT_FALSE(survey(top + "/missing").owner);
  });
}

TEST(Survey, ChangesNothing) {
  in_a_world([](const std::string& top) {
    survey(top + "/missing");
    survey(directory(top + "/data"));
    EXPECT_FALSE(exists(top + "/missing"));
    EXPECT_EQ(owner_of(top + "/data"), root);
  });
}

TEST(Survey, SeesAReadOnlyMount) {
  in_a_world([](const std::string& top) {
    make_read_only(directory(top + "/data"));
    EXPECT_TRUE(survey(top + "/data").read_only_mount);
    EXPECT_TRUE(survey(top + "/data/missing").read_only_mount);
    EXPECT_FALSE(survey(top + "/missing").read_only_mount);
  });
}

TEST(Survey, SeesThatADirectoryCannotBeListed) {
  in_a_world([](const std::string& top) {
    directory(top + "/closed", stranger, 0700);
    directory(top + "/mine", root, 0700);
    EXPECT_FALSE(survey(top + "/closed").needs_dac_read_search);
    drop_capabilities({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH});
    EXPECT_TRUE(survey(top + "/closed").needs_dac_read_search);
    EXPECT_FALSE(survey(top + "/closed", false).needs_dac_read_search);
    EXPECT_FALSE(survey(top + "/mine").needs_dac_read_search);
  });
}

}  // namespace
