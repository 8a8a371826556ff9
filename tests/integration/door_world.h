// What the tests of the doors share: a bundle for runc in /srv, and the binary as an engine calls
// it. The container's app is the probe; it is root with Docker's capabilities unless a test says
// otherwise.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch_world.h"
#include "world.h"

namespace stepdown::world {

using Json = nlohmann::ordered_json;

constexpr const char* bundle = "/srv/bundle";
constexpr const char* report_in_bundle = "+report=/srv/out/report";

inline Json docker_capabilities() {
  return Json::parse(R"(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD",
    "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"])");
}

// As Docker writes it, but for what a test has no use for.
inline Json root_config(const Words& args) {
  Json config = Json::parse(R"({
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 0, "gid": 0, "additionalGids": [0, 10]},
      "cwd": "/", "env": ["PATH=/bin", "HOME=/root"],
      "oomScoreAdj": 0, "noNewPrivileges": false},
    "root": {"path": "rootfs"},
    "hostname": "h",
    "mounts": [
      {"destination": "/proc", "type": "proc", "source": "proc"},
      {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
       "options": ["nosuid", "mode=755"]},
      {"destination": "/srv/out", "type": "bind", "source": "/srv/out",
       "options": ["rbind", "rw"]}],
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                             {"type": "uts"}, {"type": "network"}]}})");
  config["process"]["args"] = args;
  for (const char* set : {"bounding", "effective", "permitted"})
    config["process"]["capabilities"][set] = docker_capabilities();
  return config;
}

class DoorWorld : public testing::Test {
 protected:
  DoorWorld() {
    const std::string root = std::string(bundle) + "/rootfs";
    world_.bare_root(root);
    world_.directory(root + "/etc", 0, 0, 0755);
    world_.file(root + "/etc/passwd",
                "root:x:0:0::/root:/bin/sh\napp:x:1500:1501::/home/app:/bin/sh\n", 0, 0, 0644);
    world_.file(root + "/etc/group", "root:x:0:\napp:x:1501:\nstaff:x:2500:app\n", 0, 0, 0644);
    config_ = root_config({"/probe"});
  }
  // What is left behind is of no use to anybody.
  ~DoorWorld() override {
    if (exists("/srv/state/" + id_)) runc({"delete", "--force", id_});
  }

  void write_config() {
    world_.file(std::string(bundle) + "/config.json", config_.dump(), 0, 0, 0600);
  }
  static Json written_config() {
    return Json::parse(read_file(std::string(bundle) + "/config.json"));
  }

  // As root on the host, with all capabilities.
  static Start as_host(Words words) {
    Start start;
    start.words = std::move(words);
    start.caller = root_with(~Caps{0});
    start.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    return start;
  }
  static Words door_words(const Words& options, const Words& runtime) {
    Words words{"runtime"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "--root", "/srv/state"});
    words.insert(words.end(), runtime.begin(), runtime.end());
    return words;
  }
  // `stepdown runtime OPTIONS -- --root … RUNTIME`.
  Outcome door(const Words& options, const Words& runtime) {
    return world_.run(as_host(door_words(options, runtime)));
  }
  Outcome run_container(const Words& options) {
    write_config();
    return door(options, {"run", "--bundle", bundle, id_});
  }
  // `look` is called while the container runs, started with these options.
  void while_it_runs(const Words& options, const std::function<void()>& look) {
    config_["process"]["args"] = Words{"/probe", report_in_bundle, "+hold=stdin"};
    write_config();
    bool looked = false;
    Start start = as_host(door_words(options, {"run", "--bundle", bundle, id_}));
    start.watch = [&](pid_t) {
      looked = true;
      look();
    };
    const Outcome outcome = world_.run(start);
    EXPECT_TRUE(looked) << outcome.err;
  }
  // Past the door.
  Outcome runc(const Words& words) {
    Start start = as_host({"--root", "/srv/state"});
    start.words.insert(start.words.end(), words.begin(), words.end());
    start.binary = "/usr/sbin/runc";
    start.name = "runc";
    return world_.run(start);
  }

  World world_;
  Json config_;
  // cgroups have names of the whole machine.
  const std::string id_ = "stepdown-test-" + std::to_string(getpid());
};

// uid 1500 of the image's account files and nothing that root had.
inline void expect_app(const Report& app, Caps kept = 0) {
  EXPECT_EQ(app.uids, Ids(4, 1500));
  EXPECT_EQ(app.gids, Ids(4, 1501));
  EXPECT_EQ(app.memberships(), (Ids{1501, 2500}));
  expect_all_five(app, kept);
  EXPECT_TRUE(app.no_new_privs);
}

}  // namespace stepdown::world
