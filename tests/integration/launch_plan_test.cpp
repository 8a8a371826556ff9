// `stepdown plan`: the same words, told instead of done.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "world.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Names = std::set<std::string>;

Outcome run_plan(const World& world, const Caller& caller, Words words) {
  words.insert(words.begin(), "plan");
  Start start;
  start.caller = caller;
  start.words = std::move(words);
  start.unprivileged_port_start = 1024;
  return world.run(start);
}

Json plan_of(const World& world, const Caller& caller, Words words) {
  words.insert(words.begin(), "--json");
  const Outcome outcome = run_plan(world, caller, words);
  EXPECT_EQ(outcome.err, "");
  return Json::parse(outcome.out);
}

Names keys(const Json& object) {
  Names names;
  for (const auto& [key, value] : object.items()) names.insert(key);
  return names;
}

Names states(const Json& plan) {
  Names names;
  for (const Json& step : plan.at("steps")) names.insert(step.at("state").get<std::string>());
  return names;
}

const Words as_app = {"--user", "app", "--", "probe", "one", "--two"};

TEST(PlanText, NamesTheIdentityAndTheCommandAndExits0) {
  const World world;
  const Outcome outcome =
      run_plan(world, root_with_docker_default(), {"--user", "app", "--", "probe", "--two"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_FALSE(outcome.app_ran());
  for (const char* text : {"1000", "2000", "/home/app", "probe --", "/srv/bin/probe"})
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << " in " << outcome.out;
}

TEST(PlanText, NamesTheStateOfEveryStep) {
  const World world;
  const Outcome as_root = run_plan(world, root_with_docker_default(), as_app);
  EXPECT_NE(as_root.out.find("to-do"), std::string::npos) << as_root.out;
  const Outcome as_itself = run_plan(world, restricted_user(1000, 1000, {1000, 2000}), as_app);
  EXPECT_NE(as_itself.out.find("already"), std::string::npos) << as_itself.out;
}

TEST(PlanText, OfABlockedPlanExits1AndNamesWhatIsMissing) {
  const World world;
  const Outcome outcome = run_plan(world, root_with(0), as_app);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(std::regex_search(outcome.out, std::regex("blocked", std::regex::icase)))
      << outcome.out;
  EXPECT_NE((outcome.out + outcome.err).find("SETUID"), std::string::npos);
  EXPECT_NE((outcome.out + outcome.err).find("SETGID"), std::string::npos);
}

TEST(PlanText, OfWhatCanNotBePlannedExits125) {
  const World world;
  EXPECT_EQ(run_plan(world, root_with_docker_default(), {"--user", "nosuch", "--", "probe"}).status,
            125);
  EXPECT_EQ(run_plan(world, root_with_docker_default(), {"--bogus", "app", "probe"}).status, 125);
}

TEST(PlanText, TakesTheUserAsTheFirstWordToo) {
  const World world;
  EXPECT_EQ(run_plan(world, root_with_docker_default(), {"app", "probe"}).status, 0);
}

TEST(PlanChangesNothing, NeitherPathsNorStdio) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.file("/srv/data/file", "", 0, 0, 0644);
  const std::string top = change_stamp("/srv/data"), file = change_stamp("/srv/data/file");
  Start start;
  start.words = {"plan",   "--own", "/srv/data", "--own", "/srv/new",
                 "--user", "app",   "--",        "probe", "+touch=/srv/out/ran"};
  start.terminal = Terminal::led;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  EXPECT_EQ(change_stamp("/srv/data"), top);
  EXPECT_EQ(change_stamp("/srv/data/file"), file);
  EXPECT_FALSE(exists("/srv/new"));
  EXPECT_FALSE(exists("/srv/out/ran"));
  EXPECT_EQ(outcome.terminal_after, outcome.terminal_before);
}

TEST(PlanChangesNothing, NotEvenALogFile) {
  const World world;
  const Outcome outcome = run_plan(world, root_with_docker_default(),
                                   {"--log-file", "/srv/out/log", "--user", "app", "--", "probe"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_FALSE(exists("/srv/out/log"));
}

// Opening a device can be a deed, and opening a FIFO waits or lets a writer go on.
TEST(PlanChangesNothing, NorOpensWhatAScriptNamesAsItsInterpreter) {
  const World world;
  world.fifo("/srv/out/fifo");
  ASSERT_EQ(mknod("/srv/out/terminal", S_IFCHR | 0666, makedev(1, 3)), 0);
  for (const std::string interpreter : {"/srv/out/fifo", "/srv/out/terminal"}) {
    world.program("/srv/bin/script", "#!" + interpreter + "\n");
    const int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ASSERT_GE(inotify_add_watch(watch, interpreter.c_str(), IN_OPEN), 0);
    run_plan(world, root_with_docker_default(), {"--user", "app", "--", "script"});
    std::array<char, 4096> events{};
    EXPECT_EQ(read(watch, events.data(), events.size()), -1) << interpreter << " was opened";
    close(watch);
  }
}

TEST(PlanText, NamesTheFileThatTheAppsUserWillFind) {
  const World world;
  world.directory("/srv/roots", 0, 0, 0700);
  world.copy("/srv/bin/probe", "/srv/roots/probe");
  Start start;
  start.environment = {"PATH=/srv/roots:/srv/bin", "HOME=/root"};
  start.words = {"plan", "--user", "app", "--", "probe"};
  // Docker's root, whom no mode stops, would find the first one.
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("/srv/bin/probe"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("/srv/roots/probe"), std::string::npos) << outcome.out;
}

TEST(PlanJson, HasExactlyTheDocumentedKeys) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  const Json plan = plan_of(world, root_with_docker_default(),
                            {"--own", "/srv/data", "--port", "80", "--user", "app", "--", "probe"});
  EXPECT_EQ(keys(plan), Names({"identity", "command", "writable", "own", "ports", "capabilities",
                               "no_new_privs", "user_namespace", "steps", "ok"}));
  EXPECT_EQ(keys(plan.at("identity")), Names({"user", "uid", "gid", "groups", "home"}));
  EXPECT_EQ(keys(plan.at("capabilities")), Names({"keep"}));
  ASSERT_EQ(plan.at("ports").size(), 1U);
  EXPECT_EQ(keys(plan.at("ports").at(0)), Names({"port", "protocol", "how"}));
  ASSERT_FALSE(plan.at("steps").empty());
  for (const Json& step : plan.at("steps"))
    EXPECT_EQ(keys(step), Names({"name", "detail", "state", "needs", "reason"}));
}

TEST(PlanJson, TellsWhatARootCallerGets) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  const Json plan =
      plan_of(world, root_with_docker_default(),
              {"--own", "/srv/data", "--port", "80", "--port", "53/udp", "--port", "8080",
               "--keep-cap", "KILL", "--user", "app", "--", "probe", "one", "--two"});
  EXPECT_EQ(plan.at("ok"), true);
  const Json& identity = plan.at("identity");
  EXPECT_EQ(identity.at("user"), "app");
  EXPECT_EQ(identity.at("uid"), 1000);
  EXPECT_EQ(identity.at("gid"), 1000);
  auto groups = identity.at("groups").get<std::vector<int>>();
  std::sort(groups.begin(), groups.end());
  EXPECT_EQ(groups, std::vector<int>({1000, 2000}));
  EXPECT_EQ(identity.at("home"), "/home/app");
  EXPECT_EQ(plan.at("command"), Json({"probe", "one", "--two"}));
  EXPECT_EQ(plan.at("no_new_privs"), true);
  EXPECT_TRUE(plan.at("user_namespace").is_null());
  EXPECT_NE(plan.at("own").dump().find("/srv/data"), std::string::npos);
  EXPECT_NE(plan.at("writable").dump().find("/srv/data"), std::string::npos)
      << "--own implies --writable";
  const auto kept = plan.at("capabilities").at("keep").get<Names>();
  EXPECT_EQ(kept, Names({"cap_kill", "cap_net_bind_service"}));
  ASSERT_EQ(plan.at("ports").size(), 3U);
  EXPECT_EQ(plan.at("ports").at(0).at("port"), 80);
  EXPECT_EQ(plan.at("ports").at(0).at("protocol"), "tcp");
  EXPECT_EQ(plan.at("ports").at(1).at("port"), 53);
  EXPECT_EQ(plan.at("ports").at(1).at("protocol"), "udp");
  EXPECT_NE(plan.at("ports").at(0).at("how"), plan.at("ports").at(2).at("how"));
  EXPECT_EQ(states(plan).count("to-do"), 1U);
  EXPECT_EQ(states(plan).count("blocked"), 0U);
}

TEST(PlanJson, HasAllOfThePlannedStateAlreadyForARestrictedCaller) {
  const World world;
  const Json plan = plan_of(world, restricted_user(1000, 1000, {1000, 2000}), as_app);
  EXPECT_EQ(plan.at("ok"), true);
  EXPECT_EQ(states(plan).count("blocked"), 0U);
  EXPECT_EQ(states(plan).count("already"), 1U);
  for (const Json& step : plan.at("steps")) EXPECT_TRUE(step.at("needs").empty()) << step;
}

TEST(PlanJson, IsMootWithoutSetpcapAndSaysWhy) {
  const World world;
  const Json plan = plan_of(world, root_with(caps({CAP_SETUID, CAP_SETGID})), as_app);
  EXPECT_EQ(plan.at("ok"), true);
  int moot = 0;
  for (const Json& step : plan.at("steps")) {
    if (step.at("state") != "moot") continue;
    ++moot;
    EXPECT_NE(step.at("reason"), "") << step;
  }
  EXPECT_GE(moot, 2) << "bounding set and securebits: " << plan;
}

TEST(PlanJson, NamesWhatEveryBlockedStepNeeds) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  Words words = {"--json", "--own", "/srv/data", "--port", "80"};
  words.insert(words.end(), as_app.begin(), as_app.end());
  const Outcome outcome = run_plan(world, root_with(0), words);
  EXPECT_EQ(outcome.status, 1);
  const Json plan = Json::parse(outcome.out);
  EXPECT_EQ(plan.at("ok"), false);
  Names needs;
  for (const Json& step : plan.at("steps")) {
    EXPECT_EQ(Names({"already", "to-do", "moot", "blocked"}).count(step.at("state")), 1U);
    if (step.at("state") != "blocked") continue;
    for (const Json& need : step.at("needs")) {
      EXPECT_TRUE(need.get<std::string>().starts_with("cap_")) << need;
      needs.insert(need.get<std::string>());
    }
  }
  EXPECT_EQ(needs.size(), 4U) << "SETUID, SETGID, CHOWN, NET_BIND_SERVICE: " << plan;
}

TEST(PlanJson, TellsTheIdentityThatANonRootCallerKeeps) {
  const World world;
  const Json plan = plan_of(world, user(5000, 5001, {5001}), as_app);
  EXPECT_EQ(plan.at("ok"), true);
  EXPECT_EQ(plan.at("identity").at("uid"), 5000);
  EXPECT_EQ(plan.at("identity").at("gid"), 5001);
  EXPECT_EQ(plan.at("identity").at("home"), "/");
}

TEST(PlanJson, TellsThatAllowNewPrivsLeavesItAlone) {
  const World world;
  const Json plan = plan_of(world, root_with_docker_default(),
                            {"--allow-new-privs", "--user", "app", "--", "probe"});
  EXPECT_EQ(plan.at("no_new_privs"), false);
  EXPECT_EQ(plan.at("ok"), true);
}

TEST(PlanJson, StaysJsonWithWordsThatNeedEscapes) {
  const World world;
  const Json plan = plan_of(world, root_with_docker_default(),
                            {"--user", "app", "--", "probe", "a\"b\\c\nd", "\x01", "\xff\xfe"});
  EXPECT_EQ(plan.at("command").at(1), "a\"b\\c\nd");
}

}  // namespace
}  // namespace stepdown::world
