// The words of USER[:GROUP], before any account file is read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "identity_world.h"

namespace stepdown {
namespace {

using test::refusal;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::string_literals;

TEST(UserSpecWords, AreCutAtTheColon) {
  EXPECT_EQ(parse_user_spec("app"), (UserSpec{"app", ""}));
  EXPECT_EQ(parse_user_spec("app:grp"), (UserSpec{"app", "grp"}));
  EXPECT_EQ(parse_user_spec("1000:1001"), (UserSpec{"1000", "1001"}));
}

TEST(UserSpecWords, MayBeEmpty) {
  EXPECT_EQ(parse_user_spec("1000:"), (UserSpec{"1000", ""}));
  EXPECT_EQ(parse_user_spec(":1000"), (UserSpec{"", "1000"}));
  EXPECT_EQ(parse_user_spec(":"), (UserSpec{"", ""}));
  EXPECT_EQ(parse_user_spec(""), (UserSpec{"", ""}));
}

TEST(UserSpecWords, AreTwoAtMost) {
  for (const std::string_view spec : {"a:b:c", "a:b:", "a::b", "::", "::a", "1000:1000:0"}) {
    SCOPED_TRACE(spec);
    EXPECT_THAT(refusal([&] { return parse_user_spec(spec); }),
                AllOf(HasSubstr("more than one ':'"), HasSubstr("USER[:GROUP]"),
                      HasSubstr("'" + std::string(spec) + "'")));
  }
}

TEST(UserSpecWords, CanNotPaintTheTerminal) {
  EXPECT_THAT(refusal([] { return parse_user_spec("a:\x1b[2J:\n"); }),
              HasSubstr("'a:\\x1b[2J:\\x0a'"));
}

TEST(AnId, IsAllDigits) {
  EXPECT_EQ(parse_id("--user", "0"), 0U);
  EXPECT_EQ(parse_id("--user", "1000"), 1000U);
  EXPECT_EQ(parse_id("--user", "0007"), 7U);
  EXPECT_EQ(parse_id("--user", "65534"), 65534U);
  EXPECT_EQ(parse_id("--user", "2147483647"), 2147483647U);
  EXPECT_EQ(parse_id("--user", std::string(1000, '0') + "9"), 9U);
}

TEST(AnId, IsNothingElse) {
  for (const std::string& word : {""s, "app"s, "-1"s, "+5"s, " 5"s, "5 "s, "0x10"s, "1e3"s, "1.5"s,
                                  "5\n"s, "1_000"s, "0b1"s, "\xd9\xa1"s, "5\0"s, "\0"s}) {
    SCOPED_TRACE(word);
    EXPECT_EQ(parse_id("--user", word), std::nullopt);
  }
}

TEST(AnId, IsRefusedOutOfRangeInsteadOfWrapping) {
  for (const std::string& word :
       {std::string("2147483648"), std::string("4294967295"), std::string("4294967296"),
        std::string("4294967297"), std::string("9223372036854775808"),
        std::string("18446744073709551615"), std::string("18446744073709551616"),
        std::string("18446744073709551617"), std::string(100000, '9'),
        "1" + std::string(64, '0')}) {
    SCOPED_TRACE(word.substr(0, 40));
    EXPECT_THAT(refusal([&] { return parse_id("--group-add", word); }),
                AllOf(HasSubstr("--group-add: the id '" + word.substr(0, 20)),
                      HasSubstr("out of range"), HasSubstr("0 to 2147483647")));
  }
}

}  // namespace
}  // namespace stepdown
