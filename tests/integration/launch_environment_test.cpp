// What surrounds the app: variables, directory, umask, fds, signals.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;
using Fds = std::vector<int>;

const std::string path = "PATH=/srv/bin";

Report with_environment(const Words& environment, const Words& words) {
  Start start;
  start.environment = environment;
  start.words = words;
  return World().run(start).app();
}

Words sorted(Words words) {
  std::sort(words.begin(), words.end());
  return words;
}

// ---- variables ----

TEST(Environment, HasTheTargetsHome) {
  EXPECT_EQ(with_environment({path, "HOME=/root"}, {"app", "probe"}).value_of("HOME"), "/home/app");
  EXPECT_EQ(with_environment({path}, {"app", "probe"}).value_of("HOME"), "/home/app");
}

TEST(Environment, HasOneHomeEvenIfItHadTwo) {
  const Report app = with_environment({"HOME=/root", path, "HOME=/elsewhere"}, {"app", "probe"});
  for (const std::string& home : app.values_of("HOME")) EXPECT_EQ(home, "/home/app");
}

TEST(Environment, HasTheRootDirectoryAsHomeWithoutAnEntry) {
  EXPECT_EQ(with_environment({path, "HOME=/root"}, {"4242:4242", "probe"}).value_of("HOME"), "/");
}

TEST(Environment, RenamesUserAndLognameWhereTheyNameTheCaller) {
  const Report app = with_environment({path, "USER=root", "LOGNAME=root"}, {"app", "probe"});
  EXPECT_EQ(app.value_of("USER"), "app");
  EXPECT_EQ(app.value_of("LOGNAME"), "app");
}

TEST(Environment, LeavesUserAndLognameWhereTheyNameAnother) {
  const Report app = with_environment({path, "USER=dbadmin", "LOGNAME=other"}, {"app", "probe"});
  EXPECT_EQ(app.value_of("USER"), "dbadmin");
  EXPECT_EQ(app.value_of("LOGNAME"), "other");
}

TEST(Environment, AddsNeitherUserNorLogname) {
  const Report app = with_environment({path}, {"app", "probe"});
  EXPECT_TRUE(app.values_of("USER").empty());
  EXPECT_TRUE(app.values_of("LOGNAME").empty());
}

TEST(Environment, DoesNotGoOnNamingRootWhereTheTargetHasNoName) {
  const Report app = with_environment({path, "USER=root"}, {"4242:4242", "probe"});
  for (const std::string& name : app.values_of("USER")) EXPECT_NE(name, "root");
}

TEST(Environment, IsOtherwiseUntouched) {
  const Words rest = {path,
                      "SHELL=/bin/zsh",
                      "EMPTY=",
                      "TWO=a=b",
                      "LINES=one\ntwo",
                      "LD_PRELOAD_NOT=x",
                      "NO_EQUALS_SIGN",
                      "MAIL=/var/mail/root",
                      "lower case=\xff"};
  Words given = rest;
  given.emplace_back("HOME=/root");
  Words expected = rest;
  expected.emplace_back("HOME=/home/app");
  EXPECT_EQ(sorted(with_environment(given, {"app", "probe"}).environment), sorted(expected));
}

TEST(Environment, IsSetByEnvWhichWinsOverAll) {
  const Report app =
      with_environment({path, "HOME=/root", "USER=root", "KEPT=1", "CHANGED=before"},
                       {"--env", "HOME=/srv/home", "--env", "USER=me", "--env", "NEW=a=b",
                        "--env=CHANGED=after", "--env", "EMPTY=", "app", "probe"});
  EXPECT_EQ(app.value_of("HOME"), "/srv/home");
  EXPECT_EQ(app.value_of("USER"), "me");
  EXPECT_EQ(app.value_of("NEW"), "a=b");
  EXPECT_EQ(app.value_of("CHANGED"), "after");
  EXPECT_EQ(app.value_of("EMPTY"), "");
  EXPECT_EQ(app.value_of("KEPT"), "1");
}

TEST(Environment, MayBeEmpty) {
  const Report app = with_environment({}, {"app", "/srv/bin/probe"});
  EXPECT_EQ(app.environment, Words{"HOME=/home/app"});
}

TEST(Environment, WithoutAPathHasTheUsualDirectories) {
  Start start;
  start.environment = {};
  start.words = {"app", "true"};
  EXPECT_EQ(World().run(start).status, 0);
}

// ---- directory and umask ----

TEST(Surroundings, KeepTheDirectory) {
  Start start;
  start.cwd = "/srv/out";
  start.words = {"app", "probe"};
  EXPECT_EQ(World().run(start).app().cwd, "/srv/out");
}

TEST(Surroundings, ChangeTheDirectoryWhenAsked) {
  EXPECT_EQ(World().run({"--chdir", "/srv/out", "app", "probe"}).app().cwd, "/srv/out");
}

TEST(Surroundings, RefuseADirectoryThatIsNotThere) {
  for (const char* directory : {"/srv/nowhere", "/srv/extra"}) {
    const Outcome outcome = World().run({"--chdir", directory, "app", "probe"});
    EXPECT_FALSE(outcome.app_ran());
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says(directory)) << outcome.err;
  }
}

TEST(Surroundings, KeepTheUmask) {
  Start start;
  start.umask = 0137;
  start.words = {"app", "probe"};
  EXPECT_EQ(World().run(start).app().umask, 0137U);
}

TEST(Surroundings, ChangeTheUmaskWhenAsked) {
  for (const auto& [word, mask] : std::vector<std::pair<std::string, mode_t>>{
           {"027", 027}, {"0077", 077}, {"0", 0}, {"777", 0777}})
    EXPECT_EQ(World().run({"--umask", word, "app", "probe"}).app().umask, mask) << word;
}

// ---- file descriptors ----

Start with_fds(const Fds& open, const Words& options, const Words& environment = {}) {
  Start start;
  start.open_fds = open;
  start.words = options;
  start.words.insert(start.words.end(), {"app", "probe"});
  start.environment.insert(start.environment.end(), environment.begin(), environment.end());
  return start;
}

TEST(Descriptors, Above2AreClosed) {
  EXPECT_EQ(World().run(with_fds({3, 4, 9, 100, 800}, {})).app().fd_numbers(), Fds({0, 1, 2}));
}

TEST(Descriptors, AreKeptWhenAsked) {
  const Report app =
      World().run(with_fds({3, 4, 5, 100}, {"--keep-fd", "5", "--keep-fd=100"})).app();
  EXPECT_EQ(app.fd_numbers(), Fds({0, 1, 2, 5, 100}));
  EXPECT_EQ(app.fds.at(5), app.fds.at(100));
}

TEST(Descriptors, AreKeptInWhateverOrderAndHoweverOftenTheyAreNamed) {
  const Words options = {"--keep-fd", "100", "--keep-fd", "5", "--keep-fd", "5", "--keep-fd", "3"};
  EXPECT_EQ(World().run(with_fds({3, 4, 5, 6, 100, 101}, options)).app().fd_numbers(),
            Fds({0, 1, 2, 3, 5, 100}));
}

TEST(Descriptors, OfStdioAreNotLostWhereSomebodyAsksToKeepThem) {
  for (const char* fd : {"0", "1", "2"}) {
    const Outcome outcome = World().run(with_fds({3, 4}, {"--keep-fd", fd}));
    if (outcome.app_ran()) {
      EXPECT_EQ(outcome.app().fd_numbers(), Fds({0, 1, 2})) << fd;
    } else {
      EXPECT_EQ(outcome.status, 125) << fd;
    }
  }
}

TEST(Descriptors, OfSocketActivationAndThoseAskedForAreKept) {
  EXPECT_EQ(
      World()
          .run(with_fds({3, 4, 5, 6}, {"--keep-fd", "6"}, {"LISTEN_FDS=1", "LISTEN_PID=@PID@"}))
          .app()
          .fd_numbers(),
      Fds({0, 1, 2, 3, 6}));
}

TEST(Descriptors, ThatAreNotOpenCanNotBeKept) {
  const Outcome outcome = World().run(with_fds({3}, {"--keep-fd", "77"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("77")) << outcome.err;
}

TEST(Descriptors, OfSocketActivationAreKeptWhereListenPidIsUs) {
  const Report app =
      World().run(with_fds({3, 4, 5}, {}, {"LISTEN_FDS=2", "LISTEN_PID=@PID@"})).app();
  EXPECT_EQ(app.fd_numbers(), Fds({0, 1, 2, 3, 4}));
  EXPECT_EQ(app.value_of("LISTEN_FDS"), "2");
  EXPECT_EQ(app.value_of("LISTEN_PID"), std::to_string(app.pid));
}

TEST(Descriptors, OfSocketActivationAreTheAppsWhereASupervisorStays) {
  const Outcome outcome =
      World().run(with_fds({3, 4, 5}, {"--init"}, {"LISTEN_FDS=2", "LISTEN_PID=@PID@"}));
  const Report& app = outcome.app();
  EXPECT_NE(app.pid, outcome.pid);
  EXPECT_EQ(app.fd_numbers(), Fds({0, 1, 2, 3, 4}));
  EXPECT_EQ(app.value_of("LISTEN_FDS"), "2");
  EXPECT_EQ(app.value_of("LISTEN_PID"), std::to_string(app.pid)) << "sd_listen_fds(3) compares";
}

TEST(Descriptors, OfSocketActivationForAnotherAreNotMadeTheApps) {
  const Report app =
      World().run(with_fds({3, 4, 5}, {"--init"}, {"LISTEN_FDS=2", "LISTEN_PID=1"})).app();
  EXPECT_EQ(app.fd_numbers(), Fds({0, 1, 2}));
  EXPECT_EQ(app.value_of("LISTEN_PID"), "1");
}

TEST(Descriptors, OfSocketActivationForAnotherProcessAreClosed) {
  for (const Words& environment :
       {Words{"LISTEN_FDS=2", "LISTEN_PID=1"}, Words{"LISTEN_FDS=2"},
        Words{"LISTEN_FDS=2", "LISTEN_PID="}, Words{"LISTEN_FDS=2", "LISTEN_PID=@PID@0"},
        Words{"LISTEN_FDS=2", "LISTEN_PID= @PID@"}, Words{"LISTEN_FDS=2", "LISTEN_PID=@PID@x"},
        Words{"LISTEN_PID=@PID@"}, Words{"LISTEN_FDS=0", "LISTEN_PID=@PID@"}}) {
    const Outcome outcome = World().run(with_fds({3, 4, 5}, {}, environment));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.app().fd_numbers(), Fds({0, 1, 2}));
  }
}

// Set by an image's ENV, say; what matters is that nothing is kept by an overflow, and no hang.
TEST(Descriptors, OfAnAbsurdListenFdsAreNotKeptByMistake) {
  for (const std::string count : {"-1", "abc", "2x", " 2", "4294967298", "18446744073709551618",
                                  "-4294967294", "2.5", "0x2"}) {
    const Outcome outcome =
        World().run(with_fds({3, 4, 5}, {}, {"LISTEN_FDS=" + count, "LISTEN_PID=@PID@"}));
    if (outcome.app_ran())
      EXPECT_EQ(outcome.app().fd_numbers(), Fds({0, 1, 2})) << count;
    else
      EXPECT_EQ(outcome.status, 125) << count;
  }
}

TEST(Descriptors, OfAnEnormousListenFdsCostNoTimeAndNoCrash) {
  for (const char* count : {"1000000000", "2147483647", "2147483644", "2147483645"}) {
    const Outcome outcome = World().run(
        with_fds({3, 4, 5}, {}, {std::string("LISTEN_FDS=") + count, "LISTEN_PID=@PID@"}));
    EXPECT_TRUE(outcome.status == 0 || outcome.status == 125) << outcome.status;
    EXPECT_EQ(outcome.status == 0, outcome.app_ran());
  }
}

// By way of a shell, which gets it into the state first.
Start by_shell(const std::string& script) {
  Start start;
  start.binary = "/bin/sh";
  start.name = "sh";
  start.words = {"-c", script};
  return start;
}

// PID 1 may be told by an image's ENV that what the engine left open is its: a directory would lead
// out of the container (CVE-2024-21626).
TEST(Descriptors, OfSocketActivationAreNoDirectories) {
  const Outcome outcome =
      World().run(by_shell("exec 3</srv/extra 4</srv/out 5</srv/extra\n"
                           "LISTEN_FDS=3 LISTEN_PID=$$ exec stepdown app probe"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().fd_numbers(), Fds({0, 1, 2, 3, 5}));
}

TEST(Descriptors, OfSocketActivationAreNoDirectoriesForPid1Either) {
  Start start = by_shell("exec 3</; LISTEN_FDS=1 LISTEN_PID=1 exec stepdown app probe");
  start.pid_namespace = true;
  EXPECT_EQ(World().run(start).app().fd_numbers(), Fds({0, 1, 2}));
}

TEST(Descriptors, ThatAreDirectoriesAreKeptWhenAsked) {
  const Start start = by_shell("exec 4</srv/out; exec stepdown --keep-fd 4 app probe");
  EXPECT_EQ(World().run(start).app().fd_numbers(), Fds({0, 1, 2, 4}));
}

TEST(Descriptors, AreTheSameFilesAsBefore) {
  Start start = with_fds({}, {});
  start.in = start.out = start.err = Stdio::file;
  start.words.emplace_back("+report=/srv/out/report");
  World world;
  const Report app = world.run(start).app();
  EXPECT_EQ(app.fd_numbers(), Fds({0, 1, 2}));
  EXPECT_NE(app.fds.at(0), app.fds.at(1));
}

// ---- signals ----

TEST(Signals, ArePassedOnAsTheyCame) {
  Start start;
  start.words = {"app", "probe"};
  start.blocked_signals = {SIGTERM, SIGUSR1, 40};
  start.ignored_signals = {SIGHUP, SIGPIPE, SIGCHLD, 41};
  std::sort(start.blocked_signals.begin(), start.blocked_signals.end());
  std::sort(start.ignored_signals.begin(), start.ignored_signals.end());
  const Report app = World().run(start).app();
  EXPECT_EQ(app.blocked, start.blocked_signals);
  EXPECT_EQ(app.ignored, start.ignored_signals);
}

TEST(Signals, AreDefaultsWhereTheyWere) {
  const Report app = World().run({"app", "probe"}).app();
  EXPECT_EQ(app.blocked, std::vector<int>{});
  EXPECT_EQ(app.ignored, std::vector<int>{});
}

// With SIGCHLD ignored, waitpid(2) has no status to give; with it blocked, nothing interrupts.
TEST(Signals, ThatConcernChildrenDoNotDisturbTheChecksMadeAsTheTarget) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.directory("/srv/roots", 0, 0, 0755);
  for (const bool ignored : {true, false}) {
    Start start;
    (ignored ? start.ignored_signals : start.blocked_signals) = {SIGCHLD};
    start.words = {"--own",      "/srv/data", "--writable", "/srv/out",
                   "--readable", "/srv/out",  "app",        "probe"};
    const Outcome outcome = world.run(start);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    start.words = {"--writable", "/srv/roots", "app", "probe"};
    EXPECT_EQ(world.run(start).status, 125);
  }
}

TEST(Signals, LeaveNoChildBehind) {
  World world;
  Start start;
  start.pid_namespace = true;
  start.words = {"--writable", "/srv/out", "app", "probe", "+wait=any"};
  EXPECT_EQ(world.run(start).app().result("+wait=any"), "ECHILD");
}

// ---- the log ----

TEST(Log, IsSilentOnSuccessAndGoesToStderrWhenAskedFor) {
  const Outcome outcome = World().run({"--log-level", "debug", "app", "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err, "");
  EXPECT_TRUE(outcome.out.starts_with("pid=")) << outcome.out;
}

TEST(Log, GoesToAFileWhichTheAppDoesNotGet) {
  const Outcome outcome =
      World().run({"--log-level", "debug", "--log-file", "/srv/log", "app", "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.app().fd_numbers(), Fds({0, 1, 2}));
}

TEST(Log, IsJsonLineByLineWhenAskedFor) {
  const Outcome outcome =
      World().run({"--log-format", "json", "--log-level", "debug", "app", "probe"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err, "");
  std::istringstream lines(outcome.err);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.starts_with("{")) << line;
    EXPECT_TRUE(line.ends_with("}")) << line;
  }
}

TEST(Log, InAFileHasWhatHappened) {
  const World world;
  const Outcome outcome =
      world.run({"--log-level", "debug", "--log-file", "/srv/log", "app", "probe"});
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(read_file("/srv/log"), "");
}

TEST(Log, IsNeverWrittenThroughASymlinkOnTheWay) {
  const World world;
  world.directory("/srv/data", 1000, 1000, 0755);
  world.directory("/srv/victim", 0, 0, 0755);
  world.symlink("/srv/victim", "/srv/data/logs");
  world.symlink("/srv/victim/log", "/srv/data/log");
  for (const char* file : {"/srv/data/logs/log", "/srv/data/log"}) {
    const Outcome outcome = world.run({"--log-level", "debug", "--log-file", file, "app", "probe"});
    EXPECT_FALSE(outcome.app_ran()) << file;
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("symbolic link")) << outcome.err;
    EXPECT_FALSE(exists("/srv/victim/log"));
  }
}

TEST(Log, ThatMayNotBeWrittenIsNoQuestionOfItsDirectory) {
  const World world;
  world.file("/srv/log", "", 0, 0, 0600);
  Start start;
  start.words = {"--log-file", "/srv/log", "--", "probe"};
  start.caller = Caller{.uid = 1000, .gid = 1000, .groups = {1000}};
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("may write")) << outcome.err;
  EXPECT_FALSE(outcome.says("directory that exists")) << outcome.err;
}

// The file is opened first, and could get the number of a descriptor that is not open.
TEST(Log, InAFileIsNotTakenForADescriptorToKeep) {
  for (const char* fd : {"3", "4", "5"}) {
    const World world;
    const Outcome outcome = world.run({"--log-file", "/srv/log", "--keep-fd", fd, "app", "probe"});
    EXPECT_FALSE(outcome.app_ran()) << fd;
    EXPECT_EQ(outcome.status, 125);
    const std::string told = outcome.err + read_file("/srv/log");
    EXPECT_NE(told.find(std::string("descriptor ") + fd + " is not open"), std::string::npos)
        << told;
  }
}

// localtime(3) opens whatever file TZ names, and an image's ENV sets it.
TEST(Log, OpensNoFileThatTzNames) {
  const World world;
  world.fifo("/srv/fifo");
  for (const char* zone : {"TZ=/srv/fifo", "TZ=:/srv/fifo"}) {
    Start start;
    start.environment.emplace_back(zone);
    start.words = {"--log-format", "json", "--log-level", "debug", "app", "probe"};
    const Outcome outcome = world.run(start);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(outcome.says("\"time\":\"20")) << outcome.err;
  }
}

// SIGPIPE would end the launch, for a warning.
TEST(Log, ToAReaderWhoIsGoneDoesNotEndTheLaunch) {
  const World world;
  world.fifo("/srv/fifo");
  const std::string reader_gone = "exec 9<>/srv/fifo 2>/srv/fifo 9>&-; exec ";
  const Outcome outcome = world.run(by_shell(reader_gone + "stepdown --log-level debug app probe"));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.app().ignored, std::vector<int>{}) << "SIGPIPE is as it was for the app";
  EXPECT_EQ(world.run(by_shell(reader_gone + "stepdown nosuch probe")).status, 125);
  EXPECT_EQ(world.run(by_shell(reader_gone + "stepdown app nosuch")).status, 127);
}

TEST(Log, InAFileThatMayNotGrowDoesNotEndTheLaunch) {
  const Outcome outcome = World().run(
      by_shell("ulimit -f 0; exec stepdown --log-level debug --log-file /srv/log app probe"));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.app().ignored, std::vector<int>{}) << "SIGXFSZ is as it was for the app";
}

}  // namespace
}  // namespace stepdown::world
