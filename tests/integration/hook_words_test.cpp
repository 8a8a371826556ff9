// The words of `stepdown hook`, and what belongs to no other command.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "door_world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;

class HookWords : public DoorWorld {
 protected:
  HookWords() {
    write_config();
    world_.file("/srv/stdio-0",
                R"({"ociVersion":"1.0.2","id":"c","status":"creating","pid":1,"bundle":")" +
                    std::string(bundle) + "\"}",
                0, 0, 0600);
  }
  Outcome hook(const Words& words) {
    Start start = as_host({"hook"});
    start.words.insert(start.words.end(), words.begin(), words.end());
    start.in = Stdio::file;
    return world_.run(start);
  }
};

TEST_F(HookWords, NameAStage) {
  for (const Words& words : {Words{}, Words{"bogus"}, Words{"createRuntime"}, Words{"--user"}}) {
    const Outcome outcome = hook(words);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("create-runtime")) << outcome.err;
  }
}

TEST_F(HookWords, AreExplained) {
  for (const Words& words : {Words{"--help"}, Words{"-h"}, Words{"create-runtime", "--help"},
                             Words{"prestart", "--help"}, Words{"create-container", "--help-all"},
                             Words{"precreate", "-h"}, Words{"doctor", "--help"}}) {
    const Outcome outcome = hook(words);
    EXPECT_EQ(outcome.status, 0) << words.front();
    EXPECT_THAT(outcome.out, HasSubstr("Usage: stepdown hook"));
  }
}

TEST_F(HookWords, AreThoseOfDoors) {
  for (const char* stage : {"create-runtime", "prestart", "create-container", "precreate"})
    for (const Words& more :
         {Words{"--user-env", "PUID"}, Words{"--bogus"}, Words{"word"}, Words{"--"},
          Words{"--require", "bogus"}, Words{"--profile", "/srv/none"}}) {
      Words words{stage};
      words.insert(words.end(), more.begin(), more.end());
      const Outcome outcome = hook(words);
      EXPECT_EQ(outcome.status, 125) << stage << " " << more.front();
      EXPECT_EQ(outcome.out, "");
    }
}

// Nobody must believe that a hook had changed the process.
TEST_F(HookWords, ThatSpeakOfTheProcessAreRefused) {
  for (const Words& words :
       {Words{"--user", "app"}, Words{"--seccomp", "default"}, Words{"--seccomp-log"}})
    for (const char* stage : {"create-runtime", "prestart", "create-container"}) {
      Words all{stage};
      all.insert(all.end(), words.begin(), words.end());
      const Outcome outcome = hook(all);
      EXPECT_EQ(outcome.status, 125) << stage << " " << words.front();
      EXPECT_TRUE(outcome.says("no hook can change the container's process")) << outcome.err;
    }
}

TEST_F(HookWords, OfOtherDoorsAreRefused) {
  for (const char* option : {"--allow-root-exec", "--allow-restore"}) {
    const Outcome outcome = hook({"precreate", "--user", "app", option});
    EXPECT_EQ(outcome.status, 125) << option;
    EXPECT_TRUE(outcome.says("it is an option of stepdown runtime")) << outcome.err;
  }
}

TEST_F(HookWords, NameALogFileWhereverTheDoorRuns) {
  const Outcome outcome = hook({"create-runtime", "--require", "gid=0", "--log-file", "door.log"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("a door takes an absolute path")) << outcome.err;
}

TEST_F(HookWords, LetAContainerStartThatKeepsTheRules) {
  for (const char* stage : {"create-runtime", "prestart", "create-container"})
    EXPECT_EQ(hook({stage, "--require", "gid=0"}).status, 0) << stage;
}

TEST_F(HookWords, StopAContainerThatBreaksOne) {
  for (const char* stage : {"create-runtime", "prestart", "create-container"}) {
    const Outcome outcome = hook({stage, "--require", "non-root", "--log-file", "/srv/hook.log"});
    EXPECT_EQ(outcome.status, 1) << stage;
    EXPECT_TRUE(outcome.says("non-root")) << outcome.err;
    EXPECT_THAT(read_file("/srv/hook.log"), testing::EndsWith(outcome.err));
  }
}

// What crun opens as a hook's stderr where an annotation of the image says so.
TEST_F(HookWords, AreNotAnsweredInAFileThatIsAppendedTo) {
  const Words refused{"--require", "non-root", "--log-file", "/srv/hook.log"};
  const auto answered_in = [&](const std::string& file, int flags, const Words& words) {
    world_.file(file, "", 0, 0, 0600);
    Start start = as_host(words);
    start.words.insert(start.words.begin(), "hook");
    start.in = Stdio::file;
    start.prepare = [&file, flags] {
      const int err = ::open(file.c_str(), O_WRONLY | O_CLOEXEC | flags);
      ::dup2(err, STDERR_FILENO);
    };
    return world_.run(start).status;
  };
  for (const char* stage : {"create-runtime", "prestart", "create-container"}) {
    Words words{stage};
    words.insert(words.end(), refused.begin(), refused.end());
    world_.file("/srv/hook.log", "", 0, 0, 0600);
    EXPECT_EQ(answered_in("/srv/appended", O_APPEND, words), 1) << stage;
    EXPECT_EQ(read_file("/srv/appended"), "") << stage;
    EXPECT_THAT(read_file("/srv/hook.log"), HasSubstr("non-root")) << stage;
    EXPECT_EQ(answered_in("/srv/appended", O_APPEND, {stage, "--bogus"}), 125) << stage;
    EXPECT_EQ(read_file("/srv/appended"), "") << stage;
    EXPECT_EQ(answered_in("/srv/written", 0, words), 1) << stage;
    EXPECT_THAT(read_file("/srv/written"), HasSubstr("non-root")) << stage;
  }
}

TEST_F(HookWords, ComeFromAProfileAsWell) {
  world_.file("/srv/door.toml", "require = ['non-root']\n", 0, 0, 0644);
  EXPECT_EQ(hook({"create-runtime", "--profile", "/srv/door.toml"}).status, 1);
}

TEST_F(HookWords, BelongToNoLauncher) {
  for (const Words& option : {Words{"--require", "non-root"}, Words{"--inject"},
                              Words{"--allow-restore"}, Words{"--runtime-path", "/x"}}) {
    Words words = option;
    words.insert(words.end(), {"--user", "app", "probe"});
    const Outcome outcome = world_.run(words);
    EXPECT_EQ(outcome.status, 125) << option.front();
    EXPECT_FALSE(outcome.app_ran());
  }
  world_.file("/srv/door.toml", "inject = true\n", 0, 0, 0644);
  const Outcome outcome = world_.run({"--profile", "/srv/door.toml", "--user", "app", "probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("inject")) << outcome.err;
}

// ---- doctor ----

TEST_F(HookWords, OfTheDoctorNameDirectories) {
  EXPECT_EQ(hook({"doctor"}).status, 125);
  EXPECT_EQ(hook({"doctor", "/srv/none"}).status, 125);
}

TEST_F(HookWords, OfTheDoctorEndWellForGoodFiles) {
  world_.directory("/srv/hooks", 0, 0, 0755);
  world_.file("/srv/hooks/a.json",
              R"({"version": "1.0.0", "hook": {"path": "/srv/bin/stepdown", "timeout": 9,
                  "args": ["stepdown", "hook", "prestart", "--log-file", "/l"], "env": ["A=b"]},
                  "when": {"always": true}, "stages": ["prestart"]})",
              0, 0, 0644);
  const Outcome outcome = hook({"doctor", "/srv/hooks"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
}

TEST_F(HookWords, OfTheDoctorTellEveryProblemAndItsRemedy) {
  world_.directory("/srv/hooks", 0, 0, 0755);
  world_.file("/srv/hooks/a.json",
              R"({"version": "1.0.0", "hook": {"path": "/srv/none", "timeout": 0,
                  "args": ["x"], "env": ["A=b"]},
                  "when": {"al\u001bways": true}, "stages": ["poststop"]})",
              0, 0, 0644);
  const Outcome outcome = hook({"doctor", "/srv/hooks"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "");
  for (const char* text :
       {"/srv/hooks/a.json: hook.timeout: 0", "\n  \"timeout\": 30",
        "/srv/hooks/a.json: hook.path: /srv/none can't be found", "/srv/hooks/a.json: when: empty"})
    EXPECT_THAT(outcome.out, HasSubstr(text));
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
}

// podman and CRI-O read the same directories, and only one of them knows the stage.
TEST_F(HookWords, OfTheDoctorTellWhereCrioReadsWhatIsPodmans) {
  const std::string hooks = "/srv/containers/oci/hooks.d";
  world_.file(hooks + "/a.json",
              R"({"version": "1.0.0", "hook": {"path": "/srv/bin/stepdown", "timeout": 9,
                  "args": ["stepdown", "hook", "precreate", "--log-file", "/l"], "env": ["A=b"]},
                  "when": {"always": true}, "stages": ["precreate"]})",
              0, 0, 0644);
  Start start = as_host({"hook", "doctor", hooks});
  for (const bool crio : {false, true}) {
    start.prepare = [crio] {
      if (::mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755") != 0) ::_exit(99);
      if (crio && ::mkdir("/etc/crio", 0755) != 0) ::_exit(99);
    };
    const Outcome outcome = world_.run(start);
    EXPECT_EQ(outcome.status, crio ? 1 : 0) << outcome.err;
    EXPECT_EQ(outcome.out.find("CRI-O") != std::string::npos, crio) << outcome.out;
  }
}

}  // namespace
}  // namespace stepdown::world
