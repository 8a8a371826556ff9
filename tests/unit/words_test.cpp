// The words of the command line: CLI11 and the table of options together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/parser.h"
#include "stepdown/error.h"

namespace stepdown::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Options parse(const Words& words) {
  const auto parsed = parse_words(words, false);
  EXPECT_TRUE(parsed.has_value());
  return parsed.value_or(ParsedWords{}).options;
}

std::string refusal(const Words& words) {
  try {
    parse_words(words, false);
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "no refusal";
}

TEST(Words, TheFirstThatIsNoOptionIsTheUser) {
  const Options options = parse({"app", "ls", "--color", "-l"});
  EXPECT_EQ(options.user, "app");
  EXPECT_THAT(options.command, ElementsAre("ls", "--color", "-l"));
}

TEST(Words, AreAllTheCommandWhereAnOptionNamesTheUser) {
  EXPECT_THAT(parse({"--user", "app", "ls", "-l"}).command, ElementsAre("ls", "-l"));
  EXPECT_THAT(parse({"--user=app", "--", "ls", "-l"}).command, ElementsAre("ls", "-l"));
  EXPECT_THAT(parse({"--user-of", "/data", "ls"}).command, ElementsAre("ls"));
  EXPECT_THAT(parse({"--user-env", "PUID:PGID", "ls"}).command, ElementsAre("ls"));
}

TEST(Words, OneDoubleDashIsTakenAndLaterOnesAreTheCommands) {
  EXPECT_THAT(parse({"app", "--", "sh", "-c", "x", "--", "y"}).command,
              ElementsAre("sh", "-c", "x", "--", "y"));
  EXPECT_THAT(parse({"--", "app", "ls"}).command, ElementsAre("ls"));
  EXPECT_THAT(parse({"--user", "app", "--", "--", "x"}).command, ElementsAre("--", "x"));
  EXPECT_THAT(parse({"--user", "app", "--", "-x"}).command, ElementsAre("-x"));
}

TEST(Words, NeverTakeAnUnknownOptionForTheCommand) {
  EXPECT_THAT(refusal({"--usr", "app", "ls"}), HasSubstr("--usr"));
  EXPECT_THAT(refusal({"--user", "app", "--bogus", "ls"}), HasSubstr("--bogus"));
  EXPECT_THAT(refusal({"-x", "app", "ls"}), HasSubstr("-x"));
  EXPECT_THAT(refusal({"-5", "ls"}), HasSubstr("-5"));
  EXPECT_THAT(refusal({"app", "--own", "/data", "ls"}), HasSubstr("--own"));
}

TEST(Words, AListTakesOneValueEachTime) {
  const Options options = parse({"--port", "80", "--port=53/udp", "app", "ls"});
  EXPECT_EQ(options.user, "app");
  EXPECT_THAT(options.ports,
              ElementsAre(PortRequest{80, Protocol::tcp}, PortRequest{53, Protocol::udp}));
}

TEST(Words, AFlagTakesNone) {
  const Options options = parse({"--allow-root", "root", "id"});
  EXPECT_TRUE(options.allow_root);
  EXPECT_EQ(options.user, "root");
  EXPECT_THAT(refusal({"--allow-root=false", "root", "id"}), HasSubstr("allow-root"));
}

TEST(Words, AModeIsAFlagOrHasItsValueAfterTheSign) {
  EXPECT_EQ(parse({"app", "ls"}).init, Init::none);
  EXPECT_EQ(parse({"--init", "app", "ls"}).init, Init::process);
  EXPECT_EQ(parse({"--init=group", "app", "ls"}).init, Init::group);
}

TEST(Words, AModeDoesNotEatTheNextWord) {
  const Options options = parse({"--init", "app", "ls"});
  EXPECT_EQ(options.user, "app");
  EXPECT_THAT(options.command, ElementsAre("ls"));
  const Options group = parse({"--init", "group", "ls"});
  EXPECT_EQ(group.user, "group");
  EXPECT_EQ(group.init, Init::process);
  EXPECT_THAT(parse({"--user", "app", "--init", "--", "ls"}).command, ElementsAre("ls"));
  EXPECT_THAT(parse({"--user", "app", "ls", "--init"}).command, ElementsAre("ls", "--init"));
  EXPECT_EQ(parse({"--user", "app", "ls", "--init"}).init, Init::none);
}

TEST(Words, AModesValueAfterABlankIsNotTakenForTheCommand) {
  const auto refused_with = [](const Words& words, const std::string& line) {
    EXPECT_THAT(refusal(words), HasSubstr("write " + line + ";")) << testing::PrintToString(words);
  };
  refused_with({"--user", "app", "--userns", "root", "id"}, "--userns=root");
  refused_with({"--user", "app", "--userns", "keep"}, "--userns=keep");
  refused_with({"--user", "app", "--pretend-root", "static", "id"}, "--pretend-root=static");
  refused_with({"--user", "app", "--init", "group", "id"}, "--init=group");
  refused_with({"--profile", "legacy-root", "--user=app", "--userns", "root", "id"},
               "--userns=root");
}

TEST(Words, ACommandMayBeCalledLikeAModesValue) {
  EXPECT_THAT(parse({"--user", "app", "--userns", "--", "root"}).command, ElementsAre("root"));
  EXPECT_THAT(parse({"--userns", "--user", "app", "root", "id"}).command,
              ElementsAre("root", "id"));
  EXPECT_THAT(parse({"--user", "app", "--userns=keep", "root"}).command, ElementsAre("root"));
  // No value of --init's.
  EXPECT_THAT(parse({"--user", "app", "--init", "keep"}).command, ElementsAre("keep"));
  // Where the first word is the user.
  EXPECT_EQ(parse({"--userns", "root", "id"}).user, "root");
}

TEST(Words, TheHelpShowsAModeAsItIsWritten) {
  testing::internal::CaptureStdout();
  EXPECT_FALSE(parse_words({"--help-all"}, false).has_value());
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_THAT(help, HasSubstr("--userns[=root|keep]"));
  EXPECT_THAT(help, HasSubstr("--init[=group]"));
  EXPECT_THAT(help, testing::Not(HasSubstr(" [=")));
}

TEST(Words, AModeTakesNoOtherValue) {
  EXPECT_THAT(refusal({"--init=x", "app", "ls"}), HasSubstr("--init=x"));
  EXPECT_THAT(refusal({"--init=", "app", "ls"}), HasSubstr("--init"));
  EXPECT_THAT(refusal({"--init=Group", "app", "ls"}), HasSubstr("--init=Group"));
  EXPECT_THAT(refusal({"--init=true", "app", "ls"}), HasSubstr("--init=true"));
  EXPECT_THAT(refusal({"--init=false", "app", "ls"}), HasSubstr("--init=false"));
  EXPECT_THAT(refusal({"--initial", "app", "ls"}), HasSubstr("--initial"));
}

TEST(Words, AnEmptyValueIsAnErrorAndDoesNotEatTheNextWord) {
  EXPECT_THAT(refusal({"--user=", "app", "ls"}), HasSubstr("no value"));
  EXPECT_THAT(refusal({"--own=", "/data", "app", "ls"}), HasSubstr("no value"));
  EXPECT_THAT(parse({"--env=A=", "app", "ls"}).environment, ElementsAre(testing::Pair("A", "")));
}

TEST(Words, AnOptionThatIsNoListIsGivenOnce) {
  EXPECT_THAT(refusal({"--user", "a", "--user", "b", "ls"}), HasSubstr("--user"));
}

TEST(Words, AnOptionNeedsItsValue) {
  EXPECT_THAT(refusal({"--user"}), HasSubstr("--user"));
}

TEST(Words, BracketsAreLettersLikeOthers) {
  EXPECT_THAT(parse({"--env", "A=[b,c]", "app", "[x]"}).environment,
              ElementsAre(testing::Pair("A", "[b,c]")));
  EXPECT_THAT(refusal({"--own", "[/a,/b]", "app", "ls"}), HasSubstr("absolute"));
}

TEST(Words, AnOptionsNameIsNotAPrefixOfAnother) {
  EXPECT_THAT(refusal({"--use", "app", "ls"}), HasSubstr("--use"));
  EXPECT_THAT(refusal({"--allow-roo", "app", "ls"}), HasSubstr("--allow-roo"));
}

struct BadValue {
  const char* option;
  const char* value;
};
class BadValues : public testing::TestWithParam<BadValue> {};

TEST_P(BadValues, AreRefusedByName) {
  const BadValue& bad = GetParam();
  EXPECT_THAT(refusal({bad.option, bad.value, "app", "ls"}), HasSubstr(bad.option)) << bad.value;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadValues,
    testing::Values(BadValue{"--port", "0"}, BadValue{"--port", "65536"}, BadValue{"--port", "-1"},
                    BadValue{"--port", "80/sctp"}, BadValue{"--port", "http"},
                    BadValue{"--port", "80/tcp/udp"}, BadValue{"--port", " 80"},
                    BadValue{"--port", "99999999999999999999"}, BadValue{"--keep-cap", "ALL"},
                    BadValue{"--keep-cap", "10"}, BadValue{"--keep-cap", "NET_BIND"},
                    BadValue{"--umask", "0888"}, BadValue{"--umask", "1000"},
                    BadValue{"--umask", "u=rwx"}, BadValue{"--keep-fd", "2"},
                    BadValue{"--keep-fd", "2147483648"}, BadValue{"--keep-fd", "x"},
                    BadValue{"--env", "NAME"}, BadValue{"--env", "=x"},
                    BadValue{"--own-stdio", "always"}, BadValue{"--own", "data"},
                    BadValue{"--writable", "./data"}, BadValue{"--readable", "data"},
                    BadValue{"--chdir", "app"}, BadValue{"--user-of", "data"},
                    BadValue{"--log-level", "loud"}, BadValue{"--log-format", "xml"}));

TEST(Words, ReadEveryOptionOfTheTable) {
  const Options options = parse({"--group-add",
                                 "audio",
                                 "--keep-groups",
                                 "--own",
                                 "/data",
                                 "--own=/run/app:top",
                                 "--writable",
                                 "/tmp",
                                 "--readable",
                                 "/app",
                                 "--own-stdio=never",
                                 "--keep-cap",
                                 "net_raw",
                                 "--keep-cap=CAP_CHOWN",
                                 "--umask",
                                 "027",
                                 "--keep-fd",
                                 "7",
                                 "--chdir",
                                 "/srv",
                                 "--exact-user",
                                 "--allow-root-group",
                                 "--allow-new-privs",
                                 "--log-format",
                                 "json",
                                 "--log-level",
                                 "debug",
                                 "app",
                                 "ls"});
  EXPECT_THAT(options.group_add, ElementsAre("audio"));
  EXPECT_TRUE(options.keep_groups);
  EXPECT_THAT(options.own, ElementsAre(OwnedPath{"/data", true}, OwnedPath{"/run/app", false}));
  EXPECT_THAT(options.writable, ElementsAre("/tmp"));
  EXPECT_THAT(options.readable, ElementsAre("/app"));
  EXPECT_FALSE(options.own_stdio);
  EXPECT_EQ(options.keep_caps.bits(), (1U << 13) | 1U);
  EXPECT_EQ(options.umask, 027);
  EXPECT_THAT(options.keep_fds, ElementsAre(7));
  EXPECT_EQ(options.directory, "/srv");
  EXPECT_TRUE(options.exact_user && options.allow_root_group && options.allow_new_privs);
  EXPECT_TRUE(options.log_json);
  EXPECT_EQ(options.log_level, LogLevel::debug);
}

TEST(OptionTable, ShowsAboutADozenInTheShortHelp) {
  int common = 0;
  for (const OptionRow& row : option_table()) common += row.common ? 1 : 0;
  EXPECT_GE(common, 8);
  EXPECT_LE(common, 12);
}

}  // namespace
}  // namespace stepdown::cli
