// What the runtime door says to the real runtime, and what an engine is told when it refuses.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "door_world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class RuntimeDoorWords : public DoorWorld {
 protected:
  RuntimeDoorWords() {
    // Tells its words, each with a NUL behind it.
    world_.program("/srv/fake", "#!/bin/sh\n[ $# = 0 ] || printf '%s\\0' \"$@\"\nexit 7\n");
  }
  // It answers `state` as well.
  void answer_state() {
    world_.program("/srv/fake",
                   "#!/bin/sh\nfor word; do [ \"$word\" != state ] || { printf '%s' "
                   "'{\"ociVersion\":\"1.0.2\",\"id\":\"c\",\"status\":\"running\",\"pid\":1,"
                   "\"bundle\":\"/srv/bundle\"}'; exit; }; done\nprintf '%s\\0' \"$@\"\n"
                   "for word; do case $word in /proc/self/fd/*) cat $word;; esac; done\n");
  }
  Outcome to_fake(const Words& runtime, Words options = {"--user", "app"}) {
    Words words{"runtime", "--runtime-path", "/srv/fake"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("--");
    words.insert(words.end(), runtime.begin(), runtime.end());
    return world_.run(as_host(words));
  }
  static std::string with_ends(const Words& words) {
    std::string text;
    for (const std::string& word : words) text += word + '\0';
    return text;
  }
  Outcome create(const Words& globals, const Words& options = {"--user", "app"}) {
    Words words = globals;
    words.insert(words.end(), {"create", "--bundle", bundle, "c"});
    return to_fake(words, options);
  }
};

// ---- untouched ----

TEST_F(RuntimeDoorWords, OfOtherCommandsAreTheRuntimesByteForByte) {
  for (const Words& words :
       {Words{}, Words{""}, Words{"list"}, Words{"--version"}, Words{"--root", "/r", "state", "c"},
        Words{"kill", "--all", "c", "", "-9", "--", "--user", "=", "-"},
        Words{"update", "\xff\xfe\n\t \"'$(x)\\", "--resources=-", "c"},
        Words{"--log=/nowhere/log", "ps", "create"}, Words{"checkpoint", "--unknown", "c"},
        Words{"--debug", "--", "delete", "--force", "c"}, Words{"unknown-command", "--bundle"}}) {
    const Outcome outcome = to_fake(words);
    EXPECT_EQ(outcome.out, with_ends(words)) << outcome.err;
    EXPECT_EQ(outcome.status, 7);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(RuntimeDoorWords, OfCreateAreTheRuntimesByteForByte) {
  write_config();
  const Words words{"--root=/srv/r\xff",
                    "--log",
                    "/srv/log",
                    "--log-format",
                    "json",
                    "create",
                    "--bundle",
                    bundle,
                    "--pid-file",
                    "",
                    "-d",
                    "--console-socket=",
                    "odd\nname\xff"};
  EXPECT_EQ(to_fake(words).out, with_ends(words));
  EXPECT_EQ(written_config()["process"]["user"]["uid"], 1500);
}

TEST_F(RuntimeDoorWords, OfAnExecWithAProcessAreTheRuntimesButForItsFile) {
  const std::string asked = config_["process"].dump();
  world_.file("/srv/process", asked, 0, 0, 0600);
  answer_state();
  config_["process"]["user"] = {{"uid", 1500}, {"gid", 1501}};
  write_config();
  // What stands before the file, and what it stands behind in the same word.
  for (const auto& [before, option] : {std::pair<Words, std::string>{{"-d", "-p"}, ""},
                                       {{"--process"}, ""},
                                       {{}, "--process="},
                                       {{}, "-p"},
                                       {{}, "-dp"},
                                       {{"-p", "/srv/none", "-p"}, ""}}) {
    Words head{"--root", "/r\xff", "exec", "-u", "0"};
    head.insert(head.end(), before.begin(), before.end());
    const Words tail{"c", "", "-p", "/srv/process"};
    Words words = head;
    words.push_back(option + "/srv/process");
    words.insert(words.end(), tail.begin(), tail.end());
    const Outcome outcome = to_fake(words);
    const std::string start = with_ends(head) + option + "/proc/self/fd/";
    ASSERT_THAT(outcome.out, StartsWith(start)) << outcome.err;
    const std::size_t end = outcome.out.find('\0', start.size());
    EXPECT_THAT(outcome.out.substr(end + 1), StartsWith(with_ends(tail)));
    // An option of its own word alone is a file that the runtime's stand-in shows.
    if (option.empty()) {
      EXPECT_EQ(Json::parse(outcome.out.substr(outcome.out.find('{')))["user"]["uid"], 1500);
    }
    EXPECT_EQ(read_file("/srv/process"), asked);
  }
}

TEST_F(RuntimeDoorWords, OfASearchLeadToNoScript) {
  world_.program("/srv/wrapper", "#!/bin/sh\necho a script ran\n");
  Start start = as_host({"runtime", "--", "list"});
  start.prepare = [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("tmpfs", "/usr/local/sbin", "tmpfs", 0, "mode=0755"), 0);
    std::filesystem::copy_file("/srv/wrapper", "/usr/local/sbin/runc");
  };
  const Outcome searched = world_.run(start);
  EXPECT_EQ(searched.status, 125);
  EXPECT_TRUE(searched.says("/usr/local/sbin/runc is a script")) << searched.err;
  EXPECT_TRUE(searched.says("--runtime-path")) << searched.err;
  start.words = {"runtime", "--runtime-path", "/usr/local/sbin/runc", "--", "list"};
  EXPECT_EQ(world_.run(start).out, "a script ran\n");
}

TEST_F(RuntimeDoorWords, OfASearchLeadToTheDirectoryOfCriO) {
  world_.program("/srv/wrapper", "#!/bin/sh\n");
  Start start = as_host({"runtime", "--", "list"});
  start.prepare = [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    for (const char* directory : {"/usr/local", "/usr/sbin", "/usr/libexec"})
      ASSERT_EQ(mount("tmpfs", directory, "tmpfs", 0, "mode=0755"), 0);
    std::filesystem::create_directory("/usr/libexec/crio");
    std::filesystem::copy_file("/srv/wrapper", "/usr/libexec/crio/runc");
  };
  const Outcome outcome = world_.run(start);
  EXPECT_TRUE(outcome.says("/usr/libexec/crio/runc is a script")) << outcome.err;
}

TEST_F(RuntimeDoorWords, ThatSayWhoAreTakenOutOfAnExec) {
  config_["process"]["user"] = {{"uid", 1500}, {"gid", 1501}};
  write_config();
  answer_state();
  const Outcome outcome =
      to_fake({"--root", "/r", "exec", "-u", "0", "-d", "--cap=CAP_CHOWN", "-g0",
               "--no-new-privs=false", "--pid-file", "/p", "c", "tool", "-u", "0"});
  const std::size_t json = outcome.out.find('{');
  ASSERT_NE(json, std::string::npos) << outcome.out << outcome.err;
  const std::string words = outcome.out.substr(0, json);
  const std::size_t start = words.find("/proc/self/fd/");
  ASSERT_NE(start, std::string::npos) << words;
  const std::string file = words.substr(start, words.find('\0', start) - start);
  EXPECT_EQ(words, with_ends({"--root", "/r", "exec", "--process", file, "-d", "--pid-file", "/p",
                              "c", "tool", "-u", "0"}));
  const Json process = Json::parse(outcome.out.substr(json));
  EXPECT_EQ(process["args"], Json(Words{"tool", "-u", "0"}));
  EXPECT_EQ(process["user"]["uid"], 1500);
  EXPECT_EQ(process["noNewPrivileges"], true);
}

TEST_F(RuntimeDoorWords, ThatNoConfigCanSayAreRefused) {
  write_config();
  const std::string path = std::string(bundle) + "/config.json";
  const std::string before = change_stamp(path);
  const Outcome outcome = create({}, {"--user", "app", "--env", "A=\xff"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("/srv/bundle/config.json: a word isn't UTF-8")) << outcome.err;
  EXPECT_FALSE(outcome.says("json.exception")) << outcome.err;
  EXPECT_EQ(change_stamp(path), before);
}

TEST_F(RuntimeDoorWords, OfAnExecPassNoLauncherThatTheDoorDidNotMount) {
  config_["process"]["user"] = {{"uid", 1500}, {"gid", 1501}};
  write_config();
  answer_state();
  const Words limited{"--user", "app", "--inject", "--read-only"};
  const Outcome outcome = to_fake({"exec", "c", "/probe"}, limited);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("--inject: the container was started without it")) << outcome.err;
  EXPECT_TRUE(outcome.says("start the container again")) << outcome.err;
  // What limits nothing needs no launcher.
  EXPECT_EQ(to_fake({"exec", "c", "/probe"}, {"--user", "app", "--inject", "--init"}).status, 0);
  config_["mounts"].push_back({{"destination", "/.stepdown"}, {"source", "/usr/bin/stepdown"}});
  write_config();
  EXPECT_THAT(to_fake({"exec", "c", "/probe"}, limited).out, HasSubstr("/.stepdown"));
}

TEST_F(RuntimeDoorWords, ThatNoProcessFileCanSayAreRefused) {
  config_["process"]["user"] = {{"uid", 1500}, {"gid", 1501}};
  write_config();
  answer_state();
  for (const Words& words :
       {Words{"exec", "c", "\xff"}, Words{"exec", "-e", "A=\xff", "c", "ls"}}) {
    const Outcome outcome = to_fake(words);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.says("UTF-8")) << outcome.err;
  }
}

// ---- the door's own ----

TEST_F(RuntimeDoorWords, NeedTheMark) {
  for (const Words& words :
       {Words{"runtime"}, Words{"runtime", "--user", "app"}, Words{"runtime", "list"},
        Words{"runtime", "--user", "app", "--root", "/r", "list"},
        Words{"runtime", "--user", "app", "list", "--", "list"}}) {
    const Outcome outcome = world_.run(as_host(words));
    EXPECT_EQ(outcome.status, 125);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.says("-- ")) << outcome.err;
  }
}

TEST_F(RuntimeDoorWords, WithoutTheMarkAreToldWhereTheEngineLooks) {
  const Outcome outcome =
      world_.run(as_host({"runtime", "--user", "app", "--root", "/r", "--log", "/srv/log",
                          "--log-format", "json", "create", "--bundle", bundle, "c"}));
  EXPECT_EQ(outcome.status, 125);
  EXPECT_THAT(Json::parse(read_file("/srv/log"))["msg"], HasSubstr("runtimeArgs"));
}

TEST_F(RuntimeDoorWords, AreThoseOfDoors) {
  for (const Words& options :
       {Words{"--user-of", "/data"}, Words{"--user-env", "PUID"}, Words{"--exact-user"},
        Words{"--unknown"}, Words{"--user="}, Words{"--user", "a", "--user", "b"},
        Words{"--require", "bogus"}, Words{"--runtime-path", "runc"}}) {
    Words words{"runtime"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "list"});
    EXPECT_EQ(world_.run(as_host(words)).status, 125) << options.front();
  }
}

TEST_F(RuntimeDoorWords, AreShownByItsHelp) {
  const Outcome some = world_.run(as_host({"runtime", "--help"}));
  const Outcome all = world_.run(as_host({"runtime", "--help-all"}));
  EXPECT_EQ(some.status, 0);
  EXPECT_THAT(some.out, HasSubstr("runtimeArgs"));
  for (const char* option : {"--inject", "--allow-restore", "--runtime-path"})
    EXPECT_THAT(all.out, HasSubstr(option));
  EXPECT_THAT(all.out, testing::Not(HasSubstr("--user-env")));
}

TEST_F(RuntimeDoorWords, NameARuntimeThatIsThere) {
  world_.file("/srv/data", "", 0, 0, 0644);
  world_.symlink("/srv/bin/stepdown", "/srv/myself");
  for (const char* path :
       {"/srv/none", "/srv/data", "/srv/out", "/srv/bin/stepdown", "/srv/myself"}) {
    const Outcome outcome = to_fake({"list"}, {"--runtime-path", path});
    EXPECT_EQ(outcome.status, 125) << path;
    const Outcome alone = world_.run(as_host({"runtime", "--runtime-path", path, "--", "list"}));
    EXPECT_EQ(alone.status, 125) << path;
    EXPECT_TRUE(alone.says(path)) << alone.err;
  }
}

// ---- refusals ----

TEST_F(RuntimeDoorWords, ThatAreRefusedAreInTheLogOfTheRuntimeAsJson) {
  write_config();
  world_.file("/srv/log", "{\"level\":\"info\"}\n", 0, 0, 0600);
  const Outcome outcome = create({"--log", "/srv/log", "--log-format", "json"}, {});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  const std::string log = read_file("/srv/log");
  EXPECT_THAT(log, StartsWith("{\"level\":\"info\"}\n"));
  const Json line = Json::parse(log.substr(log.find('\n') + 1));
  EXPECT_EQ(line["level"], "error");
  EXPECT_THAT(line["msg"], StartsWith("stepdown: --user: "));
  EXPECT_THAT(line["time"], testing::MatchesRegex("20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z"));
  // And on stderr.
  EXPECT_TRUE(outcome.says("stepdown: --user: ")) << outcome.err;
}

TEST_F(RuntimeDoorWords, ThatAreRefusedAreInTheLogOfTheRuntimeAsText) {
  write_config();
  create({"--log=/srv/log"}, {});
  EXPECT_THAT(read_file("/srv/log"), HasSubstr("level=error msg=\"stepdown: --user: "));
}

TEST_F(RuntimeDoorWords, ThatCantBeReadAreInTheLogAsWell) {
  to_fake({"--log", "/srv/log", "--log-format", "json", "create", "--unknown", "c"});
  EXPECT_THAT(Json::parse(read_file("/srv/log"))["msg"], HasSubstr("--unknown"));
  to_fake({"--log", "/srv/other", "--log-format", "json", "create"}, {"--user-env", "X"});
  EXPECT_THAT(Json::parse(read_file("/srv/other"))["msg"], HasSubstr("--user-env"));
}

TEST_F(RuntimeDoorWords, AreInTheLogFileAndOnStderr) {
  write_config();
  const Outcome outcome = create({}, {"--log-file", "/srv/stepdown.log"});
  EXPECT_TRUE(outcome.says("stepdown: --user: ")) << outcome.err;
  EXPECT_EQ(read_file("/srv/stepdown.log"), outcome.err);
}

TEST_F(RuntimeDoorWords, AreNeverHeldUpByALog) {
  write_config();
  world_.fifo("/srv/log");
  EXPECT_EQ(create({"--log", "/srv/log"}, {}).status, 125);
}

// ---- configs ----

struct Hostile {
  const char* name;
  std::string text;
};
void PrintTo(const Hostile& hostile, std::ostream* stream) {
  *stream << hostile.name;
}
class HostileConfig : public RuntimeDoorWords, public testing::WithParamInterface<Hostile> {};

TEST_P(HostileConfig, IsRefusedAndLeftAsItIs) {
  const std::string path = std::string(bundle) + "/config.json";
  world_.file(path, GetParam().text, 0, 0, 0644);
  const std::string before = change_stamp(path);
  const Outcome outcome = create({"--log", "/srv/log"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("config.json")) << outcome.err;
  EXPECT_LT(outcome.err.size(), 1000U);
  EXPECT_EQ(change_stamp(path), before);
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  while (times-- > 0) all += text;
  return all;
}

std::string changed(const char* pointer, const Json& value) {
  Json config = root_config({"/probe"});
  config[Json::json_pointer(pointer)] = value;
  return config.dump();
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileConfig,
    testing::Values(Hostile{"empty", ""}, Hostile{"cut", "{\"process\": {"},
                    Hostile{"not an object", "[]"}, Hostile{"no process", "{}"},
                    Hostile{"duplicate key", R"({"process": {}, "process": {}})"},
                    Hostile{"deep", "{\"a\":" + repeated("[", 100000)},
                    Hostile{"17 MB", changed("/annotations/x", repeated("x", 17'000'000))},
                    Hostile{"uid below 0", changed("/process/user/uid", -1)},
                    Hostile{"uid beyond", changed("/process/user/uid", 4294967296)},
                    Hostile{"uid in words", changed("/process/user/uid", "0")},
                    Hostile{"uid in parts", changed("/process/user/uid", 0.5)},
                    Hostile{"no such capability",
                            changed("/process/capabilities/bounding/0", "CAP_BOGUS")},
                    Hostile{"NUL", changed("/process/args/0", std::string("/probe\0x", 8))},
                    Hostile{"no command", changed("/process/args", Json::array())},
                    Hostile{"relative cwd", changed("/process/cwd", "x")}));

TEST_F(RuntimeDoorWords, NeedABundleWithAConfig) {
  const Outcome missing = create({});
  EXPECT_EQ(missing.status, 125);
  EXPECT_TRUE(missing.says("/srv/bundle/config.json")) << missing.err;
  world_.fifo("/srv/bundle/config.json");
  EXPECT_EQ(create({}).status, 125);
}

TEST_F(RuntimeDoorWords, RefuseAConfigThatIsALinkToWhatIsOpen) {
  write_config();
  const std::string before = config_.dump();
  ASSERT_EQ(rename("/srv/bundle/config.json", "/srv/extra"), 0);
  world_.symlink("/proc/self/fd/9", "/srv/bundle/config.json");
  Start start = as_host({"runtime", "--runtime-path", "/srv/fake", "--user", "app", "--", "create",
                         "--bundle", bundle, "c"});
  start.open_fds = {9};
  const Outcome outcome = world_.run(start);
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("/srv/bundle/config.json: it leads through /proc")) << outcome.err;
  EXPECT_EQ(read_file("/srv/extra"), before);
}

TEST_F(RuntimeDoorWords, TakeAConfigThatIsALinkToAFile) {
  write_config();
  ASSERT_EQ(rename("/srv/bundle/config.json", "/srv/bundle/real.json"), 0);
  world_.symlink("real.json", "/srv/bundle/config.json");
  EXPECT_EQ(create({}).status, 7);
  EXPECT_EQ(written_config()["process"]["user"]["uid"], 1500);
}

TEST_F(RuntimeDoorWords, NeedABinaryThatRootAloneCanChange) {
  const struct {
    uid_t owner;
    mode_t mode;
    int status;
  } cases[] = {{0, 0755, 7}, {0, 0775, 125}, {0, 0757, 125}, {1500, 0755, 125}, {65534, 0755, 125}};
  for (const auto& binary : cases) {
    write_config();
    std::filesystem::copy_file("/srv/bin/stepdown", "/srv/copy",
                               std::filesystem::copy_options::overwrite_existing);
    ASSERT_EQ(chown("/srv/copy", binary.owner, 0), 0);
    ASSERT_EQ(chmod("/srv/copy", binary.mode), 0);
    Start start = as_host({"runtime", "--runtime-path", "/srv/fake", "--user", "app", "--",
                           "create", "--bundle", bundle, "c"});
    start.binary = "/srv/copy";
    const Outcome outcome = world_.run(start);
    EXPECT_EQ(outcome.status, binary.status) << outcome.err;
    EXPECT_EQ(outcome.says("own binary: /srv/copy"), binary.status != 7) << outcome.err;
  }
}

// ---- the state of a container ----

struct Answer {
  const char* name;
  std::string script;
  const char* says;
};
void PrintTo(const Answer& answer, std::ostream* stream) {
  *stream << answer.name;
}
class BadState : public RuntimeDoorWords, public testing::WithParamInterface<Answer> {};

TEST_P(BadState, RefusesTheExec) {
  write_config();
  world_.program("/srv/fake", "#!/bin/sh\n" + GetParam().script + "\n");
  const Outcome outcome = to_fake({"exec", "c", "ls"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says(GetParam().says)) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadState,
    testing::Values(
        Answer{"fails", "echo 'no \x1b[2J such'; echo 'what it says' >&2; exit 1", "what it says"},
        Answer{"killed", "kill -9 $$", "failed"},
        Answer{"never ends", "exec sleep 50", "no answer within 10 seconds"},
        Answer{"nothing", "exit 0", "state"}, Answer{"no JSON", "echo container c runs", "state"},
        Answer{"another container",
               R"(echo '{"id":"d","status":"running","pid":1,"bundle":"/srv/bundle"}')",
               "when asked for"},
        Answer{"no bundle", R"(echo '{"id":"c","status":"running","pid":1}')", "bundle"},
        Answer{"relative bundle", R"(echo '{"id":"c","status":"running","bundle":"b"}')", "bundle"},
        Answer{"20 MB", "head -c 20000000 /dev/zero", "16 MiB"}));

}  // namespace
}  // namespace stepdown::world
