// stepdown seccomp: the built-in policies, and ready files out of JSON.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch_world.h"
#include "seccomp_world.h"

namespace stepdown::world {
namespace {

using testing::HasSubstr;

class SeccompCommand : public testing::Test {
 protected:
  void SetUp() override {
    world_.directory("/srv/ready", 0, 0, 0755);
    write(denying);
  }
  void write(const std::string& text) const { world_.file(policy, text, 0, 0, 0644); }
  // The names in /srv/ready.
  [[nodiscard]] static Words made() {
    Words names;
    for (const auto& each : std::filesystem::directory_iterator("/srv/ready"))
      names.push_back(each.path().filename());
    return names;
  }
  [[nodiscard]] Outcome compile(const std::string& file, const Words& more = {}) const {
    Words words = {"seccomp", "compile", file, "-o", out};
    words.insert(words.end(), more.begin(), more.end());
    return world_.run(words);
  }
  [[nodiscard]] Report app_below(const std::string& name, const Words& options = {}) const {
    Words words = {"--seccomp", name};
    words.insert(words.end(), options.begin(), options.end());
    return world_.run(probing(words, {call(SYS_keyctl), call(SYS_chroot)})).app();
  }
  static constexpr const char* out = "/srv/ready/policy.bpf";
  World world_;
};

TEST_F(SeccompCommand, ListsTheBuiltInPolicies) {
  const Outcome outcome = world_.run({"seccomp", "list"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT("\n" + outcome.out, HasSubstr("\ndefault\n"));
}

TEST_F(SeccompCommand, ShowsATextThatIsAPolicyItself) {
  const Outcome shown = world_.run({"seccomp", "show", "default"});
  EXPECT_EQ(shown.status, 0);
  EXPECT_EQ(nlohmann::json::parse(shown.out).at("defaultAction"), "SCMP_ACT_ERRNO");
  write(shown.out);
  EXPECT_EQ(app_below(policy).result(call(SYS_chroot)), "EPERM");
}

TEST_F(SeccompCommand, ShowsNothingThatIsNotThere) {
  const Outcome outcome = world_.run({"seccomp", "show", "none"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.says("default")) << outcome.err;
}

TEST_F(SeccompCommand, CompilesWhatSeccompLoads) {
  const Outcome outcome = compile(policy);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
  EXPECT_EQ(made(), Words{"policy.bpf"});
  EXPECT_EQ(owner_of(out), (Owned{0, 0, 0644}));
  EXPECT_EQ(app_below(out).result(call(SYS_keyctl)), "EACCES");
}

TEST_F(SeccompCommand, WritesModeAndBytesWhateverTheUmask) {
  Start start;
  start.words = {"seccomp", "compile", policy, "-o", out};
  start.umask = 077;
  EXPECT_EQ(world_.run(start).status, 0);
  EXPECT_EQ(owner_of(out), (Owned{0, 0, 0644}));
}

TEST_F(SeccompCommand, CompilesForTheCapabilitiesNamed) {
  EXPECT_EQ(compile(policy, {"--keep-cap", "SYS_CHROOT", "--keep-cap=cap_kill"}).status, 0);
  EXPECT_EQ(app_below(out, {"--keep-cap", "SYS_CHROOT"}).result(call(SYS_chroot)), "EFAULT");
}

TEST_F(SeccompCommand, CompilesABuiltInOne) {
  EXPECT_EQ(compile("default").status, 0);
  EXPECT_EQ(app_below(out).result(call(SYS_keyctl)), "EPERM");
}

TEST_F(SeccompCommand, NamesTheCallsThatItSkipped) {
  write(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
            {"names": ["no_such_call"], "action": "SCMP_ACT_ALLOW"}]})");
  const Outcome outcome = compile(policy);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.says("/srv/policy.json: no_such_call is not known to libseccomp"))
      << outcome.err;
  EXPECT_EQ(app_below(out).result(call(SYS_keyctl)), "EACCES");
}

TEST_F(SeccompCommand, ReplacesAnOlderFile) {
  world_.file(out, "old", 0, 0, 0600);
  EXPECT_EQ(compile(policy).status, 0);
  EXPECT_EQ(app_below(out).result(call(SYS_keyctl)), "EACCES");
  EXPECT_EQ(made(), Words{"policy.bpf"});
}

TEST_F(SeccompCommand, LeavesTheFileAsItWasWhenItFails) {
  world_.file(out, "old", 0, 0, 0600);
  const std::string before = change_stamp(out);
  const auto fails = [&](const Outcome& outcome, const std::string& naming) {
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says(naming)) << outcome.err;
    EXPECT_EQ(change_stamp(out), before);
    EXPECT_EQ(made(), Words{"policy.bpf"});
  };
  fails(compile("/srv/none.json"), "/srv/none.json");
  fails(compile("none-such"), "default");
  fails(compile(policy, {"--keep-cap", "SYS_NONE"}), "--keep-cap SYS_NONE");
  write("{");
  fails(compile(policy), "/srv/policy.json");
  write(R"({"defaultAction": "SCMP_ACT_ALOW"})");
  fails(compile(policy), "defaultAction");
  // A disk that is full.
  write(denying);
  Start start;
  start.words = {"seccomp", "compile", policy, "-o", out};
  start.ignored_signals = {SIGXFSZ};
  start.prepare = [] {
    const rlimit none{16, 16};
    checked(setrlimit(RLIMIT_FSIZE, &none), "setrlimit");
  };
  fails(world_.run(start), "write(2)");
}

TEST_F(SeccompCommand, WritesOverNothingButAFile) {
  world_.directory("/srv/ready/directory", 0, 0, 0755);
  world_.fifo("/srv/ready/fifo");
  world_.symlink("elsewhere", "/srv/ready/link");
  for (const std::string name : {"directory", "fifo", "link", "missing/policy.bpf"}) {
    const std::string path = "/srv/ready/" + name;
    const Outcome outcome = world_.run({"seccomp", "compile", policy, "-o", path});
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says(path)) << outcome.err;
  }
  EXPECT_THAT(made(), testing::UnorderedElementsAre("directory", "fifo", "link"));
}

TEST_F(SeccompCommand, WritesNotOverThePolicyThatItReads) {
  checked(::link(policy, out), "link");
  const std::string before = change_stamp(policy);
  for (const std::string path : {policy, "/srv/ready/../policy.json", out}) {
    const Outcome outcome = world_.run({"seccomp", "compile", policy, "-o", path});
    EXPECT_EQ(outcome.status, 125) << path;
    EXPECT_TRUE(outcome.says("this is the policy itself")) << outcome.err;
    EXPECT_EQ(change_stamp(policy), before);
  }
}

TEST_F(SeccompCommand, WritesNowhereButToAPath) {
  Start start;
  start.words = {"seccomp", "compile", policy, "-o", ""};
  start.cwd = "/srv/ready";
  const Outcome empty = world_.run(start);
  EXPECT_EQ(empty.status, 125);
  EXPECT_TRUE(empty.says("-o \"\": it is empty (a variable that is not set?)")) << empty.err;
  start.words.back() = "-";
  const Outcome dash = world_.run(start);
  EXPECT_EQ(dash.status, 125);
  EXPECT_TRUE(dash.says("-o -: a path is needed")) << dash.err;
  EXPECT_EQ(made(), Words{});
}

TEST_F(SeccompCommand, CompilesNothingThatIsCompiled) {
  EXPECT_EQ(compile(policy).status, 0);
  const Outcome outcome = world_.run({"seccomp", "compile", out, "-o", "/srv/ready/again"});
  EXPECT_EQ(outcome.status, 125);
  EXPECT_EQ(made(), Words{"policy.bpf"});
}

TEST_F(SeccompCommand, HelpsWithEachOfTheThree) {
  for (const Words& words :
       {Words{"seccomp", "--help"}, Words{"seccomp", "list", "--help"},
        Words{"seccomp", "show", "--help"}, Words{"seccomp", "compile", "--help"}}) {
    const Outcome outcome = world_.run(words);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.out, HasSubstr(words.size() == 2 ? "compile" : words[1])) << outcome.out;
  }
}

TEST_F(SeccompCommand, NeedsOneOfItsThree) {
  for (const Words& words :
       {Words{"seccomp"}, Words{"seccomp", "bogus"}, Words{"seccomp", "show"},
        Words{"seccomp", "compile", policy}, Words{"seccomp", "compile", "-o", out}}) {
    const Outcome outcome = world_.run(words);
    EXPECT_EQ(outcome.status, 125);
    EXPECT_TRUE(outcome.says("stepdown seccomp --help")) << outcome.err;
  }
}

TEST_F(SeccompCommand, IsNoUserButAfterRun) {
  world_.passwd += "seccomp:x:1500:1500::/:/bin/sh\n";
  EXPECT_EQ(world_.run({"run", "seccomp", "probe"}).app().uids, Ids(4, 1500));
}

}  // namespace
}  // namespace stepdown::world
