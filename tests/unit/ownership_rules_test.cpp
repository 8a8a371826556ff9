#include <gtest/gtest.h>
#include <linux/magic.h>

#include <string>

#include "ownership/rules.h"
#include "stepdown/error.h"

namespace {

using stepdown::Error;
using stepdown::Gid;
using stepdown::HandOverTarget;
using stepdown::OwnedPath;
using stepdown::Owner;
using stepdown::parse_owned_path;
using stepdown::Uid;
using namespace stepdown::ownership;

constexpr std::uint64_t mount = 7;
constexpr Owner target{Uid{1000}, Gid{1001}};

struct statx entry(unsigned mode, unsigned uid, unsigned gid, unsigned links = 1) {
  struct statx status {};
  status.stx_mode = static_cast<decltype(status.stx_mode)>(mode);
  status.stx_uid = uid;
  status.stx_gid = gid;
  status.stx_nlink = links;
  status.stx_mnt_id = mount;
  return status;
}

TEST(OwnedPathWord, IsAPathThatIsHandedOverWithAllBelowIt) {
  EXPECT_EQ(parse_owned_path("/data"), (OwnedPath{"/data", true}));
}

TEST(OwnedPathWord, MeansThePathAloneWithTop) {
  EXPECT_EQ(parse_owned_path("/data:top"), (OwnedPath{"/data", false}));
}

TEST(OwnedPathWord, KeepsEveryOtherColon) {
  EXPECT_EQ(parse_owned_path("/a:b"), (OwnedPath{"/a:b", true}));
  EXPECT_EQ(parse_owned_path("/a:topmost"), (OwnedPath{"/a:topmost", true}));
  EXPECT_EQ(parse_owned_path("/a:top:top"), (OwnedPath{"/a:top", false}));
  EXPECT_EQ(parse_owned_path("/a:"), (OwnedPath{"/a:", true}));
}

TEST(OwnedPathWord, MustBeAbsolute) {
  for (const char* word : {"", ":top", "data", "./data", "~/data"}) {
    EXPECT_THROW(parse_owned_path(word), Error) << word;
  }
}

TEST(OwnedPathWord, MustNotHideAnythingBehindANul) {
  EXPECT_THROW(parse_owned_path(std::string_view("/data\0/x", 8)), Error);
}

TEST(Verdict, IsRightOnlyWhenBothIdsAre) {
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 1000, 1001), mount, target), Verdict::right);
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 1000, 0), mount, target), Verdict::wrong);
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 0, 1001), mount, target), Verdict::wrong);
}

TEST(Verdict, LeavesDevicesAloneWhoeverOwnsThem) {
  EXPECT_EQ(judge(entry(S_IFBLK | 0660, 0, 0), mount, target), Verdict::device);
  EXPECT_EQ(judge(entry(S_IFCHR | 0666, 1000, 1001), mount, target), Verdict::device);
}

TEST(Verdict, LeavesAnotherNameForSomeoneElsesFileAlone) {
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 0, 0, 2), mount, target), Verdict::hard_link);
  EXPECT_EQ(judge(entry(S_IFLNK | 0777, 0, 0, 2), mount, target), Verdict::hard_link);
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 1000, 0, 2), mount, target), Verdict::wrong);
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 1000, 1001, 2), mount, target), Verdict::right);
}

TEST(Verdict, CountsTheLinksOfADirectoryAsItsSubdirectories) {
  EXPECT_EQ(judge(entry(S_IFDIR | 0755, 0, 0, 12), mount, target), Verdict::directory);
}

TEST(Verdict, LeavesStickyAndWorldWritableDirectoriesAlone) {
  EXPECT_EQ(judge(entry(S_IFDIR | 01755, 0, 0), mount, target), Verdict::left_alone);
  EXPECT_EQ(judge(entry(S_IFDIR | 0757, 0, 0), mount, target), Verdict::left_alone);
  EXPECT_EQ(judge(entry(S_IFDIR | 02775, 0, 0), mount, target), Verdict::directory);
}

TEST(Verdict, StaysOnTheMountForFilesToo) {
  EXPECT_EQ(judge(entry(S_IFREG | 0644, 0, 0), mount + 1, target), Verdict::other_mount);
  EXPECT_EQ(judge(entry(S_IFDIR | 0755, 0, 0), mount + 1, target), Verdict::other_mount);
}

TEST(TargetCanWrite, ByTheBitsOfItsOwnClassAlone) {
  const HandOverTarget app{target, {Gid{1001}, Gid{2000}}};
  EXPECT_TRUE(target_can_write(entry(S_IFREG | 0600, 1000, 0), app));
  EXPECT_FALSE(target_can_write(entry(S_IFREG | 0466, 1000, 0), app));
  EXPECT_TRUE(target_can_write(entry(S_IFREG | 0060, 0, 1001), app));
  EXPECT_TRUE(target_can_write(entry(S_IFREG | 0060, 0, 2000), app));
  EXPECT_FALSE(target_can_write(entry(S_IFREG | 0606, 0, 2000), app));
  EXPECT_TRUE(target_can_write(entry(S_IFREG | 0006, 0, 0), app));
  EXPECT_FALSE(target_can_write(entry(S_IFREG | 0660, 0, 0), app));
}

TEST(TargetCanWrite, InADirectoryOnlyIfItCanEnterItToo) {
  const HandOverTarget app{target, {}};
  EXPECT_TRUE(target_can_write(entry(S_IFDIR | 02770, 0, 1001), app));
  EXPECT_FALSE(target_can_write(entry(S_IFDIR | 0760, 0, 1001), app));
}

TEST(TrustedSymlinks, AreThoseInDirectoriesThatOnlyRootCanChange) {
  EXPECT_TRUE(symlinks_are_trusted_in(entry(S_IFDIR | 0755, 0, 5)));
  EXPECT_FALSE(symlinks_are_trusted_in(entry(S_IFDIR | 0755, 1000, 0)));
  EXPECT_FALSE(symlinks_are_trusted_in(entry(S_IFDIR | 0775, 0, 0)));
  EXPECT_FALSE(symlinks_are_trusted_in(entry(S_IFDIR | 01777, 0, 0)));
}

TEST(Creation, HappensInDirectoriesOfRootAndOfTheTargetAlone) {
  EXPECT_TRUE(may_create_in(entry(S_IFDIR | 0755, 0, 0), target));
  EXPECT_TRUE(may_create_in(entry(S_IFDIR | 0755, 1000, 0), target));
  EXPECT_FALSE(may_create_in(entry(S_IFDIR | 0755, 2000, 1001), target));
}

TEST(RefusedByName, AreTheDirectoriesOfTheSystem) {
  for (const char* path : {"/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/libx32",
                           "/libexec", "/boot", "/root", "/home", "/var", "/run"}) {
    EXPECT_TRUE(refused_by_name(path, true)) << path;
    EXPECT_EQ(refused_by_name(path, false).has_value(), std::string_view(path) != "/run") << path;
  }
}

TEST(RefusedByName, IsAllOfProcSysAndDev) {
  for (const char* path : {"/proc", "/proc/sys/net", "/sys", "/sys/fs/cgroup/app", "/dev",
                           "/dev/null", "/dev/pts", "/dev/shmem"}) {
    EXPECT_TRUE(refused_by_name(path, true)) << path;
    EXPECT_TRUE(refused_by_name(path, false)) << path;
  }
}

TEST(RefusedByName, IsNothingElse) {
  for (const char* path : {"/data", "/etc/nginx/conf.d", "/run/nginx", "/var/lib/x", "/home/app",
                           "/lib/app", "/procedures", "/system", "/devel", "/dev/shm",
                           "/dev/shm/app", "/root/.cache", "/usr/local", "/runner"}) {
    EXPECT_FALSE(refused_by_name(path, true)) << path;
  }
}

TEST(KernelInterface, IsToldByItsMagicNumber) {
  EXPECT_TRUE(is_kernel_interface(PROC_SUPER_MAGIC));
  EXPECT_TRUE(is_kernel_interface(CGROUP2_SUPER_MAGIC));
  EXPECT_TRUE(is_kernel_interface(BPF_FS_MAGIC));
  EXPECT_FALSE(is_kernel_interface(TMPFS_MAGIC));
  EXPECT_FALSE(is_kernel_interface(OVERLAYFS_SUPER_MAGIC));
}

}  // namespace
