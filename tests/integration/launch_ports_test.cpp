// --port and the file capabilities of the command: who may bind what, and with how little.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

const Caps bind_service = caps({CAP_NET_BIND_SERVICE});
constexpr int usual = 1024;  // net.ipv4.ip_unprivileged_port_start without Docker

Start serving(const Words& words, int unprivileged_port_start = usual) {
  Start start;
  start.words = words;
  start.unprivileged_port_start = unprivileged_port_start;
  return start;
}

void expect_no_capability(const Report& app) {
  EXPECT_EQ(app.inheritable | app.permitted | app.effective | app.bounding | app.ambient, 0U);
}

// ---- way 1: nothing needs to be kept ----

TEST(Ports, KeepNothingAboveThePrivilegedOnes) {
  const Report app =
      World().run(serving({"--port", "8080", "--user", "app", "--", "probe", "+tcp=8080"})).app();
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  expect_no_capability(app);
}

TEST(Ports, KeepNothingAtTheFirstUnprivilegedOne) {
  const Report app =
      World().run(serving({"--port", "1024", "--user", "app", "--", "probe", "+tcp=1024"})).app();
  EXPECT_EQ(app.result("+tcp=1024"), "ok");
  expect_no_capability(app);
}

TEST(Ports, KeepNothingWhereTheSysctlLetsAnybodyBind) {
  const Report app = World()
                         .run(serving({"--port", "80", "--port", "53/udp", "--user", "app", "--",
                                       "probe", "+tcp=80", "+udp=53"},
                                      0))
                         .app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+udp=53"), "ok");
  expect_no_capability(app);
}

TEST(Ports, NeedNothingOfANonRootCallerWhereTheSysctlLetsAnybodyBind) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"}, 0);
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  EXPECT_EQ(World().run(start).app().result("+tcp=80"), "ok");
}

// ---- way 2: the one capability, ambient ----

TEST(Ports, KeepNetBindServiceAloneForALowOne) {
  const Report app =
      World().run(serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"})).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.ambient, bind_service);
  EXPECT_EQ(app.effective, bind_service);
  EXPECT_EQ(app.permitted, bind_service);
  EXPECT_EQ(app.inheritable, bind_service);
  EXPECT_EQ(app.bounding, bind_service);
  EXPECT_TRUE(app.no_new_privs);
}

TEST(Ports, KeepItForUdpToo) {
  const Report app =
      World().run(serving({"--port", "53/udp", "--user", "app", "--", "probe", "+udp=53"})).app();
  EXPECT_EQ(app.result("+udp=53"), "ok");
  EXPECT_EQ(app.ambient, bind_service);
}

TEST(Ports, KeepItWhereOneOfThemIsLow) {
  const Report app = World()
                         .run(serving({"--port", "8080", "--port", "443/tcp", "--user", "app", "--",
                                       "probe", "+tcp=443", "+tcp=8080"}))
                         .app();
  EXPECT_EQ(app.result("+tcp=443"), "ok");
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  EXPECT_EQ(app.ambient, bind_service);
}

TEST(Ports, KeepItWithSetuidSetgidAndNothingElse) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"});
  start.caller = root_with(caps({CAP_SETUID, CAP_SETGID, CAP_NET_BIND_SERVICE}));
  const Report app = World().run(start).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.effective, bind_service);
}

TEST(Ports, KeepItForANonRootCallerWhoHoldsIt) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"});
  start.caller = user(1000, 1000, {1000, 2000});
  start.caller.ambient = bind_service | caps({CAP_NET_RAW});
  const Report app = World().run(start).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.effective, bind_service);
  EXPECT_EQ(app.ambient, bind_service);
}

TEST(Ports, ThatAreNotNamedStayClosed) {
  const Report app =
      World().run(serving({"--user", "app", "--", "probe", "+tcp=80", "+udp=53"})).app();
  EXPECT_EQ(app.result("+tcp=80"), "EACCES");
  EXPECT_EQ(app.result("+udp=53"), "EACCES");
}

// ---- way 4: blocked ----

TEST(Ports, AreBlockedWithoutTheCapabilityAndTheFlagIsNamed) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"});
  start.caller = root_with(docker_default & ~bind_service);
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--cap-add NET_BIND_SERVICE")) << outcome.err;
}

TEST(Ports, AreBlockedForAPodThatHasItInTheBoundingSetAloneAndThePodSysctlIsNamed) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"});
  start.caller = restricted_user(1000, 1000, {1000, 2000});
  start.caller.bounding = bind_service;
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("net.ipv4.ip_unprivileged_port_start")) << outcome.err;
}

TEST(Ports, AreBlockedInAUserNamespaceThatDoesNotOwnTheNetwork) {
  Start start = serving({"--port", "80", "--user", "app", "--", "probe", "+tcp=80"});
  start.user_namespace = UserNamespace::with_parents_network;
  const Outcome outcome = World().run(start);
  if (outcome.app_ran()) {
    ADD_FAILURE() << "the app runs, and its bind(2) says " << outcome.app().result("+tcp=80");
  }
  EXPECT_EQ(outcome.status, 125) << outcome.err;
}

TEST(Ports, NeedNothingInAUserNamespaceAboveThePrivilegedOnes) {
  Start start = serving({"--port", "8080", "--user", "app", "--", "probe", "+tcp=8080"});
  start.user_namespace = UserNamespace::with_parents_network;
  const Report app = World().run(start).app();
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  expect_no_capability(app);
}

TEST(Ports, AreRefusedWhereTheyAreNoPorts) {
  for (const char* word : {"65536", "-1", "http", "80/sctp", "80/", "/tcp", "", "4294967376",
                           "0x50", "80 ", "+80", "80/tcp/udp"}) {
    const Outcome outcome =
        World().run(serving({std::string("--port=") + word, "--user", "app", "--", "probe"}));
    EXPECT_FALSE(outcome.app_ran()) << word;
    EXPECT_EQ(outcome.status, 125) << word;
  }
}

// ---- way 0: file capabilities of the command ----

struct WithFileCapabilities {
  World world;
  std::string command = "/srv/bin/capable";
  WithFileCapabilities(Caps permitted, bool effective) {
    world.copy("/srv/bin/probe", command);
    world.file_capabilities(command, permitted, effective);
  }
};

TEST(FileCapabilities, EpOfTheSameCapabilityWorksAndClearsAmbient) {
  const WithFileCapabilities with(bind_service, true);
  const Report app =
      with.world.run(serving({"--port", "80", "--user", "app", "--", with.command, "+tcp=80"}))
          .app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.effective, bind_service);
  EXPECT_EQ(app.ambient, 0U);
}

TEST(FileCapabilities, EpOfTheSameCapabilityNeedsItInTheBoundingSetWhateverThePort) {
  const WithFileCapabilities with(bind_service, true);
  for (const int unprivileged_port_start : {usual, 0}) {
    const Outcome outcome =
        with.world.run(serving({"--port", "8080", "--user", "app", "--", with.command, "+tcp=8080"},
                               unprivileged_port_start));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.app().result("+tcp=8080"), "ok");
    EXPECT_EQ(outcome.app().bounding, bind_service);
    EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  }
}

TEST(FileCapabilities, POfTheSameCapabilityCanNotBindALowPortAndIsRefused) {
  const WithFileCapabilities with(bind_service, false);
  const Outcome outcome =
      with.world.run(serving({"--port", "80", "--user", "app", "--", with.command, "+tcp=80"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says(with.command)) << outcome.err;
}

TEST(FileCapabilities, POfTheSameCapabilityDoesNotHinderAHighPort) {
  const WithFileCapabilities with(bind_service, false);
  const Report app =
      with.world.run(serving({"--port", "8080", "--user", "app", "--", with.command, "+tcp=8080"}))
          .app();
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  EXPECT_EQ(app.effective, 0U);
}

TEST(FileCapabilities, GiveTheAppNothingThatWasNotAskedFor) {
  const WithFileCapabilities with(bind_service, true);
  for (const Words& options : {Words{}, Words{"--port", "8080"}}) {
    Words words = options;
    words.insert(words.end(), {"--user", "app", "--", with.command, "+tcp=80"});
    const Report app = with.world.run(serving(words)).app();
    EXPECT_EQ(app.permitted | app.effective | app.inheritable | app.ambient, 0U);
    EXPECT_EQ(app.result("+tcp=80"), "EACCES");
  }
}

TEST(FileCapabilities, EpOfMoreThanTheOneIsRefusedWithTheReason) {
  const WithFileCapabilities with(bind_service | caps({CAP_NET_RAW}), true);
  const Outcome outcome =
      with.world.run(serving({"--port", "80", "--user", "app", "--", with.command}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.says("NET_RAW") || outcome.says("net_raw")) << outcome.err;
}

TEST(FileCapabilities, EpOfAnotherCapabilityIsRefusedWithTheReason) {
  const WithFileCapabilities with(caps({CAP_NET_RAW}), true);
  for (const Words& options : {Words{}, Words{"--port", "80"}, Words{"--port", "8080"}}) {
    Words words = options;
    words.insert(words.end(), {"--user", "app", "--", with.command});
    const Outcome outcome = with.world.run(serving(words));
    EXPECT_FALSE(outcome.app_ran());
    EXPECT_EQ(outcome.status, 125) << outcome.err;
    EXPECT_TRUE(outcome.says(with.command)) << outcome.err;
    EXPECT_TRUE(outcome.says("net_raw") || outcome.says("NET_RAW")) << outcome.err;
  }
}

TEST(FileCapabilities, EpOfAnotherCapabilityWorksWhereItIsKept) {
  const WithFileCapabilities with(caps({CAP_NET_RAW}), true);
  const Report app =
      with.world.run(serving({"--keep-cap", "NET_RAW", "--user", "app", "--", with.command})).app();
  EXPECT_EQ(app.effective, caps({CAP_NET_RAW}));
  EXPECT_EQ(app.bounding, caps({CAP_NET_RAW}));
}

TEST(FileCapabilities, GiveNothingWhereTheBoundingSetCanNotBeChanged) {
  const WithFileCapabilities with(caps({CAP_NET_RAW}), true);
  Start start = serving({"--user", "app", "--", with.command});
  start.caller = user(1000, 1000, {1000, 2000});
  const Report app = with.world.run(start).app();
  EXPECT_EQ(app.permitted | app.effective, 0U);
  EXPECT_TRUE(app.no_new_privs);
}

TEST(FileCapabilities, OfAScriptsInterpreterCountAsTheCommands) {
  const WithFileCapabilities with(caps({CAP_NET_RAW}), true);
  with.world.program("/srv/bin/app-script", "#!" + with.command + "\n");
  const Outcome outcome = with.world.run(serving({"--user", "app", "--", "/srv/bin/app-script"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.says(with.command)) << outcome.err;
}

TEST(FileCapabilities, OfAScriptsInterpreterServeALowPort) {
  const WithFileCapabilities with(bind_service, true);
  with.world.program("/srv/bin/app-script", "#!" + with.command + " +tcp=80\n");
  const Report app =
      with.world.run(serving({"--port", "80", "--user", "app", "--", "app-script"})).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.argv, Words({with.command, "+tcp=80", "/srv/bin/app-script"}));
}

TEST(FileCapabilities, OfTheScriptItselfMeanNothing) {
  World world;
  world.program("/srv/bin/app-script", "#!/srv/bin/probe\n");
  world.file_capabilities("/srv/bin/app-script", caps({CAP_NET_RAW}), true);
  const Report app = world.run(serving({"--user", "app", "--", "app-script"})).app();
  expect_no_capability(app);
}

TEST(FileCapabilities, AreReadOfTheCommandThatPathLeadsTo) {
  const WithFileCapabilities with(caps({CAP_NET_RAW}), true);
  const Outcome outcome = with.world.run(serving({"--user", "app", "--", "capable"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.says(with.command)) << outcome.err;
}

TEST(FileCapabilities, AreReadThroughASymlink) {
  const WithFileCapabilities with(bind_service, true);
  with.world.symlink(with.command, "/srv/bin/link");
  const Report app =
      with.world.run(serving({"--port", "8080", "--user", "app", "--", "link", "+tcp=8080"})).app();
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
}

}  // namespace
}  // namespace stepdown::world
