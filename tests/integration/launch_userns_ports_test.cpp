// --userns with --port: a supervisor that stayed outside binds, with one capability and nothing
// else. What it binds and what not is bind_server_test.cpp's; here it is the launcher's.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <nlohmann/json.hpp>

#include "launch_world.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

constexpr const char* nothing = "0000000000000000";
constexpr const char* bind_service = "0000000000000400";

Start serving(const Words& options, const Words& asked = {}) {
  Words all = {"--userns"};
  all.insert(all.end(), options.begin(), options.end());
  Start start = probing(all, asked);
  start.unprivileged_port_start = 1024;
  return start;
}

Json plan_of(const World& world, Start start) {
  start.words.insert(start.words.begin(), {"plan", "--json"});
  return Json::parse(world.run(start).out);
}

// ---- what the app may bind ----

TEST(UsernsPorts, TheNamedOneIsBoundAndNoOther) {
  const Report app =
      World()
          .run(serving({"--port", "80"}, {"+tcp=81", "+tcp=80", "+tcp6=80", "+udp=80", "+udp6=80",
                                          "+tcp6=81", "+tcp=8080"}))
          .app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp6=80"), "ok");
  EXPECT_EQ(app.result("+tcp=81"), "EACCES");
  EXPECT_EQ(app.result("+tcp6=81"), "EACCES");
  EXPECT_EQ(app.result("+udp=80"), "EACCES");
  EXPECT_EQ(app.result("+udp6=80"), "EACCES");
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  EXPECT_EQ(app.uids, Ids(4, 0));
  expect_all_five(app, 0);
  EXPECT_TRUE(app.no_new_privs);
}

TEST(UsernsPorts, OfUdpAreBoundToo) {
  const Report app =
      World()
          .run(serving({"--port", "53/udp"}, {"+udp=53", "+udp6=53", "+tcp=53", "+tcp6=53"}))
          .app();
  EXPECT_EQ(app.result("+udp=53"), "ok");
  EXPECT_EQ(app.result("+udp6=53"), "ok");
  EXPECT_EQ(app.result("+tcp=53"), "EACCES");
  EXPECT_EQ(app.result("+tcp6=53"), "EACCES");
}

TEST(UsernsPorts, MayBeSeveral) {
  const Report app =
      World()
          .run(serving({"--port", "80", "--port", "443/tcp", "--port", "53/udp", "--port", "8080"},
                       {"+tcp=80", "+tcp=443", "+udp=53", "+tcp=8080", "+tcp=22"}))
          .app();
  for (const char* port : {"+tcp=80", "+tcp=443", "+udp=53", "+tcp=8080"})
    EXPECT_EQ(app.result(port), "ok") << port;
  EXPECT_EQ(app.result("+tcp=22"), "EACCES");
}

TEST(UsernsPorts, AreRefusedAtASecondTimeByTheKernel) {
  const Report app = World().run(serving({"--port", "80"}, {"+tcp=80", "+tcp=080"})).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp=080"), "EADDRINUSE");
}

TEST(UsernsPorts, WorkWithKeepAndMapsToo) {
  const World world;
  Start start = probing({"--userns=keep", "--port", "80"}, {"+tcp=80", "+tcp=81"});
  start.unprivileged_port_start = 1024;
  const Report kept = world.run(start).app();
  EXPECT_EQ(kept.result("+tcp=80"), "ok");
  EXPECT_EQ(kept.result("+tcp=81"), "EACCES");
  EXPECT_EQ(kept.uids, Ids(4, 1000));
  start = probing({"--uid-map", "5:1000:1", "--gid-map", "0:1000:1", "--port", "80"}, {"+tcp=80"});
  start.unprivileged_port_start = 1024;
  EXPECT_EQ(world.run(start).app().result("+tcp=80"), "ok");
}

TEST(UsernsPorts, MayBeBoundByAWorkerThatBecameSomebodyElse) {
  World world;
  world.subuid = world.subgid = "app:100000:65536\n";
  Start start =
      serving({"--profile", "legacy-root", "--port", "80"}, {"+tcp-as=33:80", "+tcp-as=33:81"});
  const Report app = world.run(start).app();
  EXPECT_EQ(app.result("+tcp-as=33:80"), "ok");
  EXPECT_EQ(app.result("+tcp-as=33:81"), "EACCES");
}

TEST(UsernsPorts, CapabilitiesOfTheInsideDoNotOpenOthers) {
  const Report app =
      World()
          .run(serving({"--port", "80", "--keep-cap", "NET_BIND_SERVICE"}, {"+tcp=80", "+tcp=81"}))
          .app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp=81"), "EACCES");
}

// ---- the supervisor ----

TEST(UsernsPortsSupervisor, HoldsOneCapabilityAndNothingElse) {
  const World world;
  watched(world, serving({"--port", "80"}), [](pid_t supervisor) {
    const pid_t app = only_child_of(supervisor);
    for (const pid_t each : {supervisor, app}) {
      EXPECT_EQ(status_of(each, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Gid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Groups"), "1000 2000");
      EXPECT_EQ(status_of(each, "NoNewPrivs"), "1");
      EXPECT_EQ(status_of(each, "Seccomp"), "2");
    }
    EXPECT_EQ(status_of(supervisor, "CapPrm"), bind_service);
    EXPECT_EQ(status_of(supervisor, "CapEff"), bind_service);
    EXPECT_EQ(status_of(supervisor, "CapAmb"), nothing);
    EXPECT_EQ(status_of(supervisor, "CapInh"), nothing);
    EXPECT_THAT(status_of(supervisor, "CapBnd"), testing::AnyOf(nothing, bind_service));
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      EXPECT_EQ(status_of(app, set), nothing) << set;
  });
}

TEST(UsernsPortsSupervisor, EveryThreadOfItIsTheSame) {
  const World world;
  watched(world, serving({"--port", "80"}), [](pid_t supervisor) {
    const std::set<pid_t> threads = threads_of(supervisor);
    EXPECT_GE(threads.size(), 2U);
    for (const pid_t id : threads) {
      EXPECT_EQ(status_of(id, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(id, "CapPrm"), bind_service);
      EXPECT_EQ(status_of(id, "NoNewPrivs"), "1");
      EXPECT_EQ(status_of(id, "Seccomp"), "2");
    }
  });
}

TEST(UsernsPortsSupervisor, IsOutside) {
  const World world;
  watched(world, serving({"--port", "80"}), [](pid_t supervisor) {
    const pid_t app = only_child_of(supervisor);
    EXPECT_EQ(namespace_of(supervisor, "user"), namespace_of(getpid(), "user"));
    EXPECT_NE(namespace_of(app, "user"), namespace_of(getpid(), "user"));
    EXPECT_EQ(map_of(app, "uid_map"), "0 1000 1\n");
  });
}

TEST(UsernsPortsSupervisor, IsNotDumpable) {
  const World world;
  watched(world, serving({"--port", "80"}), [](pid_t supervisor) {
    // proc(5): what belongs to root is not for its own user, who could trace it otherwise.
    EXPECT_EQ(owner_of(path_of(supervisor, "status")).uid, 0U);
  });
}

TEST(UsernsPortsSupervisor, HoldsNothingThatTheCallerHadOpen) {
  const World world;
  Start start = serving({"--port", "80", "--keep-fd", "9"});
  start.open_fds = {3, 9, 77};
  const Outcome outcome = watched(world, start, [](pid_t supervisor) {
    const Words files = open_files_of(supervisor);
    EXPECT_THAT(files, Each(Not(HasSubstr("/srv/extra"))));
    EXPECT_LE(files.size(), 3U + 4U) << testing::PrintToString(files);
    EXPECT_THAT(open_files_of(only_child_of(supervisor)), testing::Contains("/srv/extra").Times(1));
  });
  EXPECT_EQ(outcome.app().fd_numbers(), (std::vector<int>{0, 1, 2, 9}));
}

TEST(UsernsPortsSupervisor, EndsWithTheAppsStatus) {
  const World world;
  EXPECT_EQ(world.run(serving({"--port", "80"}, {"+exit=42"})).status, 42);
  EXPECT_EQ(world.run(serving({"--port", "80"}, {"+exit=0"})).status, 0);
  EXPECT_EQ(world.run(serving({"--port", "80"}, {"+signal=15"})).status, 143);
}

TEST(UsernsPortsSupervisor, IsPid1WhereTheLauncherWas) {
  Start start = serving({"--port", "80"}, {"+tcp=80", "+exit=43"});
  start.pid_namespace = true;
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.status, 43);
  EXPECT_EQ(outcome.app().result("ppid"), "1");
  EXPECT_EQ(outcome.app().result("+tcp=80"), "ok");
}

TEST(UsernsPortsSupervisor, SaysOnceWhyACommandCannotBeExecuted) {
  const World world;
  world.file("/srv/text", "no program\n", 0, 0, 0755);
  for (const auto& [status, command] : {std::pair{126, "/srv/text"}, std::pair{127, "nosuch"}}) {
    Start start;
    start.unprivileged_port_start = 1024;
    start.words = {"--user", "app", "--userns", "--", command};
    const Outcome without = world.run(start);
    start.words.insert(start.words.begin(), {"--port", "80"});
    const Outcome with = world.run(start);
    EXPECT_EQ(without.status, status);
    EXPECT_EQ(with.status, status);
    EXPECT_EQ(with.err, without.err);
    EXPECT_TRUE(with.says(command));
  }
}

// ---- where none is needed ----

TEST(UsernsPorts, ThatAnybodyMayBindNeedNoSupervisor) {
  const World world;
  Start start = serving({"--port", "80"}, {"+tcp=80"});
  start.unprivileged_port_start = 0;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.app().result("+tcp=80"), "ok");
  EXPECT_EQ(outcome.app().pid, outcome.pid);
  EXPECT_EQ(plan_of(world, start).at("ports").at(0).at("how"), "unprivileged");
}

TEST(UsernsPorts, AboveThePrivilegedOnesNeedNoSupervisor) {
  const World world;
  const Start start = serving({"--port", "8080"}, {"+tcp=8080"});
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.app().result("+tcp=8080"), "ok");
  EXPECT_EQ(outcome.app().pid, outcome.pid);
}

// ---- other callers ----

TEST(UsernsPorts, AreBoundForACallerWhoHoldsTheOneCapability) {
  Start start = serving({"--port", "80"}, {"+tcp=80", "+tcp=81"});
  start.caller = user(1000, 1000, {1000, 2000});
  start.caller.ambient = caps({CAP_NET_BIND_SERVICE});
  const Outcome outcome = watched(World(), start, [](pid_t supervisor) {
    EXPECT_EQ(status_of(supervisor, "CapPrm"), bind_service);
    EXPECT_EQ(status_of(supervisor, "CapAmb"), nothing);
    EXPECT_EQ(status_of(supervisor, "CapInh"), nothing);
    EXPECT_EQ(owner_of(path_of(supervisor, "status")).uid, 0U);
  });
  EXPECT_EQ(outcome.app().result("+tcp=80"), "ok");
  EXPECT_EQ(outcome.app().result("+tcp=81"), "EACCES");
}

TEST(UsernsPorts, AreBlockedForACallerWithoutIt) {
  const World world;
  Start start = serving({"--port", "80"});
  start.caller = root_with(docker_default & ~caps({CAP_NET_BIND_SERVICE}));
  expect_said(refused(world, start), {"NET_BIND_SERVICE", "80"});
  const Json plan = plan_of(world, start);
  EXPECT_EQ(plan.at("ports").at(0).at("how"), "blocked");
  EXPECT_EQ(plan.at("ok"), false);
}

TEST(UsernsPorts, AreBlockedWhereTheNetworkIsNotTheCallers) {
  // Its NET_BIND_SERVICE is worth nothing there, a supervisor's as little.
  Start start = serving({"--port", "80"});
  start.user_namespace = UserNamespace::with_parents_network;
  expect_said(refused(World(), start), {"80"});
}

TEST(UsernsPorts, WorkInsideAnotherNamespaceWithItsOwnNetwork) {
  Start start = serving({"--port", "80"}, {"+tcp=80", "+tcp=81"});
  start.user_namespace = UserNamespace::with_own_network;
  const Report app = World().run(start).app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp=81"), "EACCES");
}

TEST(UsernsPorts, AreBlockedWherePidfdGetfdIsForbidden) {
  const World world;
  Start start = serving({"--port", "80", "--own", "/srv/new"});
  start.caller.filter = {{SYS_pidfd_getfd, EPERM}};
  expect_said(refused(world, start), {"pidfd_getfd", "seccomp", "SYS_PTRACE"});
  EXPECT_FALSE(exists("/srv/new"));
  const Json plan = plan_of(world, start);
  EXPECT_EQ(plan.at("ok"), false);
  EXPECT_NE(plan.dump().find("pidfd_getfd"), std::string::npos) << plan;
}

TEST(UsernsPorts, DoNotMindPidfdGetfdWhereNoneIsLow) {
  Start start = serving({"--port", "8080"}, {"+tcp=8080"});
  start.caller.filter = {{SYS_pidfd_getfd, EPERM}};
  EXPECT_EQ(World().run(start).app().result("+tcp=8080"), "ok");
}

// ---- plan ----

TEST(UsernsPortsPlan, TellsHow) {
  const World world;
  const Json plan = plan_of(world, serving({"--port", "80", "--port", "8053/udp"}));
  EXPECT_EQ(plan.at("ports"), Json::parse(R"([{"port":80,"protocol":"tcp","how":"supervisor"},
                            {"port":8053,"protocol":"udp","how":"unprivileged"}])"));
  EXPECT_EQ(plan.at("capabilities").at("keep"), Json::array());
  Words names;
  for (const Json& step : plan.at("steps")) names.push_back(step.at("name"));
  const auto place = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  EXPECT_LT(place("uid"), place("outside"));
  EXPECT_LT(place("outside"), place("userns"));
  EXPECT_LT(place("userns"), place("narrow"));
  EXPECT_LT(place("verify"), place("supervised"));
  EXPECT_LT(place("supervised"), place("exec"));
  EXPECT_EQ(place("exec") + 1, static_cast<std::ptrdiff_t>(names.size()));
}

}  // namespace
}  // namespace stepdown::world
