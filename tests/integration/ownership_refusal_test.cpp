#include <sys/sysmacros.h>

#include <vector>

#include "ownership_world.h"

namespace {

using namespace ownership_world;

bool refuses(const std::string& path, bool recursive = true) {
  try {
    survey(path, recursive);
  } catch (const Error& error) {
    // A refusal, and no accident: no call failed.
    EXPECT_EQ(error.details().number, 0) << error.what();
    EXPECT_EQ(error.details().step, "--own " + path + (recursive ? "" : ":top"));
    return true;
  }
  return false;
}

const std::vector<std::string> system_directories = {"/",     "/bin", "/etc",  "/home", "/lib",
                                                     "/root", "/run", "/sbin", "/usr",  "/var"};
const std::vector<std::string> kernel_directories = {"/proc",       "/proc/sys", "/sys",
                                                     "/sys/kernel", "/dev",      "/dev/pts"};

TEST(RefusedPath, IsASystemDirectoryHoweverItIsWritten) {
  for (const std::string& path : system_directories) EXPECT_TRUE(refuses(path)) << path;
  for (const char* path : {"//", "/etc/", "//etc", "/etc/.", "/./etc", "/var/../etc", "/../etc",
                           "/usr/bin", "/usr/lib", "/var/run", "/var/.."}) {
    EXPECT_TRUE(refuses(path)) << path;
  }
}

TEST(RefusedPath, IsEverythingInProcSysAndDev) {
  for (const std::string& path : kernel_directories) EXPECT_TRUE(refuses(path)) << path;
  for (const char* path : {"/dev/null", "/dev/nothing", "/proc/nothing", "/sys/nothing"}) {
    EXPECT_TRUE(refuses(path)) << path;
    EXPECT_TRUE(refuses(path, false)) << path;
  }
}

TEST(RefusedPath, IsRecognizedBehindASymlink) {
  in_a_world([](const std::string& top) {
    for (const auto& paths : {system_directories, kernel_directories}) {
      for (const std::string& path : paths) {
        const std::string link = symbolic_link(path, top + "/link");
        EXPECT_TRUE(refuses(link)) << path;
        must(::unlink(link.c_str()) == 0, "unlink");
      }
    }
  });
}

TEST(RefusedPath, IsRecognizedBehindABindMount) {
  in_a_world([](const std::string& top) {
    const std::string alias = directory(top + "/alias");
    for (const auto& paths : {system_directories, kernel_directories}) {
      for (const std::string& path : paths) {
        bind_mount(path, alias);
        EXPECT_TRUE(refuses(alias)) << path;
        must(::umount2(alias.c_str(), MNT_DETACH) == 0, "umount");
      }
    }
  });
}

TEST(RefusedPath, IsADirectoryOfDevMountedElsewhere) {
  in_a_world([](const std::string& top) {
    mount_tmpfs("/dev");
    bind_mount(directory("/dev/part"), directory(top + "/alias"));
    EXPECT_TRUE(refuses(top + "/alias"));
    EXPECT_TRUE(refuses(top + "/alias/missing"));
  });
}

TEST(RefusedPath, IsWhatIsMountedBelowAnotherNameOfDev) {
  in_a_world([](const std::string& top) {
    mount_tmpfs("/dev");
    mount_tmpfs(directory("/dev/part"));
    bind_mount("/dev", directory(top + "/alias"));
    EXPECT_TRUE(refuses(top + "/alias/part"));
  });
}

TEST(RefusedPath, IsNotWhatLiesInSharedMemory) {
  in_a_world([](const std::string& top) {
    mount_tmpfs("/dev");
    directory("/dev/shm", root, 01777);
    directory("/dev/shm/app");
    EXPECT_EQ(survey("/dev/shm").kind, OwnedPathSurvey::Kind::world_writable);
    EXPECT_EQ(survey("/dev/shm/app").kind, OwnedPathSurvey::Kind::to_hand_over);
    EXPECT_EQ(survey("/dev/shm/new").kind, OwnedPathSurvey::Kind::missing);
    EXPECT_EQ(survey(symbolic_link("/dev/shm/app", top + "/link")).resolved, "/dev/shm/app");
  });
}

TEST(RefusedPath, IsNotWhatLiesBelowASystemDirectory) {
  in_a_world([](const std::string&) {
    mount_tmpfs("/run");
    mount_tmpfs("/etc");
    mount_tmpfs("/var");
    directory("/run/nginx");
    directory("/etc/conf.d");
    for (const char* path : {"/run/nginx", "/etc/conf.d"}) {
      EXPECT_EQ(survey(path).kind, OwnedPathSurvey::Kind::to_hand_over) << path;
    }
    EXPECT_EQ(survey("/var/lib/app").kind, OwnedPathSurvey::Kind::missing);
  });
}

TEST(RefusedPath, IsRunButNotItsTopAlone) {
  EXPECT_TRUE(refuses("/run"));
  EXPECT_EQ(survey("/run", false).kind, OwnedPathSurvey::Kind::to_hand_over);
  EXPECT_TRUE(refuses("/var", false));
}

TEST(RefusedPath, IsADevice) {
  in_a_world([](const std::string& top) {
    EXPECT_TRUE(refuses(node(top + "/null", S_IFCHR, root, 0666, makedev(1, 3))));
    EXPECT_TRUE(refuses(node(top + "/loop", S_IFBLK, root, 0660, makedev(7, 0)), false));
  });
}

TEST(RefusedPath, IsNeitherChangedNorCreated) {
  in_a_world([](const std::string& top) {
    must(::chroot(directory(top + "/root").c_str()) == 0, "chroot");
    directory("/home");
    EXPECT_THROW(hand_over(symbolic_link("/home", "/link")), Error);
    EXPECT_EQ(owner_of("/home"), root);
    for (const char* path : {"/etc", "/dev/app", "/proc/app", "/libraries"}) {
      EXPECT_THROW(hand_over(path), Error) << path;
      EXPECT_FALSE(exists(path)) << path;
    }
  });
}

}  // namespace
