// Containers of the real runc and crun, with hooks of stepdown: a bundle whose root filesystem
// holds the probe and nothing else, on the tmpfs of ownership_world.h, in its private mount
// namespace.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "ownership_world.h"

namespace bundle_world {

using ownership_world::app;  // who the container's process is
using ownership_world::directory;
using ownership_world::file;
using ownership_world::must;
using ownership_world::Owner;
using ownership_world::owner_of;
using stepdown::Gid;
using stepdown::Uid;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

constexpr Owner keeper{Uid{5000}, Gid{5001}};  // who owns a volume on the host
constexpr std::uint32_t first_outside = 100000;
constexpr Owner mapped_app{Uid{101000}, Gid{101001}};
constexpr Owner rootless{Uid{4000}, Gid{4000}};  // whose engine it may be
constexpr auto patience = std::chrono::seconds(30);

enum class Engine { runc, crun };
inline void PrintTo(Engine engine, std::ostream* stream) {
  *stream << (engine == Engine::runc ? "runc" : "crun");
}

struct Volume {
  std::string destination;
  std::string source;
  Words options = {"rbind", "rslave"};
  std::string type = "bind";
};

struct Hook {
  std::string stage;      // as config.json calls it: "createRuntime"
  Words words;            // the program's own (argv), the name included
  std::string path = {};  // of the program; the launcher where it is empty
};
inline Hook create_runtime(Words words) {
  words.insert(words.begin(), {"stepdown", "hook", "create-runtime"});
  return {"createRuntime", std::move(words)};
}
inline Hook create_container(Words words) {
  words.insert(words.begin(), {"stepdown", "hook", "create-container"});
  return {"createContainer", std::move(words)};
}
// A look at what there is, between the hooks.
inline Hook shell(const std::string& stage, const std::string& script) {
  return {stage, {"sh", "-c", script}, "/bin/sh"};
}

struct Start {
  std::vector<Hook> hooks;
  std::vector<Volume> volumes = {};
  Words app_words = {};  // of the probe
  Engine engine = Engine::runc;
  Owner user = app;
  std::vector<unsigned> groups = {};
  bool user_namespace = false;
  bool by_rootless = false;  // in a user namespace of the engine's (runc)
  bool own_network = true;
  std::function<void(Json&)> change = {};  // of the config, at last
};

struct Outcome {
  int status = -1;
  std::string said;  // stdout and stderr, of the engine and the app
  // The probe begins so, whatever it was asked.
  [[nodiscard]] bool app_ran() const { return said.find("uids=") != std::string::npos; }
};
inline void PrintTo(const Outcome& outcome, std::ostream* stream) {
  *stream << "status " << outcome.status << "\n" << outcome.said;
}

inline std::string text_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  must(!stream.fail(), path);
}

inline std::string binary_under_test() {
  const char* path = std::getenv("STEPDOWN_BINARY");
  return path != nullptr && *path != '\0' ? path : STEPDOWN_BINARY_PATH;
}

inline bool is_dynamic(const std::string& program) {
  const std::string image = text_of(program);
  ElfW(Ehdr) header{};
  must(image.size() >= sizeof header, program);
  std::memcpy(&header, image.data(), sizeof header);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment{};
    std::memcpy(&segment, image.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

// crun wants cgroup2 where this machine may have something else.
inline void mount_cgroup2() {
  must(::unshare(CLONE_NEWNS) == 0, "unshare");
  ::umount2("/sys/fs/cgroup", MNT_DETACH);
  must(::mount("none", "/sys/fs/cgroup", "cgroup2", 0, nullptr) == 0, "mount cgroup2");
}

// Where a user's engine is: 0 is the user, and others are of /etc/subuid.
inline void enter_namespace_of_rootless() {
  std::array<int, 2> made{};
  must(::pipe2(made.data(), O_CLOEXEC) == 0, "pipe");
  const std::string process = "/proc/" + std::to_string(::getpid());
  const pid_t writer = ::fork();
  must(writer >= 0, "fork");
  if (writer == 0) {
    char byte = 0;
    if (::read(made[0], &byte, 1) != 1) ::_exit(1);
    for (const char* map : {"/uid_map", "/gid_map"})
      write_text(process + map, "0 4000 1\n1 " + std::to_string(first_outside) + " 65535\n");
    ::_exit(0);
  }
  must(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
  must(::write(made[1], "x", 1) == 1, "write");
  int status = 0;
  must(::waitpid(writer, &status, 0) == writer && status == 0, "maps");
  must(::setgroups(0, nullptr) == 0 && ::setgid(0) == 0 && ::setuid(0) == 0, "setuid");
}

// Becomes the program in a process group of its own, which is killed when it takes too long.
inline Outcome run_program(const std::string& said_file, Words words,
                           const std::function<void()>& prepare = {}) {
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child == 0) {
    ::setpgid(0, 0);
    ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    const int said = ::open(said_file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    // An engine hands its stdin to the container's user: never the machine's /dev/null.
    std::array<int, 2> empty{};
    if (::pipe2(empty.data(), O_CLOEXEC) != 0) ::_exit(97);
    ::dup2(empty[0], 0);
    ::close(empty[1]);
    ::dup2(said, 1);
    ::dup2(said, 2);
    try {
      if (prepare) prepare();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(99);
    }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv.front(), argv.data());
    ::_exit(98);
  }
  ::setpgid(child, child);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  int status = 0;
  for (pid_t ended = 0; (ended = ::waitpid(child, &status, WNOHANG)) != child;) {
    must(ended == 0, "waitpid");
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "it hangs: " << text_of(said_file);
      ::kill(-child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    ::usleep(2000);
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(said_file)};
}

class Bundle {
 public:
  explicit Bundle(std::string top) : top_(std::move(top)) {
    directory(top_ + "/bundle");
    directory(root());
    std::filesystem::copy_file(STEPDOWN_PROBE_PATH, root() + "/probe");
    std::filesystem::copy_file(binary_under_test(), launcher());
    for (const std::string& program : {root() + "/probe", launcher()})
      must(::chmod(program.c_str(), 0755) == 0, program);
    directory(root() + "/etc");
    write_text(root() + "/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1033:1034::/:/bin/sh\n");
    write_text(root() + "/etc/group", "root:x:0:\nweb:x:1034:\nlog:x:1035:web\n");
  }

  [[nodiscard]] std::string root() const { return top_ + "/bundle/rootfs"; }
  [[nodiscard]] std::string launcher() const { return top_ + "/stepdown"; }
  [[nodiscard]] std::string directory_of_bundle() const { return top_ + "/bundle"; }

  // A directory of the host that belongs to `owner`, with a file "file" and "below/file" in it.
  [[nodiscard]] std::string volume(const std::string& name, Owner owner = keeper) const {
    std::string path = directory(top_ + "/" + name, owner);
    file(path + "/file", owner);
    file(directory(path + "/below", owner) + "/file", owner);
    return path;
  }

  void write_config(const Start& start) const {
    write_text(top_ + "/bundle/config.json", config(start).dump(2));
  }

  Outcome run(const Start& start) {
    write_config(start);
    // Who makes the places for the mounts, and whose image it is.
    const uid_t maker = start.by_rootless      ? raw(rootless.uid)
                        : start.user_namespace ? first_outside
                                               : 0;
    must(::chown(root().c_str(), maker, maker) == 0, "chown " + root());
    const std::string id =
        "stepdown-" + std::to_string(::getpid()) + "-" + std::to_string(++starts_);
    const std::string state = top_ + "/state";
    std::function<void()> prepare;
    if (start.by_rootless) {
      if (starts_ == 1) directory(state, rootless, 0700);
      prepare = enter_namespace_of_rootless;
    }
    if (start.engine == Engine::runc)
      return run_program(top_ + "/said",
                         {"runc", "--root", state, "run", "--bundle", directory_of_bundle(), id},
                         prepare);
    return run_program(top_ + "/said",
                       {"crun", "--root", state, "--cgroup-manager=disabled", "run", "--bundle",
                        directory_of_bundle(), id},
                       mount_cgroup2);
  }

 private:
  [[nodiscard]] Json config(const Start& start) const {
    Json config = Json::parse(R"({
      "ociVersion": "1.0.2",
      "process": {"terminal": false, "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": true},
      "root": {"path": "rootfs", "readonly": false},
      "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "mode=755", "size=1m"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
         "options": ["nosuid", "noexec", "nodev"]}],
      "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}]}
    })");
    Json& process = config["process"];
    process["user"] = {{"uid", raw(start.user.uid)},
                       {"gid", raw(start.user.gid)},
                       {"additionalGids", start.groups}};
    process["args"] = {"/probe"};
    for (const std::string& word : start.app_words) process["args"].push_back(word);
    for (const Volume& volume : start.volumes)
      config["mounts"].push_back({{"destination", volume.destination},
                                  {"type", volume.type},
                                  {"source", volume.source},
                                  {"options", volume.options}});
    Json& linux_part = config["linux"];
    if (start.own_network) linux_part["namespaces"].push_back({{"type", "network"}});
    if (start.user_namespace) {
      linux_part["namespaces"].push_back({{"type", "user"}});
      const Json map =
          Json::array({{{"containerID", 0}, {"hostID", first_outside}, {"size", 65536}}});
      linux_part["uidMappings"] = map;
      linux_part["gidMappings"] = map;
    }
    for (const Hook& hook : start.hooks)
      config["hooks"][hook.stage].push_back(
          {{"path", hook.path.empty() ? launcher() : hook.path},
           {"args", hook.words},
           // LeakSanitizer, in a build for tests, wants a /proc that shows it.
           {"env", {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "ASAN_OPTIONS=detect_leaks=0"}}});
    if (start.change) start.change(config);
    return config;
  }

  std::string top_;
  int starts_ = 0;
};

inline void in_a_bundle(const std::function<void(Bundle&, const std::string& top)>& body) {
  ownership_world::in_a_world([&](const std::string& top) {
    Bundle bundle(top);
    body(bundle, top);
  });
}

inline void expect_refused(const Outcome& outcome, const std::string& reason) {
  EXPECT_FALSE(outcome.app_ran()) << testing::PrintToString(outcome);
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.said, testing::HasSubstr(reason));
}

}  // namespace bundle_world
