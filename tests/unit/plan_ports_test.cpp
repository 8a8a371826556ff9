#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan_world.h"

namespace stepdown::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr CapabilitySet net_raw = CapabilitySet::from_bits(1U << 13);

struct PortWorld {
  Caller who = container_root();
  Host where = host();
  Options words = options("app");

  PortWorld() { words.ports = {{80, Protocol::tcp}}; }
  PortWorld& file(CapabilitySet permitted, bool effective, CapabilitySet inheritable = {}) {
    where.command_file = "/usr/bin/app";
    where.command_capabilities = FileCapabilities{permitted, inheritable, effective};
    return *this;
  }
  [[nodiscard]] Plan plan() const { return make_plan(words, accounts(), who, where); }
};

TEST(Ports, NeedNothingAtOrAboveTheStart) {
  PortWorld world;
  world.words.ports = {{1024, Protocol::tcp}, {8080, Protocol::udp}};
  const Plan plan = world.plan();
  for (const PortUse& port : plan.ports) EXPECT_EQ(port.way, PortWay::unprivileged);
  EXPECT_TRUE(plan.keep.empty());
  world.words.ports = {{1023, Protocol::tcp}};
  EXPECT_EQ(world.plan().ports.at(0).way, PortWay::ambient);
}

TEST(Ports, NeedNothingWhereDockerSetTheStartToZero) {
  PortWorld world;
  world.where.unprivileged_port_start = 0;
  EXPECT_EQ(world.plan().ports.at(0).way, PortWay::unprivileged);
  EXPECT_TRUE(world.plan().keep.empty());
}

TEST(Ports, KeepTheCapabilityAmbientAndReduceBoundingToIt) {
  const Plan plan = PortWorld().plan();
  EXPECT_EQ(plan.ports.at(0).way, PortWay::ambient);
  EXPECT_EQ(plan.keep, net_bind);
  EXPECT_EQ(plan.bounding, net_bind);
}

TEST(Ports, AssumeTheKernelsDefaultWithoutProc) {
  PortWorld world;
  world.where.unprivileged_port_start.reset();
  EXPECT_EQ(world.plan().ports.at(0).way, PortWay::ambient);
  EXPECT_THAT(world.plan().ports.at(0).reason, HasSubstr("/proc"));
}

TEST(Ports, AreCountedOnceForEachProtocol) {
  PortWorld world;
  world.words.ports = {{80, Protocol::tcp}, {80, Protocol::tcp}, {80, Protocol::udp}};
  EXPECT_EQ(world.plan().ports.size(), 2U);
}

TEST(Ports, AreBlockedWithoutTheCapabilityAndNameIt) {
  PortWorld world;
  world.who = caller(0, 0, set_ids, set_ids);
  const PortUse port = world.plan().ports.at(0);
  EXPECT_EQ(port.way, PortWay::blocked);
  EXPECT_TRUE(port.capability_missing);
  EXPECT_THAT(port.reason, HasSubstr("--sysctl net.ipv4.ip_unprivileged_port_start=0"));
  EXPECT_TRUE(world.plan().keep.empty());
}

TEST(Ports, OfANonRootStartAreNotHelpedByACapability) {
  PortWorld world;
  world.who = caller(1000, 1000, {}, net_bind);  // Kubernetes: in bounding alone
  const PortUse port = world.plan().ports.at(0);
  EXPECT_EQ(port.way, PortWay::blocked);
  EXPECT_FALSE(port.capability_missing);
  EXPECT_THAT(port.reason, HasSubstr("securityContext.sysctls"));
}

TEST(Ports, OfAForeignNetworkNamespaceAreBlocked) {
  PortWorld world;
  world.where.mapped_user_namespace = true;
  world.where.foreign_network_namespace = true;
  EXPECT_EQ(world.plan().ports.at(0).way, PortWay::blocked);
}

// facts: "File capabilities of the command".
TEST(FileCapabilitiesOfTheCommand, SameWithEffectiveGiveItBack) {
  const Plan plan = PortWorld().file(net_bind, true).plan();
  EXPECT_EQ(plan.ports.at(0).way, PortWay::file_capability);
  EXPECT_EQ(plan.bounding, net_bind);
  EXPECT_THAT(plan.command_refusal, IsEmpty());
}

TEST(FileCapabilitiesOfTheCommand, SameWithEffectiveStayInBoundingWhateverThePort) {
  PortWorld world;
  world.words.ports = {};
  const Plan plan = world.file(net_bind, true).plan();
  EXPECT_EQ(plan.bounding, net_bind);
  EXPECT_TRUE(plan.keep.empty());
  EXPECT_THAT(plan.command_refusal, IsEmpty());
}

TEST(FileCapabilitiesOfTheCommand, SameWithoutEffectiveCannotBind) {
  const Plan plan = PortWorld().file(net_bind, false).plan();
  EXPECT_EQ(plan.ports.at(0).way, PortWay::blocked);
  EXPECT_THAT(plan.ports.at(0).reason, HasSubstr("setcap cap_net_bind_service+ep /usr/bin/app"));
}

TEST(FileCapabilitiesOfTheCommand, SameWithoutEffectiveHarmNothingOnAHighPort) {
  PortWorld world;
  world.words.ports = {{8080, Protocol::tcp}};
  const Plan plan = world.file(net_bind, false).plan();
  EXPECT_EQ(plan.ports.at(0).way, PortWay::unprivileged);
  EXPECT_THAT(plan.command_refusal, IsEmpty());
}

TEST(FileCapabilitiesOfTheCommand, AnotherWithEffectiveIsRefused) {
  const Plan plan = PortWorld().file(net_raw, true).plan();
  EXPECT_THAT(plan.command_refusal, HasSubstr("--keep-cap NET_RAW"));
  EXPECT_THAT(plan.command_refusal, HasSubstr("setcap -r /usr/bin/app"));
}

TEST(FileCapabilitiesOfTheCommand, AnotherWithEffectiveWorksWhenKept) {
  PortWorld world;
  world.words.ports = {};
  world.words.keep_caps = net_raw;
  const Plan plan = world.file(net_raw, true).plan();
  EXPECT_THAT(plan.command_refusal, IsEmpty());
  EXPECT_EQ(plan.bounding, net_raw);
}

TEST(FileCapabilitiesOfTheCommand, OutsideTheContainersBoundingSetNameTheEnginesFlag) {
  PortWorld world;
  world.who = caller(0, 0, set_ids, set_ids);
  EXPECT_THAT(world.file(net_raw, true).plan().command_refusal, HasSubstr("--cap-add NET_RAW"));
}

TEST(FileCapabilitiesOfTheCommand, GainNothingWhereBoundingStays) {
  PortWorld world;
  world.words.ports = {};
  world.who = caller(1000, 1000, {});
  EXPECT_THAT(world.file(net_raw, true).plan().command_refusal, IsEmpty());
}

TEST(FileCapabilitiesOfTheCommand, OfAnyKindTakeAKeptCapabilityAway) {
  PortWorld world;
  world.words.ports = {};
  world.words.keep_caps = net_bind;
  EXPECT_THAT(world.file(net_raw, false).plan().command_refusal, HasSubstr("NET_BIND_SERVICE"));
}

TEST(FileCapabilitiesOfTheCommand, WithNewPrivilegesAllowedGiveThePortByThemselves) {
  PortWorld world;
  world.words.allow_new_privs = true;
  world.who = caller(1000, 1000, {});
  EXPECT_EQ(world.file(net_bind, true).plan().ports.at(0).way, PortWay::file_capability);
}

// capabilities(7), "Transformation of capabilities during execve()", cell by cell.
TEST(ExecOutcome, FollowsTheKernelsFormula) {
  CapabilityState before{net_bind, net_bind, net_bind, net_bind, net_bind};
  EXPECT_EQ(exec_outcome(before, true, std::nullopt),
            (ExecOutcome{false, net_bind, net_bind, net_bind}));
  EXPECT_EQ(exec_outcome(before, true, FileCapabilities{net_bind, {}, true}),
            (ExecOutcome{false, net_bind, net_bind, {}}));
  EXPECT_EQ(exec_outcome(before, true, FileCapabilities{net_bind, {}, false}),
            (ExecOutcome{false, net_bind, {}, {}}));
  EXPECT_TRUE(exec_outcome(before, true, FileCapabilities{net_raw, {}, true}).refused);
  EXPECT_FALSE(exec_outcome(before, true, FileCapabilities{net_raw, {}, false}).refused);
  EXPECT_EQ(exec_outcome(before, true, FileCapabilities{{}, net_bind, true}),
            (ExecOutcome{false, net_bind, net_bind, {}}));

  before = {{}, {}, {}, net_bind, {}};
  EXPECT_EQ(exec_outcome(before, true, FileCapabilities{net_bind, {}, true}), ExecOutcome{});
  EXPECT_EQ(exec_outcome(before, false, FileCapabilities{net_bind, {}, true}),
            (ExecOutcome{false, net_bind, net_bind, {}}));

  before.bounding = {};
  EXPECT_TRUE(exec_outcome(before, true, FileCapabilities{net_bind, {}, true}).refused);
}

}  // namespace
}  // namespace stepdown::test
