#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/plan_report.h"
#include "plan_world.h"
#include "stepdown/error.h"
#include "stepdown/launch.h"

namespace stepdown::test {
namespace {

using testing::HasSubstr;
using testing::Not;

StepFinding blocked(const std::string& name, const std::string& detail, const std::string& need,
                    const std::string& reason, const std::string& call) {
  StepFinding finding;
  finding.name = name;
  finding.detail = detail;
  finding.state = StepState::blocked;
  if (!need.empty()) finding.needs = {need};
  finding.reason = reason;
  finding.syscall = call;
  return finding;
}

Identity app() {
  Identity identity;
  identity.uid = Uid{1000};
  identity.gid = Gid{1000};
  return identity;
}

// design.md shows this message word for word.
TEST(BlockedMessage, NamesEveryMissingCapabilityAndTheLinesToPaste) {
  const std::string text = blocked_message(
      {blocked("groups", "set the groups [1000]", "SETGID", "", "setgroups(2)"),
       blocked("own /data", "hand over /data (now 0:0)", "CHOWN", "", "fchownat(2)")},
      app(), container_root());
  EXPECT_EQ(text,
            "the plan needs 2 capabilities that this container lacks\n"
            "  SETGID  set the groups [1000]      setgroups(2)\n"
            "  CHOWN   hand over /data (now 0:0)  fchownat(2)\n"
            "docker: --cap-add SETGID --cap-add CHOWN     compose: cap_add: [SETGID, CHOWN]\n"
            "or start as the user itself: --user 1000:1000");
}

TEST(BlockedMessage, AsksANonRootStartForARootStart) {
  const std::string text = blocked_message(
      {blocked("own /data", "hand over /data (now 0:0)", "CHOWN", "", "fchownat(2)")}, app(),
      caller(1000, 1000, {}));
  EXPECT_THAT(text, HasSubstr("docker: --user 0 --cap-add CHOWN"));
  EXPECT_THAT(text, HasSubstr("compose: user: \"0\", cap_add: [CHOWN, SETGID, SETUID]"));
  EXPECT_THAT(text, Not(HasSubstr("or start as the user itself")));
}

TEST(BlockedMessage, DoesNotSendAPortToTheUserItself) {
  const std::string text = blocked_message(
      {blocked("port 80/tcp", "bind port 80/tcp", "NET_BIND_SERVICE", "", "bind(2)"),
       blocked("uid", "become uid 1000", "SETUID", "", "setresuid(2)")},
      app(), container_root());
  EXPECT_THAT(text, HasSubstr("--cap-add NET_BIND_SERVICE --cap-add SETUID"));
  EXPECT_THAT(text, Not(HasSubstr("or start as the user itself")));
}

TEST(BlockedMessage, CountsACapabilityThatTwoStepsNeedOnce) {
  const std::string text =
      blocked_message({blocked("groups", "set the groups", "SETGID", "", "setgroups(2)"),
                       blocked("gid", "become gid 1000", "SETGID", "", "setresgid(2)")},
                      app(), container_root());
  EXPECT_THAT(text, HasSubstr("needs 1 capability that"));
  EXPECT_THAT(text, HasSubstr("setgroups(2)"));
  EXPECT_THAT(text, HasSubstr("setresgid(2)"));
  EXPECT_THAT(text, HasSubstr("cap_add: [SETGID]"));
}

TEST(BlockedMessage, TellsTheReasonWhereNoCapabilityWouldHelp) {
  const std::string text = blocked_message(
      {blocked("own /etc", "hand over /etc", "", "/etc is refused", "")}, app(), container_root());
  EXPECT_THAT(text, HasSubstr("1 step is blocked"));
  EXPECT_THAT(text, HasSubstr("own /etc: /etc is refused"));
  EXPECT_THAT(text, Not(HasSubstr("docker:")));
}

TEST(BlockedMessage, TellsBothKindsAtOnce) {
  const std::string text =
      blocked_message({blocked("uid", "become uid 1000", "SETUID", "", "setresuid(2)"),
                       blocked("own /etc", "hand over /etc", "", "/etc is refused", "")},
                      app(), container_root());
  EXPECT_THAT(text, HasSubstr("--cap-add SETUID"));
  EXPECT_THAT(text, HasSubstr("and 1 step is blocked"));
}

TEST(BlockedMessage, LeavesOutWhatIsNotBlocked) {
  StepFinding fine = blocked("gid", "become gid 1000", "SETGID", "", "setresgid(2)");
  fine.state = StepState::to_do;
  const std::string text =
      blocked_message({fine, blocked("uid", "become uid 1000", "SETUID", "", "setresuid(2)")},
                      app(), container_root());
  EXPECT_THAT(text, Not(HasSubstr("SETGID")));
}

TEST(ErrorText, NamesStepCauseCallAndTheFix) {
  ErrorDetails details;
  details.step = "groups";
  details.cause = "[1000]";
  details.syscall = "setgroups(2)";
  details.number = EPERM;
  details.needs = {"SETGID"};
  details.hint = "add it";
  EXPECT_STREQ(Error(details).what(),
               "groups: [1000]: setgroups(2): Operation not permitted (needs SETGID)\n  add it");
}

TEST(PlanJson, HasTheDocumentedKeysInTheirOrder) {
  Options words = options("app");
  words.ports = {{80, Protocol::tcp}, {53, Protocol::udp}};
  words.own = {{"/data", true}, {"/run/app", false}};
  Host where = host();
  where.unprivileged_port_start = 54;
  const Plan plan = make_plan(words, accounts(), container_root(), where);
  const auto document = nlohmann::ordered_json::parse(
      cli::plan_json(plan, {blocked("uid", "become uid 1000", "SETUID", "why", "setresuid(2)")}));
  std::vector<std::string> keys;
  for (const auto& [key, value] : document.items()) keys.push_back(key);
  EXPECT_THAT(
      keys, testing::ElementsAre("identity", "command", "writable", "own", "ports", "capabilities",
                                 "no_new_privs", "user_namespace", "steps", "ok"));
  EXPECT_EQ(document["identity"],
            nlohmann::ordered_json::parse(
                R"({"user":"app","uid":1000,"gid":1000,"groups":[1000,44],"home":"/home/app"})"));
  EXPECT_EQ(document["ports"], nlohmann::ordered_json::parse(
                                   R"([{"port":80,"protocol":"tcp","how":"unprivileged"},
                                       {"port":53,"protocol":"udp","how":"ambient"}])"));
  EXPECT_EQ(document["capabilities"]["keep"][0], "cap_net_bind_service");
  EXPECT_EQ(document["own"], nlohmann::ordered_json::parse(R"(["/data","/run/app:top"])"));
  EXPECT_TRUE(document["user_namespace"].is_null());
  EXPECT_EQ(document["steps"][0],
            nlohmann::ordered_json::parse(R"({"name":"uid","detail":"become uid 1000",
              "state":"blocked","needs":["cap_setuid"],"reason":"why"})"));
  EXPECT_EQ(document["ok"], false);
}

TEST(PlanJson, SurvivesACommandThatIsNoUtf8) {
  Options words = options("app");
  words.command = {"\xff\xfe", "\x1b[31m"};
  const Plan plan = make_plan(words, accounts(), container_root(), host());
  EXPECT_TRUE(nlohmann::json::accept(cli::plan_json(plan, {})));
}

TEST(PlanTable, IsNotAtTheMercyOfNames) {
  const std::string evil = "a\x1b[2J\r\xc2\x9b\x7f\n  already  uid";
  Options words = options("app");
  words.command = {"app", evil};
  AccountFiles files = accounts();
  files.passwd = "app:x:1000:1000::/home/\x1b]0;x\x07\xe2\x80\xae:/bin/sh\n";
  Launch launch;
  launch.caller = container_root();
  launch.plan = make_plan(words, files, launch.caller, host());
  StepFinding finding = blocked("own /" + evil, "hand over /" + evil, "CHOWN", "", "fchownat(2)");
  StepFinding other = blocked("chdir", "start in /" + evil, "", "\x1b[1m\xc2\x9b", "chdir(2)");
  const std::string table = cli::plan_table(launch, {finding, other});
  for (const char letter : table) {
    const auto byte = static_cast<unsigned char>(letter);
    EXPECT_TRUE(letter == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
  }
  EXPECT_THAT(table, HasSubstr("app: app a\\x1b[2J\\x0d"));
  EXPECT_THAT(table, HasSubstr("home /home/\\x1b]0;x\\x07\\xe2\\x80\\xae\n"));
  EXPECT_THAT(table, HasSubstr("own /a\\x1b[2J"));
}

// The reasons alone may be of several lines, and these stand clear of the table's own.
TEST(PlanTable, HasALineForEachStepWhateverTheReason) {
  Launch launch;
  launch.caller = container_root();
  launch.plan = make_plan(options("app"), accounts(), launch.caller, host());
  StepFinding moot = blocked("own /data", "hand over /data\n  to-do    forged", "",
                             "first\n  to-do    forged", "fchownat(2)");
  moot.state = StepState::moot;
  EXPECT_THAT(cli::plan_table(launch, {moot}), Not(HasSubstr("\n  to-do ")));
}

TEST(PlanJson, IsAsciiWhateverTheNames) {
  Options words = options("app");
  words.command = {"app", "\xc2\x9b[J", "\xe2\x80\xae", "\xff", "\x1b"};
  const Plan plan = make_plan(words, accounts(), container_root(), host());
  const std::string text = cli::plan_json(plan, {blocked("own /\xc3\xa4", "hand over \xc2\x9b",
                                                         "CHOWN", "\xe2\x80\xae", "fchownat(2)")});
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    EXPECT_TRUE(letter == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
  }
  EXPECT_EQ(nlohmann::json::parse(text)["command"][2], "\xe2\x80\xae");
}

TEST(Sequence, NamesEveryStepOnceAndEndsInTheApp) {
  std::vector<std::string> names;
  for (const Step& step : sequence()) names.emplace_back(step.name);
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  EXPECT_EQ(names.back(), "exec");
}

}  // namespace
}  // namespace stepdown::test
