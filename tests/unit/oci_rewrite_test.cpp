// From what an engine asked for to what the operator wants: the plan of a container or an exec, and
// the configuration that carries it out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/rewrite.h"
#include "oci_rules.h"
#include "oci_world.h"

namespace stepdown::oci {
namespace {

using namespace test;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Json docker() {
  return sample("docker.json");
}
// One that starts as 1000660000:0 with NET_BIND_SERVICE in the bounding set alone.
Json pod() {
  return sample("kubernetes.json");
}
Options no_user() {
  Options asked = options("");
  asked.user.reset();
  return asked;
}
Options with_port(Options asked, std::uint16_t port) {
  asked.ports.push_back({port, Protocol::tcp});
  return asked;
}
Json without_capability(Json config, const std::string& name) {
  for (Json& set : config["process"]["capabilities"]) {
    Json rest = Json::array();
    for (const Json& member : set)
      if (member != name) rest.push_back(member);
    set = rest;
  }
  return config;
}
std::vector<std::string> all_sets(const Json& process) {
  std::vector<std::string> all;
  for (const char* set : {"effective", "permitted", "inheritable", "ambient", "bounding"})
    all.push_back(process.at("capabilities").at(set).dump());
  return all;
}

// ---- who ----

TEST(DoorUser, AppliesToAContainerOfRoots) {
  const Json process = rewritten(docker(), options("app"))["process"];
  EXPECT_EQ(process["user"].dump(), R"({"uid":1000,"gid":1000,"additionalGids":[1000,44]})");
}

TEST(DoorUser, OfAnImageIsKept) {
  const Json process = rewritten(pod(), options("app"))["process"];
  EXPECT_EQ(process["user"], pod()["process"]["user"]);
  EXPECT_EQ(process["env"], pod()["process"]["env"]);
}

TEST(DoorUser, OfAnImageIsKeptWithoutAnyUser) {
  EXPECT_EQ(rewritten(pod(), no_user())["process"]["user"], pod()["process"]["user"]);
}

TEST(DoorUser, AlwaysAppliesToAnyContainer) {
  Options asked = options("app");
  asked.door.user_always = true;
  const Json user = rewritten(pod(), asked)["process"]["user"];
  EXPECT_EQ(user.dump(), R"({"uid":1000,"gid":1000,"additionalGids":[1000,44]})");
}

TEST(DoorUser, MustBeGivenForRoot) {
  EXPECT_THAT(refusal([] { return test::plan_of(no_user(), docker()); }),
              AllOf(StartsWith("--user: "), HasSubstr("is root (uid 0)"),
                    HasSubstr("--user 1000:1000,"), HasSubstr("runAsUser")));
}

TEST(DoorUser, IsNotRootUnlessAllowed) {
  Options asked = options("root");
  EXPECT_THAT(refusal([&] { return test::plan_of(asked, docker()); }), HasSubstr("--allow-root"));
  asked.allow_root = true;
  asked.allow_root_group = true;
  const Json process = rewritten(docker(), asked)["process"];
  EXPECT_EQ(process["user"]["uid"], 0);
  EXPECT_THAT(all_sets(process), testing::Each("[]"));
  EXPECT_EQ(process["noNewPrivileges"], true);
}

TEST(DoorUser, IsResolvedByTheAccountsOfTheImage) {
  EXPECT_THAT(refusal([] { return test::plan_of(options("nobody-here"), docker()); }),
              HasSubstr("nobody-here"));
}

TEST(DoorUser, AboveTheIdsThatAnybodyMayChooseIsRefused) {
  Json config = pod();
  config["process"]["user"]["uid"] = 2147483648;
  EXPECT_THAT(refusal([&] { return test::plan_of(no_user(), config); }),
              AllOf(StartsWith("process.user"), HasSubstr("2147483648")));
}

TEST(DoorGroups, OfTheEngineAreKeptOnRequest) {
  Json config = docker();
  config["process"]["user"]["additionalGids"] = {0, 44, 3000};
  Options asked = options("app:app");
  EXPECT_EQ(test::plan_of(asked, config).identity.groups, groups({1000}));
  asked.keep_groups = true;
  EXPECT_EQ(test::plan_of(asked, config).identity.groups, groups({1000, 44, 3000}));
}

TEST(DoorGroups, CanBeAddedToAnyUser) {
  Options asked = options("app");
  asked.group_add = {"disk", "77"};
  EXPECT_EQ(test::plan_of(asked, docker()).identity.groups, groups({1000, 44, 6, 77}));
  EXPECT_EQ(test::plan_of(asked, pod()).identity.groups, groups({0, 1000660000, 2000, 6, 77}));
}

// ---- with what ----

TEST(DoorCapabilities, AreGoneFromAllFiveSets) {
  for (const Json& config : {docker(), pod()}) {
    const Json process = rewritten(config, options("app"))["process"];
    EXPECT_THAT(all_sets(process), testing::Each("[]"));
    EXPECT_EQ(process["noNewPrivileges"], true);
  }
}

TEST(DoorCapabilities, AreAddedWhereThereWasNoSection) {
  Json config = docker();
  config["process"].erase("capabilities");
  EXPECT_THAT(all_sets(rewritten(config, options("app"))["process"]), testing::Each("[]"));
}

TEST(DoorCapabilities, StayForALowPort) {
  const Json process = rewritten(docker(), with_port(options("app"), 80))["process"];
  EXPECT_THAT(all_sets(process), testing::Each(R"(["CAP_NET_BIND_SERVICE"])"));
}

TEST(DoorCapabilities, BecomeAmbientForAUserThatHadThemInTheBoundingSetAlone) {
  Json config = pod();
  config["linux"].erase("sysctl");
  const Json process = rewritten(config, with_port(no_user(), 443))["process"];
  EXPECT_THAT(all_sets(process), testing::Each(R"(["CAP_NET_BIND_SERVICE"])"));
}

TEST(DoorCapabilities, DontStayWhereThePortNeedsNone) {
  EXPECT_THAT(all_sets(rewritten(docker(), with_port(options("app"), 8080))["process"]),
              testing::Each("[]"));
  // Its sysctl says 80.
  EXPECT_THAT(all_sets(rewritten(pod(), with_port(no_user(), 80))["process"]), testing::Each("[]"));
  Options lowered = with_port(options("app"), 80);
  lowered.door.unprivileged_ports = 80;
  EXPECT_THAT(all_sets(rewritten(docker(), lowered)["process"]), testing::Each("[]"));
}

TEST(DoorCapabilities, ForALowPortMustBeTheEnginesToGive) {
  const Json config = without_capability(docker(), "CAP_NET_BIND_SERVICE");
  EXPECT_THAT(refusal([&] { return test::plan_of(with_port(options("app"), 80), config); }),
              AllOf(StartsWith("--port 80: "), HasSubstr("bounding set"),
                    HasSubstr("--cap-add NET_BIND_SERVICE"), HasSubstr("--unprivileged-ports 80")));
}

TEST(DoorCapabilities, OfTheEffectiveSetAloneAreNotTheContainers) {
  Json config = docker();
  config["process"]["capabilities"]["bounding"] = Json::array();
  EXPECT_THAT(refusal([&] { return test::plan_of(with_port(options("app"), 80), config); }),
              HasSubstr("bounding set"));
}

TEST(DoorCapabilities, DontReachTheHostsNetworkFromAUserNamespace) {
  Json config = pod();
  config["linux"].erase("sysctl");
  config["linux"]["namespaces"] = {{{"type", "user"}}};
  EXPECT_THAT(refusal([&] { return test::plan_of(with_port(no_user(), 80), config); }),
              AllOf(StartsWith("--port 80: "), HasSubstr("parent's network namespace")));
}

TEST(DoorCapabilities, AreKeptByNameWithinTheBoundingSet) {
  Options asked = options("app");
  asked.keep_caps = {Capability::kill};
  EXPECT_THAT(all_sets(rewritten(docker(), asked)["process"]), testing::Each(R"(["CAP_KILL"])"));
  asked.keep_caps = {Capability::kill, Capability::sys_admin};
  EXPECT_THAT(refusal([&] { return test::plan_of(asked, docker()); }),
              AllOf(StartsWith("--keep-cap: "), HasSubstr("SYS_ADMIN"), Not(HasSubstr("KILL"))));
}

TEST(DoorCapabilities, LeaveTheBoundingSetToSetuidPrograms) {
  Options asked = options("app");
  asked.allow_new_privs = true;
  const Json process = rewritten(docker(), asked)["process"];
  EXPECT_EQ(process["capabilities"]["bounding"], docker()["process"]["capabilities"]["bounding"]);
  EXPECT_EQ(process["capabilities"]["permitted"], Json::array());
  EXPECT_EQ(process["capabilities"]["ambient"], Json::array());
  EXPECT_FALSE(process.contains("noNewPrivileges"));
  EXPECT_EQ(rewritten(pod(), asked)["process"]["noNewPrivileges"], true);
}

TEST(DoorPorts, BeginAtAnothersStartInAnothersNetworkAlone) {
  Json config = docker();
  const auto start = [&] { return host_of(container_of(config), 70).unprivileged_port_start; };
  EXPECT_EQ(start(), 1024U);
  config["linux"]["namespaces"] = {{{"type", "network"}, {"path", ""}}};
  EXPECT_EQ(start(), 1024U);
  config["linux"]["namespaces"] = {{{"type", "network"}, {"path", "/run/netns/pod"}}};
  EXPECT_EQ(start(), 70U);
  config["linux"]["namespaces"] = {{{"type", "mount"}}};
  EXPECT_EQ(start(), 70U);
  config["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "0";
  EXPECT_EQ(start(), 0U);
}

// ---- the surroundings ----

TEST(DoorEnvironment, GetsTheHomeOfANewUserAndNothingElse) {
  EXPECT_THAT(rewritten(docker(), options("app"))["process"]["env"].get<std::vector<std::string>>(),
              ElementsAre(StartsWith("PATH="), "HOSTNAME=c0ffee", "HOME=/home/app"));
}

TEST(DoorEnvironment, GetsWhatTheOperatorSets) {
  Options asked = options("app");
  asked.environment = {{"HOSTNAME", "x"}, {"MODE", "a=b"}};
  EXPECT_THAT(rewritten(docker(), asked)["process"]["env"].get<std::vector<std::string>>(),
              ElementsAre(StartsWith("PATH="), "HOSTNAME=x", "HOME=/home/app", "MODE=a=b"));
  EXPECT_THAT(rewritten(pod(), asked)["process"]["env"].get<std::vector<std::string>>(),
              ElementsAre("HOME=/srv", StartsWith("KUBERNETES_PORT="), "HOSTNAME=x", "MODE=a=b"));
}

TEST(DoorSurroundings, AreDirectoryAndMask) {
  Options asked = options("app");
  asked.directory = "/srv";
  asked.umask = 027;
  const Json process = rewritten(docker(), asked)["process"];
  EXPECT_EQ(process["cwd"], "/srv");
  EXPECT_EQ(process["user"]["umask"], 027);
}

// ---- everything else ----

TEST(Rewriting, LeavesEverythingElseAsItCame) {
  const Json before = sample("unusual.json");
  Json after = rewritten(before, options("app"));
  // The members that it is there to change, one by one, as they were.
  Json& process = after["process"];
  EXPECT_EQ(process["user"]["uid"], 1000);
  process["user"]["uid"] = 0;
  EXPECT_EQ(process["user"].erase("gid"), 1U);
  process["user"]["additionalGids"] = {7};
  process["noNewPrivileges"] = false;
  EXPECT_EQ(process.erase("env"), 1U);
  for (const char* set : {"effective", "permitted", "inheritable", "ambient"})
    EXPECT_EQ(process["capabilities"].erase(set), 1U);
  process["capabilities"]["bounding"] = {"CAP_KILL"};
  // The text: numbers to their last digit, and the order of the keys.
  EXPECT_EQ(after.dump(), before.dump());
}

TEST(Rewriting, KeepsExtremeNumbersToTheLastDigit) {
  const std::string text = rewritten(sample("unusual.json"), options("app")).dump();
  for (const char* number :
       {":18446744073709551615,", ":-1,", ":-9223372036854775808}", ":0.5,", ":1e-07,",
        ":9007199254740993,", ":1.7976931348623157e+308}", ":-999,"})
    EXPECT_THAT(text, HasSubstr(number));
  EXPECT_THAT(text, HasSubstr("größe"));
  EXPECT_THAT(text, HasSubstr("😀"));
}

TEST(Rewriting, IsValidByTheRulesOfTheSpecification) {
  for (const char* name : {"docker.json", "kubernetes.json", "unusual.json"}) {
    SCOPED_TRACE(name);
    Options asked = options("app");
    asked.door.user_always = true;
    asked.group_add = {"44", "45", "45"};
    asked.umask = 077;
    asked.own = {{"/data", false}};
    asked.door.unprivileged_ports = 0;
    asked.door.inject = true;
    asked.ports = {{80, Protocol::tcp}};
    const Json config = rewritten(sample(name), asked);
    test::expect_valid(config);
    // And it is what the doors themselves would take.
    EXPECT_EQ(container_of(config).process.uid, Uid{1000});
  }
}

std::vector<Options> many_options() {
  std::vector<Options> all{options("app"), with_port(options("app"), 80), options("1234:5")};
  all.push_back(options("admin:app"));
  all.back().group_add = {"disk", "44"};
  all.back().environment = {{"A", "b"}, {"HOME", "/h"}};
  all.back().umask = 077;
  all.push_back(options("app"));
  all.back().keep_groups = true;
  all.back().door.user_always = true;
  all.back().allow_new_privs = true;
  all.back().keep_caps = {Capability::net_bind_service};
  all.push_back(options("app"));
  all.back().own = {{"/data", true}, {"/cache", false}};
  all.back().door.idmap = {"/volume"};
  all.back().door.unprivileged_ports = 0;
  all.back().log_file = "/var/log/stepdown.log";
  for (std::size_t index = 0, count = all.size(); index < count; ++index) {
    all.push_back(all[index]);
    all.back().door.inject = true;
    all.back().read_only = !all.back().allow_new_privs;
    all.back().init = Init::group;
  }
  return all;
}

TEST(Rewriting, TwiceIsTheSameAsOnce) {
  for (const Options& asked : many_options()) {
    for (const char* name : {"docker.json", "kubernetes.json"}) {
      const Json once = rewritten(sample(name), asked);
      EXPECT_EQ(rewritten(once, asked).dump(), once.dump()) << name;
    }
  }
}

TEST(Rewriting, NamesMembersOfAnotherTypeThatItMustAddTo) {
  Options asked = options("app");
  asked.own = {{"/data", true}};
  Json config = docker();
  config["hooks"] = "none";
  EXPECT_THAT(refusal([&] { return rewritten(config, asked); }), HasSubstr("hooks"));
  config["hooks"] = {{"createRuntime", 7}};
  EXPECT_THAT(refusal([&] { return rewritten(config, asked); }), HasSubstr("hooks.createRuntime"));
}

// ---- the hook for what only root of the host can do ----

TEST(RewritingHook, IsAddedBehindTheEnginesOwn) {
  Options asked = options("app");
  asked.own = {{"/data", true}, {"/run/app", false}};
  asked.door.idmap = {"/volume"};
  asked.door.idmap_root = true;
  asked.door.idmap_only = true;
  asked.door.unprivileged_ports = 80;
  asked.log_file = "/var/log/stepdown.log";
  asked.log_json = true;
  const Json hooks = rewritten(sample("unusual.json"), asked)["hooks"]["createRuntime"];
  ASSERT_EQ(hooks.size(), 2U);
  EXPECT_EQ(hooks[0]["path"], "/bin/first");
  EXPECT_EQ(hooks[1]["path"], launcher);
  EXPECT_THAT(
      hooks[1]["args"].get<std::vector<std::string>>(),
      ElementsAre("stepdown", "hook", "create-runtime", "--own", "/data", "--own", "/run/app:top",
                  "--idmap", "/volume", "--idmap-root", "--idmap-only", "--unprivileged-ports",
                  "80", "--log-format", "json", "--log-file", "/var/log/stepdown.log"));
  EXPECT_EQ(hooks[1]["env"].dump(), R"(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])");
}

TEST(RewritingHook, IsNotThereWhenThereIsNothingToDo) {
  EXPECT_EQ(rewritten(docker(), options("app"))["hooks"], docker()["hooks"]);
}

TEST(RewritingHook, MayHandOverToRootWhereThatIsAllowed) {
  Options asked = options("root");
  asked.allow_root = true;
  asked.own = {{"/data", true}};
  const Json hooks = rewritten(docker(), asked)["hooks"]["createRuntime"];
  EXPECT_THAT(hooks[0]["args"].get<std::vector<std::string>>(),
              ElementsAre("stepdown", "hook", "create-runtime", "--own", "/data", "--allow-root"));
}

TEST(RewritingHook, ReplacesNoEngineHooks) {
  Options asked = options("app");
  asked.own = {{"/data", true}};
  const Json hooks = rewritten(docker(), asked)["hooks"];
  EXPECT_EQ(hooks["prestart"], docker()["hooks"]["prestart"]);
  EXPECT_EQ(hooks["createRuntime"].size(), 1U);
  EXPECT_EQ(rewritten(pod(), asked)["hooks"], Json({{"createRuntime", hooks["createRuntime"]}}));
}

// ---- exec ----

// A container that was rewritten for app:1000 and port 80, and an exec as engines ask for it: root
// with all that root has.
struct Exec {
  Options asked = with_port(options("app"), 80);
  Json process = docker()["process"];

  [[nodiscard]] Json carried_out() const {
    const Container running = container_of(rewritten(docker(), asked));
    Json result = process;
    rewrite_process(result, running, asked,
                    plan_of_exec(asked, running, test::process_of(process), accounts()));
    return result;
  }
};

TEST(DoorExec, OfRootIsTheContainersOwnUser) {
  const Json process = Exec().carried_out();
  test::expect_valid_process(process);
  EXPECT_EQ(process["user"].dump(), R"({"uid":1000,"gid":1000,"additionalGids":[1000,44]})");
  EXPECT_EQ(process["noNewPrivileges"], true);
  EXPECT_THAT(process["env"].get<std::vector<std::string>>(), Contains("HOME=/home/app"));
  EXPECT_EQ(process["args"], docker()["process"]["args"]);
}

TEST(DoorExec, HasNoMoreCapabilitiesThanTheContainer) {
  EXPECT_THAT(all_sets(Exec().carried_out()), testing::Each(R"(["CAP_NET_BIND_SERVICE"])"));
  Exec portless;
  portless.asked.ports.clear();
  EXPECT_THAT(all_sets(portless.carried_out()), testing::Each("[]"));
}

TEST(DoorExec, HasNoMoreCapabilitiesThanTheEngineGave) {
  Exec exec;
  exec.process["capabilities"] = Json::object();
  EXPECT_THAT(all_sets(exec.carried_out()), testing::Each("[]"));
}

TEST(DoorExec, OfAnotherUserStaysThatUserWithoutPrivileges) {
  Exec exec;
  exec.process["user"] = {{"uid", 4711}, {"gid", 12}};
  exec.asked.group_add = {"77"};
  const Json process = exec.carried_out();
  EXPECT_EQ(process["user"].dump(), R"({"uid":4711,"gid":12})");
  EXPECT_EQ(process["noNewPrivileges"], true);
  EXPECT_EQ(process["env"], exec.process["env"]);
  exec.asked.door.user_always = true;
  EXPECT_EQ(exec.carried_out()["user"]["uid"], 1000);
}

TEST(DoorExec, OfRootStaysRootWhereThatIsAllowedWithTheContainersCapabilities) {
  Exec exec;
  exec.asked.door.allow_root_exec = true;
  for (const bool new_privs : {false, true}) {
    exec.asked.allow_new_privs = new_privs;
    const Json process = exec.carried_out();
    EXPECT_EQ(process["user"]["uid"], 0);
    EXPECT_THAT(all_sets(process), testing::Each(R"(["CAP_NET_BIND_SERVICE"])"));
    EXPECT_EQ(process["noNewPrivileges"], true);
  }
}

TEST(DoorExec, BoundsSetuidProgramsAsTheContainersProcessIsBounded) {
  Exec exec;
  exec.asked.allow_new_privs = true;
  exec.process["user"] = {{"uid", 4711}, {"gid", 12}};
  for (const char* set : {"bounding", "inheritable"})
    exec.process["capabilities"][set].push_back("CAP_SYS_ADMIN");
  const Json process = exec.carried_out();
  EXPECT_FALSE(process.value("noNewPrivileges", false));
  EXPECT_EQ(test::process_of(process).capabilities.bounding,
            test::process_of(docker()["process"]).capabilities.bounding);
  EXPECT_EQ(process["capabilities"]["inheritable"].dump(), R"(["CAP_NET_BIND_SERVICE"])");
  // What it didn't ask for isn't added.
  exec.process["capabilities"]["bounding"] = {"CAP_CHOWN"};
  EXPECT_EQ(exec.carried_out()["capabilities"]["bounding"].dump(), R"(["CAP_CHOWN"])");
}

TEST(DoorExec, OfRootBringsNoGroupsOfItsOwn) {
  Exec exec;
  exec.asked.keep_groups = true;
  const Json expected = exec.carried_out()["user"];
  exec.process["user"]["additionalGids"] = {6, 999};
  EXPECT_EQ(exec.carried_out()["user"]["additionalGids"], expected["additionalGids"]);
}

TEST(DoorExec, InAContainerThatPassedNoDoorIsRefusedForRoot) {
  const Options asked = options("app");
  const Container running = container_of(docker());
  EXPECT_THAT(refusal([&] { return plan_of_exec(asked, running, running.process, accounts()); }),
              AllOf(StartsWith("exec: "), HasSubstr("start it again")));
}

TEST(DoorExec, TakesNoCapabilityFromAContainerThatPassedNoDoor) {
  Json config = pod();
  config["process"]["capabilities"]["permitted"] = {"CAP_NET_BIND_SERVICE"};
  const Plan plan = plan_of_exec(options("app"), container_of(config),
                                 test::process_of(docker()["process"]), accounts());
  EXPECT_EQ(plan.identity.uid, Uid{1000660000});
  EXPECT_EQ(plan.keep, CapabilitySet{});
}

}  // namespace
}  // namespace stepdown::oci
