// --read-only, --only-ports, --landlock: what they stop, on this kernel, what they let through, and
// what they can't stop. The app owns what it tries to write to, so that nothing else refuses it.
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>

#include "landlock/ruleset.h"
#include "probe_writes.h"
#include "world.h"

namespace stepdown::world {
namespace {

using Words = std::vector<std::string>;

const Words read_only = {"--read-only", "--writable", "/srv/data", "--user", "app"};
const Words writing = {"--writable", "/srv/data", "--user", "app"};

// /srv/data, the writable one, and /srv/other, both the app's and with the same in them.
void furnish(const World& world) {
  for (const char* top : {"/srv/data", "/srv/other"}) {
    const std::string place = top;
    world.directory(place, 1000, 1000, 0755);
    world.directory(place + "/empty", 1000, 1000, 0755);
    world.directory(place + "/sub", 1000, 1000, 0755);
    for (const char* name : {"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/sub/file"})
      world.file(place + name, "content", 1000, 1000, 0644);
  }
}

// Every route, in `place`, by which something there changes. What comes later needs nothing that
// came before.
Words deeds_in(const std::string& place) {
  Words deeds;
  for (const char* deed : {"create:@/new",          "write:@/a",
                           "read-write:@/a",        "append:@/a",
                           "overwrite:@/a",         "overwrite:@/fresh",
                           "read-and-truncate:@/a", "unnamed:@",
                           "truncate:@/b",          "mkdir:@/new-directory",
                           "rmdir:@/empty",         "unlink:@/c",
                           "fifo:@/fifo",           "socket:@/node",
                           "device:@/device",       "file:@/node-file",
                           "bind:@/bound",          "symlink:@/symlink",
                           "link:@/d:@/hard-link",  "link:@/d:@/sub/hard-link",
                           "rename:@/e:@/renamed",  "rename:@/f:@/sub/renamed",
                           "exchange:@/g:@/h",      "create:@/sub/new",
                           "write:@/sub/file",      "rename:@/sub:@/moved-directory"}) {
    std::string words = deed;
    for (std::size_t at = 0; (at = words.find('@', at)) != std::string::npos;)
      words.replace(at, 1, place);
    deeds.push_back("+do=" + words);
  }
  return deeds;
}

Words launch(const Words& options, const Words& deeds) {
  Words words = options;
  words.insert(words.end(), {"--", "probe"});
  words.insert(words.end(), deeds.begin(), deeds.end());
  return words;
}

void expect_all(const Report& app, const Words& deeds, const std::string& result) {
  for (const std::string& deed : deeds) EXPECT_EQ(app.result(deed), result) << deed;
}

void expect_refused(const Outcome& outcome, const std::string& naming) {
  EXPECT_FALSE(outcome.app_ran()) << outcome.out;
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_TRUE(outcome.says(naming)) << "not named: " << naming << "\nin: " << outcome.err;
}

nlohmann::json landlock_step(const Outcome& plan) {
  const nlohmann::json document = nlohmann::json::parse(plan.out);
  for (const auto& step : document.at("steps"))
    if (step.at("name") == "landlock") return step;
  return nullptr;
}

// As `docker run` under an engine whose filter does not know the calls.
Caller without_landlock(int error) {
  Caller caller = root_with_docker_default();
  caller.filter = {{SYS_landlock_create_ruleset, error},
                   {SYS_landlock_add_rule, error},
                   {SYS_landlock_restrict_self, error}};
  return caller;
}

// ---- what is limited ----

TEST(ReadOnly, NothingElseRefusesTheDeedsThatItIsTriedWith) {
  const World world;
  furnish(world);
  const Words deeds = deeds_in("/srv/other");
  expect_all(world.run(launch(writing, deeds)).app(), deeds, "ok");
}

TEST(ReadOnly, RefusesToWriteOutsideTheWritablePathsByEveryRoute) {
  const World world;
  furnish(world);
  const Words deeds = deeds_in("/srv/other");
  const Report app = world.run(launch(read_only, deeds)).app();
  for (const std::string& deed : deeds) EXPECT_EQ(app.result(deed), "EACCES") << deed;
  EXPECT_EQ(read_file("/srv/other/a") + read_file("/srv/other/b"), "contentcontent");
}

TEST(ReadOnly, LetsEveryRouteThroughBeneathAWritablePath) {
  const World world;
  furnish(world);
  const Words deeds = deeds_in("/srv/data");
  expect_all(world.run(launch(read_only, deeds)).app(), deeds, "ok");
}

TEST(ReadOnly, CountsAnOwnedPathAmongTheWritable) {
  const World world;
  const Words deeds = {"+do=create:/srv/made/new", "+do=mkdir:/srv/made/directory"};
  const Words options = {"--read-only", "--own", "/srv/made", "--user", "app"};
  expect_all(world.run(launch(options, deeds)).app(), deeds, "ok");
}

TEST(ReadOnly, RenamesAndLinksFromOneWritablePathToAnother) {
  const World world;
  furnish(world);
  world.directory("/srv/second", 1000, 1000, 0755);
  Words options = read_only;
  options.insert(options.end(), {"--writable", "/srv/second"});
  const Words deeds = {"+do=rename:/srv/data/a:/srv/second/a", "+do=link:/srv/data/b:/srv/second/b",
                       "+do=rename:/srv/data/sub:/srv/second/sub"};
  expect_all(world.run(launch(options, deeds)).app(), deeds, "ok");
}

TEST(ReadOnly, RefusesRenamesAndLinksAcrossItsBorder) {
  const World world;
  furnish(world);
  const Words deeds = {
      "+do=rename:/srv/data/a:/srv/other/new",    "+do=rename:/srv/other/a:/srv/data/new",
      "+do=rename:/srv/data/b:/srv/other/b",      "+do=exchange:/srv/data/c:/srv/other/c",
      "+do=link:/srv/data/d:/srv/other/linked",   "+do=link:/srv/other/d:/srv/data/linked",
      "+do=rename:/srv/other/sub:/srv/data/moved"};
  const Report app = world.run(launch(read_only, deeds)).app();
  for (const std::string& deed : deeds)
    EXPECT_TRUE(app.result(deed) == "EACCES" || app.result(deed) == "EXDEV")
        << deed << ": " << app.result(deed);
  EXPECT_FALSE(exists("/srv/data/new") || exists("/srv/data/linked") || exists("/srv/other/new"));
}

TEST(ReadOnly, IsNotPassedBySymbolicLinksOnTheWay) {
  const World world;
  furnish(world);
  world.symlink("/srv/other", "/srv/data/out");
  world.symlink("/srv/other/a", "/srv/data/file");
  world.symlink("/srv/data", "/srv/other/in");
  const Words out = {"+do=create:/srv/data/out/new", "+do=write:/srv/data/file",
                     "+do=truncate:/srv/data/out/b", "+do=create:/srv/data/../other/new"};
  const Words in = {"+do=create:/srv/other/in/new", "+do=write:/srv/other/in/a"};
  Words deeds = out;
  deeds.insert(deeds.end(), in.begin(), in.end());
  const Report app = world.run(launch(read_only, deeds)).app();
  expect_all(app, out, "EACCES");
  expect_all(app, in, "ok");
}

TEST(ReadOnly, JudgesABindMountByWhatItShowsAndByWhereItIs) {
  const World world;
  furnish(world);
  const auto bind_mount = [&world](const char* from, const char* to) {
    world.directory(to, 1000, 1000, 0755);
    ASSERT_EQ(mount(from, to, nullptr, MS_BIND, nullptr), 0) << to;
  };
  bind_mount("/srv/other", "/srv/window");
  bind_mount("/srv/data", "/srv/annex");
  bind_mount("/srv/data/sub", "/srv/cut");
  bind_mount("/srv/other", "/srv/data/empty");
  const Words refused = {"+do=create:/srv/window/new", "+do=write:/srv/window/a",
                         "+do=write:/srv/cut/file"};
  const Words let_through = {"+do=create:/srv/annex/new", "+do=create:/srv/data/empty/new"};
  Words deeds = refused;
  deeds.insert(deeds.end(), let_through.begin(), let_through.end());
  const Report app = world.run(launch(read_only, deeds)).app();
  expect_all(app, refused, "EACCES");
  expect_all(app, let_through, "ok");
}

TEST(ReadOnly, AllowsASingleFile) {
  const World world;
  furnish(world);
  const Words options = {"--read-only", "--writable", "/srv/other/a", "--user", "app"};
  const Words file = {"+do=write:/srv/other/a", "+do=truncate:/srv/other/a"};
  const Words rest = {"+do=unlink:/srv/other/a", "+do=write:/srv/other/b",
                      "+do=rename:/srv/other/b:/srv/other/a", "+do=create:/srv/other/new"};
  Words deeds = file;
  deeds.insert(deeds.end(), rest.begin(), rest.end());
  const Report app = world.run(launch(options, deeds)).app();
  expect_all(app, file, "ok");
  expect_all(app, rest, "EACCES");
}

TEST(ReadOnly, LeavesReadingAndExecutingAlone) {
  const World world;
  furnish(world);
  const Words deeds = {"+do=read:/srv/other/a", "+do=list:/srv/other", "+do=list:/",
                       "+do=list:/proc", "+do=read:/proc/self/status"};
  expect_all(world.run(launch(read_only, deeds)).app(), deeds, "ok");
  Words shell = read_only;
  shell.insert(shell.end(), {"--", "/bin/sh", "-c", "cat /srv/other/a && echo ed"});
  EXPECT_EQ(world.run(shell).out, "contented\n");
}

TEST(ReadOnly, BindsTheChildrenAsWell) {
  const World world;
  furnish(world);
  Words shell = read_only;
  shell.insert(shell.end(), {"--", "/bin/sh", "-c",
                             "sh -c 'echo x > /srv/other/new'; sh -c 'echo x > /srv/data/new'"});
  world.run(shell);
  EXPECT_FALSE(exists("/srv/other/new"));
  EXPECT_TRUE(exists("/srv/data/new"));
}

TEST(ReadOnly, AppliesToACallerWhoIsTheUserAlready) {
  const World world;
  furnish(world);
  const Words deeds = {"+do=create:/srv/other/new", "+do=create:/srv/data/new"};
  const Report app = world.run(restricted_user(1000, 1000, {1000}), launch(read_only, deeds)).app();
  EXPECT_EQ(app.result(deeds[0]), "EACCES");
  EXPECT_EQ(app.result(deeds[1]), "ok");
}

// ---- devices and standard streams ----

TEST(ReadOnly, LeavesTheUsualDevices) {
  const World world;
  furnish(world);
  const Words deeds = {"+do=write:/dev/null",
                       "+do=read-write:/dev/null",
                       "+do=append:/dev/null",
                       "+do=overwrite:/dev/null",
                       "+do=write:/dev/zero",
                       "+do=read-write:/dev/random",
                       "+do=write:/dev/urandom",
                       "+do=create:/dev/shm/stepdown-test",
                       "+do=truncate:/dev/shm/stepdown-test",
                       "+do=unlink:/dev/shm/stepdown-test"};
  expect_all(world.run(launch(read_only, deeds)).app(), deeds, "ok");
  EXPECT_EQ(
      world.run(launch(read_only, {"+do=write:/dev/full"})).app().result("+do=write:/dev/full"),
      "ENOSPC");
}

TEST(ReadOnly, LeavesTheTerminalAndNewOnes) {
  const World world;
  furnish(world);
  Start start;
  start.terminal = Terminal::led;
  const Words deeds = {"+do=read-write:/dev/tty", "+do=write:/dev/stdout", "+do=write:/dev/stderr",
                       "+do=terminal-pair"};
  start.words = launch(read_only, deeds);
  expect_all(world.run(start).app(), deeds, "ok");
}

TEST(ReadOnly, LeavesStandardStreamsThatAreOpenedAgain) {
  const World world;
  furnish(world);
  const Words streams = {"+do=write:/dev/stdout", "+do=append:/dev/stderr",
                         "+do=write:/proc/self/fd/1"};
  expect_all(world.run(launch(read_only, streams)).app(), streams, "ok");
  // A log file that its user may open, whatever it is called.
  world.file("/srv/stdio-2", "", 1000, 1000, 0600);
  Start start;
  start.err = Stdio::file;
  const Words file = {"+do=append:/dev/stderr", "+do=append:/srv/stdio-2"};
  start.words = launch(read_only, file);
  expect_all(world.run(start).app(), file, "ok");
}

TEST(ReadOnly, GivesAFileThatIsNoDeviceNothing) {
  const World world;
  furnish(world);
  world.directory("/srv/dev", 0, 0, 0755);
  world.file("/srv/dev/null", "", 1000, 1000, 0644);
  world.directory("/srv/root", 0, 0, 0755);
  world.bare_root("/srv/root");
  world.file("/srv/root/dev/null", "", 1000, 1000, 0644);
  world.file("/srv/root/etc/passwd", "app:x:1000:1000::/:/bin/sh\n", 0, 0, 0644);
  Start start;
  start.root = "/srv/root";
  start.binary = "/stepdown";
  start.words = {"--read-only", "--user", "1000:1000", "--", "/probe", "+do=write:/dev/null"};
  EXPECT_EQ(world.run(start).app().result("+do=write:/dev/null"), "EACCES");
}

// ---- the paths that are allowed ----

TEST(ReadOnly, RefusesAWritablePathThatIsNotThere) {
  const World world;
  expect_refused(world.run(launch({"--read-only", "--writable", "/srv/none", "--user", "app"}, {})),
                 "/srv/none");
}

TEST(ReadOnly, RefusesAPathThroughALinkThatTheAppCouldHavePlanted) {
  const World world;
  furnish(world);
  world.symlink("/srv/other", "/srv/data/logs");
  const Words planted = {"--read-only", "--writable", "/srv/data/logs", "--user", "app"};
  expect_refused(world.run(launch(planted, {})), "could have planted");
  Words plan = launch(planted, {});
  plan.insert(plan.begin(), "plan");
  EXPECT_EQ(world.run(plan).status, 1);
  // Without --read-only nothing is given.
  EXPECT_TRUE(world.run(launch({"--writable", "/srv/data/logs", "--user", "app"}, {})).app_ran());
}

TEST(ReadOnly, FollowsALinkOfRoots) {
  const World world;
  furnish(world);
  world.symlink("data", "/srv/link");
  const Words options = {"--read-only", "--writable", "/srv/link/sub/..", "--user", "app"};
  const Words deeds = {"+do=create:/srv/data/new", "+do=create:/srv/other/new"};
  const Report app = world.run(launch(options, deeds)).app();
  EXPECT_EQ(app.result(deeds[0]), "ok");
  EXPECT_EQ(app.result(deeds[1]), "EACCES");
}

// ---- with the other options ----

TEST(ReadOnly, LeavesTheSupervisorToForwardAndReap) {
  const World world;
  furnish(world);
  Words options = read_only;
  options.insert(options.begin(), "--init");
  const Words deeds = {"+do=create:/srv/other/new", "+do=create:/srv/data/new",
                       "+do=signal:parent"};
  const Outcome outcome = world.run(launch(options, deeds));
  const Report& app = outcome.app();
  EXPECT_EQ(app.result(deeds[0]), "EACCES");
  EXPECT_EQ(app.result(deeds[1]), "ok");
  EXPECT_EQ(app.result(deeds[2]), "EPERM");
  options.insert(options.end(), {"--", "/bin/sh", "-c", "kill -TERM $$"});
  EXPECT_EQ(world.run(options).status, 128 + SIGTERM);
}

TEST(ReadOnly, LeavesTheSupervisorToAnswerAPretendedRoot) {
  const World world;
  furnish(world);
  Words words = {"--pretend-root"};
  words.insert(words.end(), read_only.begin(), read_only.end());
  words.insert(words.end(),
               {"--", "/bin/sh", "-c",
                "id -u; python3 -c 'import os; os.setresuid(33, 33, 33); print(os.getresuid())'; "
                "echo x > /srv/other/new; echo x > /srv/data/new"});
  const Outcome outcome = world.run(words);
  EXPECT_EQ(outcome.out, "0\n(33, 33, 33)\n") << outcome.err;
  EXPECT_FALSE(exists("/srv/other/new"));
  EXPECT_TRUE(exists("/srv/data/new"));
}

TEST(ReadOnly, HoldsInAUserNamespace) {
  const World world;
  furnish(world);
  Start start;
  start.caller = root_with(~Caps{0} >> 23);
  start.unprivileged_port_start = 1024;
  Words options = {"--userns", "--only-ports", "--port", "80"};
  options.insert(options.end(), read_only.begin(), read_only.end());
  const Words deeds = {"+do=create:/srv/other/new", "+do=create:/srv/data/new", "+tcp=80",
                       "+tcp=81", "+tcp=8080"};
  start.words = launch(options, deeds);
  const Report app = world.run(start).app();
  EXPECT_EQ(app.result(deeds[0]), "EACCES");
  EXPECT_EQ(app.result(deeds[1]), "ok");
  EXPECT_EQ(app.result(deeds[2]), "ok");
  EXPECT_EQ(app.result(deeds[3]), "EACCES");
  EXPECT_EQ(app.result(deeds[4]), "EACCES");
}

TEST(ReadOnly, ContradictsAllowNewPrivs) {
  const World world;
  expect_refused(world.run(launch({"--read-only", "--allow-new-privs", "--user", "app"}, {})),
                 "no_new_privs");
  expect_refused(world.run(launch({"--only-ports", "--allow-new-privs", "--user", "app"}, {})),
                 "no_new_privs");
}

TEST(ReadOnly, KeepsAbstractSocketsAndSignalsInside) {
  const World world;
  furnish(world);
  const std::string name = "stepdown-test-" + std::to_string(getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 2);
  const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(server, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  ASSERT_EQ(listen(server, 8), 0);
  const pid_t sleeper = fork();
  if (sleeper == 0) {
    if (setresuid(1000, 1000, 1000) != 0) _exit(1);
    pause();
    _exit(0);
  }
  while (owner_of("/proc/" + std::to_string(sleeper)).uid != 1000) usleep(1000);
  const Words deeds = {"+do=connect-abstract:" + name, "+do=signal:" + std::to_string(sleeper)};
  expect_all(world.run(launch(writing, deeds)).app(), deeds, "ok");
  expect_all(world.run(launch(read_only, deeds)).app(), deeds, "EPERM");
  kill(sleeper, SIGKILL);
  waitpid(sleeper, nullptr, 0);
  close(server);
}

// ---- ports ----

Outcome run_with_own_network(const World& world, const Words& words) {
  Start start;
  start.unprivileged_port_start = 0;
  start.words = words;
  return world.run(start);
}

TEST(OnlyPorts, BindsTheNamedPortsAndNoOther) {
  const World world;
  const Report app =
      run_with_own_network(world, launch({"--only-ports", "--port", "80", "--port", "8080/tcp",
                                          "--port", "53/udp", "--user", "app"},
                                         {"+tcp=80", "+tcp=8080", "+tcp=81", "+tcp=0", "+tcp=53"}))
          .app();
  EXPECT_EQ(app.result("+tcp=80"), "ok");
  EXPECT_EQ(app.result("+tcp=8080"), "ok");
  EXPECT_EQ(app.result("+tcp=81"), "EACCES");
  EXPECT_EQ(app.result("+tcp=0"), "EACCES");
  EXPECT_EQ(app.result("+tcp=53"), "EACCES");
}

TEST(OnlyPorts, BindsNoneWhereNoneIsNamed) {
  const World world;
  const Words options = {"--only-ports", "--user", "app"};
  EXPECT_EQ(run_with_own_network(world, launch(options, {"+tcp=8080"})).app().result("+tcp=8080"),
            "EACCES");
  EXPECT_EQ(run_with_own_network(world, launch({"--user", "app"}, {"+tcp=8080"}))
                .app()
                .result("+tcp=8080"),
            "ok");
}

TEST(OnlyPorts, LeavesWritingAlone) {
  const World world;
  furnish(world);
  const Words deeds = deeds_in("/srv/other");
  expect_all(world.run(launch({"--only-ports", "--user", "app"}, deeds)).app(), deeds, "ok");
}

// ---- what Landlock can't stop; the man page says so ----

TEST(LandlockCannotStop, ChangesOfAttributes) {
  const World world;
  furnish(world);
  const Words deeds = {"+do=chmod:/srv/other/a", "+do=chown:/srv/other/a",
                       "+do=utimes:/srv/other/a", "+do=setxattr:/srv/other/a"};
  expect_all(world.run(launch(read_only, deeds)).app(), deeds, "ok");
}

TEST(LandlockCannotStop, DescriptorsThatWereOpenBefore) {
  const World world;
  furnish(world);
  world.file("/srv/stdio-0", "root's", 0, 0, 0600);
  Start start;
  start.in = Stdio::file;
  const Words deeds = {"+do=ftruncate:0", "+do=write-fd:0"};
  start.words = launch(read_only, deeds);
  expect_all(world.run(start).app(), deeds, "ok");
  EXPECT_EQ(read_file("/srv/stdio-0"), "x");
}

TEST(LandlockCannotStop, UdpAndListeningOnWhateverPortTheKernelGives) {
  const World world;
  const Words deeds = {"+udp=5353", "+do=listen-without-bind"};
  expect_all(run_with_own_network(world, launch({"--only-ports", "--user", "app"}, deeds)).app(),
             deeds, "ok");
}

// ---- kernels that have less, or nothing ----

TEST(Landlock, WhereThereIsNoneTheBestIsDoneWithoutItAndSaid) {
  const World world;
  furnish(world);
  for (const int error : {ENOSYS, EOPNOTSUPP, EPERM, 0}) {
    Words words = launch(read_only, {"+do=create:/srv/other/new-" + std::to_string(error)});
    words.insert(words.begin(), {"--log-level", "info"});
    const Outcome outcome = world.run(without_landlock(error), words);
    EXPECT_EQ(outcome.app().result(words.back()), "ok");
    EXPECT_TRUE(outcome.says("landlock: ")) << outcome.err;
    words.insert(words.begin(), {"plan", "--json"});
    const nlohmann::json step = landlock_step(world.run(without_landlock(error), words));
    EXPECT_EQ(step.at("state"), "moot");
    EXPECT_NE(step.at("reason"), "");
  }
}

TEST(Landlock, WhereThereIsNoneRequireRefuses) {
  const World world;
  furnish(world);
  for (const int error : {ENOSYS, EOPNOTSUPP, EPERM, 0}) {
    Words words = launch(read_only, {});
    words.insert(words.begin(), {"--landlock", "require"});
    expect_refused(world.run(without_landlock(error), words), "--landlock require");
  }
}

TEST(Landlock, IsNotDeceivedByAFilterThatPretends) {
  const World world;
  furnish(world);
  for (const long call : {SYS_landlock_restrict_self, SYS_landlock_add_rule}) {
    Caller caller = root_with_docker_default();
    caller.filter = {{call, 0}};
    expect_refused(world.run(caller, launch(read_only, {})), "does nothing");
  }
}

TEST(Landlock, ARefusalOnTheWayEndsTheLaunch) {
  const World world;
  furnish(world);
  for (const long call : {SYS_landlock_restrict_self, SYS_landlock_add_rule}) {
    Caller caller = root_with_docker_default();
    caller.filter = {{call, EPERM}};
    expect_refused(world.run(caller, launch(read_only, {})), "landlock");
  }
}

TEST(Landlock, RequireIsContentWithThisKernel) {
  const World world;
  furnish(world);
  Words words = launch(read_only, {});
  words.insert(words.begin(), {"--landlock", "require", "--only-ports"});
  EXPECT_TRUE(world.run(words).app_ran());
}

TEST(Landlock, RequireAloneIsRefused) {
  const World world;
  expect_refused(world.run(launch({"--landlock", "require", "--user", "app"}, {})), "nothing");
  expect_refused(world.run(launch({"--landlock", "maybe", "--read-only", "--user", "app"}, {})),
                 "best-effort");
}

TEST(Landlock, IsNotTouchedWithoutItsOptions) {
  const World world;
  Caller caller = root_with_docker_default();
  caller.filter = {{SYS_landlock_create_ruleset, EPERM}, {SYS_landlock_restrict_self, EPERM}};
  Words words = launch({"--user", "app"}, {});
  words.insert(words.begin(), {"plan", "--json"});
  EXPECT_EQ(landlock_step(world.run(caller, words)), nullptr);
}

TEST(Landlock, PlanSaysWhatItWillDo) {
  const World world;
  furnish(world);
  Words words = launch(read_only, {});
  words.insert(words.begin(), {"plan", "--json", "--only-ports", "--port", "8080"});
  const nlohmann::json step = landlock_step(world.run(words));
  EXPECT_EQ(step.at("state"), "to-do");
  EXPECT_EQ(step.at("reason"), "");
  EXPECT_EQ(step.at("detail"),
            "write only beneath /srv/data, and on the usual devices; of TCP ports bind only 8080 "
            "(UDP can't be limited)");
}

// ---- older kernels: this one, asked for what an older one knows ----

// The deed's result in a child under the rules of that ABI, with /srv/data writable.
std::string result_under(int abi, const std::string& deed) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    landlock::Ruleset rules(landlock::terms(abi, {true, true}));
    rules.allow_beneath(open("/srv/data", O_PATH | O_CLOEXEC), "/srv/data");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) _exit(1);
    rules.enforce();
    const std::string result = writes::result_of(deed);
    _exit(write(ends[1], result.data(), result.size()) < 0 ? 1 : 0);
  }
  close(ends[1]);
  std::array<char, 32> text{};
  const ssize_t length = read(ends[0], text.data(), text.size());
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
}

class OlderKernel : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Abi, OlderKernel, testing::Range(1, landlock::newest_abi + 1));

TEST_P(OlderKernel, LimitsWhatItsAbiKnows) {
  const World world;
  furnish(world);
  const int abi = GetParam();
  const auto from = [abi](int since, const char* refused, const char* before) {
    return std::string(abi >= since ? refused : before);
  };
  for (const char* deed : {"write:/srv/other/a", "create:/srv/other/new", "mkdir:/srv/other/new",
                           "unlink:/srv/other/a", "fifo:/srv/other/new", "symlink:/srv/other/new",
                           "rename:/srv/other/a:/srv/other/z", "unnamed:/srv/other"})
    EXPECT_EQ(result_under(abi, deed), "EACCES") << deed;
  EXPECT_EQ(result_under(abi, "write:/srv/data/a"), "ok");
  EXPECT_EQ(result_under(abi, "rename:/srv/data/b:/srv/data/sub/b"), from(2, "ok", "EXDEV"));
  EXPECT_EQ(result_under(abi, "truncate:/srv/other/b"), from(3, "EACCES", "ok"));
  EXPECT_EQ(result_under(abi, "signal:parent"), from(6, "EPERM", "ok"));
}

}  // namespace
}  // namespace stepdown::world
