// --pretend-root: the app asks who it is and hears root, the kernel knows better. The rules of the
// answers are identity_server_test.cpp's; here it is the launcher's, with real programs.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <nlohmann/json.hpp>

#include "launch_world.h"

namespace stepdown::world {
namespace {

using Json = nlohmann::json;

constexpr const char* nothing = "0000000000000000";

class PretendRoot : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] static Start probe(const Words& asked = {}) { return probing({GetParam()}, asked); }
};
INSTANTIATE_TEST_SUITE_P(Modes, PretendRoot,
                         testing::Values("--pretend-root", "--pretend-root=static"),
                         [](const auto& mode) {
                           return std::string(mode.param == "--pretend-root" ? "Served" : "Static");
                         });

Outcome script(const World& world, const std::string& option, const std::string& text) {
  return world.run({option, "--user", "app", "--", "/bin/sh", "-c", text});
}

// The filter of Docker, as far as it matters here.
const std::vector<FilteredCall> dockers = {
    {SYS_unshare, EPERM},     {SYS_clone3, ENOSYS},
    {SYS_setns, EPERM},       {SYS_mount, EPERM},
    {SYS_ptrace, EPERM},      {SYS_process_vm_readv, EPERM},
    {SYS_pidfd_getfd, EPERM}, {SYS_process_vm_writev, EPERM},
    {SYS_kcmp, EPERM},        {SYS_userfaultfd, EPERM},
    {SYS_keyctl, EPERM},      {SYS_open_by_handle_at, EPERM},
};

// ---- what the app hears, and what is true ----

TEST_P(PretendRoot, IsRootToProgramsThatAsk) {
  const Outcome outcome =
      script(World(), GetParam(), "id -u; id -g; id -ru; id -un; echo $0 $$ > /dev/null");
  EXPECT_EQ(outcome.out, "0\n0\n0\nroot\n") << outcome.err;
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST_P(PretendRoot, IsTheTargetToTheKernel) {
  const World world;
  const auto look = [](pid_t pid) {
    std::set<pid_t> all = {pid};
    add_descendants(pid, all);
    for (const pid_t each : all) {
      EXPECT_EQ(status_of(each, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Gid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(each, "Groups"), "1000 2000");
      for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(status_of(each, set), nothing) << set;
      EXPECT_EQ(status_of(each, "NoNewPrivs"), "1");
      EXPECT_EQ(status_of(each, "Seccomp"), "2");
      EXPECT_EQ(namespace_of(each, "user"), namespace_of(getpid(), "user"));
    }
    EXPECT_EQ(all.size(), GetParam() == "--pretend-root" ? 2U : 1U);
  };
  const Outcome outcome = watched(world, probe(), look);
  EXPECT_EQ(outcome.app().groups, (Ids{1000, 2000})) << "getgroups(2) is the truth";
  expect_all_five(outcome.app(), 0);
  EXPECT_TRUE(outcome.app().no_new_privs);
  EXPECT_EQ(outcome.app().securebits, noroot_and_no_ambient_raise_locked);
  EXPECT_EQ(outcome.app().result("tiocsti"), "EPERM");
  EXPECT_EQ(outcome.app().result("at_secure"), "0");
}

TEST_P(PretendRoot, OpensNothingOfRoots) {
  const World world;
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  world.file("/srv/readable", "public\n", 0, 0, 0644);
  const Report app = world
                         .run(probe({"+read=/srv/roots", "+append=/srv/readable",
                                     "+create-in=/srv/bin", "+games=/srv/roots", "+tcp=80"}))
                         .app();
  EXPECT_EQ(app.result("+read=/srv/roots"), "EACCES");
  EXPECT_EQ(app.result("+append=/srv/readable"), "EACCES");
  EXPECT_EQ(app.result("+create-in=/srv/bin"), "EACCES");
  EXPECT_EQ(app.result("+tcp=80"), "EACCES");
  // chown(2) claims success, and that is all: the next test.
  EXPECT_EQ(app.result("+games=/srv/roots"), "chown chown-away");
  EXPECT_EQ(owner_of("/srv/roots"), (Owned{0, 0, 0600}));
  EXPECT_EQ(read_file("/srv/roots"), "secret\n");
}

TEST_P(PretendRoot, OwnersAreChangedInWordsOnly) {
  const World world;
  world.file("/srv/out/apps", "", 1000, 1000, 0644);
  world.file("/srv/roots", "", 0, 0, 0644);
  const std::string before = change_stamp("/srv/out/apps");
  const Outcome outcome =
      script(world, GetParam(),
             "chown root:root /srv/out/apps && chown -R app /srv/out /srv/roots && "
             "chgrp -h 33 /srv/out/apps && stat -c %u:%g /srv/out/apps");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "1000:1000\n");
  EXPECT_EQ(change_stamp("/srv/out/apps"), before);
  EXPECT_EQ(owner_of("/srv/roots"), (Owned{0, 0, 0644}));
}

TEST_P(PretendRoot, ModesAndNodesAreTheKernels) {
  const World world;
  world.file("/srv/roots", "", 0, 0, 0600);
  EXPECT_NE(script(world, GetParam(), "chmod 666 /srv/roots").status, 0);
  EXPECT_NE(script(world, GetParam(), "mknod /srv/out/null c 1 3").status, 0);
  EXPECT_NE(script(world, GetParam(), "cat /srv/roots").status, 0);
  EXPECT_EQ(owner_of("/srv/roots"), (Owned{0, 0, 0600}));
  EXPECT_FALSE(exists("/srv/out/null"));
}

TEST_P(PretendRoot, IsRootInEveryThread) {
  EXPECT_EQ(World().run(probe({"+threads=64"})).app().result("+threads=64"), "64");
}

#if defined(__x86_64__)
TEST_P(PretendRoot, IsRootByTheCallsOfI386) {
  const Report app = World().run(probe({"+i386=getuid", "+i386=setuid"})).app();
  EXPECT_EQ(app.result("+i386=getuid"), "0");
  EXPECT_EQ(app.result("+i386=setuid"), "0");
}

TEST_P(PretendRoot, KnowsNoX32) {
  const Report app = World().run(probe({"+x32=getuid", "+x32=setuid"})).app();
  EXPECT_EQ(app.result("+x32=getuid"), "ENOSYS");
  EXPECT_EQ(app.result("+x32=setuid"), "ENOSYS");
}
#endif

TEST_P(PretendRoot, HasWhatWasHandedOver) {
  const World world;
  world.directory("/srv/data", 0, 0, 0755);
  Start start = probe({"+create-in=/srv/data", "+append=/dev/stdout"});
  start.words.insert(start.words.begin(), {"--own", "/srv/data"});
  const Report app = world.run(start).app();
  EXPECT_EQ(app.result("+create-in=/srv/data"), "ok");
  EXPECT_EQ(app.result("+append=/dev/stdout"), "ok");
  EXPECT_EQ(owner_of("/srv/data"), (Owned{1000, 1000, 0755}));
}

TEST_P(PretendRoot, WorksAsDockerStartsIt) {
  const World world;
  for (const bool root : {true, false}) {
    Start start = probe({"+threads=4"});
    start.caller = root ? root_with_docker_default() : restricted_user(1000, 1000, {1000, 2000});
    start.caller.filter = dockers;
    const Outcome outcome = watched(world, start, [](pid_t pid) {
      EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(pid, "CapEff"), nothing);
    });
    EXPECT_EQ(outcome.app().result("+threads=4"), "4");
    EXPECT_EQ(outcome.app().result("seteuid_0"), "ok");
  }
}

TEST_P(PretendRoot, WorksAsPid1) {
  Start start = probe({"+threads=4", "+exit=7"});
  start.pid_namespace = true;
  start.caller = user(1000, 1000, {1000, 2000});
  start.caller.bounding = 0;
  start.caller.filter = dockers;
  start.caller.no_new_privs = true;
  const Outcome outcome = World().run(start);
  EXPECT_EQ(outcome.app().result("+threads=4"), "4");
  EXPECT_EQ(outcome.status, 7);
  EXPECT_EQ(outcome.pid, 1);
}

TEST_P(PretendRoot, CapabilitiesThatAreKeptAreReal) {
  const World world;
  Start start = probe({"+tcp=80", "+threads=4"});
  start.unprivileged_port_start = 1024;
  start.words.insert(start.words.begin(), {"--port", "80", "--keep-cap", "KILL"});
  const Outcome outcome = watched(
      world, start, [](pid_t pid) { EXPECT_EQ(status_of(pid, "Uid"), "1000 1000 1000 1000"); });
  expect_all_five(outcome.app(), caps({CAP_NET_BIND_SERVICE, CAP_KILL}));
  EXPECT_EQ(outcome.app().result("+tcp=80"), "ok");
  EXPECT_EQ(outcome.app().result("+threads=4"), "4");
}

TEST_P(PretendRoot, HandsNoDescriptorOver) {
  Start start = probe();
  start.open_fds = {3, 9};
  EXPECT_EQ(World().run(start).app().fd_numbers(), (std::vector<int>{0, 1, 2}));
}

TEST_P(PretendRoot, SaysWhyACommandCannotBeExecuted) {
  const World world;
  world.file("/srv/text", "no program\n", 0, 0, 0755);
  for (const auto& [status, command] : {std::pair{126, "/srv/text"}, std::pair{127, "nosuch"}}) {
    const Outcome outcome = world.run({GetParam(), "--user", "app", "--", command});
    EXPECT_EQ(outcome.status, status);
    EXPECT_TRUE(outcome.says(command)) << outcome.err;
  }
}

TEST_P(PretendRoot, DoesNotGoWithWhatItContradicts) {
  const World world;
  expect_said(refused(world, probing({GetParam(), "--allow-new-privs"})),
              {"--pretend-root", "--allow-new-privs"});
  expect_said(refused(world, probing({GetParam(), "--userns=keep"})),
              {"--pretend-root", "--userns"});
  expect_said(
      refused(world, probing({GetParam(), "--uid-map", "0:1000:1", "--gid-map", "0:1000:1"})),
      {"--pretend-root"});
}

TEST_P(PretendRoot, IsToldInThePlanAndDoesNothing) {
  const World world;
  Start start = probe();
  start.words.insert(start.words.begin(), {"plan", "--own", "/srv/new"});
  const Outcome text = world.run(start);
  EXPECT_EQ(text.status, 0) << text.out;
  EXPECT_FALSE(exists("/srv/new"));
  EXPECT_NE(text.out.find("supervised"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find("static") != std::string::npos, GetParam() == "--pretend-root=static")
      << text.out;
  start.words.insert(start.words.begin() + 1, "--json");
  const Json plan = Json::parse(world.run(start).out);
  EXPECT_TRUE(plan.at("user_namespace").is_null());
  EXPECT_EQ(plan.at("ok"), true);
  EXPECT_EQ(plan.at("identity").at("uid"), 1000);
}

TEST_P(PretendRoot, IsBlockedWithoutSeccomp) {
  const World world;
  Start start = probe();
  start.caller.filter = {{SYS_seccomp, ENOSYS}};
  expect_said(refused(world, start), {"seccomp"});
}

// ---- served ----

TEST(PretendRootServed, HoldsForEveryCall) {
  const Report app = World().run(probing({"--pretend-root"})).app();
  EXPECT_EQ((Ids{app.uids.begin(), app.uids.begin() + 3}), Ids(3, 0));
  EXPECT_EQ((Ids{app.gids.begin(), app.gids.begin() + 3}), Ids(3, 0));
  for (const char* call : {"setuid_0", "seteuid_0", "setresuid_0", "setgid_0", "setgroups_0"})
    EXPECT_EQ(app.result(call), "ok") << call;
}

TEST(PretendRootServed, MovesWithTheSetCalls) {
  const Report app =
      World().run(probing({"--pretend-root"}, {"+become=33", "+owner=/srv/out/by-33"})).app();
  EXPECT_EQ(app.result("+become=33"), "0 EPERM");
  EXPECT_EQ(app.result("+owner=/srv/out/by-33"), "1000:1000");
}

class Reexecution : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(Reexecution, RunsThrough) {
  const World world;
  world.program("/srv/bin/entrypoint",
                "#!/bin/sh\nset -e\n"
                "if [ \"$(id -u)\" = 0 ]; then\n"
                "  echo root \"$@\"\n"
                "  mkdir -p /srv/out/data\n"
                "  chown -R app:app /srv/out/data\n"
                "  exec " +
                    GetParam().second +
                    " \"$0\" \"$@\"\n"
                    "fi\n"
                    "echo \"$(id -u):$(id -g)\" \"$@\"\nexec \"$@\"\n");
  Start start;
  start.words = {"--user",
                 "app",
                 "--pretend-root",
                 "--",
                 "/srv/bin/entrypoint",
                 "probe",
                 "+report=/srv/out/report"};
  start.caller = root_with_docker_default();
  start.caller.filter = dockers;
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "root probe +report=/srv/out/report\n1000:1000 probe +report=/srv/out/report\n");
  EXPECT_EQ((Ids{outcome.app().uids.begin(), outcome.app().uids.begin() + 3}), Ids(3, 1000));
  EXPECT_EQ((Ids{outcome.app().gids.begin(), outcome.app().gids.begin() + 3}), Ids(3, 1000));
  for (const char* call : {"setuid_0", "seteuid_0", "setresuid_0", "setgid_0"})
    EXPECT_EQ(outcome.app().result(call), "EPERM") << call;
  expect_all_five(outcome.app(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    By, Reexecution,
    testing::Values(
        std::pair{"Gosu", "/usr/sbin/gosu app"},
        std::pair{"GosuWithGroup", "/usr/sbin/gosu app:app"},
        std::pair{"Setpriv", "setpriv --reuid app --regid app --init-groups"},
        std::pair{"SetprivClearing", "setpriv --reuid=1000 --regid=1000 --clear-groups"},
        std::pair{"Runuser", "runuser -u app --"},
        std::pair{"Python",
                  "python3 -c 'import os,sys; os.setgroups([1000]); os.setresgid(1000,1000,1000); "
                  "os.setresuid(1000,1000,1000); os.execvp(sys.argv[1], sys.argv[1:])'"},
        std::pair{"Perl", "perl -e '$) = \"1000 1000\"; $( = 1000; $< = $> = 1000; exec @ARGV'"}),
    [](const auto& way) { return std::string(way.param.first); });

TEST(PretendRootServed, HoldsForThousandsOfProcesses) {
  const Outcome outcome =
      script(World(), "--pretend-root",
             "i=0; while [ $i -lt 1000 ]; do [ \"$(id -u)\" = 0 ] || echo no; i=$((i+1)); done");
  EXPECT_EQ(outcome.out, "") << outcome.err;
  EXPECT_EQ(outcome.status, 0);
}

TEST(PretendRootServed, HoldsForManyAtOnce) {
  const Outcome outcome = script(World(), "--pretend-root",
                                 "i=0; while [ $i -lt 200 ]; do id -u & i=$((i+1)); done; wait");
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += "0\n";
  EXPECT_EQ(outcome.out, expected) << outcome.err;
}

TEST(PretendRootServed, HoldsForADaemon) {
  // The middle process has gone before the daemon asks.
  const Outcome outcome = script(World(), "--pretend-root",
                                 "mkfifo /srv/out/go /srv/out/end\n"
                                 "( setsid sh -c 'read x < /srv/out/go; id -u > /srv/out/daemon; "
                                 "echo > /srv/out/end' & )\n"
                                 "echo > /srv/out/go; read x < /srv/out/end; cat /srv/out/daemon");
  EXPECT_EQ(outcome.out, "0\n") << outcome.err;
}

TEST(PretendRootServed, OneProcessMovesAloneInAPipeline) {
  const Outcome outcome = script(World(), "--pretend-root",
                                 "/usr/sbin/gosu 33:33 id -u; id -u; setpriv --reuid 44 "
                                 "--clear-groups sh -c 'id -u; id -ru'; id -u");
  EXPECT_EQ(outcome.out, "33\n0\n44\n44\n0\n") << outcome.err;
}

TEST(PretendRootServed, ImpliesInit) {
  const Outcome outcome = World().run(probing({"--pretend-root"}, {"+exit=42"}));
  EXPECT_EQ(outcome.status, 42);
  EXPECT_NE(outcome.app().pid, outcome.pid);
  EXPECT_EQ(outcome.app().result("ppid"), std::to_string(outcome.pid));
}

// ---- static ----

TEST(PretendRootServed, IsBlockedWhereProcCountsOtherwise) {
  // Answers go to /proc/PID/mem; by the numbers of another PID namespace, to a stranger's.
  const World world;
  Start start = probing({"--pretend-root"});
  start.pid_namespace = true;
  start.prepare = [] { checked(umount2("/proc", MNT_DETACH), "umount of /proc"); };
  const std::string text = refused(world, start);
  expect_said(text, {"supervised", "/proc", "another PID namespace"});
}

TEST(PretendRootStatic, NeedsNoSupervisor) {
  const Outcome outcome = World().run(probing({"--pretend-root=static"}));
  EXPECT_EQ(outcome.app().pid, outcome.pid);
}

TEST(PretendRootStatic, TellsTheTruthWhereItCanNotWrite) {
  const Report app = World().run(probing({"--pretend-root=static"})).app();
  EXPECT_EQ((Ids{app.uids.begin(), app.uids.begin() + 3}), Ids(3, 1000));
  EXPECT_EQ((Ids{app.gids.begin(), app.gids.begin() + 3}), Ids(3, 1000));
}

TEST(PretendRootStatic, IsRootForEver) {
  const Outcome outcome =
      script(World(), "--pretend-root=static", "id -u; setpriv --reuid 33 --clear-groups id -u");
  EXPECT_EQ(outcome.out, "0\n0\n") << outcome.err;
}

// ---- words ----

TEST(PretendRootWords, ThatAreUnknownAreRefused) {
  const World world;
  for (const char* word : {"--pretend-root=", "--pretend-root=yes", "--pretend-root=Static"})
    refused(world, probing({word}));
}

TEST(PretendRootWords, DoNotEatTheNextOne) {
  const Outcome outcome = World().run({"--pretend-root", "app", "id", "-u"});
  EXPECT_EQ(outcome.out, "0\n") << outcome.err;
}

// ---- stepdown below itself ----

// The kernel allows one listener in a process's filters.
// ---- the number that carries it, where nobody pretends ----

constexpr rlim_t forged_identity = rlim_t{0x5d50} << 48;

TEST(ForgedIdentity, CostsARealRootNoGroupAndNoStep) {
  // Resource limits go through setuid programs: whoever may call sudo sets root's.
  const World world;
  for (const Words& options : std::initializer_list<Words>{{}, {"--init"}, {"--userns"}}) {
    Start start = probing(options);
    start.caller.groups = {0, 4, 6, 42};
    const Outcome without = world.run(start);
    start.prepare = [] {
      const rlimit limit{forged_identity, RLIM_INFINITY};
      checked(setrlimit(RLIMIT_LOCKS, &limit), "setrlimit");
    };
    const Outcome with = world.run(start);
    SCOPED_TRACE(testing::PrintToString(options) + with.err);
    EXPECT_EQ(with.app().groups, without.app().groups);
    EXPECT_EQ(with.app().uids, without.app().uids);
    EXPECT_EQ(with.app().securebits, without.app().securebits);
    EXPECT_EQ(with.app().no_new_privs, without.app().no_new_privs);
    EXPECT_EQ(with.app().bounding, without.app().bounding);
    if (options.empty()) {
      EXPECT_EQ(with.app().groups, (Ids{1000, 2000}));
    }
  }
}

TEST(NestedInPretendRoot, ASecondOneIsRefusedWithItsReason) {
  const World world;
  for (const Words& outer :
       std::initializer_list<Words>{{"--pretend-root"}, {"--userns=keep", "--port", "80"}}) {
    Start start;
    start.unprivileged_port_start = 1024;
    start.words = outer;
    start.words.insert(start.words.end(), {"--user", "app", "--", "stepdown", "--pretend-root",
                                           "--user", "app", "--", "probe"});
    const Outcome outcome = world.run(start);
    EXPECT_EQ(outcome.status, 125) << outcome.err;
    EXPECT_FALSE(outcome.app_ran());
    EXPECT_TRUE(outcome.says("another supervisor")) << outcome.err;
  }
}

TEST(NestedInPretendRoot, StepdownNeverRunsAnythingWithMore) {
  const World world;
  world.file("/srv/roots", "secret\n", 0, 0, 0600);
  for (const std::string option : {"--pretend-root", "--pretend-root=static"})
    for (const Words& inner :
         std::initializer_list<Words>{{"--user", "app"},
                                      {"--user", "other"},
                                      {"--user", "33:33"},
                                      {"--allow-root", "--user", "root"},
                                      {"--user", "app", "--keep-cap", "SYS_ADMIN"},
                                      {"--user", "app", "--own", "/srv/roots"},
                                      {"--user", "app", "--allow-new-privs"},
                                      {"--user", "app", "--exact-user"}}) {
      Words words = {option, "--user", "app", "--", "stepdown"};
      words.insert(words.end(), inner.begin(), inner.end());
      words.insert(words.end(), {"--", "probe", "+report=/srv/out/report", "+read=/srv/roots"});
      Start start;
      start.words = words;
      const Outcome outcome = world.run(start);
      SCOPED_TRACE(testing::PrintToString(words) + outcome.err);
      EXPECT_TRUE(outcome.app_ran() || outcome.status == 125);
      EXPECT_EQ(owner_of("/srv/roots"), (Owned{0, 0, 0600}));
      if (!outcome.app_ran()) continue;
      EXPECT_EQ(outcome.app().groups, (Ids{1000, 2000}));
      EXPECT_TRUE(outcome.app().no_new_privs);
      EXPECT_EQ(outcome.app().result("+read=/srv/roots"), "EACCES");
      expect_all_five(outcome.app(), 0);
    }
}

TEST(NestedInPretendRoot, StepdownIsAsGoodAsGosu) {
  // What the entrypoint above does, with stepdown in gosu's place.
  const World world;
  world.copy("/srv/bin/stepdown", "/srv/bin/gosu");
  for (const Words& inner :
       std::initializer_list<Words>{{"stepdown", "app"}, {"/srv/bin/gosu", "app"}}) {
    Words words = {"--pretend-root", "--user", "app", "--"};
    words.insert(words.end(), inner.begin(), inner.end());
    words.insert(words.end(), {"probe", "+report=/srv/out/report"});
    const Outcome outcome = world.run(words);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    ASSERT_TRUE(outcome.app_ran()) << inner.front();
    EXPECT_EQ((Ids{outcome.app().uids.begin(), outcome.app().uids.begin() + 3}), Ids(3, 1000));
    EXPECT_EQ(outcome.app().result("setuid_0"), "EPERM");
  }
}

}  // namespace
}  // namespace stepdown::world
