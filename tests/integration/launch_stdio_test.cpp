// --own-stdio: /dev/stdout stays usable after the drop, and nothing else is given away. And the
// three fds when they are not there at all.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <cerrno>

#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;

// The report goes to a file: what is looked at here are fds 0 to 2 themselves.
Start probing(const Words& wishes, const Words& options = {}) {
  Start start;
  start.words = options;
  for (const char* word : {"--user", "app", "--", "probe", "+report=/srv/out/report"})
    start.words.emplace_back(word);
  start.words.insert(start.words.end(), wishes.begin(), wishes.end());
  return start;
}

TEST(OwnStdio, LetsTheAppOpenARootOwnedPipeForWriting) {
  const World world;
  const Outcome outcome =
      world.run(probing({"+append=/proc/self/fd/1", "+append=/proc/self/fd/2"}));
  EXPECT_EQ(outcome.app().result("+append=/proc/self/fd/1"), "ok");
  EXPECT_EQ(outcome.app().result("+append=/proc/self/fd/2"), "ok");
  EXPECT_EQ(outcome.out, "# appended\n");
  EXPECT_EQ(outcome.err, "# appended\n");
}

TEST(OwnStdio, DoesNotLetTheAppReadWhatOthersWriteThere) {
  const World world;
  const Report app = world.run(probing({"+read=/proc/self/fd/1", "+read=/proc/self/fd/2"})).app();
  EXPECT_EQ(app.result("+read=/proc/self/fd/1"), "EACCES");
  EXPECT_EQ(app.result("+read=/proc/self/fd/2"), "EACCES");
}

TEST(OwnStdio, GivesTheGroupAloneAndLeavesTheOwner) {
  const World world;
  const Report app = world.run(probing({"+fstat=1", "+fstat=2"})).app();
  EXPECT_EQ(app.result("+fstat=1"), "0:1000 10620");
  EXPECT_EQ(app.result("+fstat=2"), "0:1000 10620");
}

TEST(OwnStdio, LetsTheAppReadFd0AndNotWriteIt) {
  const World world;
  Start start = probing({"+fstat=0", "+read=/proc/self/fd/0", "+append=/proc/self/fd/0"});
  start.in = Stdio::capture;
  const Report app = world.run(start).app();
  EXPECT_EQ(app.result("+fstat=0"), "0:1000 10640");
  EXPECT_EQ(app.result("+read=/proc/self/fd/0"), "ok");
  EXPECT_EQ(app.result("+append=/proc/self/fd/0"), "EACCES");
}

TEST(OwnStdio, NeverMeansNever) {
  const World world;
  const Report app = world
                         .run(probing({"+fstat=1", "+fstat=2", "+append=/proc/self/fd/1"},
                                      {"--own-stdio", "never"}))
                         .app();
  EXPECT_EQ(app.result("+fstat=1"), "0:0 10600");
  EXPECT_EQ(app.result("+fstat=2"), "0:0 10600");
  EXPECT_EQ(app.result("+append=/proc/self/fd/1"), "EACCES");
}

TEST(OwnStdio, AutoIsTheDefaultAndOtherWordsAreRefused) {
  const World world;
  EXPECT_EQ(world.run(probing({"+fstat=1"}, {"--own-stdio", "auto"})).app().result("+fstat=1"),
            "0:1000 10620");
  const Outcome outcome = world.run(probing({}, {"--own-stdio", "always"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
}

TEST(OwnStdio, LeavesSomebodyElsesPipeAlone) {
  const World world;
  Start start = probing({"+fstat=1"});
  start.out = Stdio::users_pipe;
  EXPECT_EQ(world.run(start).app().result("+fstat=1"), "1001:1001 10600");
}

TEST(OwnStdio, NeverTouchesARegularFile) {
  const World world;
  Start start = probing({"+append=/proc/self/fd/1"});
  start.in = start.out = start.err = Stdio::file;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.app().result("+append=/proc/self/fd/1"), "EACCES");
  for (const char* path : {"/srv/stdio-0", "/srv/stdio-1", "/srv/stdio-2"})
    EXPECT_EQ(owner_of(path), (Owned{0, 0, 0600})) << path;
}

TEST(OwnStdio, NeverTouchesADevice) {
  const World world;
  const std::string before = change_stamp("/srv/null");
  Start start = probing({});
  start.in = start.out = start.err = Stdio::null;
  EXPECT_TRUE(world.run(start).app_ran());
  EXPECT_EQ(change_stamp("/srv/null"), before);
}

TEST(OwnStdio, IsNeverFatal) {
  const World world;
  Start start = probing({});
  start.caller = root_with(caps({CAP_SETUID, CAP_SETGID}));
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.app_ran()) << outcome.err;
}

TEST(OwnStdio, IsNeverFatalUnderAFilterThatRefusesChown) {
  const World world;
  Start start = probing({});
  start.caller.filter = {{SYS_fchown, EPERM}, {SYS_fchownat, EPERM}, {SYS_fchmod, EPERM}};
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.app_ran()) << outcome.err;
}

TEST(OwnStdio, GivesATerminalWhoseSessionItLeads) {
  const World world;
  Start start = probing({"+append=/proc/self/fd/1"});
  start.terminal = Terminal::led;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.app().sid, outcome.app().pid);
  EXPECT_EQ(outcome.app().result("+append=/proc/self/fd/1"), "ok");
  EXPECT_NE(outcome.terminal_after, outcome.terminal_before);
}

TEST(OwnStdio, LeavesATerminalThatOthersOfTheSessionUseAlone) {
  const World world;
  Start start = probing({"+append=/proc/self/fd/1"});
  start.terminal = Terminal::borrowed;
  const Outcome outcome = world.run(start);
  EXPECT_NE(outcome.app().sid, outcome.app().pid);
  EXPECT_EQ(outcome.app().result("+append=/proc/self/fd/1"), "EACCES");
  EXPECT_EQ(outcome.terminal_after, outcome.terminal_before);
}

TEST(OwnStdio, LeavesATerminalAloneUnderNever) {
  const World world;
  Start start = probing({}, {"--own-stdio=never"});
  start.terminal = Terminal::led;
  const Outcome outcome = world.run(start);
  EXPECT_TRUE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.terminal_after, outcome.terminal_before);
}

TEST(OwnStdio, ChangesNothingWhereThePlanIsBlocked) {
  const World world;
  Start start = probing({}, {"--keep-cap", "SYS_ADMIN"});
  start.terminal = Terminal::led;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.terminal_after, outcome.terminal_before);
}

// ---- closed at the start ----

// Whatever the app finds there must not be a file that the launcher opened for itself.
void expect_nothing_or_null(const Report& app, int fd) {
  const auto found = app.fds.find(fd);
  if (found == app.fds.end()) return;
  EXPECT_TRUE(app.result("+fstat=" + std::to_string(fd)).ends_with(" 20666"))
      << app.result("+fstat=" + std::to_string(fd));
}

class ClosedAtTheStart : public testing::TestWithParam<std::vector<int>> {};

Start without(const std::vector<int>& fds, const Words& options = {}) {
  Start start = probing({"+fstat=0", "+fstat=1", "+fstat=2"}, options);
  for (const int fd : fds) (fd == 0 ? start.in : fd == 1 ? start.out : start.err) = Stdio::closed;
  return start;
}

TEST_P(ClosedAtTheStart, DoesNotKeepTheAppFromRunning) {
  const World world;
  const Outcome outcome = world.run(without(GetParam()));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Report app = outcome.app();
  for (const int fd : GetParam()) expect_nothing_or_null(app, fd);
  for (const auto& [fd, inode] : app.fds) EXPECT_LE(fd, 2);
}

// Nor do the checks that are made as the target, and what they open for themselves.
TEST_P(ClosedAtTheStart, DoesNotDisturbTheChecks) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  world.directory("/srv/roots", 0, 0, 0755);
  const Outcome outcome = world.run(without(
      GetParam(), {"--own", "/srv/data", "--writable", "/srv/out", "--readable", "/srv/out"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const int fd : GetParam()) expect_nothing_or_null(outcome.app(), fd);
  EXPECT_EQ(world.run(without(GetParam(), {"--writable", "/srv/roots"})).status, 125);
}

// A message must not end up in a file that happened to be opened as fd 2.
TEST_P(ClosedAtTheStart, WritesMessagesNowhereElse) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  const Outcome outcome =
      world.run(without(GetParam(), {"--own", "/srv/data", "--keep-cap", "SYS_ADMIN"}));
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(read_file("/srv/etc/passwd"), world.passwd);
}

INSTANTIATE_TEST_SUITE_P(Fds, ClosedAtTheStart,
                         testing::Values(std::vector<int>{0}, std::vector<int>{1},
                                         std::vector<int>{2}, std::vector<int>{0, 1},
                                         std::vector<int>{1, 2}, std::vector<int>{0, 1, 2}),
                         [](const auto& instance) {
                           std::string name = "fds";
                           for (const int fd : instance.param) name += std::to_string(fd);
                           return name;
                         });

}  // namespace
}  // namespace stepdown::world
