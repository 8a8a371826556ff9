// What `stepdown check` prints: the table for people, the JSON for programs.
#include "cli/check_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stepdown::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

CheckedProcess app() {
  CheckedProcess process;
  ProcessState& state = process.state;
  state.pid = 7;
  state.command = "app --serve";
  state.credentials.uid = {Uid{1000}, Uid{1000}, Uid{1000}, Uid{1000}};
  state.credentials.gid = {Gid{1001}, Gid{1001}, Gid{1001}, Gid{1001}};
  state.credentials.groups = {Gid{1001}, Gid{2000}};
  state.credentials.no_new_privs = true;
  state.seccomp_mode = 2;
  state.seccomp_filters = 1;
  state.uid_map = {{0, 0, 4294967295}};
  process.findings = {{"restricted", true, "fine"}};
  return process;
}

CheckedProcess root() {
  CheckedProcess process;
  ProcessState& state = process.state;
  state.pid = 12345;
  state.command = "nginx: master process";
  state.credentials.uid = {Uid{1}, Uid{0}, Uid{2}, Uid{3}};
  const CapabilitySet full = CapabilitySet::from_bits(0x3fff);
  state.credentials.capabilities = {{}, full, full, full, {}};
  process.findings = {{"non-root", false, "effective uid 0"},
                      {"seccomp", false, "no seccomp filter"},
                      {"gid=0", true, "gid 0"}};
  return process;
}

TEST(CheckTable, HasALineForEachProcessAndOneForEachRuleThatFails) {
  EXPECT_EQ(check_table({app(), root()}),
            "PID    UID      GID   CAPS            NNP  SECCOMP   RESULT  COMMAND\n"
            "7      1000     1001  none            yes  filter=1  ok      app --serve\n"
            "12345  1/0/2/3  0     14,bounding=14  no   none      FAIL    nginx: master process\n"
            "    non-root: effective uid 0\n"
            "    seccomp: no seccomp filter\n");
}

TEST(CheckTable, NamesASingleCapability) {
  CheckedProcess process = app();
  process.state.credentials.capabilities.ambient = {Capability::net_bind_service};
  EXPECT_THAT(check_table({process}), HasSubstr("  NET_BIND_SERVICE  "));
}

TEST(CheckTable, CarriesNoControlCharactersOfAProcessToTheTerminal) {
  CheckedProcess process = app();
  process.state.command = "a\x1b[2J\n1  0  0\r\x7f\t\\x \xc2\x9b \xff \xe2\x80\xae";
  process.findings = {{"non-root", false, "\x1b]0;title\x07"}};
  const std::string table = check_table({process});
  EXPECT_THAT(table, HasSubstr("a\\x1b[2J\\x0a1  0  0\\x0d\\x7f\\x09\\\\x \\xc2\\x9b \\xff "
                               "\\xe2\\x80\\xae\n    non-root: \\x1b]0;title\\x07\n"));
  for (const char c : table) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << table;
}

TEST(CheckTable, CutsLongCommandLines) {
  CheckedProcess process = app();
  process.state.command = std::string(5000, 'x');
  EXPECT_THAT(check_table({process}), HasSubstr("  " + std::string(97, 'x') + "...\n"));
}

TEST(CheckJson, HasTheDocumentedKeysInTheirOrder) {
  CheckedProcess process = app();
  process.state.credentials.capabilities = {{Capability::chown},
                                            {Capability::setuid},
                                            {Capability::setgid},
                                            {Capability::chown, Capability::net_bind_service},
                                            {Capability::sys_admin}};
  EXPECT_EQ(
      check_json({process}),
      R"({"ok":true,"processes":[{"pid":7,"command":"app --serve","ok":true,)"
      R"("uid":{"real":1000,"effective":1000,"saved":1000,"filesystem":1000},)"
      R"("gid":{"real":1001,"effective":1001,"saved":1001,"filesystem":1001},)"
      R"("groups":[1001,2000],)"
      R"("capabilities":{"inheritable":["cap_chown"],"permitted":["cap_setuid"],)"
      R"("effective":["cap_setgid"],"bounding":["cap_chown","cap_net_bind_service"],)"
      R"("ambient":["cap_sys_admin"]},)"
      R"("no_new_privs":true,"seccomp":{"mode":2,"filters":1},)"
      R"("user_namespace":{"own":false,"uid_map":[{"inside":0,"outside":0,"length":4294967295}]},)"
      R"("findings":[{"rule":"restricted","ok":true,"detail":"fine"}]}]})"
      "\n");
}

TEST(CheckJson, HasArraysWhereThereIsNothing) {
  CheckedProcess process;
  EXPECT_THAT(check_json({process}), HasSubstr(R"("groups":[],"capabilities":{"inheritable":[],)"));
  EXPECT_THAT(check_json({process}), HasSubstr(R"("uid_map":[]},"findings":[])"));
  EXPECT_EQ(check_json({}), "{\"ok\":true,\"processes\":[]}\n");
}

TEST(CheckJson, IsNotOkWhenOneProcessIsNot) {
  const std::string json = check_json({app(), root()});
  EXPECT_THAT(json, testing::StartsWith(R"({"ok":false,"processes":[{"pid":7,)"));
  EXPECT_THAT(json, HasSubstr(R"("pid":12345,"command":"nginx: master process","ok":false)"));
}

TEST(CheckJson, TakesAnyBytesInACommandLine) {
  CheckedProcess process = app();
  process.state.command = "caf\xc3\xa9 \xff\xfe \xc3 \x1b\"\\";
  EXPECT_THAT(check_json({process}),
              HasSubstr(R"("command":"caf\u00e9 \ufffd\ufffd \ufffd \u001b\"\\")"));
  process.state.command = std::string("\xc2\x9b", 2);
  EXPECT_THAT(check_json({process}), Not(HasSubstr("\xc2\x9b")));
}

}  // namespace
}  // namespace stepdown::cli
