// --init: what tini, dumb-init and catatonit are tested for, and what only a launcher has to show:
// that the supervisor has dropped as well.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>

#include "init_world.h"
#include "world.h"

namespace stepdown::world {
namespace {

using testing::ElementsAre;

const Words plain = {"--init"};
const Words group = {"--init=group"};

Words supervised(const Words& options, const std::string& role) {
  Words words = {"/srv/bin/stepdown", "--user", "1000:1000"};
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"--", "/srv/bin/probe", "+play=" + role});
  return words;
}

// The processes of a "ready PID PPID PGID", as they number themselves.
struct Introduced {
  pid_t pid = 0, parent = 0, group = 0;
};
Introduced introduced(const std::string& line) {
  std::istringstream words(line);
  std::string ready;
  Introduced app;
  words >> ready >> app.pid >> app.parent >> app.group;
  if (ready != "ready") throw std::runtime_error("the app did not start: " + line);
  return app;
}

// All but those that nobody can block, and SIGCHLD, which a supervisor is sent for its own sake.
std::vector<int> forwardable() {
  std::vector<int> numbers;
  for (int number = 1; number < _NSIG; ++number)
    if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD) numbers.push_back(number);
  return numbers;
}

// Those whose default is to end the process (signal(7)), as far as raise(3) lets through.
std::vector<int> fatal_signals() {
  const std::set<int> others = {SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
                                SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH};
  std::vector<int> numbers;
  for (int number = 1; number <= SIGRTMAX; ++number)
    if (!others.contains(number) && (number < 32 || number >= SIGRTMIN)) numbers.push_back(number);
  return numbers;
}

// ---- status ----

TEST(Init, ExitsWithTheAppsStatus) {
  const World world;
  for (int status = 0; status <= 255; ++status) {
    const Outcome outcome = world.run(
        {"--init", "--user", "app", "--", "/bin/sh", "-c", "exit " + std::to_string(status)});
    ASSERT_EQ(outcome.status, status) << outcome.err;
    ASSERT_EQ(outcome.err, "");
  }
}

TEST(Init, ExitsWith128AndTheSignalThatKilledTheApp) {
  const World world;
  for (const int number : fatal_signals()) {
    const Outcome outcome =
        world.run({"--init", "--user", "app", "--", "probe", "+signal=" + std::to_string(number)});
    ASSERT_TRUE(outcome.app_ran()) << outcome.err;
    EXPECT_EQ(outcome.status, 128 + number);
  }
}

TEST(Init, ExitsWithTheAppsStatusAsPid1) {
  const World world;
  Start start;
  start.pid_namespace = true;
  start.words = {"--init", "--user", "app", "--", "probe", "+exit=77"};
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 77) << outcome.err;
  EXPECT_EQ(outcome.pid, 1);
  EXPECT_EQ(outcome.app().result("ppid"), "1");
}

TEST(Init, SaysOnceWhyACommandCannotBeExecuted) {
  const World world;
  world.file("/srv/text", "no program\n", 0, 0, 0755);
  world.directory("/srv/closed", 0, 0, 0700);
  world.file("/srv/closed/command", "#!/bin/sh\n", 0, 0, 0755);
  Start start;
  for (const auto& [status, command] :
       {std::pair{126, std::string("/srv/text")}, std::pair{127, std::string("command")}}) {
    start.environment = {"PATH=/srv/closed"};
    start.words = {"--user", "app", "--", command};
    const Outcome without = world.run(start);
    start.words.insert(start.words.begin(), "--init");
    const Outcome with = world.run(start);
    EXPECT_EQ(without.status, status) << without.err;
    EXPECT_EQ(with.status, status);
    EXPECT_EQ(with.err, without.err);
    EXPECT_TRUE(with.says(command));
  }
}

// ---- what the app finds ----

TEST(Init, TheAppIsItsChildInAGroupOfItsOwn) {
  const World world;
  Tree tree(supervised(plain, "signals"));
  const Introduced app = introduced(tree.line());
  EXPECT_EQ(app.parent, tree.pid());
  EXPECT_EQ(app.group, app.pid);
  EXPECT_EQ(app.pid, tree.app());
}

TEST(Init, TheAppIsInTheSameStateAsWithout) {
  const World world;
  Start start;
  start.in = start.out = start.err = Stdio::file;
  start.open_fds = {3, 9, 77};
  start.umask = 027;
  start.blocked_signals = {SIGINT, SIGUSR2, SIGCHLD, SIGRTMIN, SIGRTMAX};
  start.ignored_signals = {SIGHUP, SIGPIPE, SIGCHLD, SIGTSTP, SIGRTMIN + 1};
  start.words = {"--user",    "app",   "--keep-cap", "NET_RAW",
                 "--keep-fd", "9",     "--chdir",    "/tmp",
                 "--",        "probe", "+exit=3",    "+report=/srv/out/report",
                 "+wait=any"};
  const Outcome without = world.run(start);
  start.words.insert(start.words.begin(), "--init");
  const Outcome with = world.run(start);
  EXPECT_EQ(without.status, 3);
  // Its status comes through although the caller ignores SIGCHLD.
  EXPECT_EQ(with.status, 3);
  std::map<std::string, std::string> expected = without.app().results;
  std::map<std::string, std::string> found = with.app().results;
  for (const char* differs : {"pid", "ppid"}) {
    EXPECT_NE(expected.at(differs), found.at(differs));
    expected.erase(differs);
    found.erase(differs);
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(with.app().fds, without.app().fds);
  EXPECT_EQ(with.app().fd_numbers(), std::vector<int>({0, 1, 2, 9}));
  EXPECT_EQ(with.app().environment, without.app().environment);
  EXPECT_EQ(with.app().blocked, std::vector<int>({SIGINT, SIGUSR2, SIGCHLD, SIGRTMIN, SIGRTMAX}));
  EXPECT_EQ(with.app().ignored,
            std::vector<int>({SIGHUP, SIGPIPE, SIGCHLD, SIGTSTP, SIGRTMIN + 1}));
}

TEST(Init, ClosedStandardStreamsAreNoObstacle) {
  const World world;
  Start start;
  start.in = start.out = start.err = Stdio::closed;
  start.words = {"--init", "--user", "app", "--", "probe", "+exit=5", "+report=/srv/out/report"};
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 5);
  const std::vector<int> with = outcome.app().fd_numbers();
  start.words.erase(start.words.begin());
  EXPECT_EQ(with, world.run(start).app().fd_numbers());
}

// ---- the supervisor has dropped as well ----

const Words privileged_lines = {"Uid",    "Gid",    "Groups", "CapInh",  "CapPrm",
                                "CapEff", "CapBnd", "CapAmb", "Seccomp", "NoNewPrivs"};

TEST(InitSupervisor, HasWhatTheAppHas) {
  const World world;
  Tree tree(supervised(plain, "signals"), Place::own_group, [] {
    const std::array<gid_t, 3> engine{0, 4, 1001};
    checked(setgroups(engine.size(), engine.data()), "setgroups");
  });
  introduced(tree.line());
  for (const std::string& name : privileged_lines)
    EXPECT_EQ(status_of(tree.pid(), name), status_of(tree.app(), name)) << name;
  EXPECT_EQ(status_of(tree.pid(), "Uid"), "1000 1000 1000 1000");
  EXPECT_EQ(status_of(tree.pid(), "Gid"), "1000 1000 1000 1000");
  // The kernel's list may or may not name the primary group.
  EXPECT_THAT(status_of(tree.pid(), "Groups"), testing::AnyOf("", "1000"));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(status_of(tree.pid(), set), "0000000000000000") << set;
  EXPECT_EQ(status_of(tree.pid(), "NoNewPrivs"), "1");
  EXPECT_EQ(status_of(tree.pid(), "Seccomp"), "2");
}

TEST(InitSupervisor, KeepsNoneOfTheAppsCapabilitiesButKill) {
  const World world;
  Tree tree(supervised({"--init", "--keep-cap", "NET_RAW", "--keep-cap", "SETUID"}, "signals"));
  introduced(tree.line());
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(status_of(tree.app(), set), "0000000000002080") << set;
    EXPECT_EQ(status_of(tree.pid(), set), "0000000000000000") << set;
  }
  Tree with_kill(supervised({"--init", "--keep-cap", "NET_RAW", "--keep-cap", "KILL"}, "signals"));
  introduced(with_kill.line());
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    EXPECT_EQ(status_of(with_kill.app(), set), "0000000000002020") << set;
  for (const char* set : {"CapPrm", "CapEff"})
    EXPECT_EQ(status_of(with_kill.pid(), set), "0000000000000020") << set;
  // It executes nothing.
  for (const char* set : {"CapInh", "CapAmb"})
    EXPECT_EQ(status_of(with_kill.pid(), set), "0000000000000000") << set;
}

TEST(InitSupervisor, HoldsNoDescriptorAbove2) {
  const World world;
  Tree tree(supervised({"--init", "--keep-fd", "40"}, "signals"), Place::own_group, [] {
    for (const int number : {40, 41}) checked(dup2(STDIN_FILENO, number), "dup2");
  });
  introduced(tree.line());
  EXPECT_EQ(open_fds_of(tree.app()), std::set<int>({0, 1, 2, 40}));
  EXPECT_TRUE(eventually([&] { return open_fds_of(tree.pid()) == std::set<int>({0, 1, 2}); }));
}

TEST(InitSupervisor, CannotBeLookedIntoByTheApp) {
  const World world;
  Tree tree(supervised(plain, "signals"));
  introduced(tree.line());
  // proc(5): the files of a process that is not dumpable are root's.
  EXPECT_EQ(owner_of("/proc/" + std::to_string(tree.pid()) + "/mem").uid, 0U);
  EXPECT_EQ(owner_of("/proc/" + std::to_string(tree.app()) + "/mem").uid, 1000U);
}

TEST(InitSupervisor, CannotBeLookedIntoWhereTheCallerWasTheTargetAlready) {
  const World world;
  Tree tree(supervised(plain, "signals"), Place::own_group, [] {
    checked(setgid(1000), "setgid");
    checked(setuid(1000), "setuid");
  });
  introduced(tree.line());
  EXPECT_EQ(owner_of("/proc/" + std::to_string(tree.pid()) + "/mem").uid, 0U);
}

TEST(InitSupervisor, KilledAtAnyMomentLeavesNobodyWithMore) {
  const World world;
  const auto start = Clock::now();
  introduced(Tree(supervised(plain, "signals")).line());
  const auto launch = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  // From before the start to well after it.
  constexpr int moments = 60;
  int survivors = 0;
  for (int moment = 0; moment < moments; ++moment) {
    Tree tree(supervised(plain, "signals"));
    const Guardian guardian;  // the Tree's own ends what is left over
    usleep(static_cast<useconds_t>(launch.count() * 2 * moment / moments));
    kill(tree.pid(), SIGKILL);
    ASSERT_EQ(tree.change(), "killed by 9");
    for (const pid_t left : guardian.adopted()) {
      ++survivors;
      const std::string state = status_of(left, "State");
      if (state.empty() || state.front() == 'Z') continue;
      EXPECT_EQ(status_of(left, "Uid"), "1000 1000 1000 1000");
      EXPECT_EQ(status_of(left, "CapPrm"), "0000000000000000");
      EXPECT_EQ(status_of(left, "CapBnd"), "0000000000000000");
      EXPECT_EQ(status_of(left, "NoNewPrivs"), "1");
      // It is the app, or it ends: nobody waits for a supervisor that is no more.
      EXPECT_TRUE(eventually([left] {
        const std::string name = status_of(left, "Name");
        return name == "probe" || state_of(left) == 'Z';
      }));
    }
  }
  EXPECT_GT(survivors, 0) << "no moment was late enough to say anything";
}

// ---- signals ----

TEST(InitSignals, ReachTheAppEachOfThem) {
  const World world;
  Tree tree(supervised(plain, "signals"));
  introduced(tree.line());
  for (const int number : forwardable()) {
    ASSERT_EQ(kill(tree.pid(), number), 0);
    ASSERT_EQ(tree.line(), "app " + std::to_string(number));
  }
}

TEST(InitSignals, ReachTheAppEachOfThemFromPid1) {
  const World world;
  Tree tree(supervised(plain, "signals"), Place::pid_namespace);
  EXPECT_EQ(introduced(tree.line()).parent, 1);
  for (const int number : forwardable()) {
    ASSERT_EQ(kill(tree.pid(), number), 0);
    ASSERT_EQ(tree.line(), "app " + std::to_string(number));
  }
}

TEST(InitSignals, OfChildrenAreNotForwarded) {
  const World world;
  Tree tree(supervised(plain, "signals"));
  introduced(tree.line());
  kill(tree.pid(), SIGCHLD);
  kill(tree.pid(), SIGRTMAX);
  // Both would be pending together or one after the other; the lower number is told first.
  EXPECT_EQ(tree.line(), "app " + std::to_string(SIGRTMAX));
}

TEST(InitSignals, ThatTheCallerIgnoresAreForwardedAllTheSame) {
  const World world;
  Tree tree(supervised(plain, "signals"), Place::own_group, [] {
    signal(SIGTERM, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
  });
  introduced(tree.line());
  kill(tree.pid(), SIGTERM);
  EXPECT_EQ(tree.line(), "app " + std::to_string(SIGTERM));
}

TEST(InitSignals, GoToTheAppAlone) {
  const World world;
  Tree tree(supervised(plain, "group"));
  introduced(tree.line());
  const pid_t member = *children_of(tree.app()).begin();
  kill(tree.pid(), SIGUSR1);
  EXPECT_EQ(tree.line(), "app " + std::to_string(SIGUSR1));
  // Had it been sent SIGUSR1 it would tell that first, being the lower number.
  kill(member, SIGUSR2);
  EXPECT_EQ(tree.line(), "member " + std::to_string(SIGUSR2));
}

TEST(InitSignals, GoToTheWholeGroupWhereAskedFor) {
  const World world;
  Tree tree(supervised(group, "group"));
  introduced(tree.line());
  for (const int number : {SIGHUP, SIGUSR1, SIGTERM, SIGWINCH, SIGRTMAX}) {
    kill(tree.pid(), number);
    const Words told = {tree.line(), tree.line()};
    const std::string text = " " + std::to_string(number);
    EXPECT_THAT(told, testing::UnorderedElementsAre("app" + text, "member" + text));
  }
}

TEST(InitSignals, ABurstIsForwardedWhole) {
  const World world;
  constexpr int count = 10'000;
  Tree tree(supervised(plain, "signals"));
  introduced(tree.line());
  const auto start = Clock::now();
  // Real-time signals queue; SIGUSR1 may come in one.
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(kill(tree.pid(), SIGRTMIN + i % 3), 0);
    ASSERT_EQ(kill(tree.pid(), SIGUSR1), 0);
    // As many as the queue of one user may hold where limits are low (RLIMIT_SIGPENDING).
    if (i % 500 == 499) usleep(10'000);
  }
  int queued = 0, standard = 0;
  while (queued < count) {
    const std::string told = tree.line();
    ASSERT_NE(told, "end");
    ++(told == "app " + std::to_string(SIGUSR1) ? standard : queued);
  }
  EXPECT_GT(standard, 0);
  kill(tree.app(), SIGKILL);
  EXPECT_EQ(tree.change(), "exited 137");
  EXPECT_LT(Clock::now() - start, patience);
}

// ---- orphans ----

TEST(InitOrphans, ComeToTheSupervisor) {
  const World world;
  Tree tree(supervised(plain, "orphan"));
  introduced(tree.line());
  EXPECT_THAT(tree.line(), testing::EndsWith(" " + std::to_string(tree.pid())));
}

TEST(InitOrphans, ComeToTheSupervisorAsPid1AndEndWithTheApp) {
  const World world;
  Tree tree(supervised(plain, "orphan"), Place::pid_namespace);
  introduced(tree.line());
  EXPECT_THAT(tree.line(), testing::EndsWith(" 1"));
  const std::set<pid_t> both = children_of(tree.pid());
  ASSERT_EQ(both.size(), 2U);
  kill(*both.begin(), SIGKILL);
  EXPECT_EQ(tree.change(), "exited 137");
  // pid_namespaces(7): the kernel kills everybody before the end of PID 1 is reported.
  for (const pid_t each : both) EXPECT_EQ(state_of(each), '\0');
  EXPECT_EQ(tree.line(), "end");
}

TEST(InitOrphans, DoNotEndTheSupervisor) {
  const World world;
  Tree tree(supervised(plain, "orphan"));
  introduced(tree.line());
  std::istringstream told(tree.line());
  std::string word;
  pid_t orphan = 0;
  told >> word >> orphan;
  kill(orphan, SIGKILL);
  EXPECT_TRUE(eventually([orphan] { return state_of(orphan) == '\0'; }));
  kill(tree.pid(), SIGUSR1);
  EXPECT_EQ(tree.line(), "app " + std::to_string(SIGUSR1));
}

void expect_all_reaped(Place place) {
  Tree tree(supervised(plain, "storm=4000"), place);
  introduced(tree.line());
  const auto private_memory = [&tree] { return std::stol(status_of(tree.pid(), "RssAnon")); };
  const long before = private_memory();
  EXPECT_EQ(tree.line(), "done");
  EXPECT_TRUE(eventually([&tree] { return children_of(tree.pid()).size() == 1; }));
  EXPECT_LE(private_memory(), before + 64);  // kB
  // And it still does its work.
  kill(tree.pid(), SIGTERM);
  EXPECT_EQ(tree.line(), "app " + std::to_string(SIGTERM));
}

TEST(InitOrphans, AreAllReapedInAStorm) {
  const World world;
  expect_all_reaped(Place::own_group);
}

TEST(InitOrphans, AreAllReapedInAStormByPid1) {
  const World world;
  expect_all_reaped(Place::pid_namespace);
}

// ---- job control ----

class InitStops : public testing::TestWithParam<int> {};

TEST_P(InitStops, AndContinuesWithTheApp) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                Tree tree(supervised(plain, "job"));
                introduced(tree.line());
                tree.line();
                // Sent to the supervisor, as by a shell's kill.
                kill(tree.pid(), GetParam());
                shell.say(tree.change());
                shell.say(state_of(tree.app()) == 'T' ? "app stopped" : "app runs");
                shell.bg(tree.pid());
                kill(tree.app(), SIGUSR1);
                shell.say(tree.line());
                kill(tree.pid(), SIGTERM);
                shell.say(tree.change());
              }),
              ElementsAre("stopped by 19", "app stopped", "background", "exited 143"));
}

INSTANTIATE_TEST_SUITE_P(Signals, InitStops, testing::Values(SIGTSTP, SIGTTIN, SIGTTOU));

// The app is stopped, and continued by whoever stopped it, who knows nothing of the supervisor.
void stop_and_continue_app(Shell& shell, int signal) {
  Tree tree(supervised(plain, "job"));
  introduced(tree.line());
  tree.line();
  const pid_t app = tree.app();
  kill(app, signal);
  if (!eventually([app] { return state_of(app) == 'T'; })) shell.say("app runs");
  usleep(20'000);
  shell.say(state_of(tree.pid()) == 'S' ? "supervisor waits" : "supervisor stopped");
  kill(app, SIGCONT);
  kill(tree.pid(), SIGUSR1);
  shell.say(tree.line());
  kill(tree.pid(), SIGTERM);
  shell.say(tree.change());
}

class InitStaysWithoutTerminal : public testing::TestWithParam<int> {};

TEST_P(InitStaysWithoutTerminal, WhenTheAppIsStoppedAndContinued) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                checked(setsid(), "setsid");
                stop_and_continue_app(shell, GetParam());
              }),
              ElementsAre("supervisor waits", "background", "exited 143"));
}

INSTANTIATE_TEST_SUITE_P(Signals, InitStaysWithoutTerminal,
                         testing::Values(SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP));

TEST(InitJobControl, ASigstopIsNoneOfItEvenWithATerminal) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                stop_and_continue_app(shell, SIGSTOP);
              }),
              ElementsAre("supervisor waits", "background", "exited 143"));
}

TEST(InitJobControl, Pid1DoesNotStop) {
  const World world;
  Tree tree(supervised(plain, "job"), Place::pid_namespace);
  introduced(tree.line());
  tree.line();
  const pid_t app = tree.app();
  kill(app, SIGTSTP);
  EXPECT_TRUE(eventually([app] { return state_of(app) == 'T'; }));
  usleep(20'000);
  EXPECT_EQ(state_of(tree.pid()), 'S');
  kill(tree.pid(), SIGCONT);
  kill(app, SIGUSR1);
  EXPECT_EQ(tree.line(), "background");
}

constexpr char suspend_key = '\x1a', interrupt_key = '\x03';

TEST(InitJobControl, AJobIsSuspendedAndComesBackToTheForeground) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                Tree job(supervised(plain, "job"), Place::foreground_group);
                introduced(job.line());
                shell.say(job.line());
                for (int round = 0; round < 3; ++round) {
                  shell.type(suspend_key);
                  shell.say(job.change());
                  shell.fetch_terminal();
                  shell.fg(job.pid());
                  kill(job.app(), SIGUSR1);
                  shell.say(job.line());
                }
                kill(job.app(), SIGUSR2);
                shell.type('\n');
                shell.say(job.line());
                shell.type(interrupt_key);
                shell.say(job.change());
              }),
              ElementsAre("foreground", "stopped by 19", "foreground", "stopped by 19",
                          "foreground", "stopped by 19", "foreground", "read", "exited 130"));
}

TEST(InitJobControl, AJobInTheBackgroundStaysThere) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                Tree job(supervised(plain, "job"), Place::own_group);
                introduced(job.line());
                shell.say(job.line());
                shell.say(shell.in_foreground() ? "the shell's" : "taken");
                // It wants to read the terminal: SIGTTIN.
                kill(job.app(), SIGUSR2);
                shell.say(job.change());
                shell.bg(job.pid());
                shell.say(job.change());
                shell.say(shell.in_foreground() ? "the shell's" : "taken");
                shell.fg(job.pid());
                shell.type('\n');
                shell.say(job.line());
                kill(job.pid(), SIGTERM);
                shell.say(job.change());
              }),
              ElementsAre("background", "the shell's", "stopped by 19", "stopped by 19",
                          "the shell's", "read", "exited 143"));
}

TEST(InitJobControl, AShellWithoutJobControlHasItsTerminalBackAfterwards) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                shell.fetch_terminal();
                Tree job(supervised(plain, "job"), Place::parents_group);
                introduced(job.line());
                shell.say(job.line());
                shell.say(shell.in_foreground() ? "the shell's" : "lent");
                kill(job.app(), SIGTERM);
                shell.say(job.change());
                shell.say(shell.in_foreground() ? "the shell's" : "lost");
              }),
              ElementsAre("foreground", "lent", "exited 143", "the shell's"));
}

TEST(InitJobControl, TheTerminalIsFoundWhereAllStreamsAreRedirected) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                shell.open_terminal();
                Tree job(supervised(plain, "job"), Place::foreground_group, [] {
                  const int null = checked(open("/srv/null", O_RDWR), "/srv/null");
                  checked(dup2(null, STDIN_FILENO), "dup2");
                  checked(dup2(null, STDERR_FILENO), "dup2");
                });
                introduced(job.line());
                shell.say(job.line());
              }),
              ElementsAre("foreground"));
}

TEST(InitJobControl, TheLeaderOfASessionHandsItsTerminalOver) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                // This process has no part in the session that has the terminal.
                checked(setsid(), "setsid");
                shell.borrow_terminal(O_NOCTTY);
                Tree container(supervised(plain, "job"), Place::own_session);
                introduced(container.line());
                shell.say(container.line());
                shell.type(interrupt_key);
                shell.say(container.change());
              }),
              ElementsAre("foreground", "exited 130"));
}

TEST(InitJobControl, TheSuspendKeyHangsNobodyWhereNoShellIsThere) {
  const World world;
  EXPECT_THAT(tale_of([](Shell& shell) {
                checked(setsid(), "setsid");
                shell.borrow_terminal(O_NOCTTY);
                Tree container(supervised(plain, "job"), Place::own_session);
                introduced(container.line());
                shell.say(container.line());
                for (int round = 0; round < 3; ++round) {
                  shell.type(suspend_key);
                  usleep(20'000);
                  kill(container.pid(), SIGUSR1);
                  shell.say(container.line());
                }
                // It would stay pending in an app that is stopped.
                shell.type(interrupt_key);
                shell.say(container.change());
              }),
              ElementsAre("foreground", "foreground", "foreground", "foreground", "exited 130"));
}

// ---- the others, where they are installed ----

struct Supervising {
  std::string name;
  Words words;
};
void PrintTo(const Supervising& one, std::ostream* stream) {
  *stream << one.name;
}

std::vector<Supervising> all_of_them() {
  std::vector<Supervising> all = {
      {"stepdown", {"/srv/bin/stepdown", "--user", "1000:1000", "--init", "--"}}};
  for (const char* name : {"tini", "dumb_init", "catatonit"}) {
    std::string file = std::string("/usr/bin/") + name;
    std::replace(file.begin(), file.end(), '_', '-');
    if (access(file.c_str(), X_OK) == 0) all.push_back({name, {file, "--"}});
  }
  return all;
}

class InitCompared : public testing::TestWithParam<Supervising> {
 protected:
  [[nodiscard]] static Words with(const Words& command) {
    Words words = GetParam().words;
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  [[nodiscard]] static Words playing(const std::string& role) {
    return with({"/srv/bin/probe", "+play=" + role});
  }
  World world_;
};

TEST_P(InitCompared, ExitsWithTheStatusOf) {
  EXPECT_EQ(Tree(with({"/bin/sh", "-c", "exit 42"}), Place::pid_namespace).change(), "exited 42");
  EXPECT_EQ(Tree(with({"/bin/sh", "-c", "kill -9 $$"}), Place::pid_namespace).change(),
            "exited 137");
}

TEST_P(InitCompared, Reaps) {
  Tree tree(playing("storm=200"), Place::pid_namespace);
  introduced(tree.line());
  EXPECT_EQ(tree.line(), "done");
  EXPECT_TRUE(eventually([&tree] { return children_of(tree.pid()).size() == 1; }));
}

TEST_P(InitCompared, Forwards) {
  // What an engine and its users send.
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH}) {
    Tree tree(playing("signals"), Place::pid_namespace);
    introduced(tree.line());
    kill(tree.pid(), number);
    EXPECT_EQ(tree.line(), "app " + std::to_string(number));
  }
}

INSTANTIATE_TEST_SUITE_P(Installed, InitCompared, testing::ValuesIn(all_of_them()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace stepdown::world
