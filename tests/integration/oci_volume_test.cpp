// Volumes that a createRuntime hook hands over, in containers of the real runc and crun.
#include "bundle_world.h"

namespace bundle_world {
namespace {

using testing::HasSubstr;
using testing::Not;

class OciVolume : public testing::TestWithParam<Engine> {
 protected:
  // The volume is at /data, and a hook has these words.
  static Outcome run(Bundle& bundle, const std::string& volume, const Words& hook_words,
                     const Words& app_words, bool user_namespace = false) {
    return bundle.run({.hooks = {create_runtime(hook_words)},
                       .volumes = {{"/data", volume}},
                       .app_words = app_words,
                       .engine = GetParam(),
                       .user_namespace = user_namespace});
  }
};
INSTANTIATE_TEST_SUITE_P(With, OciVolume, testing::Values(Engine::runc, Engine::crun),
                         [](const auto& engine) {
                           return std::string(engine.param == Engine::runc ? "Runc" : "Crun");
                         });

TEST_P(OciVolume, IsHandedToTheContainersUserByOwn) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    const Outcome outcome =
        run(bundle, volume, {"--own", "/data"}, {"+create-in=/data", "+append=/data/file"});
    EXPECT_EQ(outcome.status, 0) << outcome.said;
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+append=/data/file=ok"));
    EXPECT_EQ(owner_of(volume), app);
    EXPECT_EQ(owner_of(volume + "/below/file"), app);
  });
}

TEST_P(OciVolume, IsHandedOverThroughTheIdMapsOfTheContainer) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    const Outcome outcome =
        run(bundle, volume, {"--own", "/data"}, {"+create-in=/data", "+owner=/data"}, true);
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data=1000:1001"));
    EXPECT_EQ(owner_of(volume), mapped_app);
    EXPECT_EQ(owner_of(volume + "/below/file"), mapped_app);
  });
}

TEST_P(OciVolume, IsWritableThroughAnIdmapAndUnchangedOnTheDisk) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    const Outcome outcome = run(bundle, volume, {"--idmap", "/data", "--idmap-only"},
                                {"+create-in=/data", "+append=/data/file", "+owner=/data/below"});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+append=/data/file=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data/below=1000:1001"));
    EXPECT_EQ(owner_of(volume), keeper);
    EXPECT_EQ(owner_of(volume + "/file"), keeper);
    EXPECT_EQ(owner_of(volume + "/made-by-app"), keeper);
  });
}

TEST_P(OciVolume, IsIdmappedForAContainerWithAUserNamespace) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    const Outcome outcome = run(bundle, volume, {"--idmap", "/data", "--idmap-only"},
                                {"+create-in=/data", "+owner=/data"}, true);
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data=1000:1001"));
    EXPECT_EQ(owner_of(volume + "/made-by-app"), keeper);
  });
}

// crun makes a mount read-only only after the hooks, and only the one that it made itself.
TEST_P(OciVolume, KeepsTheFlagsOfTheMountThroughAnIdmap) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Outcome outcome =
        bundle.run({.hooks = {create_runtime({"--idmap", "/data", "--idmap-only"}),
                              shell("createContainer",
                                    "grep ' /[^ ]*/rootfs/data ' /proc/self/mountinfo | "
                                    "tail -n1 > " +
                                        top + "/mounts")},
                    .volumes = {{"/data",
                                 bundle.volume("volume"),
                                 {"rbind", "rslave", "ro", "nosuid", "nodev", "noexec"}}},
                    .app_words = {"+create-in=/data", "+owner=/data"},
                    .engine = GetParam()});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=EROFS"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data=1000:1001"));
    EXPECT_THAT(text_of(top + "/mounts"), HasSubstr(" ro,nosuid,nodev,noexec,relatime,idmapped "));
  });
}

// crun would make the one below read-only where the idmapped mount hides it.
TEST_P(OciVolume, IsNotIdmappedOverTheFlagsOfAnotherOneBelow) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume"), within = bundle.volume("within", app);
    directory(volume + "/other", keeper);
    directory(bundle.root() + "/data");
    ownership_world::symbolic_link("/data", bundle.root() + "/link");
    Start start{.hooks = {create_runtime({"--idmap", "/data", "--log-file", top + "/log"})},
                .volumes = {},
                .app_words = {"+create-in=/data", "+create-in=/data/other"},
                .engine = GetParam()};
    for (const char* place : {"/data/other", "/data//./other", "/link/other"})
      for (const char* flag : {"ro", "nosuid", "nodev", "noexec"}) {
        start.volumes = {{"/data", volume}, {place, within, {"rbind", flag}}};
        std::filesystem::remove(top + "/log");
        EXPECT_FALSE(bundle.run(start).app_ran()) << place << " " << flag;
        EXPECT_THAT(text_of(top + "/log"), HasSubstr("use --own /data"));  // crun loses stderr
      }
    // One beside it is none below.
    start.volumes = {{"/data", volume}, {"/data-other", within, {"rbind", "ro"}}};
    start.app_words = {"+create-in=/data", "+create-in=/data-other"};
    const Outcome beside = bundle.run(start);
    EXPECT_THAT(beside.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(beside.said, HasSubstr("+create-in=/data-other=EROFS"));
    std::filesystem::remove(volume + "/made-by-app");
    // What is advised instead.
    start.hooks = {create_runtime({"--own", "/data"})};
    start.volumes = {{"/data", volume}, {"/data/other", within, {"rbind", "ro"}}};
    start.app_words = {"+create-in=/data", "+create-in=/data/other"};
    const Outcome owned = bundle.run(start);
    EXPECT_THAT(owned.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(owned.said, HasSubstr("+create-in=/data/other=EROFS"));
  });
}

TEST_P(OciVolume, MayHaveASourceRelativeToTheBundle) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("bundle/volume");
    const Outcome outcome = run(bundle, "volume", {"--own", "/data"}, {"+create-in=/data"});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_EQ(owner_of(volume), app);
  });
}

TEST_P(OciVolume, TakesItsUserFromTheAccountFilesOfTheImage) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    const Outcome outcome =
        bundle.run({.hooks = {create_runtime({"--own", "/data", "--user", "web"})},
                    .volumes = {{"/data", volume}},
                    .engine = GetParam(),
                    .user = ownership_world::root});
    EXPECT_EQ(outcome.status, 0) << outcome.said;
    EXPECT_EQ(owner_of(volume + "/below/file"), (Owner{Uid{1033}, Gid{1034}}));
  });
}

TEST(OciVolumes, OfRootAreNotIdmappedUnlessThatIsAccepted) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    for (const Owner owner : {Owner{Uid{0}, Gid{0}}, Owner{Uid{5000}, Gid{0}}}) {
      const std::string volume = bundle.volume("of-" + std::to_string(raw(owner.uid)), owner);
      Start start{.hooks = {create_runtime({"--idmap", "/data"})},
                  .volumes = {{"/data", volume}},
                  .app_words = {"+create-in=/data"}};
      expect_refused(bundle.run(start), "--idmap-root");
      start.hooks = {create_runtime({"--idmap", "/data", "--idmap-root"})};
      EXPECT_THAT(bundle.run(start).said, HasSubstr("+create-in=/data=ok"));
      EXPECT_EQ(owner_of(volume + "/made-by-app"), owner);
    }
  });
}

TEST(OciVolumes, AreWalkedWhereTheFilesystemKnowsNoIdmaps) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    // overlayfs has none of its own (mount_setattr(2)).
    const std::string lower = bundle.volume("lower");
    const std::string merged = directory(top + "/merged");
    const std::string options = "lowerdir=" + lower +
                                ",upperdir=" + directory(top + "/upper", keeper) +
                                ",workdir=" + directory(top + "/work");
    must(::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) == 0, "mount overlay");
    Start start{.hooks = {create_runtime({"--idmap", "/data", "--idmap-only"})},
                .volumes = {{"/data", merged}},
                .app_words = {"+create-in=/data"}};
    expect_refused(bundle.run(start), "leave out --idmap-only");
    EXPECT_EQ(owner_of(merged), keeper);
    start.hooks = {create_runtime({"--idmap", "/data", "--log-file", top + "/log"})};
    EXPECT_THAT(bundle.run(start).said, HasSubstr("+create-in=/data=ok"));
    EXPECT_EQ(owner_of(merged + "/below/file"), app);
    EXPECT_THAT(text_of(top + "/log"), HasSubstr("one by one"));
  });
}

TEST(OciVolumes, KeepWhatIsMountedWithinThem) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = bundle.volume("volume");
    const std::string within = bundle.volume("within");
    must(::mount("tmpfs", (volume + "/below").c_str(), "tmpfs", 0, "mode=0777") == 0, "mount");
    directory(volume + "/other", keeper);
    const Outcome outcome = bundle.run(
        {.hooks = {create_runtime({"--idmap", "/data", "--idmap", "/data/other", "--idmap-only"})},
         .volumes = {{"/data", volume}, {"/data/other", within}},
         .app_words = {"+create-in=/data/below", "+create-in=/data/other",
                       "+owner=/data/other/file", "+create-in=/data"}});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data/below=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data/other=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data/other/file=1000:1001"));
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_EQ(owner_of(volume + "/below/made-by-app"), app);
    EXPECT_EQ(owner_of(within + "/made-by-app"), keeper);
    EXPECT_FALSE(ownership_world::exists(top + "/volume/other/made-by-app"));
  });
}

TEST(OciVolumes, AreIdmappedInTheContainerAlone) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const std::string volume = directory(top + "/volume", keeper);
    ownership_world::mount_tmpfs(volume, "uid=5000,gid=5001,mode=0755");
    must(::mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr) == 0, "make shared");
    const auto mounts_of_the_host = [] { return text_of("/proc/self/mountinfo"); };
    const std::string before = mounts_of_the_host();
    const Outcome outcome = bundle.run(
        {.hooks = {create_runtime({"--idmap", "/data", "--idmap-only"}),
                   shell("createRuntime", "cat /proc/self/mountinfo > " + top +
                                              "/mounts"
                                              " && mkdir " +
                                              volume +
                                              "/later && "
                                              "mount -t tmpfs none " +
                                              volume +
                                              "/later && "
                                              "chmod 777 " +
                                              volume + "/later")},
         .volumes = {{"/data", volume, {"rbind", "rshared"}}},
         .app_words = {"+owner=/data", "+create-in=/data/later"},
         .change = [](Json& config) { config["linux"]["rootfsPropagation"] = "shared"; }});
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data=1000:1001"));
    EXPECT_THAT(text_of(top + "/mounts"), Not(HasSubstr("idmapped")));
    EXPECT_EQ(text_of(top + "/mounts"), before);
    // What is mounted on the host later still arrives.
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data/later=ok"));
    EXPECT_TRUE(ownership_world::exists(volume + "/later/made-by-app"));
  });
}

TEST(OciVolumes, OfTheTargetAlreadyStayAsTheyAre) {
  in_a_bundle([](Bundle& bundle, const std::string& top) {
    const Outcome outcome =
        bundle.run({.hooks = {create_runtime({"--idmap", "/data", "--idmap-only"}),
                              shell("createContainer", "cat /proc/self/mountinfo > " + top + "/m")},
                    .volumes = {{"/data", bundle.volume("volume", app)}},
                    .app_words = {"+create-in=/data"}});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(text_of(top + "/m"), Not(HasSubstr("idmapped")));
  });
}

TEST(OciVolumes, AreAllJudgedBeforeAnyIsChanged) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string first = bundle.volume("first"), second = bundle.volume("second");
    const std::vector<Volume> volumes = {{"/first", first}, {"/second", second, {"rbind", "ro"}}};
    for (const Words& words :
         {Words{"--own", "/first", "--own", "/second"},
          Words{"--own", "/first", "--own", "/missing"}, Words{"--own", "/first", "--own", "/etc"},
          Words{"--own", "/first", "--idmap", "/first"},
          Words{"--own", "/first", "--user", "nobody-knows"}})
      EXPECT_FALSE(bundle.run({.hooks = {create_runtime(words)}, .volumes = volumes}).app_ran());
    EXPECT_EQ(owner_of(first), keeper);
    EXPECT_EQ(owner_of(first + "/file"), keeper);
  });
}

TEST(OciVolumes, BelongToNobodyWhoIsRootOutside) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume");
    Start start{.hooks = {create_runtime({"--own", "/data"})},
                .volumes = {{"/data", volume}},
                .user = ownership_world::root};
    expect_refused(bundle.run(start), "--user");
    EXPECT_EQ(owner_of(volume), keeper);
    start.user_namespace = true;
    EXPECT_TRUE(bundle.run(start).app_ran());
    EXPECT_EQ(owner_of(volume), (Owner{Uid{first_outside}, Gid{first_outside}}));
  });
}

// podman --userns=keep-id: what the engine calls 0 is the user, by his own number inside.
TEST(OciVolumes, BelongToTheUserWhoseEngineItIs) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume", {Uid{first_outside}, Gid{first_outside}});
    const auto keep_id = [](Json& config) {
      for (const auto& [kind, id] :
           {std::pair{"uidMappings", raw(app.uid)}, std::pair{"gidMappings", raw(app.gid)}})
        config["linux"][kind] = {{{"containerID", 0}, {"hostID", 1}, {"size", id}},
                                 {{"containerID", id}, {"hostID", 0}, {"size", 1}}};
    };
    const Outcome outcome = bundle.run({.hooks = {create_runtime({"--own", "/data"})},
                                        .volumes = {{"/data", volume}},
                                        .app_words = {"+create-in=/data", "+owner=/data/file"},
                                        .user_namespace = true,
                                        .by_rootless = true,
                                        .change = keep_id});
    EXPECT_THAT(outcome.said, HasSubstr("+create-in=/data=ok"));
    EXPECT_THAT(outcome.said, HasSubstr("+owner=/data/file=1000:1001"));
    EXPECT_EQ(owner_of(volume + "/below/file"), rootless);
  });
}

// The user's own, which the engine calls root's, can't be idmapped, and may be walked.
TEST(OciVolumes, OfTheUserWhoseEngineItIsAreNotTheHostsRoots) {
  in_a_bundle([](Bundle& bundle, const std::string& /*top*/) {
    const std::string volume = bundle.volume("volume", rootless);
    Start start{.hooks = {create_runtime({"--idmap", "/data", "--idmap-only"})},
                .volumes = {{"/data", volume}},
                .app_words = {"+create-in=/data"},
                .by_rootless = true};
    expect_refused(bundle.run(start), "leave out --idmap-only");
    start.hooks = {create_runtime({"--idmap", "/data"})};
    EXPECT_THAT(bundle.run(start).said, HasSubstr("+create-in=/data=ok"));
    EXPECT_EQ(owner_of(volume), (Owner{Uid{100999}, Gid{101000}}));
  });
}

}  // namespace
}  // namespace bundle_world
