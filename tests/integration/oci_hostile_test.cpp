// Images and volumes made to lead a hook astray, and documents made to choke it. Whatever it says
// to them: nothing outside the container's volumes changes owner, and nothing hangs.
#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <thread>

#include "bundle_world.h"

namespace bundle_world {
namespace {

using testing::HasSubstr;

// A tree of the host that no container has as a volume, and a look at all owners in it.
class Victim {
 public:
  explicit Victim(const std::string& top) : path_(directory(top + "/victim")) {
    directory(path_ + "/etc");
    file(path_ + "/etc/shadow", ownership_world::root, 0600);
    file(path_ + "/etc/passwd");
    file(directory(path_ + "/below", keeper) + "/file", keeper);
    before_ = owners();
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  void expect_unchanged() const { EXPECT_EQ(owners(), before_); }

 private:
  [[nodiscard]] std::map<std::string, std::pair<uid_t, gid_t>> owners() const {
    std::map<std::string, std::pair<uid_t, gid_t>> found;
    const auto add = [&found](const std::string& path) {
      const struct stat status = ownership_world::status_of(path);
      found[path] = {status.st_uid, status.st_gid};
    };
    add(path_);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_))
      add(entry.path().string());
    return found;
  }

  std::string path_;
  std::map<std::string, std::pair<uid_t, gid_t>> before_;
};

const std::vector<Words> both_ways = {{"--own", "/data"}, {"--idmap", "/data"}};

TEST(HostileDestinations, AreRefusedByTheirNames) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Victim victim(top);
    directory(bundle.root() + "/data");
    const std::string volume = bundle.volume("volume");
    Start start{.hooks = {},
                .volumes = {{"/data", volume}, {"/queue", "mqueue", {"nosuid"}, "mqueue"}}};
    const std::vector<std::pair<std::string, std::string>> reasons = {
        {"/data/../etc", "has no .."},        {"/../data", "has no .."},
        {"/../victim", "has no .."},          {"/proc", "is no volume but a proc"},
        {"/proc/sys", "has no volume there"}, {"/sys", "has no volume there"},
        {"/queue", "is no volume but a"},     {"/dev", "in /dev is ever handed over"},
        {"/dev/pts", "is no volume but a"},   {"/etc", "has no volume there"},
        {"/", "has no volume there"},         {"/data/below", "has no volume there"},
    };
    for (const auto& [path, reason] : reasons) {
      start.hooks = {create_runtime({"--own", path})};
      const Outcome outcome = bundle.run(start);
      expect_refused(outcome, "stepdown: --own " + path + ": ");
      EXPECT_THAT(outcome.said, HasSubstr(reason));
    }
    start.hooks = {create_runtime({"--idmap", "/proc"})};
    expect_refused(bundle.run(start), "stepdown: --idmap");
    victim.expect_unchanged();
    EXPECT_EQ(owner_of(volume), keeper);
    EXPECT_EQ(owner_of(bundle.root() + "/etc/passwd"), ownership_world::root);
  });
}

// What is found there is a directory of the volume on top.
TEST(HostileDestinations, AreMountsAndNotWhatCoversThem) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string covered = bundle.volume("covered"), above = bundle.volume("above");
    for (const Words& words : {Words{"--own", "/data/below"}, Words{"--idmap", "/data/below"}})
      expect_refused(bundle.run({.hooks = {create_runtime(words)},
                                 .volumes = {{"/data/below", covered}, {"/data", above}}}),
                     "no volume is mounted there");
    EXPECT_EQ(owner_of(above + "/below"), keeper);
    EXPECT_EQ(owner_of(covered), keeper);
  });
}

// The runtime follows the image's link, within the image, and mounts the volume on its /etc.
TEST(HostileImages, LeadNowhereByLinks) {
  for (const char* target : {"/etc", "../../../victim", "/proc/self/root", "/dev"})
    in_a_bundle([target](Bundle& bundle, const std::string& top) {
      const Victim victim(top);
      const std::string volume = bundle.volume("volume");
      ownership_world::symbolic_link(target, bundle.root() + "/data");
      for (const Words& words : both_ways) {
        const Outcome outcome =
            bundle.run({.hooks = {create_runtime(words)}, .volumes = {{"/data", volume}}});
        EXPECT_FALSE(outcome.app_ran()) << testing::PrintToString(outcome);
      }
      victim.expect_unchanged();
      EXPECT_EQ(owner_of(bundle.root() + "/etc"), ownership_world::root);
    });
}

// crun loses what a hook says.
Hook logged(Words words, const std::string& top) {
  std::filesystem::remove(top + "/log");
  words.insert(words.end(), {"--log-file", top + "/log"});
  return create_runtime(std::move(words));
}

void expect_refused_in_log(const std::string& top, const Outcome& outcome,
                           const std::string& reason) {
  EXPECT_FALSE(outcome.app_ran()) << testing::PrintToString(outcome);
  EXPECT_THAT(text_of(top + "/log"), HasSubstr(reason));
}

class HostileLinks : public testing::TestWithParam<Engine> {};
INSTANTIATE_TEST_SUITE_P(With, HostileLinks, testing::Values(Engine::runc, Engine::crun),
                         [](const auto& engine) {
                           return std::string(engine.param == Engine::runc ? "Runc" : "Crun");
                         });

// The image's /data is a link to the place of another volume, which comes on top.
TEST_P(HostileLinks, DoNotPutAnotherVolumeInTheNamedOnesPlace) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string data = bundle.volume("data"), secret = bundle.volume("secret");
    directory(bundle.root() + "/secret");
    ownership_world::symbolic_link("/secret", bundle.root() + "/data");
    for (const Words& options : {Words{"rbind"}, Words{"rbind", "ro"}})
      for (const Words& words : both_ways)
        expect_refused_in_log(
            top,
            bundle.run({.hooks = {logged(words, top)},
                        .volumes = {{"/data", data}, {"/secret", secret, options}},
                        .engine = GetParam()}),
            "symbolic link on the way: the runtime mounts the volume at /secret");
    EXPECT_EQ(owner_of(secret), keeper);
    EXPECT_EQ(owner_of(secret + "/file"), keeper);
    EXPECT_EQ(owner_of(data), keeper);
  });
}

// The other way round: the named path is no link, and the other one's leads there.
TEST_P(HostileLinks, DoNotPutAnotherVolumeOnTopOfTheNamedOne) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string data = bundle.volume("data"), secret = bundle.volume("secret");
    directory(bundle.root() + "/data");
    ownership_world::symbolic_link("/data", bundle.root() + "/secret");
    const Volume tmpfs = {"/data", "tmpfs", {"mode=755", "size=1m"}, "tmpfs"};
    for (const Volume& named : {Volume{"/data", data}, tmpfs})
      for (const Words& words : both_ways)
        expect_refused_in_log(top,
                              bundle.run({.hooks = {logged(words, top)},
                                          .volumes = {named, {"/secret", secret}},
                                          .engine = GetParam()}),
                              "is not what the config mounts there");
    EXPECT_EQ(owner_of(secret), keeper);
    EXPECT_EQ(owner_of(secret + "/file"), keeper);
    EXPECT_EQ(owner_of(data), keeper);
  });
}

// Above it, with a mount of its own at the named path.
TEST_P(HostileLinks, DoNotPutAnotherVolumeAboveTheNamedOne) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string host = bundle.volume("host");
    const std::string secret = directory(host + "/data", keeper);
    ownership_world::mount_tmpfs(secret, "uid=5000,gid=5001,mode=0755");
    directory(directory(bundle.root() + "/app") + "/data");
    ownership_world::symbolic_link("/app", bundle.root() + "/a");
    ownership_world::symbolic_link("../..", directory(bundle.root() + "/x") + "/y");
    const Volume named = {"/app/data", "tmpfs", {"mode=755", "size=1m"}, "tmpfs"};
    // The last one by no link: it covers what the config has mounted before.
    for (const char* place : {"/a", "/x/y/app", "/app"})
      for (const std::string way : {"--own", "--idmap"})
        expect_refused_in_log(top,
                              bundle.run({.hooks = {logged({way, "/app/data"}, top)},
                                          .volumes = {named, {place, host}},
                                          .engine = GetParam()}),
                              "is not what the config mounts there");
    EXPECT_EQ(owner_of(secret), keeper);
    // In their order, or elsewhere, each lies where the config says.
    for (const std::vector<Volume>& volumes :
         {std::vector<Volume>{{"/app", host}, named}, std::vector<Volume>{named, {"/b", host}}}) {
      const Outcome outcome = bundle.run({.hooks = {logged({"--own", "/app/data"}, top)},
                                          .volumes = volumes,
                                          .app_words = {"+create-in=/app/data"},
                                          .engine = GetParam()});
      EXPECT_THAT(outcome.said, HasSubstr("+create-in=/app/data=ok")) << text_of(top + "/log");
    }
    EXPECT_EQ(owner_of(secret), keeper);
    EXPECT_EQ(owner_of(host), keeper);
  });
}

// By a link in a directory that is the app's own in the image.
TEST(HostileImages, PlantNoLinksOnTheWay) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Victim victim(top);
    const std::string volume = bundle.volume("volume");
    directory(bundle.root() + "/srv", app);
    directory(bundle.root() + "/opt");
    directory(bundle.root() + "/opt/data");
    ownership_world::symbolic_link("/opt", bundle.root() + "/srv/link");
    expect_refused(bundle.run({.hooks = {create_runtime({"--own", "/srv/link/data"})},
                               .volumes = {{"/srv/link/data", volume}}}),
                   "symbolic link");
    EXPECT_EQ(owner_of(volume), keeper);
  });
}

TEST(HostileVolumes, AreNotTheHostsOwnDirectories) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    // Stands for the host's own, which a failing test would hand over.
    ownership_world::mount_tmpfs("/boot", "uid=5000,gid=5001,mode=0755");
    file("/boot/file");
    for (const Words& words : both_ways)
      expect_refused(
          bundle.run({.hooks = {create_runtime(words)}, .volumes = {{"/data", "/boot"}}}),
          "the host's own system");
    EXPECT_EQ(owner_of("/boot"), keeper);
    EXPECT_EQ(owner_of("/boot/file"), ownership_world::root);
  });
}

// Who owns a directory above the bundle writes the configuration of the next start.
TEST(HostileVolumes, HoldNoContainer) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string image = directory(directory(top + "/store") + "/image");
    std::filesystem::copy(bundle.root(), image, std::filesystem::copy_options::recursive);
    ownership_world::symbolic_link("../store", directory(top + "/links") + "/link");
    Start start;
    const auto expect_host = [&](const std::string& source) {
      start.volumes = {{"/data", source}};
      for (const Words& words : both_ways) {
        start.hooks = {logged(words, top)};
        expect_refused_in_log(top, bundle.run(start), "the host's own system");
      }
    };
    const std::string directory_of_bundle = bundle.directory_of_bundle();
    for (const std::string& source : {top, directory_of_bundle}) expect_host(source);
    // Two directories, the image's path with a link in it.
    start.change = [&](Json& config) { config["root"]["path"] = top + "/links/link/image"; };
    start.engine = Engine::crun;  // runc takes no such path
    for (const std::string& source : {top, directory_of_bundle, top + "/links", top + "/store"})
      expect_host(source);
    for (const std::string& path : {directory_of_bundle, top + "/links", top + "/store"})
      EXPECT_EQ(owner_of(path), ownership_world::root) << path;
    // Beside them, and below.
    start.hooks = {create_runtime({"--own", "/data"})};
    for (const std::string& source :
         {bundle.volume("volume"), bundle.volume("bundle/volume"), bundle.volume("store/volume")}) {
      start.volumes = {{"/data", source}};
      EXPECT_TRUE(bundle.run(start).app_ran());
      EXPECT_EQ(owner_of(source), app) << source;
    }
  });
}

// Who may write to an engine's socket is root.
TEST(HostileVolumes, AreDirectoriesAndRegularFilesAlone) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    ownership_world::node(top + "/socket", S_IFSOCK, keeper, 0660);
    ownership_world::node(top + "/fifo", S_IFIFO, keeper, 0660);
    for (const std::string& source : {top + "/socket", top + "/fifo"}) {
      for (const Words& words : both_ways)
        expect_refused(
            bundle.run({.hooks = {create_runtime(words)}, .volumes = {{"/data", source}}}),
            "neither a directory nor a regular file");
      EXPECT_EQ(owner_of(source), keeper);
    }
    const std::string regular = file(top + "/regular", keeper);
    EXPECT_TRUE(
        bundle.run({.hooks = {create_runtime({"--own", "/data"})}, .volumes = {{"/data", regular}}})
            .app_ran());
    EXPECT_EQ(owner_of(regular), app);
  });
}

TEST(HostileVolumes, KeepHardLinksToOthersFiles) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Victim victim(top);
    const std::string volume = bundle.volume("volume");
    ownership_world::hard_link(victim.path() + "/etc/shadow", volume + "/shadow");
    ownership_world::symbolic_link(victim.path() + "/etc/passwd", volume + "/passwd");
    ownership_world::symbolic_link("/../../../../" + victim.path(), volume + "/below/up");
    const Outcome outcome =
        bundle.run({.hooks = {create_runtime({"--own", "/data", "--log-file", top + "/log"})},
                    .volumes = {{"/data", volume}}});
    EXPECT_TRUE(outcome.app_ran()) << testing::PrintToString(outcome);
    EXPECT_THAT(text_of(top + "/log"), HasSubstr("hard links"));
    EXPECT_EQ(owner_of(volume + "/file"), app);
    victim.expect_unchanged();
  });
}

// Another container with the same volume, and a mount that comes and goes on the host.
TEST(HostileVolumes, ThatAreSwappedDuringTheWalkTakeNothingWithThem) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Victim victim(top);
    const std::string volume = directory(top + "/volume", keeper);
    ownership_world::mount_tmpfs(volume, "uid=5000,gid=5001,mode=0755");
    must(::mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr) == 0, "make shared");
    for (int i = 0; i < 60; ++i) {
      const std::string below = directory(volume + "/" + std::to_string(i), keeper);
      for (int k = 0; k < 60; ++k) file(below + "/" + std::to_string(k), keeper);
      directory(below + "/below", keeper);
      file(below + "/below/file", keeper);
    }
    std::atomic<bool> done = false;
    std::thread swapping([&] {
      const std::string hidden = volume + "/hidden";
      for (int i = 0; !done; i = (i + 1) % 60) {
        const std::string here = volume + "/" + std::to_string(i) + "/below";
        if (::rename(here.c_str(), hidden.c_str()) != 0) continue;
        if (::symlink(victim.path().c_str(), here.c_str()) == 0) ::usleep(200);
        ::unlink(here.c_str());
        ::rename(hidden.c_str(), here.c_str());
      }
    });
    std::thread mounting([&] {
      for (int i = 0; !done; i = (i + 7) % 60) {
        const std::string here = volume + "/" + std::to_string(i) + "/below";
        if (::mount(victim.path().c_str(), here.c_str(), nullptr, MS_BIND, nullptr) != 0) continue;
        ::usleep(200);
        ::umount2(here.c_str(), MNT_DETACH);
      }
    });
    for (int i = 0; i < 5; ++i) {
      const Outcome outcome = bundle.run(
          {.hooks = {create_runtime({"--own", "/data", "--user", i % 2 == 0 ? "web" : "1:1"})},
           .volumes = {{"/data", volume}}});
      if (outcome.app_ran()) continue;
      EXPECT_THAT(outcome.said, HasSubstr("stepdown: --own"));
    }
    done = true;
    swapping.join();
    mounting.join();
    victim.expect_unchanged();
  });
}

TEST(HostileAccountFiles, GiveNobodyElsesIds) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Victim victim(top);
    const std::string volume = bundle.volume("volume");
    const std::string passwd = bundle.root() + "/etc/passwd";
    const Start start{.hooks = {create_runtime({"--own", "/data", "--user", "app"})},
                      .volumes = {{"/data", volume}},
                      .user = ownership_world::root};
    for (const char* text :
         {"app:x:0:0::/:/bin/sh\n", "app:x:4294967295:5::/:\n", "app:x:4294967296:5::/:\n",
          "app:x:-1:5::/:\n", "app:x:abc:5::/:\n", "app:x:1000:0::/:\n", "app:x\n", ""}) {
      write_text(passwd, text);
      expect_refused(bundle.run(start), "stepdown: ");
    }
    // Of the host, where the name means somebody.
    write_text(victim.path() + "/etc/passwd", "app:x:1000:1001::/:\n");
    std::filesystem::remove(passwd);
    ownership_world::symbolic_link(victim.path() + "/etc/passwd", passwd);
    expect_refused(bundle.run(start), "stepdown: ");
    std::filesystem::remove(passwd);
    ownership_world::node(passwd, S_IFIFO);
    expect_refused(bundle.run(start), "/etc/passwd");
    std::filesystem::remove(passwd);
    directory(passwd);
    expect_refused(bundle.run(start), "/etc/passwd");
    std::filesystem::remove(passwd);
    write_text(passwd, std::string(std::size_t{11} << 20U, '#'));
    expect_refused(bundle.run(start), "/etc/passwd");
    EXPECT_EQ(owner_of(volume), keeper);
    victim.expect_unchanged();
  });
}

// ---- documents ----

Outcome hook_with(const Bundle& bundle, const std::string& top, const std::string& stage,
                  const std::string& state) {
  write_text(top + "/state.json", state);
  return run_program(top + "/said",
                     {"sh", "-c", "exec \"$0\" hook \"$1\" --own /data < " + top + "/state.json",
                      bundle.launcher(), stage});
}

std::string nested(std::size_t depth) {
  std::string text(depth, '[');
  return text.append(depth, ']');
}

TEST(HostileDocuments, OfAStateAreRefused) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string rest =
        R"(,"id":"x","status":"creating","bundle":")" + bundle.directory_of_bundle() + "\"}";
    const std::string whole = R"({"ociVersion":"1","pid":1)" + rest;
    for (const std::string& state :
         {std::string(), std::string("{"), std::string("null"), std::string("[]"),
          whole.substr(0, whole.size() - 1), R"({"pid":-1)" + rest, R"({"pid":1.5)" + rest,
          R"({"pid":"1")" + rest, R"({"pid":99999999999999999999)" + rest,
          R"({"pid":1,"pid":2)" + rest, std::string(R"({"pid":1,"id":"x","status":"creating"})"),
          std::string(R"({"pid":1,"id":"x","status":"creating","bundle":"relative"})"),
          std::string(R"({"pid":1,"id":"x","status":"creating","bundle":"/a\u0000b"})"),
          R"({"annotations":)" + nested(100000) + "}", whole + whole,
          R"({"annotations":{"a":")" + std::string(std::size_t{100} << 20U, 'x') + "\"}" + rest,
          std::string(std::size_t{1} << 16U, '\xff')})
      for (const char* stage : {"create-runtime", "create-container"}) {
        const Outcome outcome = hook_with(bundle, top, stage, state);
        EXPECT_EQ(outcome.status, 125) << state.substr(0, 100);
        EXPECT_THAT(outcome.said, HasSubstr("stepdown: ")) << state.substr(0, 100);
      }
  });
}

TEST(HostileDocuments, OfAConfigAreRefused) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string path = bundle.directory_of_bundle() + "/config.json";
    const std::string state =
        R"({"ociVersion":"1","pid":1,"id":"x","status":"creating","bundle":")" +
        bundle.directory_of_bundle() + "\"}";
    const auto expect_125 = [&](const std::string& what) {
      const Outcome outcome = hook_with(bundle, top, "create-runtime", state);
      EXPECT_EQ(outcome.status, 125) << what;
      EXPECT_THAT(outcome.said, HasSubstr("config.json")) << what;
    };
    expect_125("missing");
    bundle.write_config({.hooks = {}});
    Json config = Json::parse(text_of(path));
    const auto with_change = [&](const std::function<void(Json&)>& change) {
      Json changed = config;
      change(changed);
      write_text(path, changed.dump());
      expect_125(changed.dump().substr(0, 300));
    };
    with_change([](Json& json) { json.erase("process"); });
    with_change([](Json& json) { json["process"]["user"]["uid"] = -1; });
    with_change([](Json& json) { json["process"]["user"]["uid"] = 4294967295U; });
    with_change([](Json& json) { json["process"]["user"]["uid"] = "0"; });
    with_change([](Json& json) { json["process"]["user"]["uid"] = 1.5; });
    with_change([](Json& json) { json["mounts"] = "none"; });
    with_change([](Json& json) { json["mounts"][0]["destination"] = 7; });
    with_change([](Json& json) { json["mounts"][0]["destination"] = std::string("/a\0b", 4); });
    with_change([](Json& json) { json["root"] = Json::array(); });
    for (const std::string& text :
         {std::string(), std::string("{"), nested(100000),
          R"({"annotations":{"x":")" + std::string(std::size_t{100} << 20U, 'x') + "\"}}"}) {
      write_text(path, text);
      expect_125(text.substr(0, 20));
    }
    std::filesystem::remove(path);
    ownership_world::node(path, S_IFIFO);
    expect_125("a FIFO");
  });
}

// ---- the image's environment ----

// runc 1.1 gives a createContainer hook without an "env" the environment of the image.
TEST(HostileEnvironment, LoadsNothingIntoAHook) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string marker = top + "/marker";
    std::filesystem::copy_file(STEPDOWN_MARKER_LIBRARY_PATH, top + "/evil.so");
    const std::string volume = bundle.volume("volume");
    const auto hostile = [&](Json& config) {
      config["process"]["env"].push_back("LD_PRELOAD=" + top + "/evil.so");
      config["process"]["env"].push_back("LD_AUDIT=" + top + "/evil.so");
      config["process"]["env"].push_back("MARKER=" + marker);
      for (Json& hook : config["hooks"]["createContainer"]) hook.erase("env");
    };
    Start start{.hooks = {create_container({"--own", "/data"})},
                .volumes = {{"/data", volume}},
                .change = hostile};
    const Outcome outcome = bundle.run(start);
    // One that is linked dynamically, for tests, may not even start with a library before its own.
    if (!is_dynamic(bundle.launcher())) {
      EXPECT_TRUE(outcome.app_ran()) << testing::PrintToString(outcome);
      EXPECT_EQ(owner_of(volume), app);
    }
    EXPECT_EQ(ownership_world::exists(marker), is_dynamic(bundle.launcher()));
    std::filesystem::remove(marker);
    // The library does what it should in a program that is linked dynamically.
    start.hooks = {shell("createContainer", "true")};
    bundle.run(start);
    EXPECT_TRUE(ownership_world::exists(marker));
  });
}

}  // namespace
}  // namespace bundle_world
