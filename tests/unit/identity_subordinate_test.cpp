// subuid(5) and subgid(5): which ranges are an account's, and what is wrong with those that are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "identity_world.h"
#include "temporary_directory.h"

namespace stepdown {
namespace {

using test::refusal;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::string_literals;

using Ranges = std::vector<SubordinateRange>;

Ranges ranges(const std::string& text, const std::string& user = "app", Uid uid = Uid{1000}) {
  return subordinate_ranges(text, "/etc/subuid", user, uid);
}

std::string refusal_of(const std::string& text) {
  return refusal([&] { return ranges(text); });
}

TEST(SubordinateIds, AreThoseOfTheName) {
  EXPECT_EQ(ranges("app:100000:65536\n"), (Ranges{{100000, 65536}}));
  EXPECT_THAT(ranges("other:100000:65536\nap:1:1\nappl:2:1\nApp:3:1\n"), IsEmpty());
  EXPECT_THAT(ranges(""), IsEmpty());
}

TEST(SubordinateIds, AreThoseOfTheNumberAsWell) {
  EXPECT_EQ(ranges("1000:100000:65536"), (Ranges{{100000, 65536}}));
  EXPECT_EQ(ranges("1000:5:1\napp:9:2\n01000:7:3\n"), (Ranges{{5, 1}, {9, 2}, {7, 3}}));
  EXPECT_THAT(ranges("10000:100000:65536\n4294968296:1:1\n"), IsEmpty());
}

TEST(SubordinateIds, OfAnAccountWithoutANameAreThoseOfTheNumber) {
  EXPECT_EQ(ranges(":7:7\n1000:5:1\napp:9:2\n", ""), (Ranges{{5, 1}}));
}

TEST(SubordinateIds, StandBetweenCommentsAndBlankLines) {
  EXPECT_EQ(ranges("# app:1:1\n\n   \n  app:100000:65536\n #\n+app:3:1\n-app:4:1\napp:200000:1"),
            (Ranges{{100000, 65536}, {200000, 1}}));
}

TEST(SubordinateIds, OfOthersMayBeMalformed) {
  EXPECT_EQ(ranges("other\nother:x:y\n:1:1\nother:1:2:3\nnul\0:1:1\napp:1:2\n"s), (Ranges{{1, 2}}));
}

TEST(SubordinateIds, ThatAreUsedAndMalformedAreRefusedWithFileAndLine) {
  for (const char* line : {"app",
                           "app:",
                           "app:1",
                           "app:1:",
                           "app::1",
                           "app:1:2:3",
                           "app:1:2:",
                           "app:x:1",
                           "app:1:x",
                           "app:-1:1",
                           "app:1:-1",
                           "app:+1:1",
                           "app: 1:1",
                           "app:1:1 ",
                           "app:0x1:1",
                           "app:1:1,5:1",
                           "app:4294967296:1",
                           "app:1:4294967296",
                           "app:1:99999999999999999999",
                           "1000:x:1"}) {
    EXPECT_THAT(refusal_of("other:1:1\n"s + line + "\napp:5:5\n"),
                AllOf(HasSubstr("/etc/subuid:2: "), HasSubstr("OWNER:FIRST:COUNT")))
        << line;
  }
  EXPECT_THAT(refusal_of("app:1:2\0\n"s), HasSubstr("NUL"));
  EXPECT_THAT(refusal_of("app:1:2\r\n"s), HasSubstr("carriage return"));
}

TEST(SubordinateIds, AreRefusedWhenTheRangeIsEmpty) {
  EXPECT_THAT(refusal_of("app:100000:0"), AllOf(HasSubstr("/etc/subuid:1"), HasSubstr("empty")));
}

TEST(SubordinateIds, AreRefusedWhenTheyReachTheNumberThatIsNoId) {
  EXPECT_EQ(ranges("app:4294967294:1"), (Ranges{{4294967294, 1}}));
  EXPECT_EQ(ranges("app:1:4294967294"), (Ranges{{1, 4294967294}}));
  EXPECT_EQ(ranges("app:0:4294967295"), (Ranges{{0, 4294967295}}));
  for (const char* line : {"app:4294967294:2", "app:2:4294967294", "app:4294967295:1"})
    EXPECT_THAT(refusal_of(line), HasSubstr("4294967295")) << line;
}

class ReadingSubordinateFiles : public testing::Test {
 protected:
  ReadingSubordinateFiles() {
    files_.subuid_path = directory_ / "subuid";
    files_.subgid_path = directory_ / "subgid";
  }
  static void write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  AccountFiles files_;

 private:
  test::TemporaryDirectory directory_;
};

TEST_F(ReadingSubordinateFiles, AddsTheTextsOfThePathsThatTheFilesName) {
  files_.passwd = "app:x:1:2";
  write(files_.subuid_path, "app:1:2\n");
  write(files_.subgid_path, "app:3:4\n");
  read_subordinate_files(files_);
  EXPECT_EQ(files_.subuid, "app:1:2\n");
  EXPECT_EQ(files_.subgid, "app:3:4\n");
  EXPECT_EQ(files_.passwd, "app:x:1:2");
}

TEST_F(ReadingSubordinateFiles, TakesMissingOnesForEmpty) {
  read_subordinate_files(files_);
  EXPECT_EQ(files_.subuid, "");
  EXPECT_EQ(files_.subgid, "");
}

TEST_F(ReadingSubordinateFiles, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo(files_.subgid_path.c_str(), 0600), 0);
  EXPECT_THAT(refusal([&] {
                read_subordinate_files(files_);
                return 0;
              }),
              AllOf(HasSubstr(files_.subgid_path), HasSubstr("not a regular file")));
}

TEST(SubordinateFiles, AreTheSystemsUnlessSaidOtherwise) {
  EXPECT_EQ(AccountFiles{}.subuid_path, "/etc/subuid");
  EXPECT_EQ(AccountFiles{}.subgid_path, "/etc/subgid");
}

}  // namespace
}  // namespace stepdown
