#include "ownership_world.h"

namespace {

using namespace ownership_world;
using stepdown::not_writable_reason;
using stepdown::unreadable_below;
using Paths = std::vector<std::string>;

TEST(Writable, IsADirectoryInWhichTheProcessCanCreate) {
  in_a_world([](const std::string& top) {
    directory(top + "/mine", app, 0700);
    directory(top + "/group", Owner{root.uid, app.gid}, 0770);
    directory(top + "/shared", root, 01777);
    directory(top + "/foreign");
    directory(top + "/closed", app, 0600);
    become(app);
    for (const char* path : {"/mine", "/group", "/shared"}) {
      EXPECT_EQ(not_writable_reason(top + path), std::nullopt) << path;
    }
    EXPECT_EQ(not_writable_reason(top + "/foreign"), "Permission denied (mode 0755, owner 0:0)");
    EXPECT_TRUE(not_writable_reason(top + "/closed"));
  });
}

TEST(Writable, IsAFileThatTheProcessCanOpenForWriting) {
  in_a_world([](const std::string& top) {
    file(top + "/mine", app, 0600);
    file(top + "/foreign", root, 0644);
    symbolic_link("foreign", top + "/link");
    become(app);
    EXPECT_EQ(not_writable_reason(top + "/mine"), std::nullopt);
    EXPECT_EQ(not_writable_reason(top + "/foreign"), "Permission denied (mode 0644, owner 0:0)");
    EXPECT_TRUE(not_writable_reason(top + "/link"));
  });
}

TEST(Writable, IsNothingThatDoesNotExist) {
  in_a_world([](const std::string& top) {
    EXPECT_EQ(not_writable_reason(top + "/missing"), top + "/missing: No such file or directory");
  });
}

TEST(Writable, IsNothingOnAReadOnlyMountAndTheReasonSaysWhatToDo) {
  in_a_world([](const std::string& top) {
    for (const Owner owner : {app, root}) {
      const std::string path = directory(top + "/" + std::to_string(raw(owner.uid)), owner);
      make_read_only(path);
    }
    become(app);
    for (const char* name : {"/1000", "/0"}) {
      EXPECT_EQ(
          not_writable_reason(top + name),
          "read-only mount: add a volume or docker: --tmpfs " + top + name + ":uid=1000,gid=1001");
    }
  });
}

TEST(Readable, IsATreeWithoutOffenders) {
  in_a_world([](const std::string& top) {
    file(directory(directory(top + "/app") + "/sub", app, 0700) + "/file", app, 0400);
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 10), Paths{});
    EXPECT_EQ(unreadable_below(top + "/app/sub/file", 10), Paths{});
  });
}

TEST(Readable, ReportsFilesAndDirectoriesWithModeAndOwner) {
  in_a_world([](const std::string& top) {
    directory(top + "/app");
    file(top + "/app/secret", root, 0600);
    directory(top + "/listed", root, 0744);
    directory(top + "/entered", root, 0711);
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 10),
              Paths{top + "/app/secret (mode 0600, owner 0:0)"});
    EXPECT_EQ(unreadable_below(top + "/app/secret", 10),
              Paths{top + "/app/secret (mode 0600, owner 0:0)"});
    EXPECT_EQ(unreadable_below(top + "/listed", 10), Paths{top + "/listed (mode 0744, owner 0:0)"});
    EXPECT_EQ(unreadable_below(top + "/entered", 10),
              Paths{top + "/entered (mode 0711, owner 0:0)"});
  });
}

TEST(Readable, LooksIntoEveryDirectoryAndMount) {
  in_a_world([](const std::string& top) {
    directory(top + "/app");
    directory(top + "/app/sub");
    directory(top + "/app/sub/closed", root, 0700);
    mount_tmpfs(directory(top + "/app/mount"));
    file(top + "/app/mount/secret", stranger, 0600);
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 10).size(), 2U);
  });
}

TEST(Readable, FollowsTheTopButNoSymlinkBelowIt) {
  in_a_world([](const std::string& top) {
    file(directory(top + "/secrets", root, 0755) + "/secret", root, 0600);
    symbolic_link("secrets", top + "/link");
    symbolic_link("../secrets/secret", directory(top + "/app") + "/link");
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 10), Paths{});
    EXPECT_EQ(unreadable_below(top + "/link", 10),
              Paths{top + "/link/secret (mode 0600, owner 0:0)"});
  });
}

TEST(Readable, IsAboutFilesAndDirectoriesAlone) {
  in_a_world([](const std::string& top) {
    directory(top + "/app");
    node(top + "/app/pipe", S_IFIFO, root, 0600);
    node(top + "/app/socket", S_IFSOCK, root, 0600);
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 10), Paths{});
  });
}

TEST(Readable, ReportsNoMoreThanAsked) {
  in_a_world([](const std::string& top) {
    directory(top + "/app");
    for (int i = 0; i < 10; ++i) file(top + "/app/" + std::to_string(i), root, 0600);
    become(app);
    EXPECT_EQ(unreadable_below(top + "/app", 3).size(), 3U);
    EXPECT_EQ(unreadable_below(top + "/app", 0).size(), 0U);
  });
}

TEST(Readable, ReportsATopThatDoesNotExist) {
  in_a_world([](const std::string& top) {
    EXPECT_EQ(unreadable_below(top + "/missing", 3),
              Paths{top + "/missing (No such file or directory)"});
  });
}

}  // namespace
