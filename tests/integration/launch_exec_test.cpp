// Which words are the command, how it is found, and what the exit status says.
#include <gtest/gtest.h>

#include <csignal>

#include "world.h"

namespace stepdown::world {
namespace {

using Ids = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

void expect_refused(const Outcome& outcome, const std::string& naming = "") {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  EXPECT_TRUE(outcome.says(naming)) << "not named: " << naming << "\nin: " << outcome.err;
}

void expect_status(const Outcome& outcome, int status, const std::string& naming) {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("stepdown: ")) << outcome.err;
  EXPECT_TRUE(outcome.says(naming)) << "not named: " << naming << "\nin: " << outcome.err;
}

// ---- which words are the command ----

struct Line {
  Words words;
  Words argv;
};
void PrintTo(const Line& line, std::ostream* stream) {
  for (const std::string& word : line.words) *stream << word << ' ';
}

class PassesOn : public testing::TestWithParam<Line> {};

TEST_P(PassesOn, TheCommandUntouched) {
  const World world;
  const Report app = world.run(GetParam().words).app();
  EXPECT_EQ(app.argv, GetParam().argv);
  EXPECT_EQ(app.uids, Ids(4, 1000));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, PassesOn,
    testing::Values(Line{{"app", "probe"}, {"probe"}}, Line{{"app", "--", "probe"}, {"probe"}},
                    Line{{"app", "probe", "--color"}, {"probe", "--color"}},
                    Line{{"app", "probe", "--help"}, {"probe", "--help"}},
                    Line{{"app", "probe", "--user", "root"}, {"probe", "--user", "root"}},
                    Line{{"app", "probe", "--", "x"}, {"probe", "--", "x"}},
                    Line{{"app", "--", "probe", "--", "x"}, {"probe", "--", "x"}},
                    Line{{"app", "--", "probe", "-x", ""}, {"probe", "-x", ""}},
                    Line{{"--user", "app", "probe"}, {"probe"}},
                    Line{{"--user", "app", "--", "probe"}, {"probe"}},
                    Line{{"--user=app", "--", "probe", "--umask", "0"}, {"probe", "--umask", "0"}},
                    Line{{"--user", "app", "probe", "--umask", "0"}, {"probe", "--umask", "0"}},
                    Line{{"--user", "app", "--", "probe", "app"}, {"probe", "app"}},
                    // An option's value is one word, and the next word is no second one.
                    Line{{"--port", "8080", "app", "probe"}, {"probe"}},
                    Line{{"--port", "8080", "--port", "8081", "app", "probe", "x"}, {"probe", "x"}},
                    Line{{"--own", "/srv/data", "app", "probe"}, {"probe"}},
                    Line{{"--writable", "/srv/out", "app", "probe"}, {"probe"}},
                    Line{{"--readable", "/srv/out", "app", "probe"}, {"probe"}},
                    Line{{"--env", "A=B", "app", "probe"}, {"probe"}},
                    Line{{"--group-add", "media", "app", "probe"}, {"probe"}},
                    Line{{"--keep-cap", "KILL", "app", "probe"}, {"probe"}},
                    Line{{"--umask", "022", "app", "probe"}, {"probe"}},
                    Line{{"--chdir", "/", "app", "probe"}, {"probe"}},
                    Line{{"--own-stdio=auto", "app", "probe"}, {"probe"}},
                    Line{{"--exact-user", "app", "probe"}, {"probe"}},
                    // The name of the command, written out.
                    Line{{"run", "app", "probe"}, {"probe"}},
                    Line{{"run", "--user", "app", "--", "probe"}, {"probe"}},
                    Line{{"--user", "app", "--", "probe", "check"}, {"probe", "check"}},
                    Line{{"app", "probe", "\xff\xfe\n", " ", "@"},
                         {"probe", "\xff\xfe\n", " ", "@"}}));

TEST(LaunchWords, AreLeftToAShellWithItsOwnDoubleDash) {
  const Outcome outcome =
      World().run({"--user", "app", "--", "/bin/sh", "-c", "echo \"$1:$2\"", "x", "--", "y"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "--:y\n");
}

TEST(LaunchWords, MayBeMany) {
  Words words = {"app", "probe"};
  for (int i = 0; i < 20000; ++i) words.push_back(std::to_string(i));
  EXPECT_EQ(World().run(words).app().argv.size(), 20001U);
}

TEST(LaunchWords, OnlyTheFirstDoubleDashIsOurs) {
  const Outcome outcome = World().run({"app", "--", "--", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 127);
}

TEST(LaunchWords, AfterADoubleDashMayLookLikeAnOption) {
  World world;
  world.copy("/srv/bin/probe", "/srv/bin/--bogus");
  EXPECT_EQ(world.run({"app", "--", "--bogus"}).app().argv, Words({"--bogus"}));
  EXPECT_EQ(world.run({"--user", "app", "--", "--bogus"}).app().argv, Words({"--bogus"}));
}

TEST(LaunchWords, ServeAUserNamedLikeACommand) {
  const Report app = World().run({"run", "check", "probe"}).app();
  EXPECT_EQ(app.uids, Ids(4, 1004));
}

TEST(LaunchWords, AUserNamedLikeACommandIsReachedByOptionToo) {
  EXPECT_EQ(World().run({"--user", "check", "--", "probe"}).app().uids, Ids(4, 1004));
}

class RefusesLine : public testing::TestWithParam<Words> {};

TEST_P(RefusesLine, WithStatus125) {
  World world;
  // Were one of these words taken for the command, it would run.
  for (const char* name : {"--bogus", "-x", "--umask", "--color", "-p"})
    world.copy("/srv/bin/probe", std::string("/srv/bin/") + name);
  expect_refused(world.run(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RefusesLine,
    testing::Values(
        Words{"--bogus", "app", "probe"}, Words{"--user", "app", "--bogus", "probe"},
        Words{"--user", "app", "--bogus", "--", "probe"}, Words{"--user", "app", "-x", "probe"},
        Words{"-x", "app", "probe"}, Words{"app", "--bogus", "probe"},
        Words{"app", "--umask", "077", "probe"}, Words{"app", "-p", "probe"},
        Words{"app", "--bogus"}, Words{"--user"}, Words{"--port"}, Words{"--umask", "app"},
        Words{"--env", "NOVALUE", "app", "probe"}, Words{"--env", "=x", "app", "probe"},
        Words{"--umask", "999", "app", "probe"}, Words{"--umask", "abc", "app", "probe"},
        Words{"--umask", "01000", "app", "probe"}, Words{"--umask=", "app", "probe"},
        Words{"--umask=-1", "app", "probe"}, Words{"--keep-fd", "x", "app", "probe"},
        Words{"--keep-fd=-1", "app", "probe"}, Words{"--keep-fd", "4294967299", "app", "probe"},
        Words{"--own", "relative", "app", "probe"}, Words{"--own=", "app", "probe"},
        Words{"--allow-root=maybe", "app", "probe"}));

TEST(LaunchWords, NameTheUnknownOption) {
  EXPECT_TRUE(World().run({"--bogus", "app", "probe"}).says("--bogus"));
  EXPECT_TRUE(World().run({"app", "--bogus", "probe"}).says("--bogus"));
}

TEST(LaunchWords, WithoutACommandTellOfAnEmptiedCmd) {
  for (const Words& words :
       {Words{"app"}, Words{"app", "--"}, Words{"--user", "app"}, Words{"--user", "app", "--"}}) {
    const Outcome outcome = World().run(words);
    expect_refused(outcome, "No command");
    EXPECT_TRUE(outcome.says("ENTRYPOINT")) << outcome.err;
    EXPECT_TRUE(outcome.says("CMD")) << outcome.err;
  }
}

TEST(LaunchWords, AreNeeded) {
  EXPECT_EQ(World().run(Words{}).status, 125);
}

TEST(LaunchWords, AnEmptyCommandIsNotFound) {
  const Outcome outcome = World().run({"app", "--", ""});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_TRUE(outcome.status == 127 || outcome.status == 125) << outcome.status;
}

TEST(Help, ShowsTheOptionsOnStdout) {
  const Outcome outcome = World().run({"--help"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  for (const char* option : {"--user", "--own", "--port"})
    EXPECT_NE(outcome.out.find(option), std::string::npos) << option;
}

TEST(Help, ShowsAllOfThemWhenAsked) {
  const World world;
  const Outcome all = world.run({"--help-all"});
  EXPECT_EQ(all.status, 0);
  for (const char* option :
       {"--user",       "--user-of",     "--user-env",        "--exact-user",
        "--group-add",  "--keep-groups", "--allow-root",      "--allow-root-group",
        "--own",        "--writable",    "--readable",        "--own-stdio",
        "--port",       "--keep-cap",    "--allow-new-privs", "--env",
        "--chdir",      "--umask",       "--keep-fd",         "--log-level",
        "--log-format", "--log-file"})
    EXPECT_NE(all.out.find(option), std::string::npos) << option;
  EXPECT_LT(world.run({"--help"}).out.size(), all.out.size());
}

TEST(Version, NamesItself) {
  const Outcome outcome = World().run({"--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("stepdown"), std::string::npos) << outcome.out;
}

// ---- finding the command ----

Start with_path(const std::string& path, const Words& command) {
  Start start;
  start.environment = {"PATH=" + path, "HOME=/root"};
  start.words = {"--user", "app", "--"};
  start.words.insert(start.words.end(), command.begin(), command.end());
  return start;
}

TEST(Command, IsNotFound127) {
  expect_status(World().run({"app", "nosuchcommand"}), 127, "nosuchcommand");
  expect_status(World().run({"app", "/srv/nosuchcommand"}), 127, "/srv/nosuchcommand");
  expect_status(World().run({"app", "/srv/nosuchdirectory/command"}), 127,
                "/srv/nosuchdirectory/command");
}

TEST(Command, IsNotExecutable126) {
  World world;
  world.file("/srv/plain", "no program", 0, 0, 0644);
  world.file("/srv/roots", "#!/srv/bin/probe\n", 0, 0, 0700);
  world.directory("/srv/directory", 0, 0, 0755);
  expect_status(world.run({"app", "/srv/plain"}), 126, "/srv/plain");
  expect_status(world.run({"app", "/srv/roots"}), 126, "/srv/roots");
  expect_status(world.run({"app", "/srv/directory"}), 126, "/srv/directory");
}

TEST(Command, IsSoughtPastDirectoriesThatCanNotBeSearched) {
  World world;
  world.directory("/srv/secret", 0, 0, 0700);
  world.copy("/srv/bin/probe", "/srv/secret/probe");
  const Report app = world.run(with_path("/srv/secret:/srv/bin", {"probe"})).app();
  EXPECT_EQ(app.uids, Ids(4, 1000));
}

TEST(Command, IsNotFoundWhereOnlyAnUnsearchableDirectoryHasIt) {
  World world;
  world.directory("/srv/secret", 0, 0, 0700);
  world.copy("/srv/bin/probe", "/srv/secret/hidden");
  expect_status(world.run(with_path("/srv/secret:/srv/bin", {"hidden"})), 127, "hidden");
}

TEST(Command, IsSoughtPastMissingDirectoriesAndFilesInTheirPlace) {
  EXPECT_TRUE(World().run(with_path("/srv/nowhere:/srv/extra:/srv/bin", {"probe"})).app_ran());
}

TEST(Command, IsSoughtPastFilesThatCanNotBeExecuted) {
  World world;
  world.file("/srv/first/probe", "no program", 0, 0, 0644);
  world.directory("/srv/second/probe", 0, 0, 0755);
  EXPECT_TRUE(world.run(with_path("/srv/first:/srv/second:/srv/bin", {"probe"})).app_ran());
}

TEST(Command, IsNotExecutableWhereAllThatPathHasCanNotBeExecuted) {
  World world;
  world.file("/srv/first/plain", "no program", 0, 0, 0644);
  expect_status(world.run(with_path("/srv/first:/srv/bin", {"plain"})), 126, "plain");
}

TEST(Command, WithASlashIsRelativeToTheDirectoryThatTheAppStartsIn) {
  World world;
  Start start = with_path("/usr/bin", {"bin/probe"});
  start.cwd = "/srv";
  EXPECT_EQ(world.run(start).app().argv, Words({"bin/probe"}));
  start.cwd = "/";
  start.words.insert(start.words.begin(), {"--chdir", "/srv"});
  EXPECT_EQ(world.run(start).app().cwd, "/srv");
}

TEST(Command, MayBeAScript) {
  World world;
  world.program("/srv/bin/app-script", "#!/srv/bin/probe one\n");
  EXPECT_EQ(world.run({"app", "app-script", "two"}).app().argv,
            Words({"/srv/bin/probe", "one", "/srv/bin/app-script", "two"}));
}

TEST(Command, MayBeAScriptWhoseInterpreterIsSoughtWhereTheAppStarts) {
  World world;
  world.copy("/srv/bin/probe", "/srv/app/interp");
  world.program("/srv/app/s", "#!./interp\n");
  const Outcome outcome = world.run({"--chdir", "/srv/app", "app", "./s"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().argv, Words({"./interp", "./s"}));
  EXPECT_EQ(world.run({"plan", "--chdir", "/srv/app", "app", "./s"}).status, 0);
}

TEST(Command, ThatIsAScriptIs126WhereItsRelativeInterpreterIsElsewhere) {
  World world;
  world.copy("/srv/bin/probe", "/srv/elsewhere/interp");
  world.program("/srv/app/s", "#!./interp\n");
  Start start;
  start.cwd = "/srv/elsewhere";
  start.words = {"--chdir", "/srv/app", "app", "./s"};
  expect_status(world.run(start), 126, "./interp");
  start.words.insert(start.words.begin(), "plan");
  EXPECT_EQ(world.run(start).status, 1);
}

TEST(Command, ThatIsAScriptWithoutItsInterpreterIs126AndNamesTheInterpreter) {
  World world;
  world.program("/srv/bin/app-script", "#!/opt/nowhere/python3 -u\nprint()\n");
  expect_status(world.run({"app", "app-script"}), 126, "/opt/nowhere/python3");
  expect_status(world.run({"app", "/srv/bin/app-script"}), 126, "/opt/nowhere/python3");
}

TEST(Command, ThatIsAScriptWithWindowsLineEndsIs126AndNamesTheInterpreter) {
  World world;
  world.program("/srv/bin/app-script", "#!/bin/sh\r\necho\r\n");
  expect_status(world.run({"app", "app-script"}), 126, "/bin/sh");
}

TEST(Command, ThatIsAScriptWithAnInterpreterThatTheAppMayNotExecuteIs126) {
  World world;
  world.copy("/srv/bin/probe", "/srv/bin/roots-interpreter", 0700);
  world.program("/srv/bin/app-script", "#!/srv/bin/roots-interpreter\n");
  expect_status(world.run({"app", "app-script"}), 126, "/srv/bin/app-script");
}

TEST(Command, ThatIsADynamicProgramWithoutItsLoaderIs126) {
  World world;
  std::string program = read_file("/bin/true");
  const std::size_t loader = program.find("/ld-linux");
  ASSERT_NE(loader, std::string::npos);
  program.replace(loader, 9, "/ld-lunar");
  world.program("/srv/bin/loaderless", program);
  expect_status(world.run({"app", "loaderless"}), 126, "loaderless");
  expect_status(world.run({"app", "/srv/bin/loaderless"}), 126, "/srv/bin/loaderless");
}

// One string of argv or environ may have 128 KiB (execve(2)); HOME is the one that the launcher
// itself makes longer.
TEST(Command, WithTooLongAnArgumentListIs126) {
  World world;
  world.passwd = "app:x:1000:1000::/" + std::string(140000, 'h') + ":/bin/sh\n";
  const Outcome outcome = world.run({"app", "probe"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 126) << outcome.err.substr(0, 1000);
  EXPECT_TRUE(outcome.says("rgument list too long")) << outcome.err.substr(0, 1000);
}

// ---- the command's own end ----

TEST(ExitStatus, IsTheCommandsOwn) {
  for (const int status : {0, 1, 3, 77, 125, 126, 127, 200, 255})
    EXPECT_EQ(World().run({"app", "probe", "+exit=" + std::to_string(status)}).status, status);
}

TEST(ExitStatus, IsASignalWhereTheCommandDiesOfOne) {
  for (const int number : {SIGTERM, SIGKILL, SIGABRT})
    EXPECT_EQ(World().run({"app", "probe", "+signal=" + std::to_string(number)}).status, -number);
}

}  // namespace
}  // namespace stepdown::world
