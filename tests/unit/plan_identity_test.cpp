#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/securebits.h>

#include "plan/environment.h"
#include "plan_world.h"
#include "stepdown/error.h"

namespace stepdown::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Plan plan(const Options& words, const Caller& who = container_root(), const Host& where = host()) {
  return make_plan(words, accounts(), who, where);
}

std::string refusal(const Options& words, const Caller& who = container_root(),
                    const Host& where = host()) {
  try {
    make_plan(words, accounts(), who, where);
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "no refusal";
}

TEST(PlanIdentity, TakesUserGroupsAndHomeFromTheAccountFiles) {
  const Identity identity = plan(options("app")).identity;
  EXPECT_EQ(identity.uid, Uid{1000});
  EXPECT_EQ(identity.gid, Gid{1000});
  EXPECT_EQ(identity.groups, groups({1000, 44}));
  EXPECT_EQ(identity.home, "/home/app");
}

TEST(PlanIdentity, RefusesRootWithoutConsent) {
  EXPECT_THAT(refusal(options("root")), HasSubstr("--allow-root"));
  EXPECT_THAT(refusal(options("0:1000")), HasSubstr("--allow-root"));
  Options words = options("root");
  words.allow_root = true;
  EXPECT_EQ(plan(words).identity.uid, root_uid);
}

TEST(PlanIdentity, RefusesRootThatWouldRegainEverything) {
  Options words = options("root");
  words.allow_root = true;
  words.allow_new_privs = true;
  EXPECT_THAT(refusal(words), HasSubstr("--allow-new-privs"));
}

TEST(PlanIdentity, RefusesTheRootGroupFromTheAccountFiles) {
  EXPECT_THAT(refusal(options("wheel")), HasSubstr("--allow-root-group"));  // primary
  EXPECT_THAT(refusal(options("admin")), HasSubstr("--allow-root-group"));  // supplementary
  Options words = options("wheel");
  words.allow_root_group = true;
  EXPECT_EQ(plan(words).identity.gid, root_gid);
}

TEST(PlanIdentity, TakesAnExplicitRootGroupAsConsent) {
  EXPECT_EQ(plan(options("app:0")).identity.gid, root_gid);
  EXPECT_EQ(plan(options("app:root")).identity.gid, root_gid);
  Options words = options("app");
  words.group_add = {"root"};
  EXPECT_EQ(plan(words).identity.groups, groups({1000, 44, 0}));
}

TEST(PlanIdentity, AddsGroupsOnce) {
  Options words = options("app");
  words.group_add = {"44", "2000", "2000"};
  EXPECT_EQ(plan(words).identity.groups, groups({1000, 44, 2000}));
}

TEST(PlanIdentity, KeepsTheGroupsThatOnlyTheEngineExplains) {
  Caller root = container_root();
  root.credentials.groups = groups({0, 6, 2000});  // 6: disk lists root
  Options words = options("app");
  words.keep_groups = true;
  EXPECT_EQ(plan(words, root).identity.groups, groups({1000, 44, 2000}));
  words.keep_groups = false;
  EXPECT_EQ(plan(words, root).identity.groups, groups({1000, 44}));
}

TEST(PlanIdentity, LeavesACallerWhoCannotChangeIdsAsItIs) {
  Caller someone = caller(4711, 0, {});
  someone.credentials.groups = groups({0, 2000});
  const Plan made = plan(options("app"), someone);
  EXPECT_TRUE(made.keeps_caller);
  EXPECT_EQ(made.identity.uid, Uid{4711});
  EXPECT_EQ(made.identity.gid, root_gid);
  EXPECT_EQ(made.identity.home, "/");
  EXPECT_THAT(made.identity_note, HasSubstr("4711:0"));
  EXPECT_EQ(end_state(made, someone).credentials.groups, groups({0, 2000}));
}

TEST(PlanIdentity, HoldsOnToTheTargetWhereItMustBeExact) {
  Options words = options("app");
  words.exact_user = true;
  const Plan made = plan(words, caller(4711, 4711, {}));
  EXPECT_FALSE(made.keeps_caller);
  EXPECT_EQ(made.identity.uid, Uid{1000});
}

TEST(PlanIdentity, ChangesIdsForANonRootCallerWhoCan) {
  const Plan made = plan(options("app"), caller(4711, 4711, set_ids));
  EXPECT_FALSE(made.keeps_caller);
  EXPECT_EQ(made.identity.uid, Uid{1000});
}

TEST(PlanIdentity, AcceptsExtraGroupsOfANonRootCaller) {
  Caller app = caller(1000, 1000, {});
  app.credentials.groups = groups({1000, 44, 2000});
  const Plan made = plan(options("app"), app);
  EXPECT_FALSE(made.keeps_caller);
  EXPECT_EQ(made.undroppable_groups, groups({2000}));
  EXPECT_THAT(made.missing_groups, IsEmpty());
}

TEST(PlanIdentity, DoesNotAcceptTheLossOfAGroupThatWasAskedFor) {
  Options words = options("app");
  words.group_add = {"2000"};
  const Plan made = plan(words, caller(1000, 1000, {}));
  EXPECT_EQ(made.identity.groups, groups({1000, 44, 2000}));  // the groups step is blocked
}

TEST(PlanIdentity, ReportsAccountGroupsThatANonRootCallerCannotAdd) {
  const Plan made = plan(options("app"), caller(1000, 1000, {}));
  EXPECT_EQ(made.missing_groups, groups({44}));
  EXPECT_EQ(made.identity.groups, groups({1000}));
}

TEST(PlanIdentity, TakesTheOwnerOfAPath) {
  Options words = options("app");
  words.user_of = "/data";
  Host where = host();
  where.user_of_owner = Owner{Uid{5000}, Gid{5001}};
  const Identity identity = plan(words, container_root(), where).identity;
  EXPECT_EQ(identity.uid, Uid{5000});
  EXPECT_EQ(identity.gid, Gid{5001});
  EXPECT_EQ(identity.groups, groups({5001}));
  EXPECT_EQ(identity.home, "/home/app") << "name and home fall back to --user's";
}

TEST(PlanIdentity, FallsBackWhereRootOrNobodyOwnsThePath) {
  Options words = options("app");
  words.user_of = "/data";
  Host where = host();
  for (const std::uint32_t uid : {0U, 65534U}) {
    where.user_of_owner = Owner{Uid{uid}, Gid{uid}};
    EXPECT_EQ(plan(words, container_root(), where).identity.uid, Uid{1000}) << uid;
    words.user.reset();
    EXPECT_THAT(refusal(words, container_root(), where), HasSubstr("--user USER")) << uid;
    words.user = "app";
  }
}

TEST(PlanIdentity, NamesKeepIdWhereTheEngineIsRootless) {
  Options words = options("app");
  words.user.reset();
  words.user_of = "/data";
  Host where = host();
  where.user_of_owner = Owner{overflow_uid, Gid{65534}};
  where.mapped_user_namespace = true;
  EXPECT_THAT(refusal(words, container_root(), where), HasSubstr("--userns=keep-id"));
}

TEST(PlanIdentity, DoesNotTakeTheRootGroupFromAPath) {
  Options words = options("app");
  words.user_of = "/data";
  Host where = host();
  where.user_of_owner = Owner{Uid{5000}, root_gid};
  EXPECT_THAT(refusal(words, container_root(), where), HasSubstr("--allow-root-group"));
}

TEST(PlanIdentity, ReadsIdsFromTheEnvironment) {
  Options words = options("app");
  words.user_env = "PUID:PGID";
  Caller root = container_root();
  root.environment = {"PUID=1234", "PGID=5678"};
  const Identity identity = plan(words, root).identity;
  EXPECT_EQ(identity.uid, Uid{1234});
  EXPECT_EQ(identity.gid, Gid{5678});
}

TEST(PlanIdentity, FallsBackWhereTheVariableIsUnsetOrEmpty) {
  Options words = options("app");
  words.user_env = "PUID:PGID";
  Caller root = container_root();
  EXPECT_EQ(plan(words, root).identity.uid, Uid{1000});
  root.environment = {"PUID="};
  EXPECT_EQ(plan(words, root).identity.uid, Uid{1000});
  words.user.reset();
  EXPECT_THAT(refusal(words, root), HasSubstr("PUID"));
}

TEST(PlanIdentity, RefusesWhateverIsNoIdInTheEnvironment) {
  Options words = options("app");
  words.user_env = "PUID";
  for (const char* value : {"4294967296", "-1", "+5", " 5", "0x10", "app", "2147483648"}) {
    Caller root = container_root();
    root.environment = {std::string("PUID=") + value};
    EXPECT_THAT(refusal(words, root), HasSubstr("PUID")) << value;
  }
}

TEST(PlanIdentity, RefusesRootFromTheEnvironment) {
  Options words = options("app");
  words.user_env = "PUID:PGID";
  Caller root = container_root();
  root.environment = {"PUID=0", "PGID=1000"};
  EXPECT_THAT(refusal(words, root), HasSubstr("--allow-root"));
}

TEST(PlanIdentity, RefusesTwoSourcesAtOnce) {
  Options words = options("app");
  words.user_env = "PUID";
  words.user_of = "/data";
  EXPECT_THAT(refusal(words), HasSubstr("--user-env"));
}

TEST(PlanIdentity, GosuKeepsTheCallersGroupForANumberWithoutEntry) {
  Options words = options("1234");
  words.manners = Manners::gosu;
  const Plan made = plan(words);
  EXPECT_EQ(made.identity.uid, Uid{1234});
  EXPECT_EQ(made.identity.gid, root_gid);
  words.manners = Manners::stepdown;
  EXPECT_THAT(refusal(words), HasSubstr("1234"));
}

TEST(PlanIdentity, GosuLeavesRootAlone) {
  Options words = options("root");
  words.manners = Manners::gosu;
  const Caller root = container_root();
  const Plan made = plan(words, root);
  EXPECT_FALSE(made.drop_privileges);
  EXPECT_EQ(end_state(made, root).credentials.capabilities, root.credentials.capabilities);
  EXPECT_FALSE(end_state(made, root).credentials.no_new_privs);
}

TEST(PlanEnvironment, ReplacesHomeAndTheNamesOfTheCaller) {
  Caller root = container_root();
  root.environment = {"USER=root", "LOGNAME=somebody", "SHELL=/bin/zsh", "HOME=/root", "HOME=/x"};
  EXPECT_THAT(plan(options("app"), root).environment,
              ElementsAre("USER=app", "LOGNAME=somebody", "SHELL=/bin/zsh", "HOME=/home/app"));
}

TEST(PlanEnvironment, RemovesTheCallersNameWhereTheAppHasNone) {
  Caller root = container_root();
  root.environment = {"USER=root"};
  EXPECT_THAT(plan(options("7:7"), root).environment, ElementsAre("HOME=/"));
}

TEST(PlanEnvironment, TheCommandLineWins) {
  Options words = options("app");
  words.environment = {{"HOME", "/srv"}, {"A", "1"}, {"A", "2=3"}};
  Caller root = container_root();
  root.environment = {};
  EXPECT_THAT(plan(words, root).environment, ElementsAre("HOME=/srv", "A=2=3"));
}

TEST(PlanEnvironment, GosuChangesHomeAlone) {
  Options words = options("app");
  words.manners = Manners::gosu;
  Caller root = container_root();
  root.environment = {"USER=root", "HOME=/root"};
  EXPECT_THAT(plan(words, root).environment, ElementsAre("USER=root", "HOME=/home/app"));
}

TEST(Variable, IsNotFooledByAPrefix) {
  const Environment environment{"PATHS=x", "PATH=y", "P"};
  EXPECT_EQ(variable(environment, "PATH"), "y");
  EXPECT_EQ(variable(environment, "P"), std::nullopt);
}

TEST(Plan, WithoutACommandSaysWhatAnEntrypointDoes) {
  Options words = options("app");
  words.command = {};
  EXPECT_THAT(refusal(words), HasSubstr("No command"));
  EXPECT_THAT(refusal(words), HasSubstr("ENTRYPOINT"));
}

TEST(Plan, CountsOwnedPathsAmongTheWritableOnes) {
  Options words = options("app");
  words.own = {{"/data", true}};
  words.writable = {"/data", "/tmp"};
  EXPECT_THAT(plan(words).writable, ElementsAre("/data", "/tmp"));
}

TEST(Plan, OfTheSameWordsIsTheSame) {
  EXPECT_EQ(plan(options("app")), plan(options("app")));
  EXPECT_FALSE(plan(options("app")) == plan(options("app:app")));
}

TEST(Groups, CompareAsSetsWithThePrimaryCountedIn) {
  EXPECT_TRUE(same_groups(groups({}), groups({1000}), Gid{1000}));
  EXPECT_TRUE(same_groups(groups({44, 1000}), groups({44}), Gid{1000}));
  EXPECT_FALSE(same_groups(groups({44}), groups({1000}), Gid{1000}));
  EXPECT_FALSE(same_groups(groups({}), groups({0}), Gid{1000}));
}

TEST(EndState, LocksExactlyWhereSetpcapIsEffective) {
  const Caller root = container_root();
  const Standing locked = end_state(plan(options("app"), root), root);
  EXPECT_TRUE(locked.credentials.capabilities.bounding.empty());
  EXPECT_EQ(locked.securebits, 0xc3U);  // NOROOT, NO_CAP_AMBIENT_RAISE and their locks
  EXPECT_TRUE(locked.credentials.no_new_privs);

  const Caller weak = caller(0, 0, docker_default - CapabilitySet{Capability::setpcap});
  const Standing open = end_state(plan(options("app"), weak), weak);
  EXPECT_EQ(open.credentials.capabilities.bounding, docker_default);
  EXPECT_EQ(open.securebits, 0U);
  EXPECT_TRUE(open.credentials.capabilities.permitted.empty());
}

// With it, a child that goes from uid 0 to another keeps its capabilities (capabilities(7)).
TEST(EndState, ClearsNoSetuidFixupUnlessItIsLocked) {
  Caller root = container_root();
  root.securebits = SECBIT_NO_SETUID_FIXUP;
  EXPECT_EQ(end_state(plan(options("app"), root), root).securebits, 0xc3U);
  root.securebits = SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED;
  EXPECT_EQ(end_state(plan(options("app"), root), root).securebits, 0xcfU);
}

TEST(EndState, LeavesThreeThingsAloneWithAllowNewPrivs) {
  Options words = options("app");
  words.allow_new_privs = true;
  const Caller root = container_root();
  const Standing end = end_state(plan(words, root), root);
  EXPECT_FALSE(end.credentials.no_new_privs);
  EXPECT_EQ(end.credentials.capabilities.bounding, docker_default);
  EXPECT_EQ(end.securebits, 0U);
  EXPECT_TRUE(end.credentials.capabilities.effective.empty());
}

// Debian's nobody has the number that stands for everybody who is not in the map.
TEST(PlanIdentity, DoesNotTakeAnUnmappedOwnerForNobodyOfTheAccountFiles) {
  AccountFiles files = accounts();
  files.passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
  Options words = options("app");
  words.user_of = "/data";
  Host where = host();
  where.user_of_owner = Owner{overflow_uid, Gid{65534}};
  const auto planned = [&] { return make_plan(words, files, container_root(), where); };
  EXPECT_EQ(planned().identity.uid, overflow_uid) << "where every id is mapped";
  where.mapped_user_namespace = true;
  EXPECT_EQ(planned().identity.uid, Uid{1000}) << "falls back to --user";
  words.user.reset();
  try {
    planned();
    FAIL() << "no refusal";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--userns=keep-id"));
  }
}

}  // namespace
}  // namespace stepdown::test
