// What a kernel of each Landlock ABI is asked for, and what is said to be missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "landlock/terms.h"
#include "stepdown/error.h"
#include "stepdown/options.h"
#include "stepdown/plan.h"
#include "unit/plan_world.h"

namespace stepdown {
namespace {

using landlock::Terms;
using landlock::Wishes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Wishes both{true, true};
constexpr Wishes read_only{true, false};
constexpr Wishes only_ports{false, true};

// landlock(7), by number: the kernel's header here may end earlier.
constexpr std::uint64_t execute = 1 << 0, read_file = 1 << 2, read_dir = 1 << 3;
constexpr std::uint64_t up_to_make_sym = (1 << 13) - 1;
constexpr std::uint64_t refer = 1 << 13, truncate = 1 << 14, ioctl_dev = 1 << 15;

TEST(LandlockTerms, HandleWritingAloneSoThatReadingNeedsNoRule) {
  for (int abi = 1; abi <= landlock::newest_abi; ++abi)
    EXPECT_EQ(terms(abi, both).filesystem & (execute | read_file | read_dir), 0U);
}

TEST(LandlockTerms, GrowWithTheAbi) {
  constexpr std::uint64_t first = up_to_make_sym & ~(execute | read_file | read_dir);
  const std::vector<std::pair<int, Terms>> table = {
      {1, {first, 0, 0, 0, {}}},
      {2, {first | refer, 0, 0, 0, {}}},
      {3, {first | refer | truncate, 0, 0, 0, {}}},
      {4, {first | refer | truncate, 1, 0, 0, {}}},
      {5, {first | refer | truncate | ioctl_dev, 1, 0, 0, {}}},
      {6, {first | refer | truncate | ioctl_dev, 1, 3, 0, {}}},
      {7, {first | refer | truncate | ioctl_dev, 1, 3, 2, {}}},
      {8, {first | refer | truncate | ioctl_dev, 1, 3, 2, {}}},
  };
  for (const auto& [abi, expected] : table) {
    Terms found = terms(abi, both);
    found.missing.clear();
    EXPECT_EQ(found, expected) << "ABI " << abi;
  }
}

TEST(LandlockTerms, SayWhatIsMissingAndWhichLinuxHasIt) {
  EXPECT_THAT(terms(0, both).missing, SizeIs(6));
  EXPECT_THAT(terms(1, both).missing,
              ElementsAre(HasSubstr("5.19"), HasSubstr("truncate"), HasSubstr("ioctl"),
                          HasSubstr("signals"), HasSubstr("TCP")));
  EXPECT_THAT(terms(2, both).missing, SizeIs(4));
  EXPECT_THAT(terms(3, both).missing, SizeIs(3));
  EXPECT_THAT(terms(4, both).missing, ElementsAre(HasSubstr("6.10"), HasSubstr("6.12")));
  EXPECT_THAT(terms(5, both).missing, ElementsAre(HasSubstr("6.12")));
  EXPECT_THAT(terms(6, both).missing, IsEmpty());
  EXPECT_THAT(terms(7, both).missing, IsEmpty());
}

TEST(LandlockTerms, AskOnlyForWhatWasWished) {
  EXPECT_EQ(terms(7, read_only).network, 0U);
  EXPECT_EQ(terms(7, only_ports).filesystem, 0U);
  EXPECT_EQ(terms(7, only_ports).scopes, 0U);
  EXPECT_THAT(terms(3, read_only).missing, SizeIs(2));
  EXPECT_THAT(terms(3, only_ports).missing, ElementsAre(HasSubstr("TCP")));
  EXPECT_TRUE(terms(3, only_ports).enforce_nothing());
  EXPECT_TRUE(terms(0, both).enforce_nothing());
  EXPECT_FALSE(terms(1, both).enforce_nothing());
}

TEST(LandlockTerms, GiveAFileWhatAFileCanHave) {
  EXPECT_EQ(file_rights(terms(1, read_only)), 1U << 1);
  EXPECT_EQ(file_rights(terms(7, read_only)), 1U << 1 | truncate | ioctl_dev);
  EXPECT_EQ(file_rights(terms(7, only_ports)), 0U);
}

// ---- in the plan ----

Plan plan(const Options& words) {
  return make_plan(words, test::accounts(), test::container_root(), test::host());
}

TEST(LandlockPlan, CarriesWhatWasAsked) {
  Options words = test::options("app");
  EXPECT_FALSE(plan(words).read_only || plan(words).only_ports || plan(words).landlock_required);
  words.read_only = true;
  words.landlock_required = true;
  EXPECT_TRUE(plan(words).read_only && plan(words).landlock_required);
  EXPECT_FALSE(plan(words).only_ports);
  words.only_ports = true;
  EXPECT_TRUE(plan(words).only_ports);
}

TEST(LandlockPlan, RefusesWhatContradictsIt) {
  Options words = test::options("app");
  words.landlock_required = true;
  EXPECT_THROW(plan(words), Error);
  words.read_only = true;
  words.allow_new_privs = true;
  EXPECT_THROW(plan(words), Error);
  words.read_only = false;
  words.only_ports = true;
  EXPECT_THROW(plan(words), Error);
}

}  // namespace
}  // namespace stepdown
