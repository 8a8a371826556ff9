#include "stepdown/matchers.h"

#include <gtest/gtest.h>

#include "stepdown/error.h"

namespace stepdown {
namespace {

ProcessState process(std::uint32_t uid) {
  ProcessState state;
  state.pid = 7;
  state.credentials.uid = {Uid{uid}, Uid{uid}, Uid{uid}, Uid{uid}};
  state.credentials.no_new_privs = true;
  state.seccomp_mode = 2;
  return state;
}

std::string explanation(const testing::Matcher<const ProcessState&>& matcher,
                        const ProcessState& state) {
  testing::StringMatchResultListener listener;
  EXPECT_FALSE(matcher.MatchAndExplain(state, &listener));
  return listener.str();
}

TEST(Satisfies, HoldsWhenEveryRuleDoes) {
  EXPECT_THAT(process(1000), Satisfies("restricted,uid=1000"));
  EXPECT_THAT(process(0), testing::Not(Satisfies("non-root")));
  EXPECT_THAT(process(1000), testing::Not(Satisfies("restricted,uid=1001")));
}

TEST(Satisfies, NamesEveryRuleThatIsBroken) {
  const std::string text = explanation(Satisfies("uid=1001,no-new-privs,non-root"), process(0));
  EXPECT_THAT(text, testing::HasSubstr("uid=1001: uid 0"));
  EXPECT_THAT(text, testing::HasSubstr("non-root: uid 0"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("no-new-privs")));
}

TEST(Satisfies, RefusesARuleThatDoesNotExist) {
  testing::StringMatchResultListener listener;
  const testing::Matcher<const ProcessState&> matcher = Satisfies("nonroot");
  EXPECT_THROW(matcher.MatchAndExplain(process(1), &listener), Error);
}

}  // namespace
}  // namespace stepdown
