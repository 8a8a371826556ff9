// Which user namespace a plan holds, who writes its maps, and what goes with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan_world.h"
#include "stepdown/error.h"
#include "stepdown/profile.h"

namespace stepdown {
namespace {

using namespace test;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr CapabilitySet kernels = all_capabilities;

Host machine() {
  Host made = host();
  made.kernel_capabilities = kernels;
  return made;
}

Options with_userns(Userns mode) {
  Options words = options("app");
  words.userns = mode;
  return words;
}

AccountFiles with_ranges() {
  AccountFiles files = accounts();
  files.subuid = "admin:1:5\napp:100000:65536\n";
  files.subgid = "app:200000:65536\n1000:300000:10\n";
  return files;
}

Plan planned(const Options& words, const Caller& who = container_root(),
             const Host& where = machine(), const AccountFiles& files = accounts()) {
  return make_plan(words, files, who, where);
}

UserNamespace namespace_of(const Plan& plan) {
  return plan.user_namespace.value();
}

std::string refusal(const Options& words, const Caller& who = container_root(),
                    const AccountFiles& files = accounts()) {
  try {
    planned(words, who, machine(), files);
  } catch (const Error& error) {
    return error.what();
  }
  return "not refused";
}

Options by_hand(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids) {
  Options words = options("app");
  words.uid_map = uids;
  words.gid_map = gids;
  return words;
}

TEST(PlanUserNamespace, IsNoneUnlessAsked) {
  EXPECT_FALSE(planned(options("app")).user_namespace.has_value());
}

TEST(PlanUserNamespace, CallsTheTargetRootInside) {
  const Plan plan = planned(with_userns(Userns::root));
  const UserNamespace made = namespace_of(plan);
  EXPECT_THAT(made.uid_map, ElementsAre(IdMapping{0, 1000, 1}));
  EXPECT_THAT(made.gid_map, ElementsAre(IdMapping{0, 1000, 1}));
  EXPECT_EQ(made.uid, root_uid);
  EXPECT_EQ(made.gid, root_gid);
  EXPECT_EQ(plan.identity.uid, Uid{1000}) << "outside it is who it is";
}

TEST(PlanUserNamespace, KeepsTheTargetsNumbers) {
  const UserNamespace made = namespace_of(planned(with_userns(Userns::keep)));
  EXPECT_THAT(made.uid_map, ElementsAre(IdMapping{1000, 1000, 1}));
  EXPECT_THAT(made.gid_map, ElementsAre(IdMapping{1000, 1000, 1}));
  EXPECT_EQ(made.uid, Uid{1000});
}

TEST(PlanUserNamespace, AddsTheTargetsRangesFromOneOn) {
  const UserNamespace made =
      namespace_of(planned(with_userns(Userns::root), container_root(), machine(), with_ranges()));
  EXPECT_THAT(made.uid_map, ElementsAre(IdMapping{0, 1000, 1}, IdMapping{1, 100000, 65536}));
  EXPECT_THAT(made.gid_map, ElementsAre(IdMapping{0, 1000, 1}, IdMapping{1, 200000, 65536},
                                        IdMapping{65537, 300000, 10}));
}

TEST(PlanUserNamespace, AddsNoRangesToKeepOrToMapsByHand) {
  EXPECT_THAT(
      namespace_of(planned(with_userns(Userns::keep), container_root(), machine(), with_ranges()))
          .uid_map,
      ElementsAre(IdMapping{1000, 1000, 1}));
  Options words = with_userns(Userns::root);
  words.uid_map = {{0, 1000, 1}};
  const UserNamespace made =
      namespace_of(planned(words, container_root(), machine(), with_ranges()));
  EXPECT_THAT(made.uid_map, ElementsAre(IdMapping{0, 1000, 1}));
  EXPECT_THAT(made.gid_map, ElementsAre(IdMapping{0, 1000, 1}));
}

TEST(PlanUserNamespace, BecomesWhatMapsByHandCallTheTarget) {
  const UserNamespace made =
      namespace_of(planned(by_hand({{5, 990, 20}, {100, 2000, 1}}, {{7, 1000, 1}, {8, 44, 1}})));
  EXPECT_EQ(made.uid, Uid{15});
  EXPECT_EQ(made.gid, Gid{7});
  EXPECT_EQ(made.groups, groups({7, 8})) << "app's groups are 1000 and 44";
}

TEST(PlanUserNamespace, RefusesATargetWithoutANameInside) {
  EXPECT_THAT(refusal(by_hand({{0, 999, 1}}, {{0, 1000, 1}})),
              AllOf(HasSubstr("--uid-map"), HasSubstr("1000"), HasSubstr("--uid-map 0:1000:1")));
  EXPECT_THAT(refusal(by_hand({{0, 1000, 1}}, {{0, 1001, 1}})), HasSubstr("--gid-map"));
}

TEST(PlanUserNamespace, NamesTheLineThatTheTargetNeeds) {
  // The other map is in order each time.
  const std::vector<IdMapping> fine{{0, 1000, 1}};
  const std::string free = refusal(by_hand({{1, 5000, 10}}, fine));
  EXPECT_THAT(free, HasSubstr("add --uid-map 0:1000:1"));
  const std::string taken = refusal(by_hand({{0, 5000, 10}}, fine));
  EXPECT_THAT(taken, HasSubstr("in the place of the line that names 0: --uid-map 0:1000:1"));
  EXPECT_THAT(taken, Not(HasSubstr("add ")));
  EXPECT_THAT(refusal(by_hand(fine, {{0, 5000, 10}})),
              HasSubstr("in the place of the line that names 0: --gid-map 0:1000:1"));
}

TEST(PlanUserNamespace, NamesTheLineThatKeepNeeds) {
  const std::vector<IdMapping> fine{{1000, 1000, 1}};
  Options words = by_hand({{0, 100000, 1000}}, fine);
  words.userns = Userns::keep;
  EXPECT_THAT(refusal(words), HasSubstr("add --uid-map 1000:1000:1"));
  words.uid_map = {{0, 100000, 65536}};
  EXPECT_THAT(refusal(words),
              HasSubstr("in the place of the line that names 1000: --uid-map 1000:1000:1"));
}

TEST(PlanUserNamespace, GivesNoUid0InsideItsCapabilitiesBack) {
  Options words = with_userns(Userns::root);
  words.allow_new_privs = true;
  EXPECT_THAT(refusal(words), AllOf(HasSubstr("--allow-new-privs"), HasSubstr("--userns=keep")));
  words.allow_root = true;
  EXPECT_THAT(refusal(words), HasSubstr("--allow-new-privs")) << "that is no consent to this";
  words = by_hand({{0, 1000, 1}}, {{0, 1000, 1}});
  words.allow_new_privs = true;
  EXPECT_THAT(refusal(words), HasSubstr("--allow-new-privs"));
  words = by_hand({{5, 1000, 1}}, {{0, 1000, 1}});
  words.allow_new_privs = true;
  EXPECT_EQ(refusal(words), "not refused");
  words = with_userns(Userns::keep);
  words.allow_new_privs = true;
  EXPECT_EQ(refusal(words), "not refused");
}

TEST(PlanUserNamespace, RefusesHalfAMap) {
  EXPECT_THAT(refusal(by_hand({{0, 1000, 1}}, {})), HasSubstr("give both"));
  EXPECT_THAT(refusal(by_hand({}, {{0, 1000, 1}})), HasSubstr("give both"));
}

TEST(PlanUserNamespace, RefusesMapsThatContradictTheMode) {
  Options words = by_hand({{1000, 1000, 1}}, {{0, 1000, 1}});
  words.userns = Userns::root;
  EXPECT_THAT(refusal(words), HasSubstr("--userns=root"));
  words = by_hand({{1000, 1000, 1}}, {{0, 1000, 1}});
  words.userns = Userns::keep;
  EXPECT_THAT(refusal(words), HasSubstr("--userns=keep"));
}

TEST(PlanUserNamespace, RefusesOverlapsAndTooManyLines) {
  EXPECT_THAT(refusal(by_hand({{0, 1000, 2}, {1, 5000, 1}}, {{0, 1000, 1}})),
              HasSubstr("--uid-map"));
  std::vector<IdMapping> many;
  for (std::uint32_t line = 0; line <= largest_id_map; ++line)
    many.push_back({line, 1000 + line, 1});
  EXPECT_THAT(refusal(by_hand({{0, 1000, 1}}, many)), HasSubstr("340"));
  many.pop_back();
  EXPECT_EQ(refusal(by_hand({{0, 1000, 1}}, many)), "not refused");
}

TEST(PlanUserNamespace, GivesTheOutsidesRootToNobodyWithoutConsent) {
  const std::vector<IdMapping> with_root{{0, 1000, 1}, {1, 0, 10}};
  const std::vector<IdMapping> without{{0, 1000, 1}};
  EXPECT_THAT(refusal(by_hand(with_root, without)), HasSubstr("--allow-root"));
  EXPECT_THAT(refusal(by_hand(without, with_root)), HasSubstr("--allow-root-group"));
  Options words = by_hand(with_root, without);
  words.allow_root = true;
  EXPECT_EQ(refusal(words), "not refused");
  words = by_hand(without, with_root);
  words.allow_root_group = true;
  EXPECT_EQ(refusal(words), "not refused");
}

TEST(PlanUserNamespace, GivesTheOutsidesRootToNobodyBySubordinateRanges) {
  AccountFiles files = accounts();
  files.subuid = "app:0:10\n";
  EXPECT_THAT(refusal(with_userns(Userns::root), container_root(), files),
              HasSubstr("--allow-root"));
}

TEST(PlanUserNamespace, TellsOfGroupsWithoutANameInside) {
  const Plan plan = planned(with_userns(Userns::root));
  EXPECT_EQ(namespace_of(plan).groups, groups({0, 65534})) << "44 is not mapped";
  EXPECT_THAT(namespace_of(plan).note, HasSubstr("44"));
}

// While it maps itself a process is open to others of its uid, and one that was root has what they
// must not get.
TEST(PlanUserNamespace, HasAHelperWhereverTheCallerWasPrivileged) {
  for (const Userns mode : {Userns::root, Userns::keep})
    EXPECT_EQ(namespace_of(planned(with_userns(mode))).writer, MapWriter::helper);
}

TEST(PlanUserNamespace, LetsACallerWithoutPrivilegesMapItself) {
  const UserNamespace made =
      namespace_of(planned(with_userns(Userns::root), caller(1000, 1000, {})));
  EXPECT_EQ(made.writer, MapWriter::self);
  EXPECT_THAT(made.uid_map, ElementsAre(IdMapping{0, 1000, 1}));
}

TEST(PlanUserNamespace, AsksNewuidmapForMoreWhereItIsInstalled) {
  Host where = machine();
  const Caller who = caller(1000, 1000, {});
  const Plan without = planned(with_userns(Userns::root), who, where, with_ranges());
  EXPECT_EQ(namespace_of(without).writer, MapWriter::self);
  EXPECT_THAT(namespace_of(without).note, HasSubstr("newuidmap"));
  where.newidmap_installed = true;
  const Plan with = planned(with_userns(Userns::root), who, where, with_ranges());
  EXPECT_EQ(namespace_of(with).writer, MapWriter::newidmap);
  EXPECT_EQ(namespace_of(with).uid_map.size(), 2U);
}

TEST(PlanUserNamespace, DoesNotAskASetuidProgramUnderNoNewPrivs) {
  Host where = machine();
  where.newidmap_installed = true;
  Caller who = caller(1000, 1000, {});
  who.credentials.no_new_privs = true;
  EXPECT_EQ(namespace_of(planned(with_userns(Userns::root), who, where, with_ranges())).writer,
            MapWriter::self);
}

TEST(PlanUserNamespace, EndsWithTheInsideIdsAndNothingElse) {
  const Caller root = container_root();
  const Plan plan = planned(with_userns(Userns::root), root);
  const Standing before = standing_before_drop(plan, root);
  EXPECT_EQ(before.credentials.capabilities.permitted, kernels);
  EXPECT_EQ(before.credentials.capabilities.bounding, kernels);
  EXPECT_TRUE(before.credentials.capabilities.inheritable.empty());
  const Standing end = end_state(plan, root);
  EXPECT_TRUE(end.credentials.uid.all_are(root_uid));
  EXPECT_TRUE(end.credentials.gid.all_are(root_gid));
  EXPECT_EQ(end.credentials.groups, groups({0, 65534}));
  EXPECT_EQ(end.credentials.capabilities, CapabilityState{});
  EXPECT_TRUE(end.credentials.no_new_privs);
  EXPECT_EQ(end.securebits, 0xc3U) << "locked, since inside CAP_SETPCAP is held";
}

TEST(PlanUserNamespace, KeepsInsideWhatTheCallerNeverHad) {
  Options words = with_userns(Userns::root);
  words.keep_caps = {Capability::sys_admin};
  const Caller user = caller(1000, 1000, {}, {});
  const Standing end = end_state(planned(words, user), user);
  EXPECT_EQ(end.credentials.capabilities.ambient, CapabilitySet{Capability::sys_admin});
  EXPECT_EQ(end.credentials.capabilities.bounding, CapabilitySet{Capability::sys_admin});
}

TEST(PlanUserNamespace, LeavesLowPortsToASupervisorOutside) {
  Options words = with_userns(Userns::root);
  words.ports = {{80, Protocol::tcp}, {8080, Protocol::tcp}};
  const Plan plan = planned(words);
  EXPECT_EQ(plan.ports.at(0).way, PortWay::supervisor);
  EXPECT_EQ(plan.ports.at(1).way, PortWay::unprivileged);
  EXPECT_TRUE(plan.keep.empty()) << "inside, the capability would be worth nothing";
  EXPECT_EQ(plan.init, Init::process);
  EXPECT_TRUE(binds_from_outside(plan));
}

TEST(PlanUserNamespace, BlocksLowPortsWithoutTheCapability) {
  Options words = with_userns(Userns::root);
  words.ports = {{80, Protocol::tcp}};
  const Plan plan = planned(words, caller(0, 0, set_ids));
  EXPECT_EQ(plan.ports.at(0).way, PortWay::blocked);
  EXPECT_TRUE(plan.ports.at(0).capability_missing);
}

TEST(PlanUserNamespace, BlocksLowPortsWithAllowNewPrivs) {
  Options words = with_userns(Userns::keep);
  words.ports = {{80, Protocol::tcp}};
  words.allow_new_privs = true;
  EXPECT_EQ(planned(words).ports.at(0).way, PortWay::blocked);
  EXPECT_THAT(planned(words).ports.at(0).reason, HasSubstr("--allow-new-privs"));
}

TEST(PlanPretendRoot, BringsItsSupervisor) {
  Options words = options("app");
  words.pretend_root = PretendRoot::supervised;
  EXPECT_EQ(planned(words).init, Init::process);
  words.init = Init::group;
  EXPECT_EQ(planned(words).init, Init::group);
  words.init = Init::none;
  words.pretend_root = PretendRoot::fixed;
  EXPECT_EQ(planned(words).init, Init::none);
  EXPECT_EQ(planned(words).identity.uid, Uid{1000});
}

TEST(PlanPretendRoot, DoesNotGoWithWhatContradictsIt) {
  Options words = options("app");
  words.pretend_root = PretendRoot::fixed;
  words.allow_new_privs = true;
  EXPECT_THAT(refusal(words), HasSubstr("--allow-new-privs"));
  words.allow_new_privs = false;
  words.userns = Userns::keep;
  EXPECT_THAT(refusal(words), HasSubstr("--userns"));
  words.userns = Userns::none;
  words.uid_map = {{0, 1000, 1}};
  EXPECT_THAT(refusal(words), HasSubstr("--userns"));
}

TEST(PlanLegacyRoot, WarnsWhereNobodyExistsToDropTo) {
  Options words = profile_options("legacy-root");
  words.user = "app";
  words.command = {"app"};
  const auto note = [&words](const AccountFiles& files) {
    return namespace_of(planned(words, container_root(), machine(), files)).note;
  };
  EXPECT_THAT(note(accounts()),
              AllOf(HasSubstr("nobody but"), HasSubstr("--uid-map"), HasSubstr("--gid-map")));
  EXPECT_THAT(note(with_ranges()), Not(HasSubstr("nobody but")));
  // Without SETUID and SETGID nobody could drop anyhow.
  EXPECT_THAT(namespace_of(planned(with_userns(Userns::root))).note, Not(HasSubstr("nobody but")));
}

TEST(PlanWithAProfile, AsksForTheUserByItsOption) {
  // The first word would be the command: "name it first" is no help.
  Options words = options("app");
  words.user.reset();
  EXPECT_THAT(refusal(words), HasSubstr("name it first"));
  words.profile = "default";
  EXPECT_THAT(refusal(words), AllOf(HasSubstr("--user USER"), Not(HasSubstr("name it first"))));
}

}  // namespace
}  // namespace stepdown
