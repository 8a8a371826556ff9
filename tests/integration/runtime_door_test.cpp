// `stepdown runtime` in front of the real runc.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "door_world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;

class RuntimeDoor : public DoorWorld {};

// ---- run and create ----

TEST_F(RuntimeDoor, StepsARootContainerDown) {
  expect_app(run_container({"--user", "app"}).app());
}

TEST_F(RuntimeDoor, LeavesThisAppAsItIsWithoutTheDoor) {
  write_config();
  const Report app = runc({"run", "--bundle", bundle, id_}).app();
  EXPECT_EQ(app.uids, Ids(4, 0));
  EXPECT_EQ(app.effective, docker_default);
  EXPECT_FALSE(app.no_new_privs);
}

TEST_F(RuntimeDoor, TakesTheHomeOfTheImagesAccount) {
  EXPECT_EQ(run_container({"--user", "app"}).app().value_of("HOME"), "/home/app");
}

TEST_F(RuntimeDoor, KeepsTheImagesOwnUserAndTakesTheRest) {
  config_["process"]["user"] = {{"uid", 33}, {"gid", 34}};
  config_["process"]["capabilities"]["ambient"] = {"CAP_CHOWN"};
  config_["process"]["capabilities"]["inheritable"] = {"CAP_CHOWN"};
  const Report app = run_container({"--user", "app"}).app();
  EXPECT_EQ(app.uids, Ids(4, 33));
  EXPECT_EQ(app.gids, Ids(4, 34));
  expect_all_five(app, 0);
  EXPECT_TRUE(app.no_new_privs);
}

TEST_F(RuntimeDoor, ReplacesAnyUserWhereItIsToldTo) {
  config_["process"]["user"] = {{"uid", 33}, {"gid", 34}};
  expect_app(run_container({"--user", "app", "--user-always"}).app());
}

TEST_F(RuntimeDoor, KeepsTheOneCapabilityOfALowPort) {
  config_["process"]["args"] = Words{"/probe", "+tcp=80"};
  config_["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "1024";
  const Report app = run_container({"--user", "app", "--port", "80"}).app();
  expect_app(app, caps_named({"net_bind_service"}));
  EXPECT_EQ(app.result("+tcp=80"), "ok");
}

TEST_F(RuntimeDoor, RefusesARootContainerWithoutAUser) {
  const Outcome outcome = run_container({});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--user")) << outcome.err;
  EXPECT_EQ(written_config(), config_);
}

TEST_F(RuntimeDoor, RunsABundleThatItHasRewrittenBefore) {
  const Words options{"--user", "app", "--port", "80", "--inject", "--umask", "027"};
  config_["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "1024";
  const Report first = run_container(options).app();
  const Json rewritten = written_config();
  const Outcome again = door(options, {"run", "--bundle", bundle, id_});
  expect_app(again.app(), caps_named({"net_bind_service"}));
  EXPECT_EQ(again.app().argv, first.argv);
  EXPECT_EQ(again.app().umask, 027U);
  EXPECT_EQ(written_config(), rewritten);
}

TEST_F(RuntimeDoor, FindsTheBundleInTheCurrentDirectory) {
  write_config();
  Start start = as_host(door_words({"--user", "app"}, {"run", id_}));
  start.cwd = bundle;
  expect_app(world_.run(start).app());
}

TEST_F(RuntimeDoor, KeepsTheModeOfTheConfig) {
  run_container({"--user", "app"});
  EXPECT_EQ(owner_of(std::string(bundle) + "/config.json").mode, 0600U);
}

TEST_F(RuntimeDoor, GivesTheExitStatusOfTheRealRuntime) {
  config_["process"]["args"] = Words{"/probe", "+exit=42"};
  EXPECT_EQ(run_container({"--user", "app"}).status, 42);
}

TEST_F(RuntimeDoor, PassesTheWholeLifeOfAContainerThrough) {
  config_["process"]["args"] = Words{"/probe", "+play=signals"};
  write_config();
  Start create = as_host(door_words({"--user", "app"}, {"create", "--bundle", bundle, id_}));
  create.out = create.err = Stdio::file;
  ASSERT_EQ(world_.run(create).status, 0) << read_file("/srv/stdio-2");
  const Outcome created = door({}, {"state", id_});
  EXPECT_THAT(created.out, HasSubstr(R"("status": "created")"));
  EXPECT_EQ(door({}, {"start", id_}).status, 0);
  const Json running = Json::parse(door({}, {"state", id_}).out);
  EXPECT_EQ(running["status"], "running");
  const std::string status = read_file("/proc/" + running["pid"].dump() + "/status");
  EXPECT_THAT(status, HasSubstr("Uid:\t1500\t1500\t1500\t1500\n"));
  EXPECT_EQ(door({}, {"kill", id_, "KILL"}).status, 0);
  EXPECT_EQ(door({}, {"delete", "--force", id_}).status, 0);
  EXPECT_NE(door({}, {"state", id_}).status, 0);
}

// ---- a pod's network ----

// A network namespace of its own, as an engine makes one for a pod, with this
// ip_unprivileged_port_start.
class Network {
 public:
  explicit Network(const std::string& start) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const bool made = unshare(CLONE_NEWNET) == 0;
      const int file = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY);
      const bool written = write(file, start.data(), start.size()) > 0;
      if (made && written) static_cast<void>(!write(ends[1], "", 1));
      close(ends[1]);
      pause();
    }
    close(ends[1]);
    char ready = 1;
    EXPECT_EQ(read(ends[0], &ready, 1), 1);
    close(ends[0]);
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] std::string path() const { return "/proc/" + std::to_string(pid_) + "/ns/net"; }

 private:
  pid_t pid_ = 0;
};

void join(Json& config, const Network& network) {
  for (Json& entry : config["linux"]["namespaces"])
    if (entry["type"] == "network") entry["path"] = network.path();
}

TEST_F(RuntimeDoor, NeedsNoCapabilityWhereThePodsNetworkAsksForNone) {
  const Network pod("0");
  join(config_, pod);
  config_["process"]["args"] = Words{"/probe", "+tcp=80"};
  const Report kept_nothing = run_container({"--user", "app", "--port", "80"}).app();
  expect_app(kept_nothing);
  EXPECT_EQ(kept_nothing.result("+tcp=80"), "ok");
  // As Kubernetes' "drop: [ALL]" leaves it.
  config_["process"]["capabilities"] = Json::object();
  const Report had_nothing = run_container({"--user", "app", "--port", "80"}).app();
  expect_app(had_nothing);
  EXPECT_EQ(had_nothing.result("+tcp=80"), "ok");
}

TEST_F(RuntimeDoor, KeepsTheCapabilityWhereThePodsNetworkAsksForIt) {
  const Network pod("1024");
  join(config_, pod);
  config_["process"]["args"] = Words{"/probe", "+tcp=80"};
  const Report app = run_container({"--user", "app", "--port", "80"}).app();
  expect_app(app, caps_named({"net_bind_service"}));
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  config_["process"]["capabilities"] = Json::object();
  const Outcome outcome = run_container({"--user", "app", "--port", "80"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_TRUE(outcome.says("--port 80: ")) << outcome.err;
}

TEST_F(RuntimeDoor, AssumesThatANetworkItCanNotJoinAsksForTheCapability) {
  config_["linux"]["namespaces"].back()["path"] = "/srv/bundle/config.json";
  ASSERT_EQ(config_["linux"]["namespaces"].back()["type"], "network");
  config_["process"]["capabilities"] = Json::object();
  const Outcome outcome = run_container({"--user", "app", "--port", "80"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--port 80: ")) << outcome.err;
}

// ---- policy ----

TEST_F(RuntimeDoor, JudgesWhatTheContainerWillBe) {
  expect_app(run_container({"--user", "app", "--require", "non-root,no-capabilities"}).app());
}

TEST_F(RuntimeDoor, RefusesAContainerThatBreaksARule) {
  const Outcome outcome = run_container({"--user", "app", "--require", "seccomp"});
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.says("seccomp")) << outcome.err;
  EXPECT_EQ(written_config(), config_);
}

TEST_F(RuntimeDoor, TakesNothingFromTheContainersEnvironment) {
  config_["process"]["env"] = {"PATH=/nowhere", "LD_PRELOAD=/evil.so", "STEPDOWN_USER=root",
                               "HOME=/root"};
  const Report app = run_container({"--user", "app"}).app();
  expect_app(app);
  EXPECT_EQ(app.value_of("LD_PRELOAD"), "/evil.so");
}

TEST_F(RuntimeDoor, TakesNothingFromItsOwnEnvironmentAndPassesItOn) {
  world_.program("/srv/bin/runc", "#!/bin/sh\nexit 99\n");
  world_.program("/srv/fake", "#!/bin/sh\n/bin/cat /proc/$$/environ\n");
  Start start = as_host({"runtime", "--runtime-path", "/srv/fake", "--", "list"});
  start.environment = {"PATH=/srv/bin", "STEPDOWN_RUNTIME=/x", "ODD=\xff\n", "LD_PRELOAD="};
  const std::string end(1, '\0');
  EXPECT_THAT(world_.run(start).out, HasSubstr("PATH=/srv/bin" + end + "STEPDOWN_RUNTIME=/x" + end +
                                               "ODD=\xff\n" + end + "LD_PRELOAD=" + end));
  // Not the runc of PATH.
  start.words = {"runtime", "--", "--version"};
  EXPECT_THAT(world_.run(start).out, HasSubstr("runc version"));
}

TEST_F(RuntimeDoor, PassesOverAnnotationsThatNobodyAllowed) {
  config_["annotations"] = {{"stepdown.user", "33:33"}};
  expect_app(run_container({"--user", "app"}).app());
}

TEST_F(RuntimeDoor, TakesTheAnnotationsThatTheOperatorNamed) {
  config_["annotations"] = {{"stepdown.user", "33:34"}, {"stepdown.umask", "077"}};
  const Report app = run_container({"--user", "app", "--allow-annotations", "user"}).app();
  EXPECT_EQ(app.uids, Ids(4, 33));
  EXPECT_EQ(app.gids, Ids(4, 34));
  EXPECT_EQ(app.umask, 022U);
}

TEST_F(RuntimeDoor, GivesRootToNoAnnotation) {
  config_["annotations"] = {{"stepdown.user", "0:0"}};
  const Outcome outcome = run_container({"--user", "app", "--allow-annotations", "user"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("--allow-root")) << outcome.err;
  for (const char* name : {"inject", "allow-root", "allow-root-exec", "runtime-path", "require"})
    EXPECT_EQ(run_container({"--user", "app", "--allow-annotations", name}).status, 125) << name;
}

TEST_F(RuntimeDoor, TakesItsOptionsFromAProfileOfTheHost) {
  world_.file("/srv/door.toml", "user = 'app'\nrequire = 'non-root'\n", 0, 0, 0644);
  expect_app(run_container({"--profile", "/srv/door.toml"}).app());
}

// ---- exec ----

TEST_F(RuntimeDoor, MakesAnExecTheContainersUser) {
  while_it_runs({"--user", "app"}, [&] {
    for (const Words& options :
         {Words{}, Words{"-u", "0"}, Words{"-u0"}, Words{"--user=0:0"},
          Words{"-u", "0:0", "-g", "0", "-c", "CAP_SYS_ADMIN", "--no-new-privs=false"},
          Words{"--cap", "CAP_CHOWN", "--cap=CAP_SETUID"}}) {
      Words words{"exec"};
      words.insert(words.end(), options.begin(), options.end());
      words.insert(words.end(), {id_, "/probe", "-u", "0", ""});
      const Report app = door({"--user", "app"}, words).app();
      expect_app(app);
      EXPECT_THAT(app.argv, testing::ElementsAre("/probe", "-u", "0", ""));
    }
  });
}

TEST_F(RuntimeDoor, TakesTheOtherWordsOfAnExec) {
  while_it_runs({"--user", "app"}, [&] {
    const Report app =
        door({"--user", "app"}, {"exec", "-e", "A=1", "--cwd", "/etc", "-e", "B=2", id_, "/probe"})
            .app();
    EXPECT_EQ(app.value_of("A"), "1");
    EXPECT_EQ(app.value_of("B"), "2");
    EXPECT_EQ(app.value_of("HOME"), "/home/app");
    EXPECT_EQ(app.cwd, "/etc");
  });
}

TEST_F(RuntimeDoor, KeepsAnExecsOwnNonRootUser) {
  while_it_runs({"--user", "app"}, [&] {
    const Report app =
        door({"--user", "app"}, {"exec", "-u", "33:34", "-c", "CAP_CHOWN", id_, "/probe"}).app();
    EXPECT_EQ(app.uids, Ids(4, 33));
    EXPECT_EQ(app.gids, Ids(4, 34));
    expect_all_five(app, 0);
    EXPECT_TRUE(app.no_new_privs);
  });
}

TEST_F(RuntimeDoor, RewritesTheProcessOfAnExecAndNotItsFile) {
  while_it_runs({"--user", "app"}, [&] {
    // What `docker exec --privileged` asks for.
    Json process = root_config({"/probe"})["process"];
    for (const char* set : {"bounding", "effective", "permitted", "inheritable"})
      process["capabilities"][set].push_back("CAP_SYS_ADMIN");
    world_.file("/srv/process", process.dump(), 0, 0, 0640);
    expect_app(door({"--user", "app"}, {"exec", "--process", "/srv/process", id_}).app());
    EXPECT_EQ(read_file("/srv/process"), process.dump());
    EXPECT_EQ(owner_of("/srv/process"), (Owned{0, 0, 0640}));
  });
}

TEST_F(RuntimeDoor, RewritesTheProcessOfAnExecThatADescriptorNames) {
  while_it_runs({"--user", "app"}, [&] {
    world_.file("/srv/extra", root_config({"/probe"})["process"].dump(), 0, 0, 0600);
    Start start = as_host(door_words({"--user", "app"}, {"exec", "-p", "/proc/self/fd/9", id_}));
    start.open_fds = {9};
    expect_app(world_.run(start).app());
  });
}

TEST_F(RuntimeDoor, GivesAnExecWhatTheContainerKept) {
  config_["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "1024";
  const Words options{"--user", "app", "--port", "80"};
  while_it_runs(options, [&] {
    const Report app = door(options, {"exec", "-u", "0", "-c", "CAP_CHOWN", "-c",
                                      "CAP_NET_BIND_SERVICE", id_, "/probe"})
                           .app();
    EXPECT_EQ(app.uids, Ids(4, 1500));
    EXPECT_EQ(app.bounding & ~caps_named({"net_bind_service"}), 0U);
  });
}

TEST_F(RuntimeDoor, LetsAnExecBeRootWithoutCapabilitiesWhereTheOperatorSaysSo) {
  while_it_runs({"--user", "app"}, [&] {
    const Report app = door({"--user", "app", "--allow-root-exec"},
                            {"exec", "-u", "0:0", "-c", "CAP_SYS_ADMIN", id_, "/probe"})
                           .app();
    EXPECT_EQ(app.uids, Ids(4, 0));
    expect_all_five(app, 0);
    EXPECT_TRUE(app.no_new_privs);
  });
}

TEST_F(RuntimeDoor, StepsAnExecDownInAContainerThatWasStartedWithoutTheDoor) {
  config_["process"]["args"] = Words{"/probe", report_in_bundle, "+hold=stdin"};
  write_config();
  Start start = as_host({"--root", "/srv/state", "run", "--bundle", bundle, id_});
  start.binary = "/usr/sbin/runc";
  start.watch = [&](pid_t) {
    const Outcome outcome = door({"--user", "app"}, {"exec", "-u", "0", id_, "/probe"});
    EXPECT_FALSE(outcome.app_ran() && outcome.app().uids == Ids(4, 0));
    EXPECT_TRUE(outcome.says("start it again")) << outcome.err;
  };
  world_.run(start);
}

TEST_F(RuntimeDoor, StartsNoExecThroughAPlaceThatAVolumeMayHold) {
  const std::string place = std::string(bundle) + "/rootfs/.stepdown";
  while_it_runs({"--user", "app"}, [&] {
    world_.symlink("/srv/out/stepdown", place);
    const Outcome outcome =
        door({"--user", "app", "--inject", "--read-only"}, {"exec", id_, "/probe"});
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("a link or directory at /.stepdown")) << outcome.err;
  });
}

TEST_F(RuntimeDoor, TellsWhatTheRealRuntimeSaidOfTheContainer) {
  const Outcome outcome = door({"--user", "app"}, {"exec", "nobody", "/probe"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("container does not exist")) << outcome.err;
}

// ---- restore ----

TEST_F(RuntimeDoor, RefusesToRestore) {
  world_.program("/srv/fake", "#!/bin/sh\necho restored\n");
  const Outcome refused = door({"--user", "app", "--runtime-path", "/srv/fake"},
                               {"restore", "--image-path", "/x", "c"});
  EXPECT_EQ(refused.status, 125);
  EXPECT_EQ(refused.out, "");
  EXPECT_TRUE(refused.says("--allow-restore")) << refused.err;
  const Outcome allowed = door({"--user", "app", "--runtime-path", "/srv/fake", "--allow-restore"},
                               {"restore", "--image-path", "/x", "c"});
  EXPECT_EQ(allowed.out, "restored\n");
}

}  // namespace
}  // namespace stepdown::world
