// The rules of --pretend-root, from the man pages. That they are the kernel's, too, is what
// integration/identity_server_test.cpp compares.
#include "launch/pretended_identity.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace stepdown {

template <typename Id>
void PrintTo(const IdTriple<Id>& ids, std::ostream* stream) {
  *stream << raw(ids.real) << ' ' << raw(ids.effective) << ' ' << raw(ids.saved);
}
void PrintTo(const PretendedIdentity& identity, std::ostream* stream) {
  PrintTo(identity.uid, stream);
  *stream << ", ";
  PrintTo(identity.gid, stream);
}

namespace {

constexpr std::uint32_t leave = 0xffff'ffff;

IdTriple<Uid> uids(std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
  return {Uid{real}, Uid{effective}, Uid{saved}};
}
IdTriple<Gid> gids(std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
  return {Gid{real}, Gid{effective}, Gid{saved}};
}
PretendedIdentity user(IdTriple<Uid> ids) {
  PretendedIdentity identity;
  identity.uid = ids;
  return identity;
}

TEST(PretendedIdentity, BeginsAsRoot) {
  EXPECT_EQ(PretendedIdentity(), (PretendedIdentity{uids(0, 0, 0), gids(0, 0, 0)}));
}

// ---- setuid(2) ----

TEST(PretendedSetuid, TakesRootDownInAllThree) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setuid(identity, 33), 0);
  EXPECT_EQ(identity.uid, uids(33, 33, 33));
}

TEST(PretendedSetuid, DoesNotLeadBackToRoot) {
  PretendedIdentity identity = user(uids(33, 33, 33));
  EXPECT_EQ(pretend_setuid(identity, 0), EPERM);
  EXPECT_EQ(pretend_setreuid(identity, 0, leave), EPERM);
  EXPECT_EQ(pretend_setreuid(identity, leave, 0), EPERM);
  EXPECT_EQ(pretend_setresuid(identity, leave, leave, 0), EPERM);
  EXPECT_EQ(identity, user(uids(33, 33, 33)));
}

TEST(PretendedSetuid, MovesOnlyTheEffectiveIdOfOneWhoIsNotRoot) {
  PretendedIdentity identity = user(uids(0, 33, 1000));
  EXPECT_EQ(pretend_setuid(identity, 1000), 0);
  EXPECT_EQ(identity.uid, uids(0, 1000, 1000));
  EXPECT_EQ(pretend_setuid(identity, 0), 0);
  EXPECT_EQ(identity.uid, uids(0, 0, 1000));
}

TEST(PretendedSetuid, DoesNotTakeTheEffectiveIdForAReason) {
  PretendedIdentity identity = user(uids(1000, 33, 1000));
  EXPECT_EQ(pretend_setuid(identity, 33), EPERM);
}

TEST(PretendedSetuid, RefusesTheIdThatIsNoIdEvenRoot) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setuid(identity, leave), EINVAL);
  EXPECT_EQ(pretend_setgid(identity, leave), EINVAL);
  EXPECT_EQ(identity, PretendedIdentity());
}

// ---- setreuid(2) ----

TEST(PretendedSetreuid, SavesTheNewEffectiveIdWhenTheRealOneIsGiven) {
  PretendedIdentity identity = user(uids(0, 0, 1000));
  EXPECT_EQ(pretend_setreuid(identity, 33, leave), 0);
  EXPECT_EQ(identity.uid, uids(33, 0, 0));
}

TEST(PretendedSetreuid, SavesAnEffectiveIdThatDiffersFromTheOldRealOne) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setreuid(identity, leave, 33), 0);
  EXPECT_EQ(identity.uid, uids(0, 33, 33));
}

TEST(PretendedSetreuid, SavesNothingWhenTheEffectiveIdBecomesTheRealOne) {
  PretendedIdentity identity = user(uids(33, 0, 1000));
  EXPECT_EQ(pretend_setreuid(identity, leave, 33), 0);
  EXPECT_EQ(identity.uid, uids(33, 33, 1000));
}

TEST(PretendedSetreuid, SavesNothingWhenNothingIsGiven) {
  PretendedIdentity identity = user(uids(33, 0, 1000));
  EXPECT_EQ(pretend_setreuid(identity, leave, leave), 0);
  EXPECT_EQ(identity.uid, uids(33, 0, 1000));
}

TEST(PretendedSetreuid, SwapsForAnybody) {
  PretendedIdentity identity = user(uids(33, 1000, 1000));
  EXPECT_EQ(pretend_setreuid(identity, 1000, 33), 0);
  EXPECT_EQ(identity.uid, uids(1000, 33, 33));
}

TEST(PretendedSetreuid, TakesTheSavedIdForTheEffectiveOneAlone) {
  PretendedIdentity identity = user(uids(33, 33, 1000));
  EXPECT_EQ(pretend_setreuid(identity, 1000, leave), EPERM);
  EXPECT_EQ(identity.uid, uids(33, 33, 1000));
  EXPECT_EQ(pretend_setreuid(identity, leave, 1000), 0);
  EXPECT_EQ(identity.uid, uids(33, 1000, 1000));
}

TEST(PretendedSetreuid, ChangesNothingWhenOneOfTheTwoIsRefused) {
  PretendedIdentity identity = user(uids(33, 1000, 1000));
  EXPECT_EQ(pretend_setreuid(identity, 1000, 0), EPERM);
  EXPECT_EQ(identity.uid, uids(33, 1000, 1000));
}

// ---- setresuid(2) ----

TEST(PretendedSetresuid, SetsAnyThreeForRoot) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setresuid(identity, 1, 2, 3), 0);
  EXPECT_EQ(identity.uid, uids(1, 2, 3));
}

TEST(PretendedSetresuid, LetsAnybodyPermuteTheThree) {
  PretendedIdentity identity = user(uids(1, 2, 3));
  EXPECT_EQ(pretend_setresuid(identity, 3, 1, 2), 0);
  EXPECT_EQ(identity.uid, uids(3, 1, 2));
}

TEST(PretendedSetresuid, LeavesWhatIsNotGiven) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setresuid(identity, leave, 33, leave), 0);
  EXPECT_EQ(identity.uid, uids(0, 33, 0));
}

TEST(PretendedSetresuid, ChangesNothingWhenOneOfTheThreeIsRefused) {
  PretendedIdentity identity = user(uids(1, 2, 3));
  EXPECT_EQ(pretend_setresuid(identity, 2, 3, 4), EPERM);
  EXPECT_EQ(identity.uid, uids(1, 2, 3));
}

TEST(PretendedSetresuid, BringsRootBackFromASavedId) {
  PretendedIdentity identity = user(uids(33, 33, 0));
  EXPECT_EQ(pretend_setresuid(identity, leave, 0, leave), 0);
  EXPECT_EQ(pretend_setuid(identity, 1000), 0);
  EXPECT_EQ(identity.uid, uids(1000, 1000, 1000));
}

// ---- the gids: the same rules, but who is privileged is a matter of the uid ----

TEST(PretendedGids, AreRootsToSet) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setgid(identity, 33), 0);
  EXPECT_EQ(identity, (PretendedIdentity{uids(0, 0, 0), gids(33, 33, 33)}));
  EXPECT_EQ(pretend_setregid(identity, 0, 1000), 0);
  EXPECT_EQ(identity.gid, gids(0, 1000, 1000));
  EXPECT_EQ(pretend_setresgid(identity, 7, 8, 9), 0);
  EXPECT_EQ(identity.gid, gids(7, 8, 9));
}

TEST(PretendedGids, AreNotForGroup0ToSet) {
  PretendedIdentity identity = {uids(33, 33, 33), gids(0, 0, 0)};
  EXPECT_EQ(pretend_setgid(identity, 33), EPERM);
  EXPECT_EQ(pretend_setregid(identity, 33, leave), EPERM);
  EXPECT_EQ(pretend_setresgid(identity, leave, leave, 33), EPERM);
  EXPECT_EQ(identity.gid, gids(0, 0, 0));
}

// ---- PR_SET_KEEPCAPS ----

TEST(PretendedKeepcaps, LeavesTheGidsToOneWhoIsNoLongerRoot) {
  PretendedIdentity identity;
  identity.keeps_capabilities = true;
  EXPECT_EQ(pretend_setresuid(identity, 33, 33, 33), 0);
  EXPECT_EQ(pretend_setresgid(identity, 44, 44, 44), 0);
  EXPECT_EQ(identity.gid, gids(44, 44, 44));
  EXPECT_EQ(pretend_setuid(identity, 0), EPERM);
}

TEST(PretendedKeepcaps, KeepsWhenTheLastOfTheThreeGoes) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setresuid(identity, 33, 33, 0), 0);
  identity.keeps_capabilities = true;
  EXPECT_EQ(pretend_setgid(identity, 44), EPERM);
  EXPECT_EQ(pretend_setresuid(identity, leave, leave, 33), 0);
  EXPECT_EQ(pretend_setgid(identity, 44), 0);
}

TEST(PretendedKeepcaps, BringsNothingBack) {
  PretendedIdentity identity;
  EXPECT_EQ(pretend_setuid(identity, 33), 0);
  identity.keeps_capabilities = true;
  EXPECT_EQ(pretend_setuid(identity, 33), 0);
  EXPECT_EQ(pretend_setgid(identity, 44), EPERM);
}

TEST(PretendedKeepcaps, EndsWithExecve) {
  PretendedIdentity identity;
  identity.keeps_capabilities = true;
  PretendedIdentity executed = identity;
  pretend_execve(executed);
  EXPECT_EQ(executed, PretendedIdentity());
  EXPECT_EQ(pretend_setuid(identity, 33), 0);
  pretend_execve(identity);
  EXPECT_EQ(pretend_setgid(identity, 44), EPERM);
}

// ---- execve(2), and all threads ----

TEST(PretendedExecve, SavesTheEffectiveIds) {
  PretendedIdentity identity = {uids(0, 33, 0), gids(1, 2, 3)};
  pretend_execve(identity);
  EXPECT_EQ(identity, (PretendedIdentity{uids(0, 33, 33), gids(1, 2, 2)}));
}

struct Attempt {
  std::string name;
  std::function<int(PretendedIdentity&)> make;
};

std::vector<Attempt> attempts() {
  const std::vector<std::uint32_t> ids = {0, 33, 1000, leave};
  std::vector<Attempt> all;
  const auto add = [&all](const std::string& name, const std::vector<std::uint32_t>& words,
                          const std::function<int(PretendedIdentity&)>& make) {
    std::string text = name;
    for (const std::uint32_t word : words)
      text += ' ' + (word == leave ? std::string("-1") : std::to_string(word));
    all.push_back({text, make});
  };
  for (const std::uint32_t a : ids) {
    add("setuid", {a}, [=](PretendedIdentity& on) { return pretend_setuid(on, a); });
    add("setgid", {a}, [=](PretendedIdentity& on) { return pretend_setgid(on, a); });
    for (const std::uint32_t b : ids) {
      add("setreuid", {a, b}, [=](PretendedIdentity& on) { return pretend_setreuid(on, a, b); });
      add("setregid", {a, b}, [=](PretendedIdentity& on) { return pretend_setregid(on, a, b); });
      for (const std::uint32_t c : ids) {
        add("setresuid", {a, b, c},
            [=](PretendedIdentity& on) { return pretend_setresuid(on, a, b, c); });
        add("setresgid", {a, b, c},
            [=](PretendedIdentity& on) { return pretend_setresgid(on, a, b, c); });
      }
    }
  }
  return all;
}

// Any triple for the users while the groups are root's, and the other way round.
std::vector<PretendedIdentity> starts() {
  std::vector<PretendedIdentity> all;
  for (const std::uint32_t r : {0U, 33U, 1000U})
    for (const std::uint32_t e : {0U, 33U, 1000U})
      for (const std::uint32_t s : {0U, 33U, 1000U}) {
        all.push_back(user(uids(r, e, s)));
        all.push_back({uids(0, 33, 0), gids(r, e, s)});
      }
  return all;
}

TEST(EveryPretendedCall, GetsTheSameAnswerFromEveryThread) {
  const std::vector<Attempt> all = attempts();
  for (const PretendedIdentity& before : starts())
    for (const Attempt& attempt : all) {
      PretendedIdentity once = before;
      const int answer = attempt.make(once);
      PretendedIdentity twice = once;
      EXPECT_EQ(attempt.make(twice), answer)
          << attempt.name << " as " << testing::PrintToString(before);
      const bool becomes_root_first =
          attempt.name == "setuid 0" && raw(before.uid.effective) != 0 && answer == 0;
      if (becomes_root_first) once.uid = {};
      EXPECT_EQ(twice, once) << attempt.name << " as " << testing::PrintToString(before);
    }
}

TEST(EveryPretendedCall, ChangesNothingWhereItFails) {
  const std::vector<Attempt> all = attempts();
  for (const PretendedIdentity& before : starts())
    for (const Attempt& attempt : all) {
      PretendedIdentity after = before;
      const bool failed = attempt.make(after) != 0;
      EXPECT_TRUE(after == before || !failed)
          << attempt.name << " as " << testing::PrintToString(before);
    }
}

// ---- the table ----

PretendedIdentity nth(std::size_t n) {
  return user(uids(static_cast<std::uint32_t>(n), 0, 0));
}

TEST(IdentityTable, HoldsRootUnder0FromTheBeginning) {
  EXPECT_EQ(IdentityTable().at(0), PretendedIdentity());
  EXPECT_EQ(IdentityTable().number_of(PretendedIdentity()), 0U);
}

TEST(IdentityTable, GivesBackWhatItGaveANumber) {
  IdentityTable table;
  const PretendedIdentity identity = {uids(1, 2, 3), gids(4, 5, 6)};
  const auto number = table.number_of(identity);
  ASSERT_TRUE(number);
  EXPECT_EQ(table.at(*number), identity);
}

TEST(IdentityTable, KnowsWhatItHasSeen) {
  IdentityTable table;
  const auto first = table.number_of(nth(1));
  const auto second = table.number_of(nth(2));
  EXPECT_NE(first, second);
  EXPECT_EQ(table.number_of(nth(1)), first);
}

TEST(IdentityTable, TellsIdentitiesApartThatDifferInOneThing) {
  IdentityTable table;
  std::vector<PretendedIdentity> eight(8);
  eight[0].uid.real = eight[1].uid.effective = eight[2].uid.saved = Uid{33};
  eight[3].gid.real = eight[4].gid.effective = eight[5].gid.saved = Gid{33};
  eight[6].keeps_capabilities = eight[7].kept_setgid = true;
  for (const PretendedIdentity& identity : eight) table.number_of(identity);
  for (std::size_t i = 0; i < eight.size(); ++i) EXPECT_EQ(table.at(i + 1), eight[i]);
}

TEST(IdentityTable, KnowsNothingUnderOtherNumbers) {
  IdentityTable table;
  EXPECT_EQ(table.at(1), std::nullopt);
  EXPECT_EQ(table.at(IdentityTable::largest), std::nullopt);
  EXPECT_EQ(table.at(static_cast<std::size_t>(-1)), std::nullopt);
}

TEST(IdentityTable, TakesNoMoreThanItsLargestSizeAndStillKnowsTheOld) {
  IdentityTable table;
  for (std::size_t n = 1; n < IdentityTable::largest; ++n) ASSERT_EQ(table.number_of(nth(n)), n);
  EXPECT_EQ(table.number_of(nth(IdentityTable::largest)), std::nullopt);
  EXPECT_EQ(table.number_of(nth(IdentityTable::largest)), std::nullopt);
  EXPECT_EQ(table.number_of(nth(7)), 7U);
  EXPECT_EQ(table.at(IdentityTable::largest - 1), nth(IdentityTable::largest - 1));
  EXPECT_EQ(table.at(IdentityTable::largest), std::nullopt);
}

}  // namespace
}  // namespace stepdown
