// What engines say to an OCI runtime, as runc and crun read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/runtime.h"
#include "stepdown/error.h"

namespace stepdown::oci {
namespace {

using json::Json;
using testing::ElementsAre;
using testing::IsEmpty;
using Words = std::vector<std::string>;

Words operator+(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::string refusal(const Words& words) {
  try {
    parse_runtime_words(words);
  } catch (const Error& error) {
    return error.what();
  }
  return "not refused";
}

// ---- the command ----

struct Command {
  Words words;
  std::string name;
};
class CommandOfRuntime : public testing::TestWithParam<Command> {};

TEST_P(CommandOfRuntime, IsFoundBehindTheGlobalOptions) {
  EXPECT_EQ(parse_runtime_words(GetParam().words).name(), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CommandOfRuntime,
    testing::Values(
        Command{{}, ""}, Command{{""}, ""}, Command{{"state", "c"}, "state"},
        Command{{"--root", "/r", "--log", "/l", "--log-format", "json", "delete", "c"}, "delete"},
        Command{{"--root=/r", "--debug", "--systemd-cgroup", "kill", "c"}, "kill"},
        // A value is a value, whatever it looks like.
        Command{{"--root", "create", "state", "c"}, "state"},
        Command{{"--root", "--log", "state", "c"}, "state"},
        Command{{"--rootless", "exec", "list"}, "list"}, Command{{"--log=", "list"}, "list"},
        Command{{"--criu", "run", "--cgroup-manager", "exec", "--log-level", "restore", "ps"},
                "ps"},
        Command{{"--debug=true", "list"}, "list"}, Command{{"--", "state", "c"}, "state"},
        Command{{"--version"}, ""}, Command{{"-v"}, ""}, Command{{"--help"}, ""},
        Command{{"-"}, "-"}, Command{{"restore", "--unknown", "c"}, "restore"},
        Command{{"update", "--anything", "--bundle", "create"}, "update"}));

class CommandThatCantBeTold : public testing::TestWithParam<Words> {};

TEST_P(CommandThatCantBeTold, IsRefused) {
  EXPECT_THAT(refusal(GetParam()), testing::StartsWith("runtime: "));
}

INSTANTIATE_TEST_SUITE_P(Table, CommandThatCantBeTold,
                         testing::Values(Words{"--unknown", "create", "c"},
                                         Words{"--unknown=x", "create", "c"},
                                         Words{"-x", "create", "c"}, Words{"-root", "/r", "list"},
                                         Words{"--ro", "/r", "list"}, Words{"---root", "list"},
                                         Words{"--=x", "list"}, Words{"--root"}, Words{"--log"},
                                         Words{"--root", "--", "create", "c"}));

// ---- create and run ----

struct Bundle {
  Words words;
  std::string bundle;
};
class BundleOfRuntime : public testing::TestWithParam<Bundle> {};

TEST_P(BundleOfRuntime, IsTheOneThatRuntimesTake) {
  for (const char* command : {"create", "run"})
    EXPECT_EQ(parse_runtime_words(Words{"--root", "/r", command} + GetParam().words).bundle,
              GetParam().bundle);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BundleOfRuntime,
    testing::Values(Bundle{{"c"}, "."}, Bundle{{"--bundle", "/b", "c"}, "/b"},
                    Bundle{{"--bundle=/b", "c"}, "/b"}, Bundle{{"-b", "/b", "c"}, "/b"},
                    Bundle{{"-b/b", "c"}, "/b"}, Bundle{{"-db", "/b", "c"}, "/b"},
                    Bundle{{"-db/b", "c"}, "/b"}, Bundle{{"--b", "/b", "c"}, "/b"},
                    Bundle{{"--bundle", "", "c"}, "."}, Bundle{{"--bundle=", "c"}, "."},
                    Bundle{{"--bundle=a=b", "c"}, "a=b"},
                    // The last one counts.
                    Bundle{{"--bundle", "/a", "--bundle", "/b", "c"}, "/b"},
                    // runc reads options behind the name.
                    Bundle{{"c", "--bundle", "/b"}, "/b"},
                    Bundle{{"--bundle", "/b", "--", "c"}, "/b"},
                    // What looks like a bundle is the value of another option.
                    Bundle{{"--pid-file", "--bundle", "c"}, "."},
                    Bundle{{"--console-socket=--bundle=/b", "c"}, "."},
                    Bundle{{"--bundle", "--pid-file", "c"}, "--pid-file"},
                    Bundle{{"--config", "config.json", "--bundle", "/b", "c"}, "/b"},
                    Bundle{{"--no-pivot", "--no-new-keyring", "--preserve-fds", "2", "--bundle",
                            "/b", "--pid-file", "/p", "c"},
                           "/b"}));

class BundleThatCantBeTold : public testing::TestWithParam<Words> {};

TEST_P(BundleThatCantBeTold, IsRefused) {
  for (const char* command : {"create", "run"})
    EXPECT_THAT(refusal(Words{command} + GetParam()), testing::StartsWith("runtime: "));
}

INSTANTIATE_TEST_SUITE_P(Table, BundleThatCantBeTold,
                         testing::Values(
                             // Two readers, two meanings.
                             Words{"-bundle", "/b", "c"}, Words{"-bundle=/b", "c"},
                             Words{"-b=/b", "c"}, Words{"-detach", "c"},
                             // An option of neither, whose value may be the name.
                             Words{"--bund", "/b", "c"}, Words{"--new", "c"}, Words{"-x", "c"},
                             Words{"-dx", "c"},
                             // Another file than the one that is rewritten.
                             Words{"--config", "/other.json", "c"}, Words{"-f", "other.json", "c"},
                             Words{"-fother.json", "c"}, Words{"--config=./config.json", "c"},
                             // Not one container: runc 1.1 moves words about before it reads them.
                             Words{}, Words{"--bundle", "/b"}, Words{"c", "d"},
                             Words{"--", "c", "--bundle", "/b"},
                             Words{"c", "--pid-file", "--", "d"}, Words{"c", "--bundle"}));

// ---- exec ----

ExecWords exec_of(const Words& words) {
  return parse_runtime_words(Words{"exec"} + words).exec.value();
}

TEST(ExecWordsOfRuntime, EndAtTheContainersName) {
  const ExecWords exec = exec_of({"--cwd", "/", "c", "ls", "-u", "0", "--process", "/p", "--"});
  EXPECT_EQ(exec.id, 3U);
  EXPECT_FALSE(exec.user);
  EXPECT_FALSE(exec.process);
  EXPECT_EQ(exec_of({"--", "c", "ls"}).id, 2U);
}

TEST(ExecWordsOfRuntime, NameTheProcessInEveryWayOfWriting) {
  for (const Words& words :
       {Words{"--process", "/p", "c"}, Words{"--process=/p", "c"}, Words{"-p", "/p", "c"},
        Words{"-p/p", "c"}, Words{"-dp", "/p", "c"}, Words{"--p", "/p", "c"},
        Words{"--process", "/a", "--process", "/p", "c"}})
    EXPECT_EQ(exec_of(words).process, "/p") << words.front();
}

TEST(ExecWordsOfRuntime, SayWhichOfThemAreCredentials) {
  const ExecWords exec =
      exec_of({"-u", "0:0", "--cap=CAP_KILL", "-d", "-g5", "--no-new-privs=false", "-e", "-u",
               "--additional-gids", "6", "c", "ls"});
  EXPECT_THAT(exec.credentials, ElementsAre(1, 2, 3, 5, 6, 9, 10));
  EXPECT_EQ(exec.user, "0:0");
  EXPECT_THAT(exec.capabilities, ElementsAre("CAP_KILL"));
  EXPECT_THAT(exec.groups, ElementsAre("5", "6"));
  EXPECT_THAT(exec.environment, ElementsAre("-u"));
  EXPECT_EQ(exec.no_new_privs, false);
}

TEST(ExecWordsOfRuntime, TellATerminalAsBothRuntimesDo) {
  EXPECT_FALSE(exec_of({"c", "ls"}).terminal);
  EXPECT_TRUE(exec_of({"-t", "c", "ls"}).terminal);
  EXPECT_TRUE(exec_of({"--tty", "c", "ls"}).terminal);
  EXPECT_TRUE(exec_of({"--tty=true", "c", "ls"}).terminal);
  EXPECT_FALSE(exec_of({"--tty=false", "c", "ls"}).terminal);
}

class ExecThatCantBeTold : public testing::TestWithParam<Words> {};

TEST_P(ExecThatCantBeTold, IsRefused) {
  EXPECT_THAT(refusal(Words{"exec"} + GetParam()), testing::StartsWith("runtime: "));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ExecThatCantBeTold,
    testing::Values(
        // runc's user, crun's "-u ser": the container's name would be another word.
        Words{"-user", "0", "c", "ls"}, Words{"-u=0", "c", "ls"}, Words{"-cap", "KILL", "c", "ls"},
        Words{"-env", "A=B", "c", "ls"}, Words{"-tty", "c", "ls"}, Words{"-tx", "c", "ls"},
        Words{"-tp", "/p", "c"}, Words{"--tty=0", "c", "ls"}, Words{"--tty=no", "c", "ls"},
        Words{"--no-new-privs=maybe", "c", "ls"}, Words{"--us", "0", "c", "ls"},
        Words{"--unknown", "c", "ls"}, Words{"-x", "c", "ls"}, Words{"-dxu", "0", "c", "ls"},
        // What can't be taken out.
        Words{"-du", "0", "c", "ls"}, Words{"-tu0", "c", "ls"}, Words{"--process", "", "c"},
        Words{"--process=", "c"}, Words{"-u", "0"}, Words{}, Words{"--user"}, Words{"", "ls"},
        Words{"--", "-c", "ls"}));

// ---- the process that exec asks for ----

Json process_of(const Words& words) {
  const Json base = Json::parse(R"({
    "terminal": true, "user": {"uid": 1000, "gid": 1001, "additionalGids": [5]},
    "args": ["/entrypoint"], "env": ["A=1"], "cwd": "/app", "noNewPrivileges": true,
    "capabilities": {"bounding": ["CAP_KILL"]}, "apparmorProfile": "docker-default",
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5, "soft": 5}]})");
  return exec_process(base, parse_runtime_words(Words{"exec"} + words));
}

TEST(ExecProcess, IsTheContainersWithAnotherCommand) {
  EXPECT_EQ(process_of({"c", "ls", "", "-l"}), Json::parse(R"({
    "terminal": false, "user": {"uid": 1000, "gid": 1001, "additionalGids": [5]},
    "args": ["ls", "", "-l"], "env": ["A=1"], "cwd": "/app", "noNewPrivileges": true,
    "capabilities": {"bounding": ["CAP_KILL"]}, "apparmorProfile": "docker-default",
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5, "soft": 5}]})"));
}

TEST(ExecProcess, TakesWhatTheOptionsSay) {
  const Json process =
      process_of({"-t", "-u", "0:7", "-g", "8", "-c", "CAP_CHOWN", "--no-new-privs=false", "-e",
                  "B=2", "--cwd", "/x", "--apparmor", "p", "--process-label", "l", "c", "ls"});
  EXPECT_EQ(process["user"], Json::parse(R"({"uid": 0, "gid": 7, "additionalGids": [5, 8]})"));
  EXPECT_EQ(process["capabilities"]["bounding"], Json::parse(R"(["CAP_KILL", "CAP_CHOWN"])"));
  EXPECT_EQ(process["capabilities"]["effective"], Json::parse(R"(["CAP_CHOWN"])"));
  EXPECT_EQ(process["env"], Json::parse(R"(["A=1", "B=2"])"));
  EXPECT_EQ(process["cwd"], "/x");
  EXPECT_EQ(process["apparmorProfile"], "p");
  EXPECT_EQ(process["selinuxLabel"], "l");
  EXPECT_EQ(process["terminal"], true);
  EXPECT_EQ(process["noNewPrivileges"], false);
}

TEST(ExecProcess, KeepsTheGroupWhereAUserAloneIsGiven) {
  EXPECT_EQ(process_of({"-u", "9", "c", "ls"})["user"]["gid"], 1001);
}

TEST(ExecProcess, IsRefusedWithoutACommand) {
  EXPECT_THROW(process_of({"c"}), Error);
}

TEST(ExecProcess, TakesNumbersAloneForIds) {
  for (const char* user : {"", ":", "root", "0x0", "-1", "+0", " 0", "0 ", "4294967295",
                           "4294967296", "1000:", "1000:root", "1000:1:1", "1000.0"})
    EXPECT_THROW(process_of({"-u", user, "c", "ls"}), Error) << user;
  for (const char* group : {"", "wheel", "-1", "4294967295", "1,2"})
    EXPECT_THROW(process_of({"-g", group, "c", "ls"}), Error) << group;
}

// ---- where the engine looks ----

TEST(RuntimeLogWords, AreThoseBeforeTheCommand) {
  const RuntimeLog log =
      runtime_log({"--root", "/r", "--log", "/l", "--log-format=json", "exec", "c", "--log", "/x"});
  EXPECT_EQ(log.path, "/l");
  EXPECT_TRUE(log.json);
}

TEST(RuntimeLogWords, AreNoneOfTheCommands) {
  EXPECT_THAT(runtime_log({"exec", "c", "tool", "--log", "/etc/passwd"}).path, IsEmpty());
}

TEST(RuntimeLogWords, AreFoundInWordsThatAreRefused) {
  EXPECT_EQ(runtime_log({"--log", "/l", "--unknown", "create"}).path, "/l");
  EXPECT_EQ(runtime_log({"--log", "/l", "create", "--unknown"}).path, "/l");
}

TEST(RuntimeLogWords, NameFilesAlone) {
  EXPECT_EQ(runtime_log({"--log", "file:/l", "list"}).path, "/l");
  EXPECT_THAT(runtime_log({"--log", "journald:c", "list"}).path, IsEmpty());
  EXPECT_THAT(runtime_log({"--log=syslog:c", "list"}).path, IsEmpty());
}

}  // namespace
}  // namespace stepdown::oci
