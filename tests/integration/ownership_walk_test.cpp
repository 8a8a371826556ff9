#include <sys/resource.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <thread>

#include "ownership_world.h"

namespace {

using namespace ownership_world;

// Directories nested `depth` deep below `path`, each with a file; deeper than any path name may be.
void nest(const std::string& path, int depth) {
  int here = ::open(path.c_str(), O_PATH | O_DIRECTORY);
  for (int level = 0; level < depth; ++level) {
    must(::mkdirat(here, "d", 0755) == 0, "mkdirat");
    must(::mknodat(here, "f", S_IFREG | 0644, 0) == 0, "mknodat");
    const int below = ::openat(here, "d", O_PATH | O_DIRECTORY);
    must(below >= 0, "openat");
    ::close(here);
    here = below;
  }
  ::close(here);
}

// The number of levels whose directory and file belong to the app.
int levels_of_app(const std::string& path) {
  int here = ::open(path.c_str(), O_PATH | O_DIRECTORY);
  int levels = 0;
  for (;; ++levels) {
    struct stat inner {};
    struct stat leaf {};
    if (::fstatat(here, "d", &inner, AT_SYMLINK_NOFOLLOW) != 0) break;
    must(::fstatat(here, "f", &leaf, AT_SYMLINK_NOFOLLOW) == 0, "fstatat");
    if (inner.st_uid != raw(app.uid) || leaf.st_gid != raw(app.gid)) break;
    const int below = ::openat(here, "d", O_PATH | O_DIRECTORY);
    ::close(here);
    here = below;
  }
  ::close(here);
  return levels;
}

void limit_descriptors(rlim_t most) {
  const rlimit limit{most, most};
  must(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

bool operator==(timespec a, timespec b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

TEST(HandOver, GivesEverythingInATreeToTheTarget) {
  in_a_world([](const std::string& top) {
    const std::string data = directory(top + "/data");
    directory(data + "/sub", stranger, 0700);
    const std::vector<std::string> paths = {data,
                                            data + "/sub",
                                            file(data + "/file"),
                                            file(data + "/sub/secret", stranger, 0600),
                                            node(data + "/pipe", S_IFIFO),
                                            node(data + "/socket", S_IFSOCK),
                                            directory(data + "/sub/empty"),
                                            symbolic_link("/nowhere", data + "/dangling")};
    const HandOverReport report = hand_over(data);
    for (const std::string& path : paths) EXPECT_EQ(owner_of(path), app) << path;
    EXPECT_EQ(report.entries, paths.size());
    EXPECT_EQ(report.changed, paths.size());
  });
}

TEST(HandOver, ChangesTheTopAloneWhenAskedTo) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    file(top + "/data/file");
    EXPECT_EQ(hand_over(top + "/data", false).entries, 1U);
    EXPECT_EQ(owner_of(top + "/data"), app);
    EXPECT_EQ(owner_of(top + "/data/file"), root);
  });
}

TEST(HandOver, NeverFollowsASymlinkOutOfTheTree) {
  in_a_world([](const std::string& top) {
    directory(top + "/victim");
    file(top + "/victim/file");
    directory(top + "/data", app);
    symbolic_link(top + "/victim", top + "/data/directory");
    symbolic_link(top + "/victim/file", top + "/data/file");
    symbolic_link("../victim", top + "/data/relative");
    hand_over(top + "/data");
    EXPECT_EQ(owner_of(top + "/victim"), root);
    EXPECT_EQ(owner_of(top + "/victim/file"), root);
    EXPECT_EQ(owner_of(top + "/data/relative"), app);
  });
}

TEST(HandOver, DoesNotTouchWhatIsRight) {
  in_a_world([](const std::string& top) {
    const std::vector<std::string> paths = {directory(top + "/data", app),
                                            directory(top + "/data/sub", app),
                                            file(top + "/data/sub/file", app)};
    symbolic_link("sub", top + "/data/link");
    std::vector<timespec> before;
    for (const std::string& path : paths) before.push_back(status_of(path).st_ctim);
    std::this_thread::sleep_for(
        std::chrono::milliseconds(20));  // several ticks of the kernel clock
    EXPECT_EQ(hand_over(top + "/data").changed, 1U);
    for (std::size_t i = 0; i < paths.size(); ++i) {
      EXPECT_TRUE(status_of(paths[i]).st_ctim == before[i]) << paths[i];
    }
  });
}

TEST(HandOver, MendsAWrongGroupToo) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/data", app) + "/file", Owner{app.uid, stranger.gid});
    EXPECT_EQ(hand_over(top + "/data").changed, 1U);
    EXPECT_EQ(owner_of(top + "/data/file"), app);
  });
}

TEST(HandOver, LeavesDevicesAlone) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    node(top + "/data/null", S_IFCHR, root, 0600, makedev(1, 3));
    node(top + "/data/loop", S_IFBLK, root, 0600, makedev(7, 0));
    EXPECT_EQ(hand_over(top + "/data").devices, 2U);
    EXPECT_EQ(owner_of(top + "/data/null"), root);
    EXPECT_EQ(owner_of(top + "/data/loop"), root);
  });
}

TEST(HandOver, LeavesOtherNamesOfForeignFilesAloneAndReportsThem) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", app);
    file(top + "/shadow", root, 0600);
    hard_link(top + "/shadow", top + "/data/planted");
    symbolic_link("x", top + "/link");
    hard_link(top + "/link", top + "/data/planted-link");
    file(top + "/mine", Owner{app.uid, root.gid});
    hard_link(top + "/mine", top + "/data/mine");
    const HandOverReport report = hand_over(top + "/data");
    EXPECT_EQ(report.hard_links, 2U);
    EXPECT_EQ(report.first_hard_link.find(top + "/data/planted"), 0U) << report.first_hard_link;
    EXPECT_EQ(owner_of(top + "/shadow"), root);
    EXPECT_EQ(owner_of(top + "/link"), root);
    EXPECT_EQ(owner_of(top + "/mine"), app);
  });
}

TEST(HandOver, StaysOnTheMountForDirectoriesAndFiles) {
  in_a_world([](const std::string& top) {
    directory(top + "/outside");
    file(top + "/outside/file");
    file(top + "/config");
    directory(top + "/data");
    bind_mount(top + "/outside", directory(top + "/data/bound"));
    bind_mount(top + "/config", file(top + "/data/config"));
    mount_tmpfs(directory(top + "/data/tmpfs"));
    EXPECT_EQ(hand_over(top + "/data").other_mounts, 3U);
    for (const char* path : {"/outside", "/outside/file", "/config", "/data/tmpfs"}) {
      EXPECT_EQ(owner_of(top + path), root) << path;
    }
    EXPECT_EQ(owner_of(top + "/data"), app);
  });
}

TEST(HandOver, LeavesStickyAndWorldWritableDirectoriesAloneWhereverTheyAre) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    for (const mode_t mode : {mode_t{01777}, mode_t{01755}, mode_t{0777}, mode_t{0757}}) {
      const std::string shared = directory(top + "/data/" + std::to_string(mode), root, mode);
      file(shared + "/file");
      hand_over(shared);
      hand_over(shared, false);
      hand_over(top + "/data");
      EXPECT_EQ(owner_of(shared), root) << shared;
      EXPECT_EQ(owner_of(shared + "/file"), root) << shared;
    }
    EXPECT_EQ(owner_of(top + "/data"), app);
  });
}

TEST(HandOver, TakesARegularFile) {
  in_a_world([](const std::string& top) {
    EXPECT_EQ(hand_over(file(top + "/file", stranger)).changed, 1U);
    EXPECT_EQ(owner_of(top + "/file"), app);
    EXPECT_EQ(hand_over(top + "/file").changed, 0U);
  });
}

TEST(HandOver, LeavesAHardLinkAloneThatIsNamedItself) {
  in_a_world([](const std::string& top) {
    hard_link(file(top + "/shadow"), top + "/other");
    const HandOverReport report = hand_over(top + "/other");
    EXPECT_EQ(report.hard_links, 1U);
    EXPECT_EQ(report.first_hard_link, top + "/other");
    EXPECT_EQ(owner_of(top + "/shadow"), root);
  });
}

TEST(HandOver, ReachesTheBottomOfAVeryDeepTreeWithFewDescriptors) {
  in_a_world([](const std::string& top) {
    nest(directory(top + "/data"), 5000);
    limit_descriptors(128);
    const HandOverReport report = hand_over(top + "/data");
    EXPECT_EQ(report.entries, 10001U);
    EXPECT_EQ(report.changed, 10001U);
    EXPECT_EQ(levels_of_app(top + "/data"), 5000);
  });
}

TEST(HandOver, VisitsEveryBranchOfADeepTree) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    std::string path = top + "/data";
    for (int level = 0; level < 150; ++level) {
      file(directory(path + "/a") + "/file");
      file(directory(path + "/z") + "/file");
      path = directory(path + "/d");
    }
    EXPECT_EQ(hand_over(top + "/data").changed, 1U + 150U * 5U);
    EXPECT_EQ(hand_over(top + "/data").changed, 0U);
  });
}

TEST(HandOver, RefusesToGoUpAWayThatHasChanged) {
  in_a_world([](const std::string& top) {
    nest(directory(top + "/data"), 2000);
    const std::string moved = top + "/data/d/d/d/d";
    bool is_moved = false;
    const auto move_away = [&](const HandOverReport&) {
      if (std::exchange(is_moved, true)) return;
      must(::rename(moved.c_str(), (top + "/elsewhere").c_str()) == 0, "rename");
    };
    const stepdown::ErrorDetails error = error_of([&] {
      stepdown::hand_over(OwnedPath{top + "/data", true}, HandOverTarget{app, {}}, move_away);
    });
    EXPECT_TRUE(is_moved);
    EXPECT_NE(error.cause.find("the tree changed while it was handed over"), std::string::npos);
    EXPECT_EQ(owner_of(top), root);
    EXPECT_EQ(owner_of(top + "/data"), root);
  });
}

TEST(HandOver, NeedsNoMoreThanChownOnATreeOfRoot) {
  in_a_world([](const std::string& top) {
    file(directory(directory(top + "/data", root, 0700) + "/sub", root, 0700) + "/file");
    drop_capabilities({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER});
    EXPECT_EQ(hand_over(top + "/data").changed, 3U);
  });
}

TEST(HandOver, NamesTheCapabilityThatAClosedDirectoryNeeds) {
  in_a_world([](const std::string& top) {
    directory(directory(top + "/data") + "/closed", stranger, 0700);
    drop_capabilities({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH});
    const stepdown::ErrorDetails error = error_of([&top] { hand_over(top + "/data"); });
    EXPECT_EQ(error.number, EACCES);
    EXPECT_EQ(error.needs, std::vector<std::string>{"DAC_READ_SEARCH"});
    EXPECT_NE(error.cause.find("/data/closed"), std::string::npos);
    EXPECT_EQ(owner_of(top + "/data"), root);
  });
}

TEST(HandOver, NamesTheCapabilityThatAChangeNeeds) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/data", app) + "/file");
    drop_capabilities({CAP_CHOWN});
    const stepdown::ErrorDetails error = error_of([&top] { hand_over(top + "/data"); });
    EXPECT_EQ(error.step, "--own " + top + "/data");
    EXPECT_EQ(error.syscall, "fchownat(2)");
    EXPECT_EQ(error.number, EPERM);
    EXPECT_EQ(error.needs, std::vector<std::string>{"CHOWN"});
    EXPECT_NE(error.cause.find(top + "/data/file (now 0:0)"), std::string::npos) << error.cause;
    EXPECT_NE(error.hint.find("--cap-add CHOWN"), std::string::npos);
    EXPECT_NE(error.hint.find("--user 1000:1001"), std::string::npos);
  });
}

TEST(HandOver, AcceptsARefusalWhereTheTargetCanWriteAllTheSame) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", Owner{root.uid, app.gid}, 02770);
    file(top + "/data/file", Owner{stranger.uid, app.gid}, 0664);
    symbolic_link("x", top + "/data/link");
    drop_capabilities({CAP_CHOWN});
    const HandOverReport report = hand_over(top + "/data");
    EXPECT_EQ(report.unchangeable, 3U);
    EXPECT_EQ(report.changed, 0U);
  });
}

TEST(HandOver, CountsTheTargetsSupplementaryGroups) {
  in_a_world([](const std::string& top) {
    directory(top + "/data", Owner{root.uid, Gid{3000}}, 02770);
    drop_capabilities({CAP_CHOWN});
    const OwnedPath own{top + "/data", true};
    EXPECT_EQ(stepdown::hand_over(own, {app, {Gid{3000}}}, {}).unchangeable, 1U);
    EXPECT_THROW(stepdown::hand_over(own, {app, {Gid{3001}}}, {}), Error);
  });
}

TEST(HandOver, FailsOnAReadOnlyMountWhereSomethingIsWrong) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/data", app) + "/file", stranger, 0666);
    make_read_only(top + "/data");
    const stepdown::ErrorDetails error = error_of([&top] { hand_over(top + "/data"); });
    EXPECT_EQ(error.number, EROFS);
    EXPECT_NE(error.hint.find("add a volume or docker: --tmpfs"), std::string::npos) << error.hint;
  });
}

TEST(HandOver, HasNothingAgainstAReadOnlyMountWhereAllIsRight) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/data", app) + "/file", app);
    make_read_only(top + "/data");
    EXPECT_EQ(hand_over(top + "/data").entries, 2U);
  });
}

TEST(HandOver, WorksForAProcessThatIsTheTargetAlready) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/data", app) + "/file", app);
    become(app);
    EXPECT_EQ(hand_over(top + "/data").changed, 0U);
    EXPECT_EQ(hand_over(top + "/data/new").changed, 0U);
    EXPECT_EQ(owner_of(top + "/data/new"), app);
  });
}

TEST(HandOver, TellsHowFarItIs) {
  in_a_world([](const std::string& top) {
    directory(top + "/data");
    for (int i = 0; i < 3000; ++i) file(top + "/data/" + std::to_string(i));
    std::vector<std::uint64_t> counts;
    stepdown::hand_over(OwnedPath{top + "/data", true}, HandOverTarget{app, {}},
                        [&counts](const HandOverReport& r) { counts.push_back(r.entries); });
    EXPECT_GE(counts.size(), 2U);
    EXPECT_TRUE(std::is_sorted(counts.begin(), counts.end()));
  });
}

TEST(HandOver, KeepsNoDescriptorOpen) {
  in_a_world([](const std::string& top) {
    nest(directory(top + "/data"), 100);
    // The lowest free number tells (open(2)).
    const int before = pinned(top);
    hand_over(top + "/data");
    hand_over(top + "/new/directory");
    EXPECT_THROW(hand_over("/etc"), Error);
    EXPECT_EQ(pinned(top), before + 1);
  });
}

}  // namespace
