// passwd(5) and group(5) as images have them: malformed, forged, missing, huge.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "identity_world.h"
#include "temporary_directory.h"

namespace stepdown {
namespace {

using test::accounts;
using test::gids;
using test::refusal;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::string_literals;

constexpr std::size_t ten_mib = 10U << 20U;

class ReadingAccountFiles : public testing::Test {
 protected:
  // Should a read wait for somebody, the test dies instead of waiting with it.
  ReadingAccountFiles() { ::alarm(20); }
  ~ReadingAccountFiles() override { ::alarm(0); }
  [[nodiscard]] std::string path(std::string_view name) const { return directory_ / name; }
  std::string file(std::string_view name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string refusal_of(const std::string& passwd) const {
    return refusal([&] { return read_account_files(passwd, path("group")); });
  }

 private:
  test::TemporaryDirectory directory_;
};

TEST_F(ReadingAccountFiles, GivesTheirTextsAndNames) {
  const std::string passwd = file("passwd", "app:x:1:2\n\0#"s);
  const std::string group = file("group", "grp:x:3:app");
  const AccountFiles files = read_account_files(passwd, group);
  EXPECT_EQ(files.passwd, "app:x:1:2\n\0#"s);
  EXPECT_EQ(files.group, "grp:x:3:app");
  EXPECT_EQ(files.passwd_path, passwd);
  EXPECT_EQ(files.group_path, group);
}

TEST_F(ReadingAccountFiles, TakesMissingAndEmptyOnesForEmpty) {
  const AccountFiles missing = read_account_files(path("none/passwd"), path("group"));
  EXPECT_EQ(missing.passwd, "");
  EXPECT_EQ(missing.group, "");
  EXPECT_EQ(read_account_files(file("passwd", ""), path("group")).passwd, "");
}

TEST_F(ReadingAccountFiles, FollowsSymlinks) {
  file("real", "app:x:1:2\n");
  std::filesystem::create_symlink("real", path("passwd"));
  EXPECT_EQ(read_account_files(path("passwd"), path("group")).passwd, "app:x:1:2\n");
}

TEST_F(ReadingAccountFiles, ReadsAFileWhoseSizeIsGivenAsZero) {
  const AccountFiles files = read_account_files("/proc/self/mountinfo", path("group"));
  EXPECT_THAT(files.passwd, AllOf(HasSubstr(" / "), Not(HasSubstr("\0"s))));
  EXPECT_EQ(files.passwd.back(), '\n');
}

TEST_F(ReadingAccountFiles, RefusesWhatIsNoRegularFile) {
  std::filesystem::create_directory(path("directory"));
  EXPECT_THAT(refusal_of(path("directory")), HasSubstr(path("directory") + ": not a regular file"));
  EXPECT_THAT(refusal_of("/dev/zero"), HasSubstr("/dev/zero: not a regular file"));
  std::filesystem::create_symlink("/dev/zero", path("link"));
  EXPECT_THAT(refusal_of(path("link")), HasSubstr("not a regular file"));
}

TEST_F(ReadingAccountFiles, IsNotHungByAFifo) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal_of(path("fifo")), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal([&] { return read_account_files(path("passwd"), path("fifo")); }),
              HasSubstr(path("fifo") + ": not a regular file"));
}

TEST_F(ReadingAccountFiles, RefusesWhatCanNotBeOpened) {
  std::filesystem::create_symlink("loop", path("loop"));
  try {
    static_cast<void>(read_account_files(path("loop"), path("group")));
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, path("loop"));
    EXPECT_EQ(error.details().syscall, "open(2)");
    EXPECT_EQ(error.details().number, ELOOP);
    EXPECT_EQ(error.details().status, exit_status::failed);
  }
}

TEST_F(ReadingAccountFiles, StopsAtTenMebibytes) {
  const std::string last = "\napp:x:42:43\n";
  const std::string padding(ten_mib - last.size(), '#');
  const AccountFiles files = read_account_files(file("passwd", padding + last), path("group"));
  EXPECT_EQ(find_account(files, "app")->uid, Uid{42});
  EXPECT_THAT(refusal_of(file("passwd", padding + "#" + last)), HasSubstr("larger than 10 MiB"));
  // What is sparse costs nothing to plant, and must cost nothing to refuse.
  std::filesystem::resize_file(path("passwd"), std::size_t{1} << 40U);
  EXPECT_THAT(refusal_of(path("passwd")), HasSubstr("larger than 10 MiB"));
}

TEST_F(ReadingAccountFiles, StopsAtTenMebibytesWhateverTheSizeSays) {
  // smaps says 0 bytes and has some 700 of them for each mapping: here are 30,000, no two alike
  // side by side.
  constexpr std::size_t pages = 30000;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const area =
      ::mmap(nullptr, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(area, MAP_FAILED);
  for (std::size_t index = 0; index < pages; index += 2) {
    ASSERT_EQ(::mprotect(static_cast<char*>(area) + index * page, page, PROT_READ), 0);
  }
  EXPECT_THAT(refusal_of("/proc/self/smaps"), HasSubstr("larger than 10 MiB"));
  ::munmap(area, pages * page);
}

TEST_F(ReadingAccountFiles, LeavesNoDescriptorOpen) {
  const auto lowest_free = [] {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return fd;
  };
  const int before = lowest_free();
  static_cast<void>(read_account_files(file("passwd", "a:x:1:1\n"), file("group", "")));
  refusal_of("/dev/zero");
  EXPECT_EQ(lowest_free(), before);
}

TEST(AccountLines, GiveAllThatIsThere) {
  EXPECT_EQ(find_account(accounts("app:x:1000:1001:The App:/home/app:/bin/sh\n"), "app"),
            (Account{"app", Uid{1000}, Gid{1001}, "/home/app", "/bin/sh"}));
  EXPECT_EQ(find_account(accounts("app:x:1000:1001\n"), Uid{1000}),
            (Account{"app", Uid{1000}, Gid{1001}, "", ""}));
  EXPECT_EQ(find_account(accounts("app::1000:1001:::\n"), "app"),
            (Account{"app", Uid{1000}, Gid{1001}, "", ""}));
  EXPECT_EQ(find_account(accounts("app:x:1000:1001:c:/h:/bin/sh:more:\n"), "app"),
            (Account{"app", Uid{1000}, Gid{1001}, "/h", "/bin/sh"}));
  EXPECT_EQ(find_account(accounts("app:x:0000001000:1001\n"), Uid{1000})->name, "app");
}

TEST(AccountLines, NeedNoNewlineAtTheEnd) {
  EXPECT_EQ(find_account(accounts("a:x:1:2\napp:x:1000:1001"), "app")->gid, Gid{1001});
  EXPECT_EQ(find_group(accounts("", "grp:x:10"), "grp"), Gid{10});
  EXPECT_EQ(groups_of(accounts("", "grp:x:10:app"), "app"), gids({10}));
}

TEST(AccountLines, SkipCommentsAndBlankOnes) {
  const AccountFiles files = accounts(
      "# app:x:0:0\n"
      "  # app:x:1000:0\n"
      "#app:x:1000:0\n"
      "\n"
      " \t\n"
      "\r\n"
      "app:x:1000:1001\n",
      "#grp:x:0:app\n"
      " #grp:x:0:app\n"
      "grp:x:10:app\n");
  EXPECT_EQ(find_account(files, "app")->gid, Gid{1001});
  EXPECT_EQ(find_account(files, Uid{1000})->gid, Gid{1001});
  EXPECT_EQ(find_account(files, "#app"), std::nullopt);
  EXPECT_EQ(find_account(files, Uid{0}), std::nullopt);
  EXPECT_EQ(find_group(files, "grp"), Gid{10});
  EXPECT_EQ(groups_of(files, "app"), gids({10}));
}

TEST(AccountLines, MayBeIndented) {
  const AccountFiles files = accounts(" \tapp:x:1000:1001\n", "  grp:x:10:app\n");
  EXPECT_EQ(find_account(files, "app")->name, "app");
  EXPECT_EQ(find_account(files, " \tapp"), std::nullopt);
  EXPECT_EQ(find_group(files, "grp"), Gid{10});
  EXPECT_EQ(groups_of(files, "app"), gids({10}));
}

TEST(AccountLines, OfNisAreNoEntries) {
  const AccountFiles files = accounts(
      "+\n+::::::\n+app::0:0:::\n-app::1000:0\n+@netgroup::::::\napp:x:1000:1001\n+:x:0:0\n",
      "+\n+:::\n-grp:x:0:app\n+grp:x:0:app\n+:x:0:app\ngrp:x:10:app\n");
  EXPECT_EQ(find_account(files, "app")->gid, Gid{1001});
  EXPECT_EQ(find_account(files, Uid{1000})->gid, Gid{1001});
  EXPECT_EQ(find_account(files, "+"), std::nullopt);
  EXPECT_EQ(find_account(files, "+app"), std::nullopt);
  EXPECT_EQ(find_account(files, Uid{0}), std::nullopt);
  EXPECT_EQ(find_group(files, "grp"), Gid{10});
  EXPECT_EQ(find_group(files, "+"), std::nullopt);
  EXPECT_EQ(groups_of(files, "app"), gids({10}));
}

TEST(AccountLines, AreFoundByTheWholeName) {
  const AccountFiles files = accounts("app2:x:1:1\nap:x:2:2\nx:app:3:3\n:x:4:4\n",
                                      "app2:x:1:app2\nap:x:2:ap,myapp,app.\n:x:4:\n");
  EXPECT_EQ(find_account(files, "app"), std::nullopt);
  EXPECT_EQ(find_account(files, ""), std::nullopt);
  EXPECT_EQ(find_account(files, "ap:x"), std::nullopt);
  EXPECT_EQ(find_account(files, "ap\0p"s), std::nullopt);
  EXPECT_EQ(find_group(files, "app"), std::nullopt);
  EXPECT_EQ(find_group(files, ""), std::nullopt);
  EXPECT_EQ(groups_of(files, "app"), gids({}));
  EXPECT_EQ(groups_of(files, ""), gids({}));
}

TEST(AccountLines, AreFoundByIdsThatAreNumbers) {
  const AccountFiles files =
      accounts("0:x:5:5\na:x::5\nb:x:abc:5\nc:x:-0:5\nd:x:0x0:5\ne:x: 0:5\nf:x:4294967296:5\ng\n");
  EXPECT_EQ(find_account(files, Uid{0}), std::nullopt);
  EXPECT_EQ(find_account(files, Uid{5})->name, "0");
}

TEST(AccountLines, MayBeAsLongAsTheFile) {
  std::string members;
  for (int number = 0; number < 200000; ++number) members += "user" + std::to_string(number) + ",";
  const AccountFiles files =
      accounts(std::string(2000000, 'y') + ":x:1:1\napp:x:1000:1001:" + std::string(2000000, 'c') +
                   ":/home/app\n",
               "long:x:7:" + members + "app\nnext:x:8:app\n");
  EXPECT_EQ(find_account(files, "app")->home, "/home/app");
  EXPECT_EQ(groups_of(files, "app"), gids({7, 8}));
  EXPECT_EQ(groups_of(files, "user199999"), gids({7}));
}

TEST(AccountLines, MayHaveEmptyMembers) {
  const AccountFiles files =
      accounts("", "a:x:1:,\nb:x:2:,,app,,\nc:x:3:app,\nd:x:4:,app\ne:x:5:\nf:x:6\ng:x:7:,\n");
  EXPECT_EQ(groups_of(files, "app"), gids({2, 3, 4}));
  EXPECT_EQ(groups_of(files, ""), gids({}));
  EXPECT_EQ(find_group(files, "f"), Gid{6});
  EXPECT_EQ(find_group(files, "g"), Gid{7});
}

TEST(AccountLines, ListMembersInTheFourthFieldAlone) {
  const AccountFiles files = accounts("", "app:app:1:b\nc:x:2::app\nd:x:3:b:app\n");
  EXPECT_EQ(groups_of(files, "app"), gids({}));
  EXPECT_EQ(groups_of(files, "b"), gids({1, 3}));
}

TEST(AccountLines, GiveEachGroupOnceInTheOrderOfTheFile) {
  EXPECT_EQ(groups_of(accounts("", "a:x:9:app\nb:x:1:app,app\nc:x:9:app\nd:x:5:app\n"), "app"),
            gids({9, 1, 5}));
}

struct Malformed {
  std::string_view line;
  std::string_view cause;
};

TEST(AMalformedLine, IsAnErrorWhenTheAccountIsLookedUpByName) {
  for (const Malformed& row : {
           Malformed{"app", "the uid of 'app' is missing"},
           Malformed{"app:", "the uid of 'app' is missing"},
           Malformed{"app:x", "the uid of 'app' is missing"},
           Malformed{"app:x:", "the uid of 'app' is '', not a number"},
           Malformed{"app:x:1000", "the gid of 'app' is missing"},
           Malformed{"app:x:1000:", "the gid of 'app' is '', not a number"},
           Malformed{"app:x::1000", "the uid of 'app' is ''"},
           Malformed{"app:x:abc:1000", "the uid of 'app' is 'abc', not a number"},
           Malformed{"app:x:1000:abc", "the gid of 'app' is 'abc', not a number"},
           Malformed{"app:x:-1:1000", "the uid of 'app' is '-1'"},
           Malformed{"app:x:+5:1000", "the uid of 'app' is '+5'"},
           Malformed{"app:x: 5:1000", "the uid of 'app' is ' 5'"},
           Malformed{"app:x:5 :1000", "the uid of 'app' is '5 '"},
           Malformed{"app:x:0x10:1000", "the uid of 'app' is '0x10'"},
           Malformed{"app:x:1000:1e3", "the gid of 'app' is '1e3'"},
           Malformed{"app:x:2147483648:1000", "the uid of 'app' is '2147483648'"},
           Malformed{"app:x:1000:4294967295", "the gid of 'app' is '4294967295'"},
           Malformed{"app:x:4294967296:1000", "the uid of 'app' is '4294967296'"},
           Malformed{"app:x:1000:18446744073709551616", "the gid of 'app' is '1844674407370955"},
           Malformed{"app:x:1000:1000\r", "the gid of 'app' is '1000\\x0d'"},
           Malformed{"app:x:1000:1000 ", "the gid of 'app' is '1000 '"},
           Malformed{"app:x:1000:1000::/home/app\r", "the home of 'app' is '/home/app\\x0d'"},
       }) {
    SCOPED_TRACE(row.line);
    AccountFiles files = accounts("root:x:0:0\n\n# comment\n" + std::string(row.line) +
                                  "\napp:x:1000:1000::/home/app\n");
    files.passwd_path = "/elsewhere/passwd";
    EXPECT_THAT(refusal([&] { return find_account(files, "app"); }),
                AllOf(HasSubstr("/elsewhere/passwd:4: "), HasSubstr(row.cause),
                      HasSubstr("correct that line: name:password:uid:gid")));
  }
}

TEST(AMalformedLine, IsAnErrorWhenTheAccountIsLookedUpById) {
  for (const Malformed& row : {
           Malformed{"app:x:1000", "the gid of 'app' is missing"},
           Malformed{"app:x:1000:", "the gid of 'app' is ''"},
           Malformed{"app:x:1000:abc", "the gid of 'app' is 'abc'"},
           Malformed{"app:x:1000:4294967296", "the gid of 'app' is '4294967296'"},
           Malformed{":x:1000:1000", "the entry has no name"},
       }) {
    SCOPED_TRACE(row.line);
    const AccountFiles files = accounts(std::string(row.line) + "\nb:x:1000:1000\n");
    EXPECT_THAT(refusal([&] { return find_account(files, Uid{1000}); }),
                AllOf(HasSubstr("/etc/passwd:1: "), HasSubstr(row.cause)));
  }
  EXPECT_THAT(refusal([] { return find_account(accounts("a:x:4294967294:1\n"), Uid{4294967294}); }),
              HasSubstr("the uid of 'a' is '4294967294'"));
}

TEST(AMalformedLine, IsAnErrorWhenTheGroupIsUsed) {
  for (const Malformed& row : {
           Malformed{"grp", "the gid of 'grp' is missing"},
           Malformed{"grp:x", "the gid of 'grp' is missing"},
           Malformed{"grp:x:", "the gid of 'grp' is ''"},
           Malformed{"grp:x::app", "the gid of 'grp' is ''"},
           Malformed{"grp:x:abc:app", "the gid of 'grp' is 'abc'"},
           Malformed{"grp:x:-1:app", "the gid of 'grp' is '-1'"},
           Malformed{"grp:x:+5:app", "the gid of 'grp' is '+5'"},
           Malformed{"grp:x: 5:app", "the gid of 'grp' is ' 5'"},
           Malformed{"grp:x:0x10:app", "the gid of 'grp' is '0x10'"},
           Malformed{"grp:x:2147483648:app", "the gid of 'grp' is '2147483648'"},
           Malformed{"grp:x:4294967296:app", "the gid of 'grp' is '4294967296'"},
           Malformed{"grp:x:5\r", "the gid of 'grp' is '5\\x0d'"},
       }) {
    SCOPED_TRACE(row.line);
    const AccountFiles files = accounts("", "a:x:1:app\n" + std::string(row.line) + "\ngrp:x:5:\n");
    const auto message = AllOf(HasSubstr("/etc/group:2: "), HasSubstr(row.cause),
                               HasSubstr("correct that line: name:password:gid:members"));
    EXPECT_THAT(refusal([&] { return find_group(files, "grp"); }), message);
    if (row.line.ends_with(":app")) {
      EXPECT_THAT(refusal([&] { return groups_of(files, "app"); }), message);
    } else {
      EXPECT_EQ(groups_of(files, "app"), gids({1}));
    }
  }
  EXPECT_THAT(refusal([] { return groups_of(accounts("", ":x:5:app\n"), "app"); }),
              HasSubstr("/etc/group:1: the entry has no name"));
}

TEST(AMalformedLine, IsAnErrorWhenABlankMakesTheMemberUnclear) {
  for (const std::string_view line : {"grp:x:5:root, app", "grp:x:5:app ,b", "grp:x:5:app\r"}) {
    SCOPED_TRACE(line);
    EXPECT_THAT(refusal([&] { return groups_of(accounts("", line), "app"); }),
                HasSubstr("/etc/group:1: there is a blank beside the member 'app'"));
    EXPECT_EQ(find_group(accounts("", line), "grp"), Gid{5});
  }
}

TEST(AMalformedLine, IsPassedOverWhenItIsNotUsed) {
  const AccountFiles files =
      accounts("garbage\n:::::\nb:x:abc:1\nc:x:7\nd:x:4294967296:0\ne\0e:x:1:1\napp:x:1000:1001\n"s,
               "garbage\n:::::\nb:x:abc:b\nc:x\nd:x:4294967296:d\ne\0e:x:1:\ngrp:x:10:app\n"s);
  EXPECT_EQ(find_account(files, "app")->gid, Gid{1001});
  EXPECT_EQ(find_account(files, Uid{1000})->gid, Gid{1001});
  EXPECT_EQ(find_account(files, Uid{0}), std::nullopt);
  EXPECT_EQ(find_group(files, "grp"), Gid{10});
  EXPECT_EQ(groups_of(files, "app"), gids({10}));
}

TEST(AMalformedLine, IsOneWithANulByteAnywhere) {
  for (const std::string& line : {"app:x:1000:1000::/home/\0app:/bin/sh"s, "app:x:1000:1000:\0"s,
                                  "app:\0:1000:1000"s, "app:x:1000:1000:::/bin/sh\0"s}) {
    EXPECT_THAT(refusal([&] { return find_account(accounts(line), "app"); }),
                HasSubstr("/etc/passwd:1: the line contains a NUL byte"));
    EXPECT_THAT(refusal([&] { return find_account(accounts(line), Uid{1000}); }),
                HasSubstr("/etc/passwd:1: the line contains a NUL byte"));
  }
  EXPECT_THAT(refusal([] { return find_account(accounts("app:x:10\0:1\n"s), "app"); }),
              HasSubstr("NUL byte"));
  EXPECT_THAT(refusal([] { return groups_of(accounts("", "g:\0:1:app\n"s), "app"); }),
              HasSubstr("/etc/group:1: the line contains a NUL byte"));
  EXPECT_THAT(refusal([] { return find_group(accounts("", "g:x:1:\0\n"s), "g"); }),
              HasSubstr("/etc/group:1: the line contains a NUL byte"));
}

TEST(AMalformedLine, IsToldFromOneOfAWindowsEditor) {
  const AccountFiles files = accounts("root:x:0:0:::/bin/sh\r\napp:x:1000:1000\r\n");
  EXPECT_THAT(refusal([&] { return find_account(files, "app"); }),
              HasSubstr("it ends in a carriage return: convert the file to Unix line ends"));
  EXPECT_EQ(find_account(files, "root")->shell, "/bin/sh\r");
  EXPECT_THAT(refusal([] { return find_account(accounts("app:x:a:1\n"), "app"); }),
              Not(HasSubstr("carriage return")));
}

TEST(AMalformedLine, CanNotPaintTheTerminal) {
  const std::string message = refusal([] {
    return find_account(accounts("app:x:\x1b]0;owned\a\x9b" + std::string(5000, 'A')), "app");
  });
  EXPECT_THAT(message, HasSubstr("'\\x1b]0;owned\\x07\\x9bAAA"));
  EXPECT_THAT(message, HasSubstr("AAA...'"));
  EXPECT_LT(message.size(), 400U);
}

}  // namespace
}  // namespace stepdown
