#include "stepdown/capability_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stepdown {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Capability last_possible{63};

TEST(CapabilityNames, AreTakenWithAndWithoutThePrefixInAnyCase) {
  for (const char* name : {"NET_BIND_SERVICE", "net_bind_service", "cap_net_bind_service",
                           "CAP_NET_BIND_SERVICE", "Cap_Net_Bind_Service", "net_BIND_service"}) {
    EXPECT_EQ(capability_from_name(name), Capability::net_bind_service) << name;
  }
}

TEST(CapabilityNames, AreNothingElse) {
  using std::string_view_literals::operator""sv;
  const std::vector<std::string_view> words = {"",
                                               "cap_",
                                               "cap_cap_chown",
                                               "chow",
                                               "chownn",
                                               "chown ",
                                               " chown",
                                               "chown,setuid",
                                               "chown=ep",
                                               "all",
                                               "10",
                                               "cap_10",
                                               "0",
                                               "-1",
                                               "0x1",
                                               "chown\n",
                                               "chown\0"sv,
                                               "chown\0x"sv,
                                               "cap-chown",
                                               "CAP_CHOWN\xc3",
                                               "cap_63",
                                               "\xc4\xb0",
                                               "net_bind service"};
  for (const std::string_view word : words) {
    EXPECT_EQ(capability_from_name(word), std::nullopt) << '"' << word << '"';
  }
}

TEST(CapabilityNames, AreThoseOfTheManPageAndOfContainerEngines) {
  EXPECT_EQ(capability_name(Capability::chown), "cap_chown");
  EXPECT_EQ(capability_name(Capability::net_bind_service), "cap_net_bind_service");
  EXPECT_EQ(capability_flag(Capability::net_bind_service), "NET_BIND_SERVICE");
  EXPECT_EQ(capability_flag(Capability::sys_admin), "SYS_ADMIN");
}

TEST(CapabilityNames, AreNumbersWhereThereIsNoName) {
  EXPECT_EQ(capability_name(last_possible), "cap_63");
  EXPECT_EQ(capability_flag(last_possible), "63");
}

TEST(CapabilityNames, LeadBackToTheCapability) {
  // 0 to 40: those of Linux 5.9, which libcap knows by name.
  for (unsigned number = 0; number <= 40; ++number) {
    const Capability capability{number};
    EXPECT_EQ(capability_from_name(capability_name(capability)), capability);
    EXPECT_EQ(capability_from_name(capability_flag(capability)), capability);
  }
}

TEST(CapabilitySets, HoldWhatWasPutIn) {
  constexpr CapabilitySet set{Capability::setuid, Capability::chown, last_possible};
  EXPECT_EQ(set.bits(), std::uint64_t{1} << 63 | 1U << 7 | 1U);
  EXPECT_THAT(set.members(), ElementsAre(Capability::chown, Capability::setuid, last_possible));
  EXPECT_TRUE(set.has(last_possible));
  EXPECT_FALSE(set.has(Capability::setgid));
  EXPECT_EQ(set, CapabilitySet::from_bits(set.bits()));
  EXPECT_THAT(CapabilitySet{}.members(), IsEmpty());
  EXPECT_TRUE(CapabilitySet{}.empty());
  EXPECT_EQ(CapabilitySet::from_bits(~std::uint64_t{0}).members().size(), 64U);
}

TEST(CapabilitySets, HaveSetOperations) {
  constexpr CapabilitySet a{Capability::chown, Capability::setuid};
  constexpr CapabilitySet b{Capability::setuid, Capability::setgid};
  EXPECT_EQ(a | b, (CapabilitySet{Capability::chown, Capability::setuid, Capability::setgid}));
  EXPECT_EQ(a & b, CapabilitySet{Capability::setuid});
  EXPECT_EQ(a - b, CapabilitySet{Capability::chown});
  EXPECT_TRUE(a.contains(a & b));
  EXPECT_FALSE(a.contains(b));
  EXPECT_TRUE(a.contains({}));
}

}  // namespace
}  // namespace stepdown
