// The supervisor that answers calls of the app is still the --init of init_test.cpp: whatever the
// app asks of it, signals are forwarded, orphans reaped, and the end is the app's. And when it is
// gone, its answers are gone, and nothing else changes.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sched.h>

#include "launch_world.h"
#include "unreadable_file.h"

namespace stepdown::world {
namespace {

// One of the two that answer calls, and the call.
struct Service {
  std::string name;
  Words options;
  std::string call;        // as in probe_roles.h
  std::string answered;    // what "asks" is told while the supervisor lives
  std::string unanswered;  // and afterwards
};

void PrintTo(const Service& service, std::ostream* stream) {
  *stream << service.name;
}

const Service pretended{"PretendedRoot",
                        {"--pretend-root"},
                        "getresuid",
                        " euid 0 bind EACCES",
                        " euid ENOSYS bind EACCES"};
const Service bound{
    "LowPorts", {"--userns", "--port", "997"}, "bind", " euid 0 bind ok", " euid 0 bind ENOSYS"};

class InitSupervised : public testing::TestWithParam<Service> {
 protected:
  [[nodiscard]] static Words words(const std::string& role, const Words& more = {}) {
    Words all = {"/srv/bin/stepdown", "--user", "1000:1000"};
    all.insert(all.end(), GetParam().options.begin(), GetParam().options.end());
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), {"--", "/srv/bin/probe", "+play=" + role});
    return all;
  }
  // The network is the tests' own, with the usual 1024 unprivileged ports.
  static void own_network() { checked(unshare(CLONE_NEWNET), "unshare"); }

  const World world_;
};
INSTANTIATE_TEST_SUITE_P(Of, InitSupervised, testing::Values(pretended, bound),
                         [](const auto& service) { return service.param.name; });

std::vector<int> forwardable() {
  std::vector<int> numbers;
  for (int number = 1; number < _NSIG; ++number)
    if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD) numbers.push_back(number);
  return numbers;
}

// Each signal, one after the other, comes through at once.
void expect_every_signal(Tree& tree) {
  for (const int number : forwardable()) {
    SCOPED_TRACE(number);
    checked(kill(tree.pid(), number), "kill");
    ASSERT_EQ(tree.line(), "app " + std::to_string(number));
  }
}

TEST_P(InitSupervised, ForwardsEverySignal) {
  Tree tree(words("signals"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  expect_every_signal(tree);
}

TEST_P(InitSupervised, ForwardsEverySignalAsPid1) {
  Tree tree(words("signals"), Place::pid_namespace, own_network);
  ASSERT_THAT(tree.line(), testing::MatchesRegex("ready [0-9]+ 1 [0-9]+"));
  expect_every_signal(tree);
}

TEST_P(InitSupervised, ForwardsToTheGroupWhereAskedFor) {
  Tree tree(words("group", {"--init=group"}), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  checked(kill(tree.pid(), SIGTERM), "kill");
  const Words lines = {tree.line(), tree.line()};
  EXPECT_THAT(lines, testing::UnorderedElementsAre("app 15", "member 15"));
}

TEST_P(InitSupervised, ReapsAStorm) {
  for (const Place place : {Place::own_group, Place::pid_namespace}) {
    Tree tree(words("storm=500"), place, own_network);
    ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
    ASSERT_EQ(tree.line(), "done");
    EXPECT_TRUE(eventually([&] { return children_of(tree.pid()).size() == 1; }));
  }
}

TEST_P(InitSupervised, AdoptsOrphans) {
  Tree tree(words("orphan"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  EXPECT_THAT(tree.line(), testing::EndsWith(" " + std::to_string(tree.pid())));
}

TEST_P(InitSupervised, StopsAndContinuesWithTheApp) {
  EXPECT_THAT(
      tale_of([](Shell& shell) {
        shell.open_terminal();
        Tree tree(words("job"), Place::own_group, own_network);
        shell.say(tree.line().substr(0, 5));
        const pid_t app = tree.app();
        checked(kill(tree.pid(), SIGTSTP), "kill");
        shell.say(tree.change());
        shell.say(state_of(app) == 'T' ? "app stopped" : "app runs");
        checked(kill(tree.pid(), SIGCONT), "kill");
        if (eventually([&] { return state_of(app) == 'S' && state_of(tree.pid()) == 'S'; }))
          shell.say("both run");
        checked(kill(tree.pid(), SIGTERM), "kill");
        shell.say(tree.change());
      }),
      testing::ElementsAre("ready", "stopped by 19", "app stopped", "both run", "exited 143"));
}

// It would take the answers of all others with it.
TEST_P(InitSupervised, DoesNotStopWithAnAppThatSomebodyStops) {
  Tree tree(words("asks"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  std::istringstream introduction(tree.line());
  std::string name;
  pid_t orphan = 0;
  introduction >> name >> orphan;
  ASSERT_EQ(name, "orphan");
  const pid_t app = tree.app() == orphan ? *children_of(tree.pid()).rbegin() : tree.app();
  checked(kill(app, SIGSTOP), "kill");
  ASSERT_TRUE(eventually([app] { return state_of(app) == 'T'; }));
  usleep(20'000);
  EXPECT_EQ(state_of(tree.pid()), 'S');
  checked(kill(orphan, SIGUSR1), "kill");
  EXPECT_EQ(tree.line(), "orphan" + GetParam().answered);
  checked(kill(app, SIGCONT), "kill");
  checked(kill(tree.pid(), SIGTERM), "kill");
  EXPECT_EQ(tree.change(), "exited 143");
}

TEST_P(InitSupervised, IsBusyAndDoesAllOfIt) {
  Tree tree(words("busy=" + GetParam().call), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  ASSERT_EQ(tree.line(), "done");
  expect_every_signal(tree);
  // The app and the busy one are left.
  EXPECT_TRUE(eventually([&] { return children_of(tree.pid()).size() == 1; }));
  checked(kill(tree.app(), SIGKILL), "kill");
  EXPECT_EQ(tree.change(), "exited 137");
}

// A supervisor that waits for memory of the app's that never comes.
class Stuck {
 public:
  Stuck(const Words& command, const UnreadableFile& file, const std::function<void()>& first)
      : file_(file), tree_(command, Place::own_group, first) {
    EXPECT_THAT(tree_.line(), testing::StartsWith("ready "));
    EXPECT_EQ(tree_.line(), "done");
    EXPECT_TRUE(eventually([&] { return threads_of(tree_.pid()).contains(file_.reader()); }));
  }
  Stuck(const Stuck&) = delete;
  Stuck& operator=(const Stuck&) = delete;
  // Before the Tree waits for its processes to end.
  ~Stuck() { file_.let_go(); }
  Tree& tree() { return tree_; }

 private:
  const UnreadableFile& file_;
  Tree tree_;
};

TEST_P(InitSupervised, IsStuckAndForwardsEverySignal) {
  const UnreadableFile file;
  Stuck stuck(words("stuck=" + GetParam().call + "," + file.path()), file, own_network);
  expect_every_signal(stuck.tree());
}

TEST_P(InitSupervised, IsStuckAndReaps) {
  const UnreadableFile file;
  Stuck stuck(words("stuck=" + GetParam().call + "," + file.path()), file, own_network);
  EXPECT_TRUE(eventually([&] { return children_of(stuck.tree().pid()).size() == 1; }));
}

TEST_P(InitSupervised, IsStuckAndEndsWithTheAppAsSoonAsTheKernelLetsIt) {
  const UnreadableFile file;
  Stuck stuck(words("stuck=" + GetParam().call + "," + file.path()), file, own_network);
  const pid_t supervisor = stuck.tree().pid();
  checked(kill(stuck.tree().app(), SIGKILL), "kill");
  EXPECT_TRUE(eventually([&] { return state_of(supervisor) == 'Z'; }));
  file.let_go();
  EXPECT_EQ(stuck.tree().change(), "exited 137");
}

// ---- killed ----

std::string asked(Tree& tree, pid_t process) {
  checked(kill(process, SIGUSR1), "kill");
  return tree.line();
}

TEST_P(InitSupervised, KilledItAnswersNobodyAndTheAppHasNoMore) {
  Tree tree(words("asks"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  std::istringstream introduction(tree.line());
  std::string name;
  pid_t orphan = 0;
  introduction >> name >> orphan;
  ASSERT_EQ(name, "orphan");
  const pid_t app = tree.app() == orphan ? *children_of(tree.pid()).rbegin() : tree.app();
  EXPECT_EQ(asked(tree, app), "app" + GetParam().answered);
  EXPECT_EQ(asked(tree, orphan), "orphan" + GetParam().answered);
  checked(kill(tree.pid(), SIGKILL), "kill");
  EXPECT_EQ(tree.change(), "killed by 9");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(asked(tree, app), "app" + GetParam().unanswered);
    EXPECT_EQ(asked(tree, orphan), "orphan" + GetParam().unanswered);
  }
  for (const pid_t each : {app, orphan}) {
    EXPECT_EQ(status_of(each, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(each, "CapPrm"), "0000000000000000");
  }
}

TEST_P(InitSupervised, EndedWithTheAppItAnswersNobodyLeftBehind) {
  Tree tree(words("asks"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  std::istringstream introduction(tree.line());
  std::string name;
  pid_t orphan = 0;
  introduction >> name >> orphan;
  std::set<pid_t> children = children_of(tree.pid());
  children.erase(orphan);
  ASSERT_EQ(children.size(), 1U);
  checked(kill(*children.begin(), SIGTERM), "kill");
  EXPECT_EQ(tree.change(), "exited 143");
  EXPECT_EQ(asked(tree, orphan), "orphan" + GetParam().unanswered);
}

TEST_P(InitSupervised, KilledAtAnyMomentLeavesNobodyWithMore) {
  for (int delay = 0; delay < 12000; delay += 150) {
    Tree tree(words("asks"), Place::own_group, own_network);
    usleep(static_cast<useconds_t>(delay));
    // What it has as root it had before; what goes on without it has dropped or does not start.
    const bool killed = kill(tree.pid(), SIGKILL) == 0;
    ASSERT_TRUE(killed);
    ASSERT_EQ(tree.change(), "killed by 9");
    const std::string line = tree.line();
    if (line == "end") continue;
    ASSERT_THAT(line, testing::StartsWith("ready "));
    std::istringstream introduction(line);
    std::string name;
    pid_t app = 0;
    introduction >> name >> app;
    EXPECT_EQ(status_of(app, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(app, "CapPrm"), "0000000000000000");
    EXPECT_EQ(status_of(app, "CapBnd"), "0000000000000000");
    EXPECT_EQ(status_of(app, "NoNewPrivs"), "1");
    checked(kill(app, SIGUSR1), "kill");
    std::string told;
    do told = tree.line();
    while (!told.starts_with("app "));
    EXPECT_EQ(told, "app" + GetParam().unanswered);
  }
}

// What the app hears first is already the supervisor's answer, and stays it.
TEST_P(InitSupervised, AnswersFromTheFirstCallOn) {
  for (int i = 0; i < 100; ++i) {
    Tree tree(words("asks"), Place::own_group, own_network);
    const std::string line = tree.line();
    ASSERT_THAT(line, testing::StartsWith("ready ")) << "launch " << i;
    std::istringstream introduction(line);
    std::string name;
    pid_t app = 0;
    introduction >> name >> app;
    checked(kill(app, SIGUSR1), "kill");
    std::string told;
    do told = tree.line();
    while (!told.starts_with("app "));
    ASSERT_EQ(told, "app" + GetParam().answered) << "launch " << i;
  }
}

// ---- what it is ----

TEST_P(InitSupervised, CannotBeTracedByTheApp) {
  Tree tree(words("signals"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  EXPECT_EQ(owner_of(path_of(tree.pid(), "status")).uid, 0U);
  EXPECT_EQ(owner_of(path_of(tree.pid(), "environ")).uid, 0U);
}

TEST_P(InitSupervised, HasDroppedInEveryThread) {
  Tree tree(words("signals"), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  const bool binds = GetParam().call == "bind";
  for (const pid_t id : threads_of(tree.pid())) {
    EXPECT_EQ(status_of(id, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_of(id, "CapPrm"), binds ? "0000000000000400" : "0000000000000000");
    EXPECT_EQ(status_of(id, "NoNewPrivs"), "1");
    EXPECT_EQ(status_of(id, "Seccomp"), "2");
  }
}

TEST_P(InitSupervised, HoldsFewDescriptorsAndForgetsThem) {
  Tree tree(words("busy=" + GetParam().call), Place::own_group, own_network);
  ASSERT_THAT(tree.line(), testing::StartsWith("ready "));
  ASSERT_EQ(tree.line(), "done");
  usleep(200'000);
  // 0 to 2, the listener, and what a single answer takes.
  EXPECT_LE(open_fds_of(tree.pid()).size(), 10U);
}

TEST(InitSupervisedCapabilities, OfTheAppAreTheSupervisorsWhereItWritesForIt) {
  // Another uid's memory is only written with as many capabilities as it has (ptrace(2)).
  const World world;
  watched(world, probing({"--pretend-root", "--keep-cap", "NET_RAW"}), [](pid_t supervisor) {
    EXPECT_EQ(status_of(supervisor, "CapPrm"), "0000000000002000");
    EXPECT_EQ(status_of(only_child_of(supervisor), "CapPrm"), "0000000000002000");
  });
}

}  // namespace
}  // namespace stepdown::world
