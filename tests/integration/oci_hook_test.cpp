// The hooks themselves: what they read, what they refuse, and what they leave alone; with the real
// runc and crun, and by themselves with a state on stdin.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "bundle_world.h"
#include "sys/fd.h"

namespace bundle_world {
namespace {

using stepdown::sys::Fd;
using testing::HasSubstr;

class OciHook : public testing::TestWithParam<Engine> {};
INSTANTIATE_TEST_SUITE_P(With, OciHook, testing::Values(Engine::runc, Engine::crun),
                         [](const auto& engine) {
                           return std::string(engine.param == Engine::runc ? "Runc" : "Crun");
                         });

// crun sends a hook's stderr to /dev/null: the log file has it.
TEST_P(OciHook, RefusesWhatBreaksARule) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    Start start{.hooks = {create_runtime({"--require", "non-root", "--log-file", top + "/log"})},
                .engine = GetParam()};
    EXPECT_TRUE(bundle.run(start).app_ran());
    start.user = ownership_world::root;
    const Outcome outcome = bundle.run(start);
    EXPECT_FALSE(outcome.app_ran()) << testing::PrintToString(outcome);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(text_of(top + "/log"), HasSubstr("non-root"));
  });
}

TEST_P(OciHook, OpensLowPortsInTheContainersNetworkAlone) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string of_the_host = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    const std::string before = text_of(of_the_host);
    Start start{.hooks = {create_runtime({"--unprivileged-ports", "80"})},
                .app_words = {"+tcp=80", "+tcp=79"},
                .engine = GetParam()};
    Outcome outcome = bundle.run(start);
    EXPECT_THAT(outcome.said, HasSubstr("+tcp=80=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+tcp=79=EACCES"));
    start.user_namespace = true;
    outcome = bundle.run(start);
    EXPECT_THAT(outcome.said, HasSubstr("+tcp=80=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+tcp=79=EACCES"));
    EXPECT_EQ(text_of(of_the_host), before);
  });
}

TEST_P(OciHook, DoesTheSameWithinTheContainersNamespaces) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume");
    Start start{.hooks = {create_container({"--own", "/data", "--unprivileged-ports", "80",
                                            "--require", "non-root", "--log-file", top + "/log"})},
                .volumes = {{"/data", volume}},
                .app_words = {"+create-in=/data", "+tcp=80"},
                .engine = GetParam()};
    const Outcome outcome = bundle.run(start);
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok")) << text_of(top + "/log");
    EXPECT_THAT(outcome.said, HasSubstr("+tcp=80=ok"));
    EXPECT_EQ(owner_of(volume + "/below/file"), app);
  });
}

TEST_P(OciHook, SendsToCreateRuntimeWhatItCanNotDoWithinThem) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    // Within a user namespace it can write only what it makes there itself.
    directory(top + "/logs", ownership_world::root, 0777);
    must(::chmod((top + "/logs").c_str(), 0777) == 0, "chmod");
    const std::string volume = bundle.volume("volume");
    Start start{.hooks = {create_container({"--own", "/data", "--log-file", top + "/logs/own"})},
                .volumes = {{"/data", volume}},
                .engine = GetParam(),
                .user_namespace = true};
    EXPECT_FALSE(bundle.run(start).app_ran());
    EXPECT_THAT(text_of(top + "/logs/own"), HasSubstr("createRuntime"));
    start.hooks = {create_container({"--idmap", "/data", "--log-file", top + "/logs/idmap"})};
    start.user_namespace = false;
    EXPECT_FALSE(bundle.run(start).app_ran());
    EXPECT_THAT(text_of(top + "/logs/idmap"), HasSubstr("createRuntime"));
    EXPECT_EQ(owner_of(volume), keeper);
  });
}

TEST_P(OciHook, LeavesTheHostsNetworkAlone) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string of_the_host = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    const std::string before = text_of(of_the_host);
    // A namespace that a path names may be the host's all the same.
    const auto named = [](Json& config) {
      const std::string path = "/proc/" + std::to_string(::getpid()) + "/ns/net";
      config["linux"]["namespaces"].push_back({{"type", "network"}, {"path", path}});
    };
    for (const auto& hook : {create_runtime, create_container})
      for (const bool by_path : {false, true}) {
        Start start{.hooks = {hook({"--unprivileged-ports", "80", "--log-file", top + "/log"})},
                    .engine = GetParam(),
                    .own_network = false};
        if (by_path) start.change = named;
        write_text(top + "/log", "");
        EXPECT_FALSE(bundle.run(start).app_ran());
        EXPECT_THAT(text_of(top + "/log"), HasSubstr("host's network"));
        EXPECT_EQ(text_of(of_the_host), before);
      }
  });
}

TEST(OciHooks, KnowThatTheConfigsSysctlsComeLater) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    Start start{.hooks = {create_runtime({"--unprivileged-ports", "80"})},
                .app_words = {"+tcp=80"},
                .change = [](Json& config) {
                  config["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] = "1024";
                }};
    expect_refused(bundle.run(start), "after the hooks");
  });
}

class OciSandbox : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Of, OciSandbox,
                         testing::Values("io.kubernetes.cri.container-type",
                                         "io.kubernetes.cri-o.ContainerType"),
                         [](const auto& key) {
                           return std::string(key.param).find("cri-o") == std::string::npos
                                      ? "Containerd"
                                      : "Crio";
                         });

// A pod's first container has none of its volumes; whoever says so of another gets less for it.
TEST_P(OciSandbox, HasNoVolumesToHandOver) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const auto says = [](const std::string& type) {
      return [type](Json& config) { config["annotations"][GetParam()] = type; };
    };
    Start start{.hooks = {create_runtime({"--own", "/data", "--idmap", "/more", "--log-level",
                                          "info", "--log-file", top + "/log"}),
                          create_container({"--own", "/data"})},
                .change = says("sandbox")};
    Outcome outcome = bundle.run(start);
    EXPECT_TRUE(outcome.app_ran()) << testing::PrintToString(outcome);
    EXPECT_THAT(text_of(top + "/log"), HasSubstr("a pod's sandbox"));
    start.user_namespace = true;
    EXPECT_TRUE(bundle.run(start).app_ran());
    start.user_namespace = false;
    start.change = says("container");
    expect_refused(bundle.run(start), "has no volume there");

    const std::string volume = bundle.volume("volume");
    start.volumes = {{"/data", volume}, {"/more", bundle.volume("more")}};
    start.change = says("sandbox");
    EXPECT_TRUE(bundle.run(start).app_ran());
    EXPECT_EQ(owner_of(volume), keeper);
  });
}

TEST_P(OciSandbox, KeepsTheRules) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    expect_refused(
        bundle.run({.hooks = {create_runtime({"--own", "/data", "--require", "non-root"})},
                    .user = ownership_world::root,
                    .change = [](Json& config) { config["annotations"][GetParam()] = "sandbox"; }}),
        "non-root doesn't hold");
  });
}

TEST(OciHooks, RefuseWhatTheyCanNotCarryOut) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    for (const Words& words : {Words{"--port", "80"}, Words{"--keep-cap", "CHOWN"},
                               Words{"--read-only"}, Words{"--init"}, Words{"--inject"}})
      expect_refused(bundle.run({.hooks = {create_runtime(words)}}), words.front());
  });
}

// ---- by itself ----

// The launcher with this state on stdin.
Outcome hook_with(const Bundle& bundle, const std::string& top, Words words,
                  const std::string& state, const std::function<void()>& prepare = {}) {
  write_text(top + "/state.json", state);
  words.insert(words.begin(), {bundle.launcher(), "hook"});
  return run_program(top + "/said", std::move(words), [&] {
    const Fd text(::open((top + "/state.json").c_str(), O_RDONLY));
    ::dup2(text.get(), 0);
    if (prepare) prepare();
  });
}

std::string state_of(const Bundle& bundle, const std::string& pid) {
  return R"({"ociVersion":"1.0.2","id":"x","status":"creating","pid":)" + pid + R"(,"bundle":")" +
         bundle.directory_of_bundle() + "\"}";
}

// A process that sleeps in namespaces of its own until it is destroyed.
class Sleeper {
 public:
  explicit Sleeper(int namespaces) {
    std::array<int, 2> ends{};
    must(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
    pid_ = ::fork();
    must(pid_ >= 0, "fork");
    if (pid_ == 0) {
      const bool done = namespaces == 0 || ::unshare(namespaces) == 0;
      if (::write(ends[1], done ? "y" : "n", 1) == 1) ::pause();
      ::_exit(0);
    }
    char answer = 0;
    must(::read(ends[0], &answer, 1) == 1 && answer == 'y', "unshare");
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  [[nodiscard]] std::string pid() const { return std::to_string(pid_); }

 private:
  pid_t pid_ = -1;
};

TEST(OciHooks, NeverTakeTheHostsMountsForTheContainers) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume");
    ownership_world::bind_mount(volume, directory(bundle.root() + "/data"));
    bundle.write_config({.hooks = {}, .volumes = {{"/data", volume}}});
    const Sleeper beside(0);
    const Outcome outcome = hook_with(bundle, top, {"create-runtime", "--own", "/data"},
                                      state_of(bundle, beside.pid()));
    EXPECT_EQ(outcome.status, 125);
    EXPECT_THAT(outcome.said, HasSubstr("no mount namespace of its own"));
    EXPECT_EQ(owner_of(volume), keeper);
    // So it was that, and nothing else.
    const Sleeper apart(CLONE_NEWNS);
    EXPECT_EQ(
        hook_with(bundle, top, {"create-runtime", "--own", "/data"}, state_of(bundle, apart.pid()))
            .status,
        0);
    EXPECT_EQ(owner_of(volume), app);
  });
}

// Another file than the runtime reads there might answer.
TEST(OciHooks, ReadNoConfigThatAProcessHasOpen) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume");
    ownership_world::bind_mount(volume, directory(bundle.root() + "/data"));
    bundle.write_config({.hooks = {}, .volumes = {{"/data", volume}}});
    const std::string name = bundle.directory_of_bundle() + "/config.json";
    const std::string real = top + "/real.json";
    std::filesystem::rename(name, real);
    const Sleeper apart(CLONE_NEWNS);
    constexpr int held = 7;
    const auto hold = [&real] {
      const Fd file(::open(real.c_str(), O_RDONLY | O_CLOEXEC));
      must(::dup2(file.get(), held) == held, "dup2");
    };
    const auto outcome_with = [&](const std::string& target, const Words& words) {
      std::filesystem::remove(name);
      ownership_world::symbolic_link(target, name);
      return hook_with(bundle, top, words, state_of(bundle, apart.pid()), hold);
    };
    for (const Words& words : {Words{"create-container", "--require", "non-root"},
                               Words{"create-runtime", "--own", "/data"}}) {
      for (const std::string& target :
           {"/proc/self/fd/" + std::to_string(held), "/proc/self/root" + real,
            "/proc/" + apart.pid() + "/root" + real}) {
        const Outcome outcome = outcome_with(target, words);
        EXPECT_EQ(outcome.status, 125) << target;
        EXPECT_THAT(outcome.said, HasSubstr("leads through /proc"));
        EXPECT_EQ(owner_of(volume), keeper);
      }
      EXPECT_EQ(outcome_with(real, words).status, 0);
    }
    EXPECT_EQ(owner_of(volume), app);
  });
}

// As a rootless podman does, whose container's uid 1000 may well be its user, and 0 in between.
TEST(OciHooks, KnowWhoseRootAMapMeans) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    Start start{.hooks = {}, .user_namespace = true, .change = [](Json& config) {
                  const Json map =
                      Json::array({{{"containerID", raw(app.uid)}, {"hostID", 0}, {"size", 1}}});
                  config["linux"]["uidMappings"] = map;
                }};
    bundle.write_config(start);
    const Words words = {"create-runtime", "--require", "non-root"};
    const Outcome outcome = hook_with(bundle, top, words, state_of(bundle, "1"));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.said, HasSubstr("uid 1000 is 0 outside its user namespace"));
    const auto as_rootless = [] {
      ownership_world::become(keeper);
      must(::prctl(PR_SET_DUMPABLE, 1) == 0, "prctl");
      must(::unshare(CLONE_NEWUSER) == 0, "unshare");
      write_text("/proc/self/uid_map", "0 " + std::to_string(raw(keeper.uid)) + " 1");
    };
    EXPECT_EQ(hook_with(bundle, top, words, state_of(bundle, "1"), as_rootless).status, 0);
  });
}

TEST(OciHooks, BelieveNoPidThatTheyCanNotSee) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume");
    bundle.write_config({.hooks = {}, .volumes = {{"/data", volume}}});
    const Sleeper apart(CLONE_NEWNS);
    const Words words = {"create-runtime", "--own", "/data"};
    for (const std::string& pid : {std::string("0"), std::string("4194304")})
      EXPECT_EQ(hook_with(bundle, top, words, state_of(bundle, pid)).status, 125) << pid;
    // With a part that is real: this process's own.
    const std::string fake = directory(top + "/fake");
    directory(fake + "/self");
    const auto with_fake_proc = [&fake] {
      must(::unshare(CLONE_NEWNS) == 0, "unshare");
      ownership_world::bind_mount("/proc/self", fake + "/self");
      ownership_world::bind_mount(fake, "/proc");
    };
    const Outcome outcome =
        hook_with(bundle, top, words, state_of(bundle, apart.pid()), with_fake_proc);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_THAT(outcome.said, HasSubstr("/proc"));
    // The number would mean the hook itself.
    write_text(top + "/state.json", state_of(bundle, "1"));
    const Outcome elsewhere =
        run_program(top + "/said", {"sh", "-c",
                                    "exec unshare --pid --fork -- \"$0\" hook create-runtime "
                                    "--own /data < " +
                                        top + "/state.json",
                                    bundle.launcher()});
    EXPECT_EQ(elsewhere.status, 125);
    EXPECT_THAT(elsewhere.said, HasSubstr("PID namespace"));
    EXPECT_EQ(owner_of(volume), keeper);
  });
}

// ---- what the container's processes can do to a hook that runs beside them ----

// Takes hold of the program of `hook`, ends it, and writes to the program, which nobody executes
// any more.
std::string written_after_its_end(pid_t hook) {
  const int held = ::open(("/proc/" + std::to_string(hook) + "/exe").c_str(), O_PATH | O_CLOEXEC);
  if (held < 0) return strerrorname_np(errno);
  ::kill(hook, SIGKILL);
  int fd = -1;
  for (int i = 0; i < 2000 && fd < 0; ++i) {
    fd = ::open(("/proc/self/fd/" + std::to_string(held)).c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno != ETXTBSY) return strerrorname_np(errno);
    if (fd < 0) ::usleep(1000);
  }
  if (fd < 0) return "ETXTBSY";
  return ::write(fd, "x", 1) == 1 ? "written" : strerrorname_np(errno);
}

// A hook of that user's that sleeps in read(2), because its state never comes.
class WaitingHook {
 public:
  WaitingHook(const Bundle& bundle, const char* stage, Owner user) {
    must(::pipe2(state_.data(), O_CLOEXEC) == 0, "pipe2");
    pid_ = ::fork();
    must(pid_ >= 0, "fork");
    if (pid_ == 0) {
      ::dup2(state_[0], 0);
      if (user != ownership_world::root) ownership_world::become(user);
      ::execl(bundle.launcher().c_str(), "stepdown", "hook", stage, nullptr);
      ::_exit(98);
    }
    const std::string call = "/proc/" + std::to_string(pid_) + "/syscall";
    for (int i = 0; i < 5000 && text_of(call).rfind("0 0x0 ", 0) != 0; ++i) ::usleep(1000);
    EXPECT_THAT(text_of(call), testing::StartsWith("0 0x0 "));
  }
  ~WaitingHook() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(state_[0]);
    ::close(state_[1]);
  }
  WaitingHook(const WaitingHook&) = delete;
  WaitingHook& operator=(const WaitingHook&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::array<int, 2> state_{};
  pid_t pid_ = -1;
};

// What is dumpable has its files in /proc from its user, and root's else (proc(5)).
TEST(OciHooks, AreClosedToOtherProcessesOfTheirUser) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    for (const char* stage : {"create-runtime", "create-container"}) {
      const WaitingHook hook(bundle, stage, app);
      EXPECT_EQ(owner_of("/proc/" + std::to_string(hook.pid()) + "/status"), ownership_world::root);
    }
  });
}

// What a process of uid 0 beside a hook that waits for its state comes to; it has what Docker
// leaves to it, and CAP_SYS_PTRACE or not.
std::string done_by_neighbour(const Bundle& bundle, bool may_trace) {
  const WaitingHook hook(bundle, "create-container", ownership_world::root);
  std::array<int, 2> tale{};
  must(::pipe2(tale.data(), O_CLOEXEC) == 0, "pipe2");
  const pid_t neighbour = ::fork();
  if (neighbour == 0) {
    std::vector<unsigned> dropped = {CAP_SYS_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO};
    if (!may_trace) dropped.push_back(CAP_SYS_PTRACE);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    ::syscall(SYS_capget, &header, data.data());
    for (const unsigned number : dropped) {
      data[0].effective &= ~(1U << number);
      data[0].permitted &= ~(1U << number);
    }
    ::syscall(SYS_capset, &header, data.data());
    const std::string answer = written_after_its_end(hook.pid());
    ::_exit(::write(tale[1], answer.data(), answer.size()) > 0 ? 0 : 1);
  }
  ::waitpid(neighbour, nullptr, 0);
  ::close(tale[1]);
  std::array<char, 64> text{};
  const ssize_t length = ::read(tale[0], text.data(), text.size());
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
}

TEST(OciHooks, HaveAProgramThatNobodyInTheContainerOpens) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    EXPECT_EQ(done_by_neighbour(bundle, false), "EACCES");
  });
}

// Who may trace it gets a copy in memory, and that is sealed.
TEST(OciHooks, HaveAProgramThatNobodyInTheContainerWrites) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string before = text_of(bundle.launcher());
    EXPECT_EQ(done_by_neighbour(bundle, true), "EPERM");
    EXPECT_EQ(text_of(bundle.launcher()), before);
  });
}

}  // namespace
}  // namespace bundle_world
