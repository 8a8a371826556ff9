// --uid-map and --gid-map as words, and the maps that they come to (user_namespaces(7)).
#include "stepdown/user_namespace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/error.h"

namespace stepdown {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What `action` refuses with; a failure of the test if it does not, or has no remedy.
template <typename Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_NE(error.details().hint, "") << "no remedy in: " << error.what();
    return error.what();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

std::string refusal_of_word(std::string_view word) {
  return refusal([&] { parse_id_mapping("--uid-map", word); });
}

std::string refusal_of_map(const std::vector<IdMapping>& map) {
  return refusal([&] { check_id_map("--gid-map", map); });
}

// Lines of one id, none beside another.
std::vector<IdMapping> map_of(std::uint32_t lines) {
  std::vector<IdMapping> map;
  for (std::uint32_t i = 0; i < lines; ++i) map.push_back({2 * i, 2 * i, 1});
  return map;
}

TEST(IdMappingWord, IsInsideOutsideLength) {
  EXPECT_EQ(parse_id_mapping("--uid-map", "0:1000:1"), (IdMapping{0, 1000, 1}));
  EXPECT_EQ(parse_id_mapping("--uid-map", "1:100000:65536"), (IdMapping{1, 100000, 65536}));
}

TEST(IdMappingWord, TakesTheLargestRangesThatTheKernelTakes) {
  EXPECT_EQ(parse_id_mapping("--uid-map", "0:0:4294967295"), (IdMapping{0, 0, 4294967295}));
  EXPECT_EQ(parse_id_mapping("--uid-map", "4294967294:4294967294:1"),
            (IdMapping{4294967294, 4294967294, 1}));
}

TEST(IdMappingWord, IsRefusedUnlessItIsThreeDecimalNumbersOf32Bits) {
  for (const char* word : {"",
                           ":",
                           "::",
                           "0",
                           "0:1000",
                           "0:1000:",
                           ":1000:1",
                           "0::1",
                           "0:1000:1:",
                           "0:1000:1:2",
                           "0:1000:1 ",
                           " 0:1000:1",
                           "0: 1000:1",
                           "-1:1000:1",
                           "+0:1000:1",
                           "0x0:1000:1",
                           "a:b:c",
                           "0:root:1",
                           "0,1000,1",
                           "0 1000 1",
                           "4294967296:0:1",
                           "0:4294967296:1",
                           "0:0:4294967296",
                           "99999999999999999999:0:1"}) {
    EXPECT_THAT(refusal_of_word(word), AllOf(HasSubstr("--uid-map '" + std::string(word) + "'"),
                                             HasSubstr("INSIDE:OUTSIDE:LENGTH")));
  }
  EXPECT_THAT(refusal_of_word(std::string_view("0:1000:1\0", 9)), HasSubstr("0:1000:1\\x00"));
}

TEST(IdMappingWord, NamesTheOptionThatItWasGivenTo) {
  EXPECT_THAT(refusal([] { parse_id_mapping("--gid-map", "x"); }), HasSubstr("--gid-map 'x'"));
}

TEST(IdMappingWord, IsRefusedWhenItMapsNothing) {
  EXPECT_THAT(refusal_of_word("0:1000:0"),
              AllOf(HasSubstr("--uid-map 0:1000:0"), HasSubstr("LENGTH is 0")));
}

TEST(IdMappingWord, IsRefusedWhenItReachesTheNumberThatIsNoId) {
  for (const char* word :
       {"4294967295:0:1", "0:4294967295:1", "1:0:4294967295", "0:1:4294967295", "4294967294:0:2",
        "0:4294967294:2", "4294967295:4294967295:4294967295", "2147483648:0:2147483648"}) {
    EXPECT_THAT(refusal_of_word(word),
                AllOf(HasSubstr(std::string("--uid-map ") + word), HasSubstr("4294967295, which")));
  }
}

TEST(IdMap, MayHaveLinesSideBySideOnBothSides) {
  EXPECT_NO_THROW(check_id_map("--uid-map", {{0, 1000, 1}}));
  EXPECT_NO_THROW(check_id_map("--uid-map", {{0, 1000, 1}, {1, 100000, 999}, {1000, 1001, 1}}));
  EXPECT_NO_THROW(check_id_map("--uid-map", {{10, 0, 5}, {0, 5, 10}, {15, 15, 4294967280}}));
}

TEST(IdMap, IsRefusedWhenTwoLinesShareAnInsideId) {
  const std::string text = refusal_of_map({{0, 1000, 1}, {5, 2000, 10}, {14, 3000, 1}});
  EXPECT_THAT(
      text, AllOf(HasSubstr("--gid-map 14:3000:1"), HasSubstr("shares inside ids with 5:2000:10")));
  EXPECT_THAT(refusal_of_map({{14, 3000, 1}, {5, 2000, 10}}), HasSubstr("shares inside"));
  EXPECT_THAT(refusal_of_map({{0, 1000, 1}, {0, 2000, 1}}), HasSubstr("shares inside"));
}

TEST(IdMap, IsRefusedWhenTwoLinesShareAnOutsideId) {
  EXPECT_THAT(refusal_of_map({{0, 1000, 1}, {1, 100, 900}, {901, 999, 2}}),
              AllOf(HasSubstr("--gid-map 901:999:2"), HasSubstr("shares outside ids with")));
  EXPECT_THAT(refusal_of_map({{0, 1000, 1}, {1, 1, 4294967294}}), HasSubstr("shares outside"));
}

TEST(IdMap, IsRefusedWhenItIsEmpty) {
  EXPECT_THAT(refusal_of_map({}), HasSubstr("--gid-map: the map is empty"));
}

TEST(IdMap, IsRefusedForALineThatIsNone) {
  EXPECT_THAT(refusal_of_map({{0, 0, 0}}), HasSubstr("LENGTH is 0"));
  EXPECT_THAT(refusal_of_map({{0, 4294967295, 1}}), HasSubstr("4294967295, which is no id"));
}

TEST(IdMap, MayHave340Lines) {
  EXPECT_EQ(largest_id_map, 340U);
  EXPECT_NO_THROW(check_id_map("--gid-map", map_of(340)));
  EXPECT_THAT(refusal_of_map(map_of(341)), HasSubstr("341 lines; the kernel takes at most 340"));
}

TEST(IdMap, IsRefusedWhenTheKernelCouldNotTakeItInOneWrite) {
  std::vector<IdMapping> map;
  for (std::uint32_t i = 0; i < 170; ++i)
    map.push_back({1000000000 + 2 * i, 2000000000 + 2 * i, 1});
  map.push_back({10, 10, 1000000000 - 10});
  ASSERT_EQ(id_map_text(map).size(), 4095U);
  EXPECT_NO_THROW(check_id_map("--gid-map", map));
  map.back().outside = 100;
  ASSERT_EQ(id_map_text(map).size(), 4096U);
  EXPECT_THAT(refusal_of_map(map), HasSubstr("4096 bytes"));
}

TEST(IdMap, IsWrittenLineByLineInItsOwnOrder) {
  EXPECT_EQ(id_map_text({{0, 1000, 1}}), "0 1000 1");
  EXPECT_EQ(id_map_text({{1, 100000, 65536}, {0, 1000, 1}}), "1 100000 65536\n0 1000 1");
}

TEST(IdMap, TellsWhatAnOutsideIdIsCalledInside) {
  const std::vector<IdMapping> map = {{0, 1000, 1}, {1, 100000, 65536}, {70000, 4294967290, 5}};
  EXPECT_EQ(inside_id(map, 1000), 0U);
  EXPECT_EQ(inside_id(map, 100000), 1U);
  EXPECT_EQ(inside_id(map, 165535), 65536U);
  EXPECT_EQ(inside_id(map, 4294967294), 70004U);
  for (const std::uint32_t unmapped : {0U, 999U, 1001U, 99999U, 165536U, 4294967289U, 4294967295U})
    EXPECT_EQ(inside_id(map, unmapped), std::nullopt) << unmapped;
  EXPECT_EQ(inside_id({}, 0), std::nullopt);
}

TEST(IdMap, KnowsWhetherItReachesRootOutside) {
  EXPECT_FALSE(maps_outside({{0, 1000, 1}, {1, 100000, 65536}}, 0));
  EXPECT_FALSE(maps_outside({{0, 1, 4294967294}}, 0));
  EXPECT_TRUE(maps_outside({{1000, 1000, 1}, {100, 0, 5}}, 0));
}

}  // namespace
}  // namespace stepdown
