// `stepdown hook precreate`: config.json in, config.json out.
#include "door_world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;

class Precreate : public DoorWorld {
 protected:
  Precreate() { config_["root"]["path"] = std::string(bundle) + "/rootfs"; }
  Outcome hook(const Words& options, const std::string& text) {
    world_.file("/srv/stdio-0", text, 0, 0, 0600);
    Start start = as_host({"hook", "precreate"});
    start.words.insert(start.words.end(), options.begin(), options.end());
    start.in = Stdio::file;
    start.environment = {};
    return world_.run(start);
  }
  Outcome hook(const Words& options) { return hook(options, config_.dump()); }
};

TEST_F(Precreate, GivesAConfigThatRunsAsTheUser) {
  const Outcome outcome = hook({"--user", "app", "--require", "non-root,no-new-privs"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  config_ = Json::parse(outcome.out);
  write_config();
  expect_app(runc({"run", "--bundle", bundle, id_}).app());
}

TEST_F(Precreate, LeavesWhatItDoesNotTouch) {
  config_["linux"]["resources"] = Json::parse(R"({"pids": {"limit": 12345678901}, "odd": 0.25})");
  config_["annotations"] = {{"io.kubernetes.cri-o.TTY", "true"}, {"b", "\u00e9\u0001"}, {"a", ""}};
  Json out = Json::parse(hook({"--user", "app"}).out);
  out["process"] = nullptr;
  config_["process"] = nullptr;
  EXPECT_EQ(out.dump(), config_.dump());
}

TEST_F(Precreate, PrintsNothingWhereItRefuses) {
  for (const Words& options :
       {Words{}, Words{"--user", "nobody-knows"}, Words{"--bogus"}, Words{"--user", "app", "word"},
        Words{"--user", "app", "--read-only"}}) {
    const Outcome outcome = hook(options);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST_F(Precreate, RefusesAContainerThatBreaksARule) {
  const Outcome outcome = hook({"--user", "app", "--require", "user-namespace"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
}

// The place of the launcher would be in a volume, where others can replace it.
TEST_F(Precreate, MountsTheLauncherWhereNoLinkLeads) {
  const std::string place = std::string(bundle) + "/rootfs/.stepdown";
  const Words options{"--user", "app", "--inject"};
  world_.symlink("/srv/out/stepdown", place);
  const Outcome link = hook(options);
  EXPECT_EQ(link.status, 125);
  EXPECT_TRUE(link.says("a link or directory at /.stepdown")) << link.err;
  EXPECT_EQ(hook({"--user", "app"}).status, 0);
  ASSERT_EQ(unlink(place.c_str()), 0);
  world_.directory(place, 0, 0, 0755);
  EXPECT_EQ(hook(options).status, 125);
  ASSERT_EQ(rmdir(place.c_str()), 0);
  EXPECT_EQ(hook(options).status, 0);
  // What a runtime has left.
  world_.file(place, "", 0, 0, 0755);
  EXPECT_EQ(hook(options).status, 0);
}

TEST_F(Precreate, MountsTheLauncherInARootThatIsTheImages) {
  const std::string data = std::string(bundle) + "/rootfs/data";
  world_.symlink("../.", data);
  config_["mounts"].push_back({{"destination", "/data"}, {"type", "bind"}, {"source", "/srv/out"}});
  const Outcome outcome = hook({"--user", "app", "--inject"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_TRUE(outcome.says("/data is the root")) << outcome.err;
}

TEST_F(Precreate, RefusesAUserWhomTheUserNamespaceLeavesOut) {
  config_["linux"]["namespaces"].push_back({{"type", "user"}});
  const Json most = {{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}};
  const Json few = {{{"containerID", 0}, {"hostID", 100000}, {"size", 1500}}};
  const Json other = {{{"containerID", 0}, {"hostID", 1}, {"size", 1500}},
                      {{"containerID", 1500}, {"hostID", 0}, {"size", 1}}};
  const auto refusal = [this](const Json& uids, const Json& gids, const Words& options) {
    config_["linux"]["uidMappings"] = uids;
    config_["linux"]["gidMappings"] = gids;
    const Outcome outcome = hook(options);
    EXPECT_EQ(outcome.status, outcome.err.empty() ? 0 : 125);
    return outcome.err;
  };
  const Words user{"--user", "app"};
  EXPECT_EQ(refusal(most, most, user), "");
  EXPECT_THAT(refusal(few, most, user),
              testing::AllOf(HasSubstr("uid 1500"), HasSubstr("--userns=auto:size=65536")));
  EXPECT_THAT(refusal(most, few, user), HasSubstr("gid 1501"));
  EXPECT_THAT(refusal(other, most, user), HasSubstr("uid 1500 is 0 outside"));
  EXPECT_EQ(refusal(other, most, {"--user", "app", "--allow-root"}), "");
}

TEST_F(Precreate, NeedsTheWholePathOfTheRootFilesystem) {
  config_["root"]["path"] = "rootfs";
  EXPECT_EQ(hook({"--user", "app"}).status, 125);
}

TEST_F(Precreate, NeedsAConfig) {
  for (const char* text : {"", "null", "{\"process\"", "{}"})
    EXPECT_EQ(hook({"--user", "app"}, text).status, 125) << text;
}

TEST_F(Precreate, TellsTheLogFileWhatPodmanWouldLose) {
  const Outcome outcome = hook({"--log-file", "/srv/hook.log", "--log-format", "json"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_THAT(Json::parse(read_file("/srv/hook.log"))["msg"], HasSubstr("--user"));
  EXPECT_EQ(outcome.err, read_file("/srv/hook.log"));
}

TEST_F(Precreate, IsNoSuccessWhereItsOutputGoesNowhere) {
  world_.file("/srv/stdio-0", config_.dump(), 0, 0, 0600);
  Start start = as_host({"hook", "precreate", "--user", "app"});
  start.in = Stdio::file;
  start.out = Stdio::closed;
  EXPECT_EQ(world_.run(start).status, 125);
}

}  // namespace
}  // namespace stepdown::world
