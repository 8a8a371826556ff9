// --profile FILE and the profile command, by the real binary: a file does what the same words do,
// and a bad one leaves everything as it was.
#include <gtest/gtest.h>

#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;
using Ids = std::vector<std::uint32_t>;

const std::string file = "/srv/etc/app.toml";

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t count = 0; count < times; ++count) result += text;
  return result;
}

class LaunchWithProfile : public testing::Test {
 protected:
  void SetUp() override { world_.directory("/srv/data", 0, 0, 0755); }
  void write(const std::string& text, const std::string& path = file) const {
    world_.file(path, text, 0, 0, 0644);
  }
  World world_;
};

TEST_F(LaunchWithProfile, StepsDownAsTheFileSays) {
  write("user = 'app'\nown = '/srv/data'\numask = '027'\nenv = ['FROM=profile']\n");
  const Outcome outcome = world_.run({"--profile", file, "probe", "-x"});
  const Report& app = outcome.app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.umask, 027U);
  EXPECT_EQ(app.value_of("FROM"), "profile");
  EXPECT_EQ(app.permitted | app.bounding, 0U);
  EXPECT_TRUE(app.no_new_privs);
  EXPECT_EQ(app.argv.back(), "-x");
  EXPECT_EQ(owner_of("/srv/data").uid, 1000U);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(LaunchWithProfile, PutsTheCommandLineOnTop) {
  write("user = '1001:1001'\nown = '/srv/data'\nenv = ['A=profile', 'B=profile']\n");
  world_.directory("/srv/more", 0, 0, 0755);
  const Outcome outcome = world_.run(
      {"--user", "app", "--own=/srv/more", "--env", "B=words", "--profile", file, "--", "probe"});
  const Report& app = outcome.app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
  EXPECT_EQ(app.value_of("A"), "profile");
  EXPECT_EQ(app.value_of("B"), "words");
  EXPECT_EQ(owner_of("/srv/data").uid, 1000U);
  EXPECT_EQ(owner_of("/srv/more").uid, 1000U);
}

TEST_F(LaunchWithProfile, ExtendsAFileBesideTheFile) {
  write("extends = './base.toml'\nuser = 'app'\n");
  write("extends = 'restricted'\nuser = '1001:1001'\numask = '007'\n", "/srv/etc/base.toml");
  const Outcome outcome = world_.run({"--profile", file, "probe"});
  EXPECT_EQ(outcome.app().uids, Ids(4, 1000));
  EXPECT_EQ(outcome.app().umask, 007U);
}

TEST_F(LaunchWithProfile, StillNeedsAUser) {
  write("own = '/srv/data'\n");
  const Outcome outcome = world_.run({"--profile", file, "app", "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("no user was given")) << outcome.err;
}

TEST_F(LaunchWithProfile, RefusesRootAsWordsDo) {
  write("user = 'root'\n");
  const Outcome outcome = world_.run({"--profile", file, "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--allow-root")) << outcome.err;
}

TEST_F(LaunchWithProfile, IsShownByPlan) {
  write("user = 'app'\nown = '/srv/data'\n");
  const Outcome outcome = world_.run({"plan", "--profile", file, "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("own /srv/data"), std::string::npos) << outcome.out;
  EXPECT_EQ(owner_of("/srv/data").uid, 0U);
}

struct Bad {
  const char* name;
  std::string text;
  const char* says;
};
void PrintTo(const Bad& bad, std::ostream* stream) {
  *stream << bad.name;
}
class BadProfileFile : public LaunchWithProfile, public testing::WithParamInterface<Bad> {};

TEST_P(BadProfileFile, StartsNothingAndChangesNothing) {
  write("own = '/srv/data'\n" + GetParam().text);
  const std::string before = change_stamp("/srv/data");
  const Outcome outcome = world_.run({"--profile", file, "--user", "app", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says(file + GetParam().says)) << outcome.err;
  EXPECT_EQ(change_stamp("/srv/data"), before);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadProfileFile,
    testing::Values(Bad{"unknown key", "prt = 80", ":2:1: prt: there is no such option"},
                    Bad{"wrong type", "port = true", ":2:8: port: it takes"},
                    Bad{"value", "port = 65536", ":2:8: port: \"65536\""},
                    Bad{"duplicate key", "own = '/x'", ":2:7: "},
                    Bad{"truncated", "port = [80", ":2:11: "},
                    Bad{"not UTF-8", "env = 'A=\xc3\x28'", ":2:9: "},
                    Bad{"NUL", std::string("env = 'A=\0'", 11), ":2:10: "},
                    Bad{"deep nesting", "port = " + repeated("[", 100000), ":2:24: "},
                    Bad{"loop", "extends = './app.toml'", ":2:11: extends: "},
                    Bad{"nothing to extend", "extends = 'none'", ":2:11: extends: "},
                    Bad{"contradiction", "userns = true\npretend-root = true",
                        ":3:16: pretend-root: "},
                    Bad{"10 MB", repeated("#\n", 5'000'000), ": larger than 1 MiB"}));

TEST_F(LaunchWithProfile, NeverWaitsForAFifo) {
  world_.fifo("/srv/fifo");
  const Outcome outcome = world_.run({"--profile", "/srv/fifo", "--user", "app", "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("/srv/fifo: not a regular file")) << outcome.err;
}

TEST_F(LaunchWithProfile, ComplainsWhereTheWordsSay) {
  write("user = 'app'\nusr = 1\n");
  const Outcome outcome =
      world_.run({"--log-format", "json", "--log-file", "/srv/log", "--profile", file, "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(read_file("/srv/log").find(file + ":2:1: usr"), std::string::npos);
}

// ---- stepdown profile ----

class ProfileCommand : public LaunchWithProfile {};

TEST_F(ProfileCommand, ListsTheBuiltInOnes) {
  const Outcome outcome = world_.run({"profile", "list"});
  EXPECT_EQ(outcome.status, 0);
  for (const char* line : {"\nlegacy-root  Images that insist on being root", "\nnginx ", "\nweb "})
    EXPECT_NE(outcome.out.find(line), std::string::npos) << outcome.out;
}

TEST_F(ProfileCommand, ShowsATextThatIsAProfileItself) {
  const Outcome shown = world_.run({"profile", "show", "distroless"});
  EXPECT_EQ(shown.status, 0);
  write(shown.out);
  EXPECT_EQ(world_.run({"--profile", file, "probe"}).app().uids, Ids(4, 65532));
  EXPECT_EQ(world_.run({"--profile", "distroless", "probe"}).app().uids, Ids(4, 65532));
}

TEST_F(ProfileCommand, ShowsNothingThatIsNotThere) {
  const Outcome outcome = world_.run({"profile", "show", "none"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
}

TEST_F(ProfileCommand, CheckIsSilentAboutAValidFile) {
  write("extends = 'nginx'\n");
  const Outcome outcome = world_.run({"profile", "check", file});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
}

TEST_F(ProfileCommand, CheckTellsEveryProblemInALine) {
  write("usr = 'app'\nport = [80, 'http']\nuserns = 'no\\u001b[2J'\n");
  const Outcome outcome = world_.run({"profile", "check", file});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out, file + ":1:1: usr: there is no such option; did you mean user?\n" + file +
                             ":2:13: port: \"http\": a port is 1 to 65535, with /tcp or /udp after "
                             "it\n" +
                             file +
                             ":3:10: userns: \"no\\u001b[2J\": it is --userns, --userns=root or "
                             "--userns=keep\n");
}

TEST_F(ProfileCommand, CheckOfWhatCantBeReadIsAFailureOfItsOwn) {
  const Outcome outcome = world_.run({"profile", "check", "/srv/none.toml"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("/srv/none.toml: there is no such profile file")) << outcome.err;
}

TEST_F(ProfileCommand, NeedsOneOfItsThree) {
  for (const Words& words : {Words{"profile"}, Words{"profile", "bogus"}, Words{"profile", "show"},
                             Words{"profile", "check"}, Words{"profile", "list", "web"}}) {
    const Outcome outcome = world_.run(words);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("stepdown profile --help")) << outcome.err;
  }
}

TEST_F(ProfileCommand, IsNoUserButAfterRun) {
  world_.passwd += "profile:x:1500:1500::/:/bin/sh\n";
  EXPECT_EQ(world_.run({"run", "profile", "probe"}).app().uids, Ids(4, 1500));
}

}  // namespace
}  // namespace stepdown::world
