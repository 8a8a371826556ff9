// USER[:GROUP] to ids: Docker's resolution in both directions, and what other launchers take for
// root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "identity_world.h"

namespace stepdown {
namespace {

using test::accounts;
using test::callers_gid;
using test::callers_uid;
using test::gids;
using test::refusal;
using test::resolve;
using test::resolve_as_gosu;
using testing::AllOf;
using testing::HasSubstr;

std::string many_members(std::size_t count) {
  std::string line = "largegroup:x:1000:user1";
  for (std::size_t number = 2; number <= count; ++number) line += ",user" + std::to_string(number);
  return line;
}

// Names that are digits, ids that are somebody else's name, and lines that are no entries at all.
AccountFiles tricky_accounts() {
  return accounts(
      "\n"
      "root:x:0:0:root user:/root:/bin/bash\n"
      "adm:x:42:43:adm:/var/adm:/bin/false\n"
      "111:x:222:333::/var/garbage\n"
      "odd:x:111:112::/home/odd:::::\n"
      "-42:x:12:13:broken:/very/broken\n"
      "2147483647:x:0:0:maxint32:/root:/bin/bash\n"
      "2147483648:x:0:0:toolarge:/root:/bin/bash\n"
      "4294967296:x:0:0:wraps to 0:/root:/bin/bash\n"
      "9223372036854775807:x:0:0:maxint64:/root:/bin/bash\n"
      "9223372036854775808:x:0:0:maxint64plusone:/root:/bin/bash\n"
      "user7456:x:7456:100:Vasya:/home/user7456\n"
      "nohome:x:500:501\n"
      "this is just some garbage data\n",
      "\n"
      "root:x:0:root\n"
      "adm:x:43:\n"
      "grp:x:1234:root,adm,user7456\n"
      "444:x:555:111\n"
      "odd:x:444:\n"
      "2147483647:x:1235:\n"
      "2147483648:x:0:\n"
      "9223372036854775808:x:0:\n"
      "-3:x:0:\n"
      "this is just some garbage data\n" +
          many_members(7500));
}

struct Resolved {
  std::string_view spec;
  std::string_view user;
  std::uint32_t uid;
  std::uint32_t gid;
  std::vector<Gid> groups;
  std::string_view home;
};

void PrintTo(const Resolved& row, std::ostream* out) {
  *out << '"' << row.spec << '"';
}

class DockersTable : public testing::TestWithParam<Resolved> {};

TEST_P(DockersTable, Resolves) {
  const Resolved& row = GetParam();
  const Identity identity = resolve(tricky_accounts(), row.spec);
  EXPECT_EQ(identity.user, row.user);
  EXPECT_EQ(raw(identity.uid), row.uid);
  EXPECT_EQ(raw(identity.gid), row.gid);
  EXPECT_EQ(identity.groups, row.groups);
  EXPECT_EQ(identity.home, row.home);
  EXPECT_EQ(identity.explicit_group, !parse_user_spec(row.spec).group.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Identity, DockersTable,
    testing::Values(
        // A name: ids, home and groups of its entry.
        Resolved{"root", "root", 0, 0, gids({0, 1234}), "/root"},
        Resolved{"adm", "adm", 42, 43, gids({43, 1234}), "/var/adm"},
        Resolved{"odd", "odd", 111, 112, gids({112}), "/home/odd"},
        Resolved{"nohome", "nohome", 500, 501, gids({501}), "/"},
        Resolved{"adm:", "adm", 42, 43, gids({43, 1234}), "/var/adm"},
        // A group of its own takes the place of all the others.
        Resolved{"root:adm", "root", 0, 43, gids({43}), "/root"},
        Resolved{"root:root", "root", 0, 0, gids({0}), "/root"},
        Resolved{"adm:grp", "adm", 42, 1234, gids({1234}), "/var/adm"},
        Resolved{"adm:1234", "adm", 42, 1234, gids({1234}), "/var/adm"},
        Resolved{"adm:60000", "adm", 42, 60000, gids({60000}), "/var/adm"},
        Resolved{"adm:0", "adm", 42, 0, gids({0}), "/var/adm"},
        // A number: the entry with that id, never the one with that name.
        Resolved{"42", "adm", 42, 43, gids({43, 1234}), "/var/adm"},
        Resolved{"42:", "adm", 42, 43, gids({43, 1234}), "/var/adm"},
        Resolved{"0042", "adm", 42, 43, gids({43, 1234}), "/var/adm"},
        Resolved{"42:1234", "adm", 42, 1234, gids({1234}), "/var/adm"},
        Resolved{"111", "odd", 111, 112, gids({112}), "/home/odd"},
        Resolved{"222", "111", 222, 333, gids({333, 555}), "/var/garbage"},
        Resolved{"111:444", "odd", 111, 444, gids({444}), "/home/odd"},
        Resolved{"7456", "user7456", 7456, 100, gids({100, 1234, 1000}), "/home/user7456"},
        Resolved{"7456:2147483647", "user7456", 7456, 2147483647, gids({2147483647}),
                 "/home/user7456"},
        Resolved{"0", "root", 0, 0, gids({0, 1234}), "/root"},
        Resolved{"0:0", "root", 0, 0, gids({0}), "/root"},
        // A number without an entry, and its group.
        Resolved{"1337:1234", "", 1337, 1234, gids({1234}), "/"},
        Resolved{"1337:adm", "", 1337, 43, gids({43}), "/"},
        Resolved{"65534:65534", "", 65534, 65534, gids({65534}), "/"},
        Resolved{"2147483647:43", "", 2147483647, 43, gids({43}), "/"},
        Resolved{"2147483647:2147483647", "", 2147483647, 2147483647, gids({2147483647}), "/"},
        // No user: the caller.
        Resolved{":1000", "", 8888, 1000, gids({1000}), "/"},
        Resolved{":adm", "", 8888, 43, gids({43}), "/"}));

struct Refused {
  std::string_view spec;
  std::string_view message;
};

void PrintTo(const Refused& row, std::ostream* out) {
  *out << '"' << row.spec << '"';
}

class RefusedByDocker : public testing::TestWithParam<Refused> {};

TEST_P(RefusedByDocker, IsRefusedUnderEveryName) {
  const Refused& row = GetParam();
  EXPECT_THAT(refusal([&] { return resolve(tricky_accounts(), row.spec); }),
              HasSubstr(row.message));
  EXPECT_THAT(refusal([&] { return resolve_as_gosu(tricky_accounts(), row.spec); }),
              HasSubstr(row.message));
}

INSTANTIATE_TEST_SUITE_P(
    Identity, RefusedByDocker,
    testing::Values(
        Refused{"notuser", "user: no entry for 'notuser' in /etc/passwd"},
        Refused{"notuser:notgroup", "no entry for 'notuser' in /etc/passwd"},
        Refused{"notuser:adm", "no entry for 'notuser' in /etc/passwd"},
        Refused{"notuser:8888", "no entry for 'notuser' in /etc/passwd"},
        Refused{"root:notgroup", "group: no entry for 'notgroup' in /etc/group"},
        Refused{"8888:notgroup", "no entry for 'notgroup' in /etc/group"},
        Refused{":notgroup", "no entry for 'notgroup' in /etc/group"},
        // Names are compared as they are.
        Refused{"Adm", "no entry for 'Adm'"}, Refused{"ad", "no entry for 'ad'"},
        Refused{"admi", "no entry for 'admi'"}, Refused{"adm ", "no entry for 'adm '"},
        Refused{" adm", "no entry for ' adm'"},
        // A sign makes no number, and there are no such names.
        Refused{"-1:0", "no entry for '-1'"}, Refused{"0:-3", "no entry for '-3'"},
        Refused{"-5:-2", "no entry for '-5'"}, Refused{"-42", "no entry for '-42'"},
        Refused{"-43", "no entry for '-43'"},
        // Out of range is never a name, though there are entries of these names, all of them root.
        Refused{"42:2147483648", "group: the id '2147483648' is out of range"},
        Refused{"2147483648:43", "user: the id '2147483648' is out of range"},
        Refused{"2147483648", "the id '2147483648' is out of range"},
        Refused{"7456:9223372036854775807", "the id '9223372036854775807' is out of range"},
        Refused{"9223372036854775807:43", "the id '9223372036854775807' is out of range"},
        Refused{"9223372036854775807", "the id '9223372036854775807' is out of range"},
        Refused{"9223372036854775808", "the id '9223372036854775808' is out of range"},
        Refused{"0:9223372036854775808", "the id '9223372036854775808' is out of range"}));

TEST(Identity, RefusesWhatOtherLaunchersRunAsRoot) {
  const AccountFiles files = tricky_accounts();
  for (const std::string_view spec : {"4294967296",
                                      "4294967296:4294967296",
                                      "1000:4294967296",
                                      "4294967295",
                                      "4294967295:1000",
                                      "18446744073709551616",
                                      "18446744073709551616:1",
                                      "340282366920938463463374607431768211456",
                                      "-1",
                                      "-0",
                                      "+0",
                                      "+5",
                                      "+5:+5",
                                      " 5",
                                      "5 ",
                                      "\t5",
                                      "5\n",
                                      "5\r",
                                      "0x10",
                                      "0x0",
                                      "1e3",
                                      "1_0",
                                      "1.0",
                                      "1,0",
                                      "0:0x0",
                                      "5: 5",
                                      "5:+5",
                                      "5:-1"}) {
    SCOPED_TRACE(spec);
    refusal([&] { return resolve(files, spec); });
    refusal([&] { return resolve_as_gosu(files, spec); });
  }
  const std::string endless(100000, '9');
  refusal([&] { return resolve(files, endless + ":1"); });
  EXPECT_LT(refusal([&] { return resolve(files, "1:" + endless); }).size(), 300U);
}

TEST(Identity, SaysThatAnIdIsDigitsAlone) {
  for (const std::string_view spec : {"-1", "+5", " 5", "5 ", "0x10", "1000:+5", "1000: 5"}) {
    SCOPED_TRACE(spec);
    EXPECT_THAT(refusal([&] { return resolve(tricky_accounts(), spec); }),
                HasSubstr("an id is written in digits alone, without a sign, a blank or 0x"));
  }
  EXPECT_THAT(refusal([] { return resolve(tricky_accounts(), "4294967296"); }),
              HasSubstr("give an id from 0 to 2147483647"));
}

TEST(Identity, AsksForTheGroupOfANumberWithoutAnEntry) {
  const AccountFiles files = tricky_accounts();
  for (const std::string_view spec : {"1234", "1234:", "001234"}) {
    SCOPED_TRACE(spec);
    EXPECT_THAT(refusal([&] { return resolve(files, spec); }),
                AllOf(HasSubstr("user 1234: no entry in /etc/passwd tells its group"),
                      HasSubstr("give the group as well: --user 1234:1234")));
  }
  EXPECT_THAT(refusal([&] { return resolve(files, "65534"); }), HasSubstr("--user 65534:65534"));
  EXPECT_THAT(refusal([&] { return resolve(files, "2147483647"); }),
              HasSubstr("--user 2147483647:2147483647"));
}

TEST(Identity, KeepsTheCallersGroupForANumberWithoutAnEntryUnderTheNameGosu) {
  const Identity identity = resolve_as_gosu(tricky_accounts(), "1234");
  EXPECT_EQ(identity, (Identity{.user = "",
                                .uid = Uid{1234},
                                .gid = callers_gid,
                                .groups = {callers_gid},
                                .home = "/",
                                .explicit_group = false}));
}

TEST(Identity, TakesTheCallersGroupForNothingElse) {
  const AccountFiles files = tricky_accounts();
  for (const std::string_view spec : {"adm", "42", "adm:grp", "42:7", "1234:7", ":7", "root"}) {
    SCOPED_TRACE(spec);
    EXPECT_EQ(resolve_as_gosu(files, spec), resolve(files, spec));
  }
}

TEST(Identity, IsTheCallersWithoutAUser) {
  const AccountFiles files =
      accounts("me:x:8888:500::/home/me\n", "more:x:501:me\nother:x:502:you\n");
  for (const std::string_view spec : {"", ":"}) {
    SCOPED_TRACE(spec);
    EXPECT_EQ(resolve(files, spec), (Identity{.user = "me",
                                              .uid = callers_uid,
                                              .gid = Gid{500},
                                              .groups = gids({500, 501}),
                                              .home = "/home/me",
                                              .explicit_group = false}));
    EXPECT_THAT(refusal([&] { return resolve(accounts(""), spec); }),
                HasSubstr("give the group as well: --user 8888:8888"));
    EXPECT_EQ(resolve_as_gosu(accounts(""), spec).gid, callers_gid);
  }
  EXPECT_EQ(resolve(files, ":7").groups, gids({7}));
}

TEST(Identity, HoldsTheCallersOwnIdsToTheSameRange) {
  const auto resolve_for = [](std::string_view spec, std::uint32_t uid, std::uint32_t gid) {
    return resolve_identity(accounts(""), parse_user_spec(spec), Uid{uid}, Gid{gid},
                            MissingGroup::use_callers);
  };
  EXPECT_EQ(resolve_for("", 2147483647, 2147483647).uid, Uid{2147483647});
  EXPECT_THAT(refusal([&] { return resolve_for(":5", 2147483648, 5); }),
              HasSubstr("the caller's own id 2147483648 is out of range"));
  EXPECT_THAT(refusal([&] { return resolve_for("5", 5, 4294967295); }),
              HasSubstr("the caller's own id 4294967295 is out of range"));
  EXPECT_EQ(resolve_for("5:5", 4294967294, 4294967294).gid, Gid{5});
}

TEST(Identity, NeedsNoAccountFilesForNumbers) {
  EXPECT_EQ(resolve(accounts(""), "1000:1001"), (Identity{.user = "",
                                                          .uid = Uid{1000},
                                                          .gid = Gid{1001},
                                                          .groups = gids({1001}),
                                                          .home = "/",
                                                          .explicit_group = true}));
  EXPECT_EQ(resolve(accounts(""), "0:0").uid, root_uid);
  EXPECT_THAT(refusal([] { return resolve(accounts(""), "app"); }),
              AllOf(HasSubstr("no entry for 'app' in /etc/passwd, which is missing or empty"),
                    HasSubstr("or give numbers, which need no entry: --user 1000:1000")));
  EXPECT_THAT(refusal([] { return resolve(accounts(""), "1:app"); }),
              AllOf(HasSubstr("no entry for 'app' in /etc/group, which is missing or empty"),
                    HasSubstr("or give its number, which needs no entry")));
  EXPECT_THAT(refusal([] { return resolve(accounts("b:x:1:1\n"), "app"); }),
              testing::Not(HasSubstr("missing")));
}

TEST(Identity, TakesTheFirstOfTwoEntries) {
  const AccountFiles files = accounts(
      "app:x:1000:1000::/first\n"
      "app:x:0:0::/second\n"
      "twin:x:1000:0::/third\n",
      "grp:x:10:\n"
      "grp:x:0:\n");
  EXPECT_EQ(resolve(files, "app").home, "/first");
  EXPECT_EQ(resolve(files, "1000").home, "/first");
  EXPECT_EQ(resolve(files, "twin").home, "/third");
  EXPECT_EQ(resolve(files, "app:grp").gid, Gid{10});
}

TEST(Identity, NamesAGroupOnceAndThePrimaryOneFirst) {
  const AccountFiles files = accounts("app:x:1000:20::/\n",
                                      "b:x:30:app\n"
                                      "a:x:20:app\n"
                                      "c:x:10:x,app,app,y\n"
                                      "d:x:30:app\n"
                                      "e:x:40:apple\n");
  EXPECT_EQ(resolve(files, "app").groups, gids({20, 30, 10}));
}

TEST(Identity, ReadsNoGroupThatItDoesNotNeed) {
  const AccountFiles files = accounts("app:x:1000:1000::/\n", "broken:x:abc:app\ngrp:x:5:\n");
  EXPECT_EQ(resolve(files, "app:grp").gid, Gid{5});
  EXPECT_EQ(resolve(files, "app:6").gid, Gid{6});
  EXPECT_EQ(resolve(files, "7:8").gid, Gid{8});
  EXPECT_THAT(refusal([&] { return resolve(files, "app"); }), HasSubstr("/etc/group:1: "));
}

TEST(Identity, RefusesAnEntryThatGosuWouldRunAsRoot) {
  const AccountFiles files = accounts(
      "root:x:0:0::/root\napp:x:abc:1000\nplus:x:+5:5\nwrap:x:4294967296:5\nspace:x: 5:5\n");
  for (const std::string_view name : {"app", "plus", "wrap", "space"}) {
    SCOPED_TRACE(name);
    refusal([&] { return resolve(files, name); });
    refusal([&] { return resolve_as_gosu(files, name); });
    refusal([&] { return resolve(files, std::string(name) + ":5"); });
  }
  EXPECT_THAT(refusal([&] { return resolve(files, "app"); }),
              AllOf(HasSubstr("/etc/passwd:2: the uid of 'app' is 'abc', not a number from 0 to "
                              "2147483647"),
                    HasSubstr("correct that line: name:password:uid:gid")));
}

TEST(Identity, NeverInventsAnId) {
  // Random files out of the pieces that parsers trip over: whatever comes out is written in them.
  constexpr std::string_view pieces[] = {
      "a",          "b",  "app", ":",   ":",  ":",    ":x:", "7",  "8",
      "4294967296", "-1", "abc", ",",   "\n", "\n",   "\r",  " ",  "2147483648",
      "app:x:7:8:", "#",  "+",   "0x7", "",   ",app", "7",   ":7", "8:"};
  // A fixed seed: a failure comes back.
  std::mt19937 random(20240607);
  std::uniform_int_distribution<std::size_t> piece(0, std::size(pieces) - 1);
  std::uniform_int_distribution<int> length(0, 40);
  const auto text = [&] {
    std::string made;
    for (int count = length(random); count > 0; --count) made += pieces[piece(random)];
    return made;
  };
  const auto written = [](std::uint32_t id) {
    const std::string digits = std::to_string(id);
    return digits.find_first_not_of("78") == std::string::npos;
  };
  int resolved = 0;
  for (int round = 0; round < 20000; ++round) {
    const AccountFiles files = accounts(text(), text());
    for (const std::string_view spec : {"app", "a", "7", "app:b", "b:a", "78:a"}) {
      try {
        const Identity identity = resolve(files, spec);
        ++resolved;
        ASSERT_TRUE(written(raw(identity.uid))) << files.passwd;
        for (const Gid gid : identity.groups) ASSERT_TRUE(written(raw(gid))) << files.group;
      } catch (const Error&) {
      }
    }
  }
  EXPECT_GT(resolved, 1000);
}

TEST(GroupAdd, TakesANameOrANumber) {
  const AccountFiles files = tricky_accounts();
  EXPECT_EQ(resolve_group(files, "--group-add", "adm"), Gid{43});
  EXPECT_EQ(resolve_group(files, "--group-add", "43"), Gid{43});
  EXPECT_EQ(resolve_group(files, "--group-add", "444"), Gid{444});
  EXPECT_EQ(resolve_group(files, "--group-add", "10001"), Gid{10001});
  EXPECT_EQ(resolve_group(files, "--group-add", "largegroup"), Gid{1000});
  EXPECT_EQ(resolve_group(files, "--group-add", "0"), root_gid);
}

TEST(GroupAdd, RefusesWhatIsNeither) {
  const AccountFiles files = accounts("", "toolarge:x:2147483648:\n2147483648:x:0:\n");
  const auto message = [&](std::string_view word) {
    return refusal([&] { return resolve_group(files, "--group-add", word); });
  };
  EXPECT_THAT(message("not-exist"),
              HasSubstr("--group-add: no entry for 'not-exist' in /etc/group"));
  EXPECT_THAT(message("-1"), HasSubstr("--group-add: no entry for '-1'"));
  EXPECT_THAT(message("2147483648"), HasSubstr("--group-add: the id '2147483648' is out of range"));
  EXPECT_THAT(message("9223372036854775808"), HasSubstr("out of range"));
  EXPECT_THAT(message("toolarge"),
              HasSubstr("/etc/group:1: the gid of 'toolarge' is '2147483648'"));
  EXPECT_THAT(message("a:b"), HasSubstr("no entry for 'a:b'"));
  EXPECT_THAT(message(""), HasSubstr("--group-add: the group is empty"));
}

}  // namespace
}  // namespace stepdown
