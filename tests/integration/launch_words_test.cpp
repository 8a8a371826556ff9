// What is said about words that can't be followed: all of it at once, where and as it was asked
// for, and with what to write instead.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "world.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Ids = std::vector<std::uint32_t>;

const Words command = {"--user", "app", "--", "probe"};

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::size_t occurrences(const std::string& text, const std::string& of) {
  std::size_t count = 0;
  for (std::size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + 1)) ++count;
  return count;
}

// ---- a start as somebody who is not root ----

// --cap-add alone gives such a user nothing: it ends up in the bounding set.
class NonRootStart : public testing::TestWithParam<uid_t> {
 protected:
  void SetUp() override { world_.directory("/srv/data", 0, 0, 0755); }
  Outcome start() const { return world_.run(user(GetParam(), GetParam(), {GetParam()}), words_); }
  World world_;
  const Words words_ = Words{"--own", "/srv/data"} + command;
};

TEST_P(NonRootStart, ThatMayNotHandOverIsToldTheWholeRootStart) {
  const Outcome outcome = start();
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(
      outcome.says("\ndocker: --user 0 --cap-add CHOWN --cap-add SETGID --cap-add SETUID  "))
      << outcome.err;
  EXPECT_TRUE(outcome.says("compose: user: \"0\", cap_add: [CHOWN, SETGID, SETUID]"))
      << outcome.err;
}

TEST_P(NonRootStart, WorksWithExactlyTheLineThatItPrints) {
  ASSERT_TRUE(start().says("docker: --user 0 --cap-add CHOWN --cap-add SETGID --cap-add SETUID  "));
  const Outcome mended = world_.run(root_with(caps({CAP_CHOWN, CAP_SETGID, CAP_SETUID})), words_);
  EXPECT_EQ(mended.app().uids, Ids(4, 1000));
  EXPECT_EQ(owner_of("/srv/data").uid, 1000U);
}

INSTANTIATE_TEST_SUITE_P(Users, NonRootStart, testing::Values(1000, 4711));

TEST(NonRootStartMessage, TellsThatTheCallersIdentityIsKept) {
  World world;
  world.directory("/srv/data", 0, 0, 0755);
  const Outcome outcome =
      world.run(user(4711, 4711, {4711}), Words{"--own", "/srv/data"} + command);
  EXPECT_TRUE(outcome.says("\nstarted as 4711:4711, which can't become 1000:1000")) << outcome.err;
}

// ---- --user-env ----

class UserEnvValue : public testing::TestWithParam<std::string> {};

// A shell that was to expand it did not, or did: names are wanted, not values.
TEST_P(UserEnvValue, IsNamesOfVariables) {
  Start start;
  start.words = {"--user-env", GetParam(), "--", "probe"};
  start.environment.insert(start.environment.end(), {"PUID=1001", "PGID=1001"});
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--user-env PUID:PGID")) << outcome.err;
}

// With a user to fall back on, too: a typo must not pass for an unset variable.
TEST_P(UserEnvValue, DoesNotFallBackWhereItIsNoName) {
  const Outcome outcome = World().run(Words{"--user-env", GetParam()} + command);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
}

INSTANTIATE_TEST_SUITE_P(Values, UserEnvValue,
                         testing::Values("$PUID:$PGID", "1000:1000", "1000", "PUID:1000",
                                         "${PUID}"));

// ---- the plan's table ----

TEST(PlanTable, IndentsTheFurtherLinesOfAReason) {
  World world;
  world.file("/srv/app/one", "", 0, 0, 0600);
  world.file("/srv/app/two", "", 0, 0, 0600);
  const Outcome outcome = world.run(Words{"plan", "--readable", "/srv/app"} + command);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out.find("\\x0a"), std::string::npos) << outcome.out;
  const std::vector<std::string> lines = lines_of(outcome.out);
  const auto row = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("  blocked  readable /srv/app ");
  });
  ASSERT_GE(lines.end() - row, 4) << outcome.out;
  // In the order of the directory: one file each, then what mends them, clear of the columns.
  for (const int further : {1, 2, 3}) {
    EXPECT_TRUE(row[further].starts_with(std::string(10, ' '))) << row[further];
    EXPECT_EQ(occurrences(row[further], "/srv/app"), 1U) << row[further];
  }
}

TEST(PlanTable, NamesAStepOnce) {
  World world;
  world.directory("/srv/roots", 0, 0, 0755);
  world.symlink("/srv/roots", "/srv/theirs/link");
  world.directory("/srv/theirs", 1001, 1001, 0755);
  const Outcome outcome = world.run(Words{"plan", "--own", "/srv/theirs/link", "--writable",
                                          "/srv/roots", "--chdir", "/srv/nowhere"} +
                                    command);
  EXPECT_EQ(outcome.status, 1);
  for (const char* step : {"own /srv/theirs/link", "writable /srv/roots"})
    for (const std::string& line : lines_of(outcome.out))
      EXPECT_LE(occurrences(line, std::string(step) + ":"), 1U) << line;
  EXPECT_EQ(outcome.out.find("stepdown:"), std::string::npos) << outcome.out;
}

// ---- where complaints go ----

class Complaint : public testing::TestWithParam<Words> {
 protected:
  // The words in question, the log's before or after them.
  static Words arranged(const Words& log, bool log_first) {
    return (log_first ? log + GetParam() : GetParam() + log) + command;
  }
};

TEST_P(Complaint, IsJsonWhereTheLogIs) {
  for (const bool log_first : {true, false}) {
    const Outcome outcome = World().run(arranged({"--log-format", "json"}, log_first));
    EXPECT_EQ(outcome.status, 125);
    const std::vector<std::string> lines = lines_of(outcome.err);
    EXPECT_FALSE(lines.empty());
    for (const std::string& line : lines)
      EXPECT_TRUE(Json::accept(line)) << (log_first ? "before: " : "after: ") << line;
  }
}

TEST_P(Complaint, IsInTheLogFile) {
  for (const bool log_first : {true, false}) {
    const World world;
    const Outcome outcome = world.run(arranged({"--log-file", "/srv/log"}, log_first));
    EXPECT_EQ(outcome.status, 125);
    ASSERT_TRUE(exists("/srv/log")) << (log_first ? "before: " : "after: ") << outcome.err;
    EXPECT_NE(read_file("/srv/log"), "");
  }
}

INSTANTIATE_TEST_SUITE_P(AboutOtherWords, Complaint,
                         testing::Values(Words{"--umask", "999"}, Words{"--keep-fd", "x"},
                                         Words{"--port", "70000"}, Words{"--keep-cap", "NOSUCH"},
                                         Words{"--own", "relative"}, Words{"--user-env", "$A"}));

TEST(ComplaintAboutTheWordsAsAWhole, IsJsonWhereTheLogIs) {
  for (const Words& words :
       {Words{"--bogus", "app", "probe"}, Words{"id"}, Words{"--user="}, Words{"app", "--bogus"}}) {
    const Outcome outcome = World().run(Words{"--log-format", "json"} + words);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(Json::accept(outcome.err)) << outcome.err;
  }
}

// ---- descriptors ----

TEST(KeepFd, NamesAllThatAreClosedAtOnce) {
  Start start;
  start.words = Words{"--keep-fd", "75", "--keep-fd", "76", "--keep-fd", "77"} + command;
  start.open_fds = {76};
  const Outcome outcome = World().run(start);
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("75")) << outcome.err;
  EXPECT_TRUE(outcome.says("77")) << outcome.err;
  EXPECT_FALSE(outcome.says("76")) << outcome.err;
}

// ---- words that would otherwise mean something else ----

TEST(Words, AFlagTakesNoValue) {
  const Outcome outcome = World().run(Words{"plan", "--json=false"} + command);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("json")) << outcome.err;
}

TEST(Words, AnEmptyUserIsRefused) {
  for (const Words& words : {Words{"--user", "", "--", "probe"}, Words{"", "probe"}}) {
    const Outcome outcome = World().run(words);
    EXPECT_FALSE(outcome.app_ran());
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("empty")) << outcome.err;
    EXPECT_TRUE(outcome.says("--user USER")) << outcome.err;
  }
}

TEST(Words, ASingleOneIsTakenAsTheUserAndThatIsSaid) {
  const Outcome outcome = World().run({"id"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("id is taken as the user")) << outcome.err;
}

}  // namespace
}  // namespace stepdown::world
