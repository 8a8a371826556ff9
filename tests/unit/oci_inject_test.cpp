// --inject: the launcher in front of the app, in a container whose image knows nothing of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cli/parser.h"
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
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

using Words = std::vector<std::string>;

Options injecting(const std::string& user = "app") {
  Options asked = options(user);
  asked.door.inject = true;
  return asked;
}
Words words_of(const Options& asked, Injection injection = Injection::container) {
  return injected_words(asked, test::plan_of(asked, sample("docker.json")), injection);
}
Words arguments(const Json& process) {
  return process.at("args").get<Words>();
}
// What the launcher inside makes of its words.
Options as_parsed(Words words) {
  EXPECT_EQ(words.front(), injected_launcher);
  words.erase(words.begin());
  words.emplace_back("app");
  const auto parsed = cli::parse_words(words, false);
  EXPECT_TRUE(parsed.has_value());
  return parsed.value_or(cli::ParsedWords{}).options;
}

TEST(Injection, PutsTheLauncherInFrontOfTheApp) {
  const Json config = rewritten(sample("docker.json"), injecting());
  EXPECT_THAT(arguments(config["process"]),
              ElementsAre("/.stepdown", "--user", "1000:1000", "--group-add", "44", "--env",
                          "HOME=/home/app", "--", "nginx", "-g", "daemon off;"));
  EXPECT_EQ(config["process"]["user"]["uid"], 1000);
}

TEST(Injection, MountsTheLauncherLastAndReadOnly) {
  const Json mounts = rewritten(sample("docker.json"), injecting())["mounts"];
  EXPECT_EQ(mounts.size(), 4U);
  EXPECT_EQ(mounts.back().dump(),
            R"({"destination":"/.stepdown","type":"bind","source":"/usr/bin/stepdown",)"
            R"("options":["bind","ro","nosuid","nodev"]})");
}

TEST(Injection, MakesTheListOfMountsWhereItIsMissing) {
  EXPECT_EQ(rewritten(sample("kubernetes.json"), injecting())["mounts"].size(), 1U);
}

TEST(Injection, KeepsAHomeOfTheContainersOwn) {
  EXPECT_THAT(arguments(rewritten(sample("kubernetes.json"), injecting())["process"]),
              Contains("HOME=/srv"));
  EXPECT_THAT(arguments(rewritten(sample("unusual.json"), injecting())["process"]),
              ElementsAre("/.stepdown", "--user", "1000:1000", "--group-add", "44", "--env",
                          "HOME=/home/app", "--", "/bin/ö", "", "-x"));
}

class ForeignMount : public testing::TestWithParam<const char*> {};

TEST_P(ForeignMount, IsRefusedWhereTheLauncherBelongs) {
  Json config = sample("docker.json");
  config["mounts"].push_back({{"destination", GetParam()}, {"type", "bind"}, {"source", "/evil"}});
  EXPECT_THAT(refusal([&] { return rewritten(config, injecting()); }),
              AllOf(StartsWith("--inject: "), HasSubstr("/.stepdown")));
}

INSTANTIATE_TEST_SUITE_P(Oci, ForeignMount,
                         testing::Values("/.stepdown", "/.stepdown/", "//./.stepdown",
                                         "/data/../.stepdown", "/../.stepdown/."));

TEST(Injection, IsNotFooledByAMountBesideIt) {
  for (const char* destination : {"/.stepdown2", "/x/.stepdown", "/.stepdown/..", "/"}) {
    Json config = sample("docker.json");
    config["mounts"].push_back(
        {{"destination", destination}, {"type", "bind"}, {"source", "/srv"}});
    EXPECT_EQ(rewritten(config, injecting())["mounts"].back()["destination"], "/.stepdown");
  }
}

TEST(Injection, ThatIsThereIsRefusedForAnotherPolicy) {
  const Json once = rewritten(sample("docker.json"), injecting());
  Options other = injecting();
  other.read_only = true;
  EXPECT_THAT(refusal([&] { return rewritten(once, other); }), StartsWith("--inject: "));
}

TEST(Injection, ThatIsMountedOverIsRefused) {
  Json config = rewritten(sample("docker.json"), injecting());
  config["mounts"].push_back({{"destination", "/"}, {"type", "bind"}, {"source", "/evil"}});
  EXPECT_THAT(refusal([&] { return rewritten(config, injecting()); }), StartsWith("--inject: "));
}

TEST(Injection, OfARootIsRefused) {
  Options asked = injecting("root");
  asked.allow_root = true;
  EXPECT_THAT(refusal([&] { return rewritten(sample("docker.json"), asked); }),
              AllOf(StartsWith("--inject: "), HasSubstr("uid 0")));
}

// ---- the words ----

TEST(InjectedWords, SayWhatTheOperatorSaid) {
  Options asked = injecting();
  asked.ports = {{80, Protocol::tcp}, {53, Protocol::udp}};
  asked.keep_caps = {Capability::kill};
  asked.writable = {"/tmp"};
  asked.readable = {"/app"};
  asked.own_stdio = false;
  asked.read_only = asked.only_ports = asked.landlock_required = true;
  asked.pretend_root = PretendRoot::supervised;
  asked.init = Init::group;
  asked.keep_fds = {7};
  asked.log_level = LogLevel::error;
  asked.log_json = true;
  const Options inside = as_parsed(words_of(asked));
  EXPECT_EQ(inside.user, "1000:1000");
  EXPECT_THAT(inside.group_add, ElementsAre("44"));
  EXPECT_EQ(inside.ports, asked.ports);
  EXPECT_EQ(inside.keep_caps, asked.keep_caps);
  EXPECT_EQ(inside.writable, asked.writable);
  EXPECT_EQ(inside.readable, asked.readable);
  EXPECT_FALSE(inside.own_stdio);
  EXPECT_TRUE(inside.read_only && inside.only_ports && inside.landlock_required);
  EXPECT_EQ(inside.pretend_root, PretendRoot::supervised);
  EXPECT_EQ(inside.init, Init::group);
  EXPECT_EQ(inside.keep_fds, asked.keep_fds);
  EXPECT_EQ(inside.log_level, LogLevel::error);
  EXPECT_TRUE(inside.log_json);
  EXPECT_THAT(inside.command, ElementsAre("app"));
}

TEST(InjectedWords, SayWhichUserNamespace) {
  Options asked = injecting();
  asked.userns = Userns::keep;
  asked.uid_map = {{1000, 1000, 1}};
  asked.gid_map = {{1000, 1000, 1}, {5, 6, 7}};
  const Options inside = as_parsed(words_of(asked));
  EXPECT_EQ(inside.userns, Userns::keep);
  EXPECT_EQ(inside.uid_map, asked.uid_map);
  EXPECT_EQ(inside.gid_map, asked.gid_map);
  // The namespace is made inside: outside of it nothing is planned for one.
  EXPECT_EQ(test::plan_of(asked, sample("docker.json")).user_namespace, std::nullopt);
}

TEST(InjectedWords, LeaveWhatTheHookHandsOverWritable) {
  Options asked = injecting();
  asked.own = {{"/data", true}};
  asked.door.idmap = {"/volume"};
  const Options inside = as_parsed(words_of(asked));
  EXPECT_THAT(inside.writable, ElementsAre("/data", "/volume"));
  EXPECT_THAT(inside.own, IsEmpty());
}

TEST(InjectedWords, NameNoPathOfTheHost) {
  Options asked = injecting();
  asked.profile = "/etc/stepdown/host.toml";
  asked.log_file = "/var/log/stepdown.log";
  asked.door.runtime_path = "/usr/bin/runc";
  for (const Injection injection : {Injection::container, Injection::exec})
    EXPECT_THAT(words_of(asked, injection),
                Not(Contains(
                    testing::AnyOf(HasSubstr("/etc/"), HasSubstr("/var/log"), HasSubstr("runc")))));
}

TEST(InjectedWords, OfAnExecLimitTheAppAndNothingElse) {
  Options asked = injecting();
  asked.init = Init::process;
  asked.pretend_root = PretendRoot::supervised;
  asked.readable = {"/app"};
  asked.ports = {{80, Protocol::tcp}};
  asked.own = {{"/data", true}};
  asked.read_only = true;
  const Options inside = as_parsed(words_of(asked, Injection::exec));
  EXPECT_EQ(inside.init, Init::none);
  EXPECT_EQ(inside.pretend_root, PretendRoot::none);
  EXPECT_THAT(inside.readable, IsEmpty());
  EXPECT_THAT(inside.ports, IsEmpty());
  EXPECT_THAT(inside.writable, ElementsAre("/data"));
  EXPECT_TRUE(inside.read_only);
  EXPECT_EQ(inside.keep_caps, CapabilitySet{Capability::net_bind_service});
}

TEST(InjectedExec, GetsTheLauncherOnlyForLimits) {
  Options asked = injecting();
  asked.init = Init::process;
  const auto carried_out = [&asked] {
    const Container running = container_of(rewritten(sample("docker.json"), asked));
    Json process = sample("docker.json")["process"];
    const Plan plan = plan_of_exec(asked, running, test::process_of(process), accounts());
    rewrite_process(process, running, asked, plan);
    return arguments(process);
  };
  EXPECT_EQ(carried_out().front(), "nginx");
  asked.only_ports = true;
  EXPECT_EQ(carried_out().front(), injected_launcher);
  asked.door.allow_root_exec = true;
  EXPECT_EQ(carried_out().front(), "nginx");
}

TEST(InjectedExec, IsRefusedWhereTheContainerHasNoLauncher) {
  Options asked = injecting();
  asked.read_only = true;
  Json config = rewritten(sample("docker.json"), options("app"));
  // Of an image, or a volume, that only looks alike.
  config["mounts"].push_back({{"destination", "/.stepdown/x"}, {"type", "tmpfs"}});
  const Container running = container_of(config);
  Json process = sample("docker.json")["process"];
  const Plan plan = plan_of_exec(asked, running, test::process_of(process), accounts());
  EXPECT_THAT(refusal([&] {
                rewrite_process(process, running, asked, plan);
                return 0;
              }),
              AllOf(StartsWith("--inject: the container was started without it"),
                    HasSubstr("start the container again")));
}

// ---- without --inject ----

TEST(Injection, TakesABuiltInPolicyAndNoFile) {
  Options asked = options("app");
  asked.door.inject = true;
  asked.seccomp = "default";
  const Words words = arguments(rewritten(sample("docker.json"), asked)["process"]);
  const auto policy = std::find(words.begin(), words.end(), "--seccomp");
  ASSERT_NE(policy, words.end());
  EXPECT_EQ(*(policy + 1), "default");
  asked.seccomp = "/etc/policy.json";
  EXPECT_THAT(refusal([&] { return rewritten(sample("docker.json"), asked); }),
              AllOf(StartsWith("--seccomp /etc/policy.json: "), HasSubstr("--security-opt")));
}

TEST(WithoutInjection, WhatOnlyTheLauncherCanDoIsRefusedByName) {
  Options asked = options("app");
  asked.read_only = true;
  asked.init = Init::process;
  EXPECT_THAT(refusal([&] { return rewritten(sample("docker.json"), asked); }),
              AllOf(StartsWith("--read-only, --init: "), HasSubstr("add --inject")));
  asked.door.inject = true;
  EXPECT_EQ(arguments(rewritten(sample("docker.json"), asked)["process"]).front(),
            injected_launcher);
}

// A value for every option that launcher and doors both understand. A new row of the table needs
// one here, and a place: the configuration, the words of the injected launcher, or the door itself.
const std::map<std::string_view, const char*> values{
    {"user", "1234:5"},   {"group-add", "77"},        {"keep-groups", ""},
    {"allow-root", ""},   {"allow-root-group", ""},   {"own", "/data"},
    {"writable", "/tmp"}, {"readable", "/app"},       {"own-stdio", "never"},
    {"port", "80"},       {"keep-cap", "KILL"},       {"allow-new-privs", ""},
    {"userns", "keep"},   {"uid-map", "1000:1000:1"}, {"gid-map", "1000:1000:1"},
    {"pretend-root", ""}, {"profile", "/p.toml"},     {"read-only", ""},
    {"only-ports", ""},   {"landlock", "require"},    {"env", "A=b"},
    {"chdir", "/srv"},    {"umask", "027"},           {"keep-fd", "9"},
    {"init", "group"},    {"log-level", "info"},      {"log-format", "json"},
    {"log-file", "/log"}, {"seccomp", "default"},     {"seccomp-log", ""},
};
// What the door has used up itself, or what says no more than that something isn't refused.
const std::vector<std::string_view> the_doors_own{"allow-root", "allow-root-group", "profile",
                                                  "log-file"};

TEST(EveryOption, ThatLauncherAndDoorsUnderstandHasAnEffectOnTheContainer) {
  Json config = sample("docker.json");
  config["process"]["user"]["additionalGids"] = {3000};
  const Json baseline = rewritten(config, injecting());
  for (const OptionRow& row : option_table()) {
    if (row.place != OptionRow::Place::both) continue;
    const auto value = values.find(row.name);
    ASSERT_NE(value, values.end()) << row.name;
    if (std::find(the_doors_own.begin(), the_doors_own.end(), row.name) != the_doors_own.end())
      continue;
    Options asked = injecting();
    row.set(asked, value->second);
    if (row.name == "landlock") asked.read_only = true;
    EXPECT_NE(rewritten(config, asked), baseline) << row.name;
  }
}

TEST(EveryOption, IsEitherTheConfigurationsOrNeedsTheLauncher) {
  Json config = sample("docker.json");
  config["process"]["user"]["additionalGids"] = {3000};
  const Json baseline = rewritten(config, options("app"));
  const std::vector<std::string_view> without_effect{"own-stdio", "log-level", "log-format"};
  for (const auto& [name, value] : values) {
    const auto is_in = [name = name](const auto& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (is_in(the_doors_own) || is_in(without_effect)) continue;
    Options asked = options("app");
    find_option(name)->set(asked, value);
    const Words needing = options_for_the_launcher(asked);
    if (needing.empty())
      EXPECT_NE(rewritten(config, asked), baseline) << name;
    else
      EXPECT_THAT(needing, ElementsAre("--" + std::string(name)));
  }
}

}  // namespace
}  // namespace stepdown::oci
