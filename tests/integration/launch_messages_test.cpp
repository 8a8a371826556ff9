// A blocked plan: everything at once, in words that can be pasted, and nothing changed.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <regex>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

// The flags of the line that begins with "docker:".
Words docker_flags(const std::string& message) {
  const std::regex line("docker:((?: +--cap-add [A-Z_]+)+)");
  std::smatch found;
  if (!std::regex_search(message, found, line)) return {};
  const std::string flags = found[1];
  const std::regex flag("--cap-add ([A-Z_]+)");
  Words names;
  for (std::sregex_iterator at(flags.begin(), flags.end(), flag), end; at != end; ++at)
    names.push_back((*at)[1]);
  return names;
}

Words compose_flags(const std::string& message) {
  const std::regex line("compose:.*cap_add: *\\[([A-Z_, ]+)\\]");
  std::smatch found;
  if (!std::regex_search(message, found, line)) return {};
  const std::string list = found[1];
  const std::regex name("[A-Z_]+");
  Words names;
  for (std::sregex_iterator at(list.begin(), list.end(), name), end; at != end; ++at)
    names.push_back(at->str());
  return names;
}

struct Case {
  std::string name;
  Words options;
  Words lacking;  // all that a container with --cap-drop ALL lacks for it
};
void PrintTo(const Case& blocked, std::ostream* stream) {
  *stream << blocked.name;
}

class Blocked : public testing::TestWithParam<Case> {
 protected:
  Words words() const {
    Words all = GetParam().options;
    all.insert(all.end(), {"--user", "app", "--", "probe", "+touch=/srv/out/ran"});
    return all;
  }
  Outcome run(Caps held) const {
    Start start;
    start.caller = root_with(held);
    start.words = words();
    start.unprivileged_port_start = 1024;
    return world_.run(start);
  }
  void SetUp() override {
    world_.directory("/srv/data", 0, 0, 0755);
    world_.file("/srv/data/file", "", 0, 0, 0644);
  }
  World world_;
};

TEST_P(Blocked, NamesEverythingThatIsMissingAtOnce) {
  const Outcome outcome = run(0);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  EXPECT_EQ(caps_named(docker_flags(outcome.err)), caps_named(GetParam().lacking)) << outcome.err;
  EXPECT_TRUE(outcome.says(std::to_string(GetParam().lacking.size()) + " capabilit"))
      << outcome.err;
}

TEST_P(Blocked, ChangesNothing) {
  const std::string top = change_stamp("/srv/data");
  const std::string file = change_stamp("/srv/data/file");
  EXPECT_EQ(run(0).status, 125);
  EXPECT_EQ(change_stamp("/srv/data"), top);
  EXPECT_EQ(change_stamp("/srv/data/file"), file);
  EXPECT_FALSE(exists("/srv/new"));
  EXPECT_FALSE(exists("/srv/out/ran"));
}

TEST_P(Blocked, WorksWithExactlyTheDockerLineThatItPrints) {
  const Words flags = docker_flags(run(0).err);
  ASSERT_FALSE(flags.empty());
  const Outcome mended = run(caps_named(flags));
  EXPECT_EQ(mended.status, 0) << mended.err;
  EXPECT_EQ(mended.app().uids, Ids(4, 1000));
}

TEST_P(Blocked, WorksWithExactlyTheComposeLineThatItPrints) {
  const Words flags = compose_flags(run(0).err);
  ASSERT_FALSE(flags.empty());
  const Outcome mended = run(caps_named(flags));
  EXPECT_EQ(mended.status, 0) << mended.err;
}

// No flag is one too many.
TEST_P(Blocked, IsStillBlockedWithOneOfThemMissing) {
  for (const std::string& left_out : GetParam().lacking) {
    const Outcome outcome = run(caps_named(GetParam().lacking) & ~caps_named({left_out}));
    EXPECT_EQ(outcome.status, 125) << "without " << left_out;
    EXPECT_EQ(docker_flags(outcome.err), Words{left_out}) << outcome.err;
    EXPECT_TRUE(outcome.says("1 capability")) << outcome.err;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Plans, Blocked,
    testing::Values(Case{"user", {}, {"SETUID", "SETGID"}},
                    Case{"own", {"--own", "/srv/data"}, {"SETUID", "SETGID", "CHOWN"}},
                    Case{"own_top", {"--own", "/srv/data:top"}, {"SETUID", "SETGID", "CHOWN"}},
                    Case{"own_missing", {"--own", "/srv/new/data"}, {"SETUID", "SETGID", "CHOWN"}},
                    Case{"port", {"--port", "80"}, {"SETUID", "SETGID", "NET_BIND_SERVICE"}},
                    Case{"keep_cap", {"--keep-cap", "KILL"}, {"SETUID", "SETGID", "KILL"}},
                    Case{"all",
                         {"--own", "/srv/data", "--port", "80", "--keep-cap", "NET_RAW"},
                         {"SETUID", "SETGID", "CHOWN", "NET_BIND_SERVICE", "NET_RAW"}}),
    [](const auto& instance) { return instance.param.name; });

// ---- whatever is in the way ----

struct Hindrance {
  std::string name;
  Words options;
  Words command;
  int status;
};
void PrintTo(const Hindrance& hindrance, std::ostream* stream) {
  *stream << hindrance.name;
}

class InTheWay : public testing::TestWithParam<Hindrance> {
 protected:
  void SetUp() override {
    world_.directory("/srv/data", 0, 0, 0755);
    world_.directory("/srv/secret", 0, 0, 0700);
    world_.directory("/srv/roots", 0, 0, 0755);
    world_.read_only_mount("/srv/read-only");
    world_.file("/srv/plain", "no program", 0, 0, 0644);
    world_.program("/srv/bin/app-script", "#!/opt/nowhere/python3\n");
    world_.copy("/srv/bin/probe", "/srv/bin/raw");
    world_.file_capabilities("/srv/bin/raw", caps({CAP_NET_RAW}), true);
  }
  Words words() const {
    Words all = {"--own", "/srv/data"};
    all.insert(all.end(), GetParam().options.begin(), GetParam().options.end());
    all.insert(all.end(), {"--user", "app", "--"});
    all.insert(all.end(), GetParam().command.begin(), GetParam().command.end());
    return all;
  }
  World world_;
};

TEST_P(InTheWay, IsFoundBeforeAnythingIsChanged) {
  const std::string before = change_stamp("/srv/data");
  const Outcome outcome = world_.run(words());
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, GetParam().status) << outcome.err;
  EXPECT_EQ(change_stamp("/srv/data"), before);
}

TEST_P(InTheWay, IsToldByPlan) {
  Words plan = words();
  plan.insert(plan.begin(), "plan");
  const Outcome outcome = world_.run(plan);
  EXPECT_NE(outcome.status, 0) << outcome.out;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, InTheWay,
    testing::Values(Hindrance{"directory_missing", {"--chdir", "/srv/nowhere"}, {"probe"}, 125},
                    Hindrance{"directory_closed", {"--chdir", "/srv/secret"}, {"probe"}, 125},
                    Hindrance{"not_writable", {"--writable", "/srv/roots"}, {"probe"}, 125},
                    Hindrance{"not_readable", {"--readable", "/srv/secret"}, {"probe"}, 125},
                    Hindrance{"own_refused", {"--own", "/proc/sys"}, {"probe"}, 125},
                    Hindrance{"own_read_only", {"--own", "/srv/read-only"}, {"probe"}, 125},
                    Hindrance{"no_capability", {"--keep-cap", "SYS_ADMIN"}, {"probe"}, 125},
                    Hindrance{"file_capabilities", {}, {"raw"}, 125},
                    Hindrance{"command_missing", {}, {"nosuchcommand"}, 127},
                    Hindrance{"command_not_executable", {}, {"/srv/plain"}, 126},
                    Hindrance{"interpreter_missing", {}, {"app-script"}, 126}),
    [](const auto& instance) { return instance.param.name; });

// ---- what the engine, or whoever started it, has in the way ----

struct EnginesHindrance {
  std::string name;
  unsigned securebits = 0;
  std::vector<FilteredCall> filter = {};
};
void PrintTo(const EnginesHindrance& hindrance, std::ostream* stream) {
  *stream << hindrance.name;
}

class InTheWayOfTheEngine : public testing::TestWithParam<EnginesHindrance> {
 protected:
  void SetUp() override { world_.directory("/srv/data", 0, 0, 0755); }
  Outcome run(const Words& words) const {
    Caller caller = root_with_docker_default();
    caller.securebits = GetParam().securebits;
    caller.filter = GetParam().filter;
    return world_.run(caller, words);
  }
  World world_;
};

TEST_P(InTheWayOfTheEngine, IsFoundBeforeAnythingIsChanged) {
  const std::string before = change_stamp("/srv/data");
  const Outcome outcome = run({"--own", "/srv/data", "--user", "app", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("blocked")) << outcome.err;
  EXPECT_EQ(change_stamp("/srv/data"), before);
}

TEST_P(InTheWayOfTheEngine, IsToldByPlan) {
  const Outcome outcome = run({"plan", "--own", "/srv/data", "--user", "app", "--", "probe"});
  EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("blocked"), std::string::npos) << outcome.out;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, InTheWayOfTheEngine,
    testing::Values(EnginesHindrance{"keep_caps_locked", SECBIT_KEEP_CAPS_LOCKED},
                    EnginesHindrance{"noroot_locked_open", SECBIT_NOROOT_LOCKED},
                    EnginesHindrance{"ambient_raise_locked_open",
                                     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED},
                    EnginesHindrance{"seccomp_refused", 0, {{SYS_seccomp, EPERM}}},
                    EnginesHindrance{"seccomp_refused_otherwise", 0, {{SYS_seccomp, EACCES}}}),
    [](const auto& instance) { return instance.param.name; });

// ---- names that an image or the app of the last start chose ----

const std::string forging_name = "x\nstepdown: all is well\r\x1b[2J\xc2\x9b\xe2\x80\xae";

void expect_nothing_forged(const Outcome& outcome) {
  EXPECT_FALSE(outcome.says("\nstepdown: all is well")) << outcome.err;
  EXPECT_TRUE(outcome.says("all is well")) << outcome.err;
  for (const std::string& text : {outcome.err, outcome.out})
    for (const char letter : text) {
      const auto byte = static_cast<unsigned char>(letter);
      EXPECT_TRUE(letter == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
    }
}

TEST(Messages, AreNotAtTheMercyOfTheNamesOfUnreadableFiles) {
  World world;
  world.file("/srv/app/" + forging_name, "", 0, 0, 0600);
  for (const Words& options : {Words{}, Words{"--log-format", "json"}}) {
    Words words = options;
    words.insert(words.end(), {"--readable", "/srv/app", "--user", "app", "--", "probe"});
    const Outcome outcome = world.run(words);
    EXPECT_EQ(outcome.status, 125);
    expect_nothing_forged(outcome);
  }
  expect_nothing_forged(world.run({"--readable", "/srv/app", "--user", "app", "--", "nosuch"}));
}

TEST(Messages, AreNotAtTheMercyOfTheNamesOfHardLinks) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.file("/srv/theirs", "", 0, 0, 0600);
  ASSERT_EQ(link("/srv/theirs", ("/srv/data/" + forging_name).c_str()), 0);
  for (const char* format : {"text", "json"}) {
    const Outcome outcome = world.run(
        {"--log-format", format, "--own", "/srv/data", "--user", "app", "--", "/bin/true"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    expect_nothing_forged(outcome);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(Messages, AreNotAtTheMercyOfTheWordsOfThePlan) {
  World world;
  world.passwd = "app:x:1000:1000::/home/\x1b[2J\xc2\x9b:/bin/sh\n";
  const Outcome table = world.run({"plan", "--chdir", "/srv/" + forging_name, "--user", "app", "--",
                                   "probe", "all is well\x1b[2J\n  already  forged"});
  EXPECT_EQ(table.status, 1);
  EXPECT_EQ(table.out.find("\n  already  forged"), std::string::npos) << table.out;
  EXPECT_EQ(table.out.find("\nstepdown: all is well"), std::string::npos) << table.out;
  const Outcome document = world.run({"plan", "--json", "--chdir", "/srv/" + forging_name, "--user",
                                      "app", "--", "probe", forging_name});
  for (const std::string& text : {table.out, document.out})
    for (const char letter : text) {
      const auto byte = static_cast<unsigned char>(letter);
      EXPECT_TRUE(letter == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
    }
}

TEST(BlockedMessage, NamesAllThatIsInTheWayAtOnce) {
  World world;
  world.directory("/srv/roots", 0, 0, 0755);
  world.directory("/srv/secret", 0, 0, 0700);
  const Outcome outcome = world.run({"--chdir", "/srv/nowhere", "--writable", "/srv/roots",
                                     "--readable", "/srv/secret", "--keep-cap", "SYS_ADMIN",
                                     "--keep-fd", "77", "--user", "app", "--", "nosuchcommand"});
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  for (const char* text :
       {"--cap-add SYS_ADMIN", "/srv/nowhere", "/srv/roots", "/srv/secret", "77", "nosuchcommand"})
    EXPECT_TRUE(outcome.says(text)) << text << " in: " << outcome.err;
}

// What the app's user may do can't be tried out without them, but the rest can be told.
TEST(BlockedMessage, NamesWhatElseIsInTheWayWhereTheIdsCanNotBeChanged) {
  const Outcome outcome = World().run(root_with(caps({CAP_SETUID})),
                                      {"--chdir", "/srv/nowhere", "--keep-cap", "KILL", "--keep-fd",
                                       "77", "--user", "app", "--", "nosuchcommand"});
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  for (const char* text :
       {"--cap-add SETGID", "--cap-add KILL", "/srv/nowhere", "77", "nosuchcommand"})
    EXPECT_TRUE(outcome.says(text)) << text << " in: " << outcome.err;
}

TEST(BlockedMessage, ShowsEachStepWithItsCapabilityItsObjectAndItsCall) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  const Outcome outcome = world.run(root_with(caps({CAP_SETUID})),
                                    {"--own", "/srv/data", "--user", "other", "--", "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("stepdown: the plan needs 2 capabilities that this container lacks\n"))
      << outcome.err;
  EXPECT_TRUE(std::regex_search(outcome.err, std::regex("\n  SETGID +.*setgroups\\(2\\)")))
      << outcome.err;
  EXPECT_TRUE(std::regex_search(outcome.err, std::regex("\n  CHOWN +.*/srv/data.*0:0.*fchownat")))
      << outcome.err;
  EXPECT_TRUE(outcome.says("\nor start as the user itself: --user 1001:1001\n")) << outcome.err;
}

TEST(BlockedMessage, TellsANumberOfItsOwnForTheUserItself) {
  const Outcome outcome = World().run(root_with(0), {"4242:4343", "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--user 4242:4343")) << outcome.err;
}

TEST(BlockedMessage, ForTheUserItselfIsTrue) {
  EXPECT_EQ(World().run(root_with(0), {"app", "probe"}).status, 125);
  EXPECT_EQ(World().run(restricted_user(1000, 1000, {1000}), {"app", "probe"}).status, 0);
}

TEST(BlockedMessage, OfTheGosuNameHasTheSameLines) {
  World world;
  world.symlink("stepdown", "/srv/bin/gosu");
  Start start;
  start.caller = root_with(0);
  start.binary = "/srv/bin/gosu";
  start.name = "gosu";
  start.words = {"app", "probe"};
  const Outcome outcome = world.run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(caps_named(docker_flags(outcome.err)), caps({CAP_SETUID, CAP_SETGID})) << outcome.err;
}

}  // namespace
}  // namespace stepdown::world
