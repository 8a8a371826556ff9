// --userns: root inside, the target outside. What the app believes comes from its report, what is
// true from /proc, looked at from outside while the app lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <nlohmann/json.hpp>

#include "launch_world.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
const std::string own_and_range = "0 1000 1\n1 100000 65536\n";

// ---- who the app is ----

TEST(Userns, IsRootInsideAndTheTargetOutside) {
  const World world;
  const Outcome outcome = watched(world, probing({"--userns=root"}), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(pid, "Gid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(pid, "Groups"), "1000 2000");
    EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n");
    EXPECT_NE(namespace_of(pid, "user"), namespace_of(getpid(), "user"));
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  EXPECT_EQ(outcome.app().gids, Ids(4, 0));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST(Userns, IsRootInsideWithoutAValueToo) {
  const World world;
  const Outcome outcome = watched(world, probing({"--userns"}), [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
}

TEST(Userns, IsRootForId) {
  const World world;
  const Outcome outcome =
      world.run({"--userns", "--user", "app", "--", "sh", "-c", "id -u; id -g; id -un"});
  EXPECT_EQ(outcome.out, "0\n0\nroot\n") << outcome.err;
}

TEST(Userns, KeepsItsNumbersWithKeep) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Outcome outcome = watched(world, probing({"--userns=keep"}), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(map_of(pid, "uid_map"), "1000 1000 1\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "1000 1000 1\n");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  EXPECT_EQ(outcome.app().gids, Ids(4, 1000));
  expect_all_five(outcome.app(), 0);
}

TEST(Userns, OfAnUnknownNumberNeedsNoEntry) {
  const World world;
  Start start;
  start.words = {"--userns", "--user", "4242:4343", "--", "probe"};
  const Outcome outcome = watched(world, start, [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "4242 4242 4242 4242");
    EXPECT_EQ(status_of(pid, "Gid"), "4343 4343 4343 4343");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
}

TEST(Userns, TheTargetsHomeIsStillHome) {
  EXPECT_EQ(World().run(probing({"--userns"})).app().value_of("HOME"), "/home/app");
}

// ---- ranges ----

TEST(UsernsRanges, FollowFromOneOn) {
  World world;
  world.subuid = "other:300000:65536\napp:100000:65536\n";
  world.subgid = "other:300000:65536\napp:200000:1000\n";
  watched(world, probing({"--userns"}), [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), own_and_range);
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n1 200000 1000\n");
  });
}

TEST(UsernsRanges, AreAllTaken) {
  World world;
  world.subuid = "app:100000:10\napp:300000:20\n";
  world.subgid = "app:100000:10\napp:300000:20\n";
  watched(world, probing({"--userns"}), [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n1 100000 10\n11 300000 20\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n1 100000 10\n11 300000 20\n");
  });
}

TEST(UsernsRanges, MayBeListedByNumber) {
  World world;
  world.subuid = world.subgid = "1000:100000:65536\n";
  watched(world, probing({"--userns"}),
          [](pid_t pid) { EXPECT_EQ(map_of(pid, "uid_map"), own_and_range); });
}

TEST(UsernsRanges, OfOthersAreNotTaken) {
  World world;
  world.subuid = world.subgid = "other:100000:65536\n1001:200000:10\n10000:300000:10\n";
  watched(world, probing({"--userns"}),
          [](pid_t pid) { EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n"); });
}

TEST(UsernsRanges, ThatAreNoNumbersAreRefusedByFileAndLine) {
  for (const std::string line : {"app:abc:10", "app:100000:x", "app:100000:", "app:100000",
                                 "app:4294967290:10", "app:-1:10", "app:99999999999:1"}) {
    World world;
    world.subuid = "other:1:1\n" + line + "\n";
    const std::string said = refused(world, probing({"--userns"}));
    EXPECT_NE(said.find("/etc/subuid"), std::string::npos) << line << ": " << said;
    EXPECT_NE(said.find('2'), std::string::npos) << said;
  }
}

TEST(UsernsRanges, ThatReachRootAreRefused) {
  World world;
  world.subuid = "app:0:10\n";
  world.subgid = "app:100000:10\n";
  EXPECT_NE(refused(world, probing({"--userns"})).find("--allow-root"), std::string::npos);
  world.subuid = "app:100000:10\n";
  world.subgid = "app:0:10\n";
  EXPECT_NE(refused(world, probing({"--userns"})).find("--allow-root-group"), std::string::npos);
}

TEST(UsernsRanges, ThatHoldTheTargetItselfAreRefused) {
  World world;
  world.subuid = world.subgid = "app:500:1000\n";
  refused(world, probing({"--userns"}));
}

// ---- maps by hand ----

TEST(UsernsMaps, MakeTheAppTheInsideIdOfItsTarget) {
  const World world;
  const Words maps = {"--uid-map", "0:100000:10", "--uid-map", "500:1000:1",
                      "--gid-map", "0:200000:10", "--gid-map", "600:990:20"};
  const Outcome outcome = watched(world, probing(maps), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(pid, "Gid"), "1000 1000 1000 1000");
    EXPECT_EQ(map_of(pid, "uid_map"), "0 100000 10\n500 1000 1\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "0 200000 10\n600 990 20\n");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 500));
  EXPECT_EQ(outcome.app().gids, Ids(4, 610));
  expect_all_five(outcome.app(), 0);
}

TEST(UsernsMaps, WinOverTheRanges) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Words maps = {"--userns", "--uid-map", "0:1000:1", "--gid-map", "0:1000:1"};
  watched(world, probing(maps), [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n");
  });
}

TEST(UsernsMaps, MayHave340Lines) {
  const World world;
  Words maps;
  for (int i = 0; i < 340; ++i) {
    const std::string line = std::to_string(i) + ":" + std::to_string(1000 + i) + ":1";
    maps.insert(maps.end(), {"--uid-map", line, "--gid-map", line});
  }
  watched(world, probing(maps), [](pid_t pid) {
    const std::string map = map_of(pid, "uid_map");
    EXPECT_EQ(std::count(map.begin(), map.end(), '\n'), 340);
  });
}

TEST(UsernsMaps, OfMoreThan340LinesAreRefused) {
  const World world;
  for (const std::string option : {"--uid-map", "--gid-map"}) {
    const bool uids = option == "--uid-map";
    Words maps = {uids ? "--gid-map" : "--uid-map", "0:1000:1"};
    for (int i = 0; i < 341; ++i)
      maps.insert(maps.end(), {option, std::to_string(i) + ":" + std::to_string(1000 + i) + ":1"});
    const std::string said = refused(world, probing(maps));
    EXPECT_NE(said.find("340"), std::string::npos) << said;
    EXPECT_NE(said.find(option), std::string::npos) << said;
  }
}

TEST(UsernsMaps, WithoutTheTargetAreRefused) {
  const World world;
  const std::string no_uid =
      refused(world, probing({"--uid-map", "0:100000:65536", "--gid-map", "0:1000:1"}));
  EXPECT_NE(no_uid.find("--uid-map"), std::string::npos) << no_uid;
  EXPECT_NE(no_uid.find("1000"), std::string::npos) << no_uid;
  const std::string no_gid =
      refused(world, probing({"--uid-map", "0:1000:1", "--gid-map", "0:100000:65536"}));
  EXPECT_NE(no_gid.find("--gid-map"), std::string::npos) << no_gid;
}

TEST(UsernsMaps, OfOneKindAloneAreRefusedWithoutUserns) {
  const World world;
  EXPECT_NE(refused(world, probing({"--uid-map", "0:1000:1"})).find("--gid-map"),
            std::string::npos);
  EXPECT_NE(refused(world, probing({"--gid-map", "0:1000:1"})).find("--uid-map"),
            std::string::npos);
}

TEST(UsernsMaps, ThatNoKernelWouldTakeAreRefused) {
  const World world;
  for (const Words& lines : std::initializer_list<Words>{
           {"0:1000:2", "1:3000:1"},        // overlap inside
           {"0:1000:2", "5:1001:1"},        // overlap outside
           {"0:1000:1", "0:1000:1"},        // twice the same
           {"0:1000:0"},                    // empty
           {"0:1000:1", "7:2000:0"},        // empty
           {"0:1000:4294967295"},           // overflow outside
           {"0:1000:1", "4294967295:5:1"},  // (uid_t)-1 is no id
           {"0:1000:1", "5:4294967295:1"},
           {"0:1000:1", "4294967290:2000:10"},
           {"0:1000:4294967296"},
           {"4294967296:1000:1"},
           {"0:4294968296:1"},  // 1000 in 32 bits
           {"0:1000"},
           {"0:1000:1:1"},
           {"0:1000:"},
           {":1000:1"},
           {""},
           {"0:-1:1"},
           {"0:+1000:1"},
           {"0:0x3e8:1"},
           {"0: 1000:1"},
           {"0:1000:1\n5:2000:1"},
           {"0:app:1"},
       })
    for (const bool uids : {true, false}) {
      Words maps = {uids ? "--gid-map" : "--uid-map", "0:1000:1"};
      for (const std::string& line : lines)
        maps.insert(maps.end(), {uids ? "--uid-map" : "--gid-map", line});
      const std::string said = refused(world, probing(maps));
      EXPECT_NE(said.find(uids ? "--uid-map" : "--gid-map"), std::string::npos)
          << testing::PrintToString(lines) << ": " << said;
    }
}

TEST(UsernsMaps, ThatReachRootAreRefused) {
  const World world;
  const std::string uids =
      refused(world, probing({"--uid-map", "0:0:2000", "--gid-map", "0:1000:1"}));
  EXPECT_NE(uids.find("--allow-root"), std::string::npos) << uids;
  const std::string gids = refused(
      world, probing({"--uid-map", "0:1000:1", "--gid-map", "5:0:1", "--gid-map", "0:1000:1"}));
  EXPECT_NE(gids.find("--allow-root-group"), std::string::npos) << gids;
}

TEST(UsernsMaps, ThatReachRootAreTakenWhereAskedFor) {
  const World world;
  const Words maps = {"--allow-root", "--allow-root-group", "--uid-map",
                      "0:0:2000",     "--gid-map",          "0:0:2000"};
  const Outcome outcome = watched(world, probing(maps), [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), "0 0 2000\n");
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  EXPECT_EQ(outcome.app().result("setuid_0"), "EPERM");
}

TEST(UsernsMaps, AreRefusedWhereKeepOrRootSayOtherwise) {
  const World world;
  refused(world, probing({"--userns=keep", "--uid-map", "0:1000:1", "--gid-map", "0:1000:1"}));
  refused(world, probing({"--userns=root", "--uid-map", "7:1000:1", "--gid-map", "0:1000:1"}));
}

TEST(UsernsMaps, UsernsOfAnythingElseIsRefused) {
  const World world;
  refused(world, probing({"--userns=user"}));
  refused(world, probing({"--userns="}));
  refused(world, probing({"--userns=Root"}));
}

// ---- the namespace and the process ----

TEST(UsernsNamespace, BelongsToTheTarget) {
  const World world;
  watched(world, probing({"--userns"}), [](pid_t pid) {
    const int fd = checked(
        open(("/proc/" + std::to_string(pid) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC), "open");
    uid_t owner = 0;
    checked(ioctl(fd, NS_GET_OWNER_UID, &owner), "NS_GET_OWNER_UID");
    EXPECT_EQ(owner, 1000U);
    struct stat parent {};
    const int above = checked(ioctl(fd, NS_GET_PARENT), "NS_GET_PARENT");
    checked(fstat(above, &parent), "fstat");
    EXPECT_EQ(parent.st_ino, namespace_of(getpid(), "user"));
    close(above);
    close(fd);
  });
}

TEST(UsernsNamespace, IsTheOnlyOneThatIsNew) {
  const World world;
  watched(world, probing({"--userns"}), [](pid_t pid) {
    for (const char* kind : {"pid", "net", "ipc", "uts", "cgroup"})
      EXPECT_EQ(namespace_of(pid, kind), namespace_of(getpid(), kind)) << kind;
  });
}

TEST(UsernsLauncher, KeepsItsPid) {
  const Outcome outcome = World().run(probing({"--userns"}, {"+wait=any"}));
  EXPECT_EQ(outcome.app().pid, outcome.pid);
  EXPECT_EQ(outcome.app().result("+wait=any"), "ECHILD") << "a helper is left behind";
}

TEST(UsernsLauncher, IsStillPid1) {
  Start start = probing({"--userns"}, {"+wait=any"});
  start.pid_namespace = true;
  const Outcome outcome = watched(World(), start, [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "NSpid"), std::to_string(pid) + " 1");
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
  });
  EXPECT_EQ(outcome.pid, 1);
  EXPECT_EQ(outcome.app().pid, 1);
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  EXPECT_EQ(outcome.app().result("+wait=any"), "ECHILD");
}

TEST(UsernsLauncher, HandsNoDescriptorOver) {
  const Report app = World().run(probing({"--userns"})).app();
  EXPECT_EQ(app.fd_numbers(), (std::vector<int>{0, 1, 2}));
}

TEST(UsernsLauncher, WorksWhereSigchldIsIgnored) {
  Start start = probing({"--userns"});
  start.ignored_signals = {SIGCHLD};
  const Report app = World().run(start).app();
  EXPECT_EQ(app.uids, Ids(4, 0));
  EXPECT_EQ(app.ignored, (std::vector<int>{SIGCHLD}));
}

TEST(UsernsLauncher, WorksUnderTheNameStepdownRun) {
  Start start = probing({"--userns"});
  start.words.insert(start.words.begin(), "run");
  EXPECT_EQ(World().run(start).app().uids, Ids(4, 0));
}

TEST(UsernsLauncher, DiesOfTheSignalThatKillsTheApp) {
  EXPECT_EQ(World().run(probing({"--userns"}, {"+signal=15"})).status, -15);
  EXPECT_EQ(World().run(probing({"--userns"}, {"+exit=77"})).status, 77);
}

// ---- the drop ----

TEST(UsernsDrop, LeavesNoCapabilityInAnySet) {
  const World world;
  const Outcome outcome = watched(world, probing({"--userns"}), [](pid_t pid) {
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      EXPECT_EQ(status_of(pid, set), "0000000000000000") << set;
    EXPECT_EQ(status_of(pid, "NoNewPrivs"), "1");
    EXPECT_EQ(status_of(pid, "Seccomp"), "2");
  });
  expect_all_five(outcome.app(), 0);
  EXPECT_TRUE(outcome.app().no_new_privs);
  EXPECT_EQ(outcome.app().securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(outcome.app().result("tiocsti"), "EPERM");
}

TEST(UsernsDrop, LeavesNoneWithRangesEither) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Report app = world.run(probing({"--userns"}, {"+become=33"})).app();
  expect_all_five(app, 0);
  EXPECT_EQ(app.result("+become=33"), "setgroups EPERM");
}

TEST(UsernsDrop, KeepsACapabilityThatTheCallerNeverHad) {
  Start start = probing({"--userns", "--keep-cap", "SYS_ADMIN"});
  start.caller = root_with(caps({CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE}));
  const Report app = World().run(start).app();
  expect_all_five(app, caps({CAP_SYS_ADMIN}));
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.securebits, noroot_and_no_ambient_raise_locked);
}

TEST(UsernsDrop, WhatIsKeptIsWorthNothingOutside) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  Words options = {"--userns"};
  for (const char* each : {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "SETUID", "SETGID",
                           "KILL", "SYS_ADMIN", "SYS_PTRACE", "MKNOD", "NET_BIND_SERVICE"})
    options.insert(options.end(), {"--keep-cap", each});
  Start start = probing(options, {"+read=/srv/roots", "+append=/srv/roots", "+chown=/srv/roots",
                                  "+create-in=/srv/bin", "+tcp=80", "+games=/srv/roots"});
  start.unprivileged_port_start = 1024;
  const Report app = world.run(start).app();
  EXPECT_EQ(app.result("+read=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+append=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+chown=/srv/roots"), "EPERM");
  EXPECT_EQ(app.result("+create-in=/srv/bin"), "EACCES");
  EXPECT_EQ(app.result("+tcp=80"), "EACCES");
  EXPECT_EQ(app.result("+games=/srv/roots"), "nothing");
  EXPECT_EQ(owner_of("/srv/roots"), (Owned{0, 0, 0600}));
}

TEST(UsernsDrop, WhatIsKeptIsWorthSomethingInside) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  world.file("/srv/out/of-33", "", 100032, 100032, 0600);
  const Words asked = {"+append=/srv/out/of-33", "+owner=/srv/out/of-33", "+chown=/srv/out/of-33"};
  const Report without = world.run(probing({"--userns"}, asked)).app();
  EXPECT_EQ(without.result("+append=/srv/out/of-33"), "EACCES");
  EXPECT_EQ(without.result("+owner=/srv/out/of-33"), "33:33");
  const Report with =
      world.run(probing({"--userns", "--keep-cap", "DAC_OVERRIDE", "--keep-cap", "CHOWN"}, asked))
          .app();
  EXPECT_EQ(with.result("+append=/srv/out/of-33"), "ok");
  EXPECT_EQ(with.result("+chown=/srv/out/of-33"), "ok");
  EXPECT_EQ(owner_of("/srv/out/of-33"), (Owned{1000, 1000, 0600}));
}

TEST(UsernsDrop, SetuidGamesGainNothingOutside) {
  const World world;
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  world.program("/srv/bin/sh", read_file("/bin/sh"));
  checked(chmod("/srv/bin/sh", 04755), "chmod");
  const Report app = world.run(probing({"--userns"}, {"+games=/srv/roots"})).app();
  EXPECT_EQ(app.result("+games=/srv/roots"), "nothing");
  EXPECT_EQ(read_file("/srv/roots"), "secret\n");
  // A setuid program of the outside's root is nobody's inside.
  const Outcome outcome = world.run(
      {"--userns", "--user", "app", "--", "/srv/bin/sh", "-c", "cat /srv/roots || id -u"});
  EXPECT_EQ(outcome.out, "0\n") << outcome.err;
}

// ---- legacy-root ----

TEST(LegacyRoot, KeepsWhatARootMasterNeeds) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Outcome outcome = watched(world, probing({"--profile", "legacy-root"}), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(map_of(pid, "uid_map"), own_and_range);
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  expect_all_five(outcome.app(), caps({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETUID,
                                       CAP_SETGID, CAP_KILL}));
}

TEST(LegacyRoot, DropsAWorkerForGood) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Report app =
      world.run(probing({"--profile", "legacy-root"}, {"+become=33", "+owner=/srv/out/by-33"}))
          .app();
  EXPECT_EQ(app.result("+become=33"), "0 EPERM");
  EXPECT_EQ(app.result("+owner=/srv/out/by-33"), "33:33");
  EXPECT_EQ(owner_of("/srv/out/by-33"), (Owned{100032, 100032, 0644}));
}

TEST(LegacyRoot, DropsAWorkerByEveryMeans) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  for (const Words& means : std::initializer_list<Words>{
           {"stepdown", "--user", "1001:1001", "--"},
           {"/usr/sbin/gosu", "1001:1001"},
           {"setpriv", "--reuid=1001", "--regid=1001", "--clear-groups"}}) {
    Start start;
    start.words = {"--profile", "legacy-root", "--user", "app", "--"};
    start.words.insert(start.words.end(), means.begin(), means.end());
    start.words.emplace_back("probe");
    const Outcome outcome = watched(world, start, [](pid_t pid) {
      EXPECT_EQ(status_of(pid, "Uid"), "101000 101000 101000 101000");
      EXPECT_EQ(status_of(pid, "Gid"), "101000 101000 101000 101000");
      EXPECT_EQ(status_of(pid, "CapEff"), "0000000000000000");
      EXPECT_EQ(status_of(pid, "CapPrm"), "0000000000000000");
    });
    EXPECT_EQ(outcome.app().uids, Ids(4, 1001)) << means.front();
    EXPECT_EQ(outcome.app().result("setuid_0"), "EPERM") << means.front();
  }
}

TEST(LegacyRoot, CanNotBecomeWhoIsNotMapped) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Report app = world.run(probing({"--profile", "legacy-root"}, {"+become=70000"})).app();
  EXPECT_EQ(app.result("+become=70000"), "setgroups EINVAL");
}

TEST(LegacyRoot, GainsNothingOutside) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  const Report app =
      world
          .run(probing({"--profile", "legacy-root"}, {"+games=/srv/roots", "+read=/srv/roots",
                                                      "+append=/srv/roots", "+chown=/srv/roots"}))
          .app();
  EXPECT_EQ(app.result("+games=/srv/roots"), "nothing");
  EXPECT_EQ(app.result("+read=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+append=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+chown=/srv/roots"), "EPERM");
}

TEST(LegacyRoot, GivesWayToTheCommandLine) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Report app = world.run(probing({"--profile", "legacy-root", "--userns=keep"})).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
}

TEST(LegacyRoot, IsTheOnlyProfile) {
  const World world;
  EXPECT_NE(refused(world, probing({"--profile", "nosuch"})).find("legacy-root"),
            std::string::npos);
}

// ---- files ----

TEST(UsernsFiles, OwnedPathsAreTheTargetsOutsideAndRootsInside) {
  const World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.file("/srv/data/old", "", 0, 0, 0644);
  const Report app =
      world
          .run(probing({"--userns", "--own", "/srv/data", "--own", "/srv/new"},
                       {"+create-in=/srv/data", "+append=/srv/data/old", "+owner=/srv/data",
                        "+create-in=/srv/new", "+owner=/srv/data/made-by-app"}))
          .app();
  EXPECT_EQ(app.result("+create-in=/srv/data"), "ok");
  EXPECT_EQ(app.result("+append=/srv/data/old"), "ok");
  EXPECT_EQ(app.result("+create-in=/srv/new"), "ok");
  EXPECT_EQ(app.result("+owner=/srv/data"), "0:0");
  EXPECT_EQ(app.result("+owner=/srv/data/made-by-app"), "0:0");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{1000, 1000, 0755}));
  EXPECT_EQ(owner_of("/srv/data/old"), (Owned{1000, 1000, 0644}));
  EXPECT_EQ(owner_of("/srv/data/made-by-app"), (Owned{1000, 1000, 0644}));
  EXPECT_EQ(owner_of("/srv/new"), (Owned{1000, 1000, 0755}));
}

TEST(UsernsFiles, OfRootStayRoots) {
  const World world;
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  world.file("/srv/readable", "public\n", 0, 0, 0644);
  const Report app =
      world
          .run(probing({"--userns"},
                       {"+read=/srv/roots", "+append=/srv/readable", "+read=/srv/readable",
                        "+owner=/srv/readable", "+chown=/srv/readable", "+create-in=/srv/bin"}))
          .app();
  EXPECT_EQ(app.result("+read=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+append=/srv/readable"), "EACCES");
  EXPECT_EQ(app.result("+read=/srv/readable"), "ok");
  EXPECT_EQ(app.result("+owner=/srv/readable"), "65534:65534");
  EXPECT_EQ(app.result("+chown=/srv/readable"), "EPERM");
  EXPECT_EQ(app.result("+create-in=/srv/bin"), "EACCES");
  EXPECT_EQ(read_file("/srv/readable"), "public\n");
}

TEST(UsernsFiles, StdoutCanBeOpenedAgain) {
  Start start =
      probing({"--userns"}, {"+append=/dev/stdout", "+append=/dev/stderr", "+append=/dev/fd/1"});
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.app().result("+append=/dev/stdout"), "ok");
  EXPECT_EQ(outcome.app().result("+append=/dev/stderr"), "ok");
  EXPECT_EQ(outcome.app().result("+append=/dev/fd/1"), "ok");
}

TEST(UsernsFiles, TheTerminalCanBeOpenedAgain) {
  Start start = probing({"--userns"}, {"+append=/dev/tty"});
  start.terminal = Terminal::led;
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.app().result("+append=/dev/tty"), "ok");
  EXPECT_EQ(outcome.terminal_after.uid, 1000U);
}

TEST(UsernsFiles, ADirectoryOfTheTargetsCanBeEntered) {
  const World world;
  world.directory("/srv/private", 1000, 1000, 0700);
  EXPECT_EQ(world.run(probing({"--userns", "--chdir", "/srv/private", "--umask", "077"})).app().cwd,
            "/srv/private");
  world.directory("/srv/roots", 0, 0, 0700);
  EXPECT_EQ(world.run(probing({"--userns", "--chdir", "/srv/roots"})).status, 125);
}

TEST(UsernsFiles, AccessIsCheckedAsTheAppWillHaveIt) {
  const World world;
  world.directory("/srv/roots", 0, 0, 0755);
  world.directory("/srv/apps", 1000, 1000, 0700);
  const Outcome refusal = world.run(probing({"--userns", "--writable", "/srv/roots"}));
  EXPECT_EQ(refusal.status, 125);
  EXPECT_FALSE(refusal.app_ran());
  EXPECT_TRUE(world.run(probing({"--userns", "--writable", "/srv/apps"})).app_ran());
}

// ---- groups ----

TEST(UsernsGroups, CountWithoutANameInside) {
  const World world;
  world.file("/srv/staffs", "", 0, 2000, 0640);
  const Report app = world.run(probing({"--userns"}, {"+read=/srv/staffs"})).app();
  EXPECT_EQ(app.memberships(), (Ids{0, 65534}));
  EXPECT_EQ(app.result("+read=/srv/staffs"), "ok");
}

TEST(UsernsGroups, OfTheCallersAreGone) {
  const World world;
  world.file("/srv/adms", "", 0, 4, 0640);
  Start start = probing({"--userns"}, {"+read=/srv/adms"});
  start.caller.groups = {0, 4};
  const Outcome outcome =
      watched(world, start, [](pid_t pid) { EXPECT_EQ(status_of(pid, "Groups"), "1000 2000"); });
  EXPECT_EQ(outcome.app().result("+read=/srv/adms"), "EACCES");
}

TEST(UsernsGroups, CanNotBeChangedInside) {
  EXPECT_EQ(World().run(probing({"--userns"})).app().result("setgroups_0"), "EPERM");
}

// ---- callers with less ----

TEST(UsernsCaller, NeedsNoMoreThanThreeOfDockersCapabilities) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  Start start = probing({"--userns"});
  start.caller = root_with(caps({CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE}));
  watched(world, start, [](pid_t pid) { EXPECT_EQ(map_of(pid, "uid_map"), own_and_range); });
}

// Without it the launcher would have to let others of the app's uid look into it.
TEST(UsernsCaller, WithoutDacOverrideIsBlockedAndToldSo) {
  Start start = probing({"--userns"});
  start.caller = root_with(caps({CAP_SETUID, CAP_SETGID}));
  EXPECT_NE(refused(World(), start).find("--cap-add DAC_OVERRIDE"), std::string::npos);
}

TEST(UsernsCaller, MayBeInAUserNamespaceItself) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  const Outcome outcome =
      // The profile's policy lets no app make one.
      world.run({"--profile", "legacy-root", "--seccomp", "none", "--user", "app", "--",
                 "/srv/bin/stepdown", "--userns", "--user", "5:6", "--uid-map", "0:5:1",
                 "--uid-map", "1:100:10", "--gid-map", "0:6:1", "--", "/srv/bin/probe"});
  EXPECT_EQ(outcome.app().uids, (std::vector<std::uint32_t>{0, 0, 0, 0}));
  EXPECT_TRUE(outcome.app().no_new_privs);
}

TEST(UsernsCaller, WithoutSetuidIsBlockedAndToldSo) {
  Start start = probing({"--userns"});
  start.caller = root_with(caps({CAP_SETGID}));
  EXPECT_NE(refused(World(), start).find("SETUID"), std::string::npos);
}

TEST(UsernsCaller, WithNothingMapsItself) {
  const World world;
  Start start = probing({"--userns"}, {"+append=/srv/out/apps"});
  world.file("/srv/out/apps", "", 1000, 1000, 0600);
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  const Outcome outcome = watched(world, start, [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(map_of(pid, "uid_map"), "0 1000 1\n");
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n");
    EXPECT_EQ(read_file(path_of(pid, "setgroups")), "deny\n");
    EXPECT_EQ(status_of(pid, "Groups"), "1000 2000");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  expect_all_five(outcome.app(), 0);
  EXPECT_TRUE(outcome.app().no_new_privs);
  EXPECT_EQ(outcome.app().securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(outcome.app().result("+append=/srv/out/apps"), "ok");
}

TEST(UsernsCaller, WithNothingKeepsItsNumberToo) {
  Start start = probing({"--userns=keep"});
  start.caller = user(1000, 1000, {1000, 2000});
  const Outcome outcome = watched(World(), start, [](pid_t pid) {
    EXPECT_EQ(map_of(pid, "uid_map"), "1000 1000 1\n");
    EXPECT_EQ(read_file(path_of(pid, "setgroups")), "deny\n");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
}

TEST(UsernsCaller, WithNothingKeepsCapabilitiesOfTheInside) {
  Start start = probing({"--userns", "--keep-cap", "SYS_ADMIN"});
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  expect_all_five(World().run(start).app(), caps({CAP_SYS_ADMIN}));
}

TEST(UsernsCaller, WithMoreGroupsThanPlannedIsRefused) {
  Start start = probing({"--userns"});
  start.caller = user(1000, 1000, {1000, 2000, 27});
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_TRUE(outcome.says("groups [27]")) << outcome.err;
}

TEST(UsernsCaller, WithMoreGroupsIsTakenWhereTheyAreAskedFor) {
  Start start = probing({"--userns", "--keep-groups"});
  start.caller = user(1000, 1000, {1000, 2000, 27});
  watched(World(), start, [](pid_t pid) { EXPECT_EQ(status_of(pid, "Groups"), "27 1000 2000"); });
}

TEST(UsernsCaller, WithNothingMayNotMapOthers) {
  const World world;
  Start start =
      probing({"--uid-map", "0:1000:1", "--uid-map", "1:100000:10", "--gid-map", "0:1000:1"});
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  refused(world, start);
  start = probing({"--uid-map", "0:1000:2", "--gid-map", "0:1000:1"});
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  refused(world, start);
}

TEST(UsernsCaller, WithNothingIsHelpedByNewuidmap) {
  World world;
  world.subuid = "app:100000:65536\n";
  world.subgid = "app:200000:1000\n";
  Start start = probing({"--userns"});
  start.caller = user(1000, 1000, {1000, 2000});
  start.caller.bounding = ~Caps{0};
  const Outcome outcome = watched(world, start, [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(map_of(pid, "uid_map"), own_and_range);
    EXPECT_EQ(map_of(pid, "gid_map"), "0 1000 1\n1 200000 1000\n");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  EXPECT_EQ(outcome.app().pid, outcome.pid);
  expect_all_five(outcome.app(), 0);
}

TEST(UsernsCaller, WithNothingAndNoNewPrivsIsNotHelpedByNewuidmap) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  Start start = probing({"--uid-map", "0:1000:1", "--uid-map", "1:100000:65536", "--gid-map",
                         "0:1000:1", "--gid-map", "1:100000:65536"});
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  refused(world, start);
}

TEST(UsernsCaller, MayNotHaveMoreOfNewuidmapThanItsRanges) {
  World world;
  world.subuid = world.subgid = "app:100000:10\n";
  Start start = probing({"--uid-map", "0:1000:1", "--uid-map", "1:100000:65536", "--gid-map",
                         "0:1000:1", "--gid-map", "1:100000:65536"});
  start.caller = user(1000, 1000, {1000, 2000});
  start.caller.bounding = ~Caps{0};
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
}

// ---- where it can't be done ----

// What Docker's default filter does to it.
const std::vector<FilteredCall> without_unshare = {{SYS_unshare, EPERM}, {SYS_clone3, ENOSYS}};

TEST(UsernsRefusal, NamesTheFilterAndTheWayOut) {
  Start start = probing({"--userns"});
  start.caller.filter = without_unshare;
  const std::string said = refused(World(), start);
  for (const char* text : {"seccomp", "unshare", "--pretend-root", "--security-opt"})
    EXPECT_NE(said.find(text), std::string::npos) << text << " in " << said;
}

TEST(UsernsRefusal, IsTheSameInThePlan) {
  const World world;
  Start start = probing({"--userns", "--own", "/srv/new"});
  start.words.insert(start.words.begin(), "plan");
  start.caller.filter = without_unshare;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  for (const char* text : {"blocked", "seccomp", "--pretend-root"})
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << " in " << outcome.out;
  EXPECT_FALSE(exists("/srv/new"));
}

TEST(UsernsRefusal, ReportsEverythingAtOnce) {
  Start start = probing({"--userns", "--writable", "/srv/bin"});
  start.caller = root_with(caps({CAP_CHOWN}));
  start.caller.no_new_privs = true;
  start.caller.filter = without_unshare;
  const std::string said = refused(World(), start);
  for (const char* text : {"seccomp", "SETUID", "SETGID"})
    EXPECT_NE(said.find(text), std::string::npos) << text << " in " << said;
}

TEST(UsernsRefusal, NamesTheSysctlBeforeAnythingIsChanged) {
  const World world;
  Start start = probing({"--own", "/srv/data", "--userns"});
  start.user_namespace = UserNamespace::with_parents_network;
  world.directory("/srv/data", 100000, 100000, 0755);  // root's, in there
  const std::string before = change_stamp("/srv/data");
  // It belongs to the user namespace: the machine's stays as it is.
  start.prepare = [] {
    const int fd = checked(open("/proc/sys/user/max_user_namespaces", O_WRONLY), "open");
    checked(write(fd, "0", 1), "write");
    close(fd);
  };
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
  expect_said(outcome.err, {"max_user_namespaces", "--pretend-root"});
  EXPECT_EQ(change_stamp("/srv/data"), before);
  start.words.insert(start.words.begin(), "plan");
  const Outcome plan = world.run(start);
  EXPECT_EQ(plan.status, 1);
  expect_said(plan.out, {"blocked", "max_user_namespaces", "--pretend-root"});
}

TEST(UsernsRefusal, OfAChrootIsReported) {
  const World world;
  world.bare_root("/srv/root");
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.words = {"--userns", "--user", "1000:1000", "--", "/probe"};
  start.caller.bounding |= caps({CAP_SYS_CHROOT});
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_TRUE(outcome.says("/proc") || outcome.says("chroot")) << outcome.err;
  if (!exists("/srv/root/proc")) {
    world.directory("/srv/root/proc", 0, 0, 0755);
    checked(mount("proc", "/srv/root/proc", "proc", 0, nullptr), "mount /proc");
  }
  const Outcome with_proc = world.run(start);
  EXPECT_EQ(with_proc.status, 125);
  EXPECT_FALSE(with_proc.app_ran());
  EXPECT_TRUE(with_proc.says("chroot")) << with_proc.err;
}

// As with an owned path, so with the standard streams.
TEST(UsernsRefusal, LeavesTheTerminalAsItWas) {
  const World world;
  world.bare_root("/srv/root");
  if (!exists("/srv/root/proc")) {
    world.directory("/srv/root/proc", 0, 0, 0755);
    checked(mount("proc", "/srv/root/proc", "proc", 0, nullptr), "mount /proc");
  }
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.terminal = Terminal::led;
  start.words = {"--user", "1000:1000", "--", "/probe"};
  start.caller.bounding |= caps({CAP_SYS_CHROOT});
  EXPECT_EQ(world.run(start).terminal_after.uid, 1000U) << "where nothing is in the way";
  start.words.insert(start.words.begin(), "--userns");
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.terminal_after, outcome.terminal_before);
}

TEST(UsernsRefusal, NamesARangeThatTheOutsideDoesNotHave) {
  World world;
  world.subuid = world.subgid = "app:200000:65536\n";
  Start start = probing({"--userns"});
  start.user_namespace = UserNamespace::with_parents_network;
  const std::string said = refused(world, start);
  EXPECT_NE(said.find("200000"), std::string::npos) << said;
  start.words.insert(start.words.begin(), "plan");
  const Outcome plan = world.run(start);
  EXPECT_EQ(plan.status, 1);
  EXPECT_NE(plan.out.find("200000"), std::string::npos) << plan.out;
}

TEST(UsernsRefusal, GoesWithOptionsThatContradictIt) {
  const World world;
  for (const Words& options :
       std::initializer_list<Words>{{"--userns", "--pretend-root"},
                                    {"--userns", "--pretend-root=static"},
                                    {"--profile", "legacy-root", "--pretend-root"}}) {
    const std::string said = refused(world, probing(options));
    EXPECT_NE(said.find("--pretend-root"), std::string::npos) << said;
    EXPECT_NE(said.find("--userns"), std::string::npos) << said;
  }
}

TEST(UsernsRefusal, IsWhatGosuSaysToIt) {
  const World world;
  world.copy("/srv/bin/stepdown", "/srv/bin/gosu");
  for (const Words& words : std::initializer_list<Words>{{"--userns", "app", "probe"},
                                                         {"--pretend-root", "app", "probe"}}) {
    Start start;
    start.binary = "/srv/bin/gosu";
    start.name = "gosu";
    start.words = words;
    const Outcome outcome = world.run(start);
    EXPECT_EQ(outcome.status, 125) << outcome.err;
    EXPECT_FALSE(outcome.app_ran());
  }
}

TEST(UsernsRefusal, OfARootTargetIsTheUsualOne) {
  const World world;
  Start start;
  start.words = {"--userns", "--user", "root", "--", "probe"};
  EXPECT_NE(refused(world, start).find("--allow-root"), std::string::npos);
}

// ---- inside another ----

TEST(UsernsInsideAnother, WorksWithWhatIsMappedThere) {
  World world;
  world.subuid = world.subgid = "app:10000:1000\n";
  Start start = probing({"--profile", "legacy-root"}, {"+become=33"});
  start.user_namespace = UserNamespace::with_parents_network;
  const Outcome outcome = watched(world, start, [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "Uid"), "101000 101000 101000 101000");
    EXPECT_EQ(status_of(pid, "Gid"), "101000 101000 101000 101000");
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  EXPECT_EQ(outcome.app().result("+become=33"), "0 EPERM");
  EXPECT_EQ(owner_of("/srv/out/by-33"), (Owned{110032, 110032, 0644}));
}

TEST(UsernsInsideAnother, ATargetThatIsNotMappedIsRefused) {
  Start start;
  start.words = {"--userns", "--user", "100000:100000", "--", "probe"};
  start.user_namespace = UserNamespace::with_parents_network;
  const std::string said = refused(World(), start);
  EXPECT_NE(said.find("100000"), std::string::npos) << said;
}

TEST(UsernsInsideAnother, IsMadeByTheAppItself) {
  const World world;
  const Outcome outcome =
      world.run({"--userns=keep", "--user", "1000:1000", "--", "stepdown", "--userns", "--user",
                 "1000:1000", "--", "sh", "-c", "id -u; cat /proc/self/uid_map"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream told(outcome.out);
  std::uint32_t id = 7, inside = 7, outside = 7, length = 7;
  told >> id >> inside >> outside >> length;
  EXPECT_EQ((Ids{id, inside, outside, length}), (Ids{0, 0, 1000, 1}));
}

// ---- --init ----

TEST(UsernsInit, TheSupervisorIsNobodyMoreThanTheApp) {
  const World world;
  const Outcome outcome = watched(world, probing({"--userns", "--init"}), [](pid_t pid) {
    const std::set<pid_t> children = children_of(pid);
    ASSERT_EQ(children.size(), 1U);
    for (const pid_t each : {pid, *children.begin()}) {
      EXPECT_EQ(status_of(each, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Gid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Groups"), "1000 2000");
      for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(status_of(each, set), "0000000000000000") << set;
      EXPECT_EQ(status_of(each, "NoNewPrivs"), "1");
      EXPECT_EQ(map_of(each, "uid_map"), "0 1000 1\n");
    }
  });
  EXPECT_EQ(outcome.app().uids, Ids(4, 0));
  EXPECT_NE(outcome.app().pid, outcome.pid);
}

TEST(UsernsInit, EndsWithTheAppsStatus) {
  const World world;
  EXPECT_EQ(world.run(probing({"--userns", "--init"}, {"+exit=42"})).status, 42);
  EXPECT_EQ(world.run(probing({"--userns", "--init"}, {"+signal=15"})).status, 143);
  Start start = probing({"--userns", "--init"}, {"+exit=43"});
  start.pid_namespace = true;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 43);
  EXPECT_EQ(outcome.app().result("ppid"), "1");
}

TEST(UsernsInit, SignalsAWorkerThatBecameSomebodyElse) {
  // CAP_KILL is among legacy-root's, and the supervisor keeps that one alone.
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  watched(world, probing({"--profile", "legacy-root", "--init"}), [](pid_t pid) {
    EXPECT_EQ(status_of(pid, "CapEff"), "0000000000000020");
    EXPECT_EQ(status_of(pid, "CapPrm"), "0000000000000020");
  });
}

// ---- check and plan ----

TEST(UsernsCheck, FindsTheTreeInANamespaceOfItsOwn) {
  const World world;
  const auto check = [](pid_t pid, const std::string& rules) {
    return system(("/srv/bin/stepdown check --pid " + std::to_string(pid) + " --tree --require " +
                   rules + " > /srv/out/check 2>&1")
                      .c_str());
  };
  watched(world, probing({"--userns", "--init"}), [&](pid_t pid) {
    EXPECT_EQ(check(pid, "user-namespace,uid=1000,gid=1000,no-capabilities,no-new-privs,seccomp"),
              0)
        << read_file("/srv/out/check");
    EXPECT_NE(check(pid, "uid=0"), 0);
  });
  watched(world, probing({}), [&](pid_t pid) { EXPECT_NE(check(pid, "user-namespace"), 0); });
}

TEST(UsernsPlan, TellsTheMaps) {
  World world;
  world.subuid = "app:100000:65536\n";
  world.subgid = "app:200000:1000\n";
  Start start = probing({"--userns"});
  start.words.insert(start.words.begin(), {"plan", "--json"});
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json plan = Json::parse(outcome.out);
  EXPECT_EQ(plan.at("user_namespace"),
            Json::parse(R"({"uid_map":[{"inside":0,"outside":1000,"length":1},
                                       {"inside":1,"outside":100000,"length":65536}],
                            "gid_map":[{"inside":0,"outside":1000,"length":1},
                                       {"inside":1,"outside":200000,"length":1000}]})"));
  EXPECT_EQ(plan.at("identity").at("uid"), 1000);
  EXPECT_EQ(plan.at("ok"), true);
  const auto step = std::find_if(plan.at("steps").begin(), plan.at("steps").end(),
                                 [](const Json& each) { return each.at("name") == "userns"; });
  ASSERT_NE(step, plan.at("steps").end());
  EXPECT_EQ(step->at("state"), "to-do");
}

TEST(UsernsPlan, OfALaunchWithoutIsNull) {
  Start start = probing({});
  start.words.insert(start.words.begin(), {"plan", "--json"});
  EXPECT_TRUE(Json::parse(World().run(start).out).at("user_namespace").is_null());
}

TEST(UsernsPlan, ListsGroupsWithoutAName) {
  Start start = probing({"--userns"});
  start.words.insert(start.words.begin(), "plan");
  const Outcome outcome = World().run(start);
  EXPECT_NE(outcome.out.find("without a name inside"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("2000)"), std::string::npos) << outcome.out;
}

TEST(UsernsPlan, ChangesNothing) {
  const World world;
  world.directory("/srv/data", 0, 0, 0755);
  const std::string before = change_stamp("/srv/data");
  Start start = probing({"--userns", "--own", "/srv/data", "--own", "/srv/new"});
  start.words.insert(start.words.begin(), "plan");
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_EQ(change_stamp("/srv/data"), before);
  EXPECT_FALSE(exists("/srv/new"));
  EXPECT_FALSE(outcome.app_ran());
}

}  // namespace
}  // namespace stepdown::world
