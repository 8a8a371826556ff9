// Profiles: what a text of TOML asks for, what of it is refused and where, and how it lies beneath
// the words of the command line.
#include "stepdown/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli/parser.h"
#include "plan_world.h"
#include "stepdown/error.h"
#include "stepdown/plan.h"
#include "temporary_directory.h"

namespace stepdown {
namespace {

using namespace std::string_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

class Profile : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
  std::string write(const std::string& text, const std::string& name = "app.toml") const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  Options read(const std::string& text) const { return profile_options(write(text)); }
  // Each as it is printed, without the directory.
  std::vector<std::string> problems(const std::string& text) const {
    std::vector<std::string> found;
    for (const ErrorDetails& details : profile_problems(write(text)))
      found.push_back(without_directory(Error(details).what()));
    return found;
  }
  std::string refusal(const std::string& name) const {
    try {
      profile_options(name);
    } catch (const Error& error) {
      EXPECT_EQ(error.details().status, exit_status::failed);
      return without_directory(error.what());
    }
    return "no refusal";
  }
  // As the launcher takes them: a profile of this text, and these words.
  Options words(const std::string& text, cli::Words words) const {
    words.insert(words.begin(), "--profile=" + write(text));
    const auto parsed = cli::parse_words(words, false);
    EXPECT_TRUE(parsed.has_value());
    return parsed.value_or(cli::ParsedWords{}).options;
  }

 private:
  std::string without_directory(std::string text) const {
    const std::string directory = path("");
    for (std::size_t at = text.find(directory); at != std::string::npos; at = text.find(directory))
      text.erase(at, directory.size());
    return text;
  }
  test::TemporaryDirectory directory_;
};

// ---- what a text says ----

TEST_F(Profile, SetsOptionsByTheirLongNames) {
  const Options options = read(R"(
description = "all kinds"
user = "app:web"
user-of = "/data"
exact-user = true
group-add = ["audio", 44]
own = ["/data", "/run/app:top"]
writable = "/tmp"
own-stdio = "never"
port = [80, "53/udp"]
keep-cap = "SYS_ADMIN"
pretend-root = "static"
env = ["A=b", "C="]
umask = "027"
keep-fd = 7
init = "group"
log-level = "debug"
)");
  EXPECT_EQ(options.user, "app:web");
  EXPECT_EQ(options.user_of, "/data");
  EXPECT_TRUE(options.exact_user);
  EXPECT_THAT(options.group_add, ElementsAre("audio", "44"));
  EXPECT_THAT(options.own, ElementsAre(OwnedPath{"/data", true}, OwnedPath{"/run/app", false}));
  EXPECT_THAT(options.writable, ElementsAre("/tmp"));
  EXPECT_FALSE(options.own_stdio);
  EXPECT_THAT(options.ports,
              ElementsAre(PortRequest{80, Protocol::tcp}, PortRequest{53, Protocol::udp}));
  EXPECT_EQ(options.keep_caps, CapabilitySet{Capability::sys_admin});
  EXPECT_EQ(options.pretend_root, PretendRoot::fixed);
  EXPECT_THAT(options.environment, ElementsAre(Pair("A", "b"), Pair("C", "")));
  EXPECT_EQ(options.umask, 027);
  EXPECT_THAT(options.keep_fds, ElementsAre(7));
  EXPECT_EQ(options.init, Init::group);
  EXPECT_EQ(options.log_level, LogLevel::debug);
}

TEST_F(Profile, TakesEveryOptionOfTheTableAsAKey) {
  for (const OptionRow& row : option_table()) {
    if (row.name == "profile") continue;
    const std::vector<std::string> found = problems(std::string(row.name) + " = 1979-05-27\n");
    ASSERT_THAT(found, SizeIs(1)) << row.name;
    EXPECT_THAT(found.front(), AllOf(StartsWith("app.toml:1:"), HasSubstr(row.name),
                                     HasSubstr("not a date or time")));
  }
}

TEST_F(Profile, TakesAUserByNumber) {
  EXPECT_EQ(read("user = 65532").user, "65532");
}

TEST_F(Profile, AFlagThatIsFalseIsNotThere) {
  const Options options = read("allow-root = false\ninit = false\nown = []\n");
  EXPECT_FALSE(options.allow_root);
  EXPECT_EQ(options.init, Init::none);
  EXPECT_THAT(options.own, IsEmpty());
}

TEST_F(Profile, MayBeEmpty) {
  EXPECT_THAT(problems(""), IsEmpty());
  EXPECT_THAT(problems("# nothing\n"), IsEmpty());
}

// ---- what is refused, and where ----

struct BadText {
  std::string text;
  const char* place;
  const char* says;
};
void PrintTo(const BadText& bad, std::ostream* stream) {
  *stream << bad.text.substr(0, 60);
}
class BadProfile : public Profile, public testing::WithParamInterface<BadText> {};

TEST_P(BadProfile, IsRefusedWithItsPlace) {
  const BadText& bad = GetParam();
  const std::vector<std::string> found = problems(bad.text);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found.front(),
              AllOf(StartsWith("app.toml:"s + bad.place + ":"), HasSubstr(bad.says)));
  EXPECT_THAT(refusal(path("app.toml")), found.front());
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t count = 0; count < times; ++count) result += text;
  return result;
}

INSTANTIATE_TEST_SUITE_P(
    Keys, BadProfile,
    testing::Values(BadText{"usr = 'app'", "1:1",
                            "usr: there is no such option\n  did you mean user?"},
                    BadText{"\n own_stdio = 'auto'", "2:2", "did you mean own-stdio?"},
                    BadText{"extend = 'web'", "1:1", "did you mean extends?"},
                    BadText{"zzzzzzzz = 1", "1:1", "--help-all"},
                    BadText{"'' = 1", "1:1", "there is no such option"},
                    BadText{"[nginx]\nport = 80", "1:2", "nginx: there is no such option"},
                    BadText{"user.name = 'app'", "1:1", "user: it takes a string"},
                    BadText{"profile = 'web'", "1:1", "profile: a profile can't set it"},
                    BadText{"help = true", "1:1", "help: a profile can't set it"},
                    BadText{"help-all = true", "1:1", "help-all: a profile can't set it"},
                    BadText{"version = true", "1:1", "version: a profile can't set it"},
                    BadText{"json = true", "1:1", "json: a profile can't set it"}));

INSTANTIATE_TEST_SUITE_P(
    Types, BadProfile,
    testing::Values(BadText{"allow-root = 'yes'", "1:14", "true or false, not a string"},
                    BadText{"allow-root = 1", "1:14", "true or false, not an integer"},
                    BadText{"user = true", "1:8", "a string or an integer, not a boolean"},
                    BadText{"user = ['a']", "1:8", "not an array"},
                    BadText{"umask = 27", "1:9", "umask: it takes a string, not an integer"},
                    BadText{"init = 1", "1:8", "true, false or its value as a string"},
                    BadText{"init = ['group']", "1:8", "not an array"},
                    BadText{"own = true", "1:7", "an array of strings, not a boolean"},
                    BadText{"own = [\n'/a',\n5]", "3:1", "own: it takes"},
                    BadText{"port = [[80]]", "1:9", "not an array"},
                    BadText{"port = 80.0", "1:8", "not a floating-point number"},
                    BadText{"env = {A = 'b'}", "1:7", "not a table"},
                    BadText{"description = 1", "1:15", "description: it takes a string"},
                    BadText{"extends = ['web']", "1:11", "extends: it takes a string"}));

INSTANTIATE_TEST_SUITE_P(
    Values, BadProfile,
    testing::Values(BadText{"port = 65536", "1:8", "port: \"65536\": a port is 1 to 65535"},
                    BadText{"port = -1", "1:8", "\"-1\""}, BadText{"port = 0", "1:8", "\"0\""},
                    BadText{"port = [80,\n 'http']", "2:2", "\"http\""},
                    BadText{"umask = '888'", "1:9", "octal"},
                    BadText{"own = 'data'", "1:7", "must be absolute"},
                    BadText{"keep-cap = ['ALL']", "1:13", "not the name of a capability"},
                    BadText{"init = 'Group'", "1:8", "\"Group\""},
                    BadText{"userns = ''", "1:10", "userns: it is empty"},
                    BadText{"user = ''", "1:8", "user: it is empty"},
                    BadText{"user = \"app\\u0000\"", "1:8", "user: a NUL character is in it"},
                    BadText{"own = ['/a', \"/b\\u0000c\"]", "1:14", "own: a NUL character"},
                    BadText{"extends = ''", "1:11", "extends: it is empty"},
                    BadText{"extends = \"./a\\u0000\"", "1:11", "extends: a NUL character"}));

INSTANTIATE_TEST_SUITE_P(
    Malformed, BadProfile,
    testing::Values(BadText{"user = 'a'\nuser = 'b'", "2:8", "'user'"},
                    BadText{"user = 'a", "1:10", "end-of-file"},
                    BadText{"user = 'a'\nown = ['/data'", "2:15", "array"},
                    BadText{"user 'a'", "1:6", "'='"}, BadText{"user = \"\xff\"", "1:8", "utf-8"},
                    BadText{"user = 'a'\n\0"s, "2:1", "\\u0000"}, BadText{"#\0"s, "1:2", "U+0009"},
                    BadText{"port = 080", "1:11", "zero"},
                    BadText{"port = 99999999999999999999", "1:28", "64"},
                    BadText{"port = " + repeated("[", 100000), "1:24", "depth"},
                    BadText{repeated("a.", 100000) + "b = 1", "1:1",
                            "no key of a profile has a dot"},
                    BadText{"\n[" + repeated("a.", 100000) + "b]", "2:1", "nested too deeply"},
                    BadText{"a = " + repeated("{a=", 100000), "1:53", "depth"}));

INSTANTIATE_TEST_SUITE_P(
    Contradictions, BadProfile,
    testing::Values(BadText{"user-env = 'A'\nuser-of = '/a'", "2:11", "--user-env"},
                    BadText{"userns = true\npretend-root = true", "2:16", "--userns"},
                    BadText{"uid-map = '0:1:1'\npretend-root = true", "2:16", "--userns"},
                    BadText{"pretend-root = true\nallow-new-privs = true", "1:16", "no_new_privs"},
                    BadText{"uid-map = ['0:1:2', '1:9:1']", "1:21", "every id can be mapped once"},
                    BadText{"gid-map = ['0:1:2', '9:1:1']", "1:21",
                            "every id can be mapped once"}));

// Arrays and tables in turn, each bound by itself, must not outgrow the stack together.
TEST_F(Profile, SurvivesTheDeepestNestingThatIsStillRead) {
  const std::string dots = repeated("a.", 11);
  const std::string line = "a." + repeated("[{" + dots + "b=\n", 8) + "1" + repeated("}]", 8);
  EXPECT_THAT(problems("own = " + line), SizeIs(1));
}

TEST_F(Profile, IsCheckedToItsEnd) {
  EXPECT_THAT(problems("usr = 1\nport = ['x', 80, 'y']\n\numask = 1\nuser-of = 'd'\n"),
              ElementsAre(StartsWith("app.toml:1:1: usr"), StartsWith("app.toml:2:9: port"),
                          StartsWith("app.toml:2:18: port"), StartsWith("app.toml:4:9: umask"),
                          StartsWith("app.toml:5:11: user-of")));
  EXPECT_THAT(refusal(path("app.toml")), AllOf(StartsWith("app.toml:1:1: usr"),
                                               HasSubstr("and more: stepdown profile check")));
}

// ---- files that are none ----

TEST_F(Profile, MustBeARegularFile) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal(path("fifo")), HasSubstr("fifo: not a regular file"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(refusal("/dev/zero"), HasSubstr("not a regular file"));
  std::filesystem::create_directory(path("directory"));
  EXPECT_THAT(refusal(path("directory")), HasSubstr("not a regular file"));
}

TEST_F(Profile, MustBeThere) {
  EXPECT_THAT(refusal(path("none.toml")), HasSubstr("none.toml: there is no such profile file"));
}

TEST_F(Profile, IsAtMostAMebibyte) {
  std::string text = "user = 'app'\n#";
  text.resize(largest_profile, 'x');
  EXPECT_EQ(read(text).user, "app");
  write(text + "x");
  EXPECT_THAT(refusal(path("app.toml")), HasSubstr("app.toml: larger than 1 MiB"));
}

TEST_F(Profile, WithoutASlashIsABuiltInOne) {
  EXPECT_THAT(refusal("app.toml"), AllOf(HasSubstr("legacy-root"), HasSubstr("./app.toml")));
}

// ---- extends ----

TEST_F(Profile, ExtendsABuiltInOne) {
  const Options options = read("extends = 'legacy-root'\nkeep-cap = 'SYS_ADMIN'\nuserns = 'keep'");
  EXPECT_EQ(options.userns, Userns::keep);
  EXPECT_TRUE(options.keep_caps.contains({Capability::sys_admin, Capability::kill}));
}

TEST_F(Profile, ExtendsAFileBesideIt) {
  write("user = 'base'\nown = '/base'\nallow-root = true\nexact-user = true\ninit = true\n",
        "bases/base.toml");
  write("extends = './base.toml'\nown = '/middle'\n", "bases/middle.toml");
  const Options options = read(
      "own = '/top'\nuser = 'top'\nallow-root = false\ninit = false\nextends = "
      "'bases/middle.toml'\n");
  EXPECT_EQ(options.user, "top");
  EXPECT_FALSE(options.allow_root);
  EXPECT_TRUE(options.exact_user);
  EXPECT_EQ(options.init, Init::none);
  EXPECT_THAT(options.own, ElementsAre(OwnedPath{"/base", true}, OwnedPath{"/middle", true},
                                       OwnedPath{"/top", true}));
}

TEST_F(Profile, ExtendsAFileByItsAbsolutePath) {
  const std::string base = write("user = 'base'", "base.toml");
  EXPECT_EQ(read("extends = '" + base + "'").user, "base");
}

TEST_F(Profile, NamesTheKeyWhereItExtendsNothing) {
  EXPECT_THAT(problems("\nextends = 'webb'"),
              ElementsAre(AllOf(StartsWith("app.toml:2:11: extends: profile webb"),
                                HasSubstr("no built-in profile"))));
  EXPECT_THAT(problems("extends = './none.toml'"),
              ElementsAre(AllOf(StartsWith("app.toml:1:11: extends: "),
                                EndsWith("none.toml: there is no such profile file"))));
  EXPECT_THAT(problems("extends = '/dev/zero'"),
              ElementsAre(StartsWith("app.toml:1:11: extends: /dev/zero: not a regular file")));
}

TEST_F(Profile, NamesTheFileWhoseProblemItIs) {
  write("\nusr = 1\n", "base.toml");
  EXPECT_THAT(problems("extends = './base.toml'\numask = 1\n"),
              ElementsAre(StartsWith("./base.toml:2:1: usr"), StartsWith("app.toml:2:9: umask")));
}

TEST_F(Profile, ContradictsWhatItExtends) {
  write("pretend-root = true", "base.toml");
  EXPECT_THAT(problems("extends = './base.toml'\nuserns = true\n"),
              ElementsAre(StartsWith("./base.toml:1:16: pretend-root")));
  EXPECT_THAT(problems("extends = './base.toml'\nuserns = true\npretend-root = false\n"),
              IsEmpty());
}

TEST_F(Profile, NeverExtendsItself) {
  EXPECT_THAT(
      problems("extends = './app.toml'"),
      ElementsAre(AllOf(StartsWith("app.toml:1:11: extends"), HasSubstr("extends itself"))));
  write("extends = '../app.toml'", "sub/other.toml");
  std::filesystem::create_symlink("other.toml", path("sub/link.toml"));
  EXPECT_THAT(
      problems("extends = './sub/link.toml'"),
      ElementsAre(AllOf(HasSubstr("link.toml:1:11: extends"), HasSubstr("extends itself"))));
}

TEST_F(Profile, ExtendsSoManyAndNoMore) {
  const auto name = [](std::size_t number) { return std::to_string(number) + ".toml"; };
  write("user = 'deep'", name(deepest_profile));
  for (std::size_t number = deepest_profile - 1; number > 0; --number)
    write("extends = './" + name(number + 1) + "'", name(number));
  EXPECT_EQ(profile_options(path(name(1))).user, "deep");
  EXPECT_THAT(problems("extends = './1.toml'"), ElementsAre(HasSubstr("more than 8 profiles")));
}

// ---- beneath the command line ----

TEST_F(Profile, NamesTheUserSoThatAllWordsAreTheCommand) {
  const Options options = words("user = 'app'", {"ls", "--color"});
  EXPECT_EQ(options.user, "app");
  EXPECT_THAT(options.command, ElementsAre("ls", "--color"));
  EXPECT_THAT(words("user = 'app'", {"--", "-x"}).command, ElementsAre("-x"));
}

TEST_F(Profile, IsHiddenByASingleValueOfTheCommandLine) {
  const Options options =
      words("user = 'profile'\numask = '077'\ninit = 'group'\nchdir = '/a'\nlog-format = 'json'",
            {"--user", "words", "--init", "--umask=022", "--log-format=text", "ls"});
  EXPECT_EQ(options.user, "words");
  EXPECT_EQ(options.umask, 022);
  EXPECT_EQ(options.init, Init::process);
  EXPECT_EQ(options.directory, "/a");
  EXPECT_FALSE(options.log_json);
}

TEST_F(Profile, ComesFirstInListsAndTheCommandLineAdds) {
  const Options options = words("own = ['/a', '/b']\nenv = 'A=profile'\nkeep-cap = 'KILL'",
                                {"--own", "/c", "--env=A=words", "--keep-cap", "CHOWN", "ls"});
  EXPECT_THAT(options.own,
              ElementsAre(OwnedPath{"/a", true}, OwnedPath{"/b", true}, OwnedPath{"/c", true}));
  EXPECT_THAT(options.environment, ElementsAre(Pair("A", "profile"), Pair("A", "words")));
  EXPECT_EQ(options.keep_caps, (CapabilitySet{Capability::kill, Capability::chown}));
}

TEST_F(Profile, MakesThePlanThatTheSameWordsMake) {
  const Options by_file =
      words("user = 'app'\nown = '/data'\nport = 80\nenv = 'A=b'\ninit = true", {"server", "-x"});
  const auto by_words = cli::parse_words({"--user", "app", "--own", "/data", "--port", "80",
                                          "--env", "A=b", "--init", "--", "server", "-x"},
                                         false);
  ASSERT_TRUE(by_words.has_value());
  const auto plan = [](const Options& options) {
    return make_plan(options, test::accounts(), test::container_root(), test::host());
  };
  EXPECT_EQ(plan(by_file), plan(by_words->options));
}

TEST_F(Profile, ContradictsTheCommandLineAsWordsDo) {
  const Options options = words("user = 'app'\nuserns = true", {"--pretend-root", "ls"});
  EXPECT_THROW(make_plan(options, test::accounts(), test::container_root(), test::host()), Error);
}

// ---- the built-in ones ----

TEST(BuiltInProfiles, AreThese) {
  std::vector<std::string_view> names;
  for (const BuiltInProfile& profile : built_in_profiles()) names.push_back(profile.name);
  EXPECT_THAT(names, ElementsAre("default", "distroless", "legacy-root", "nginx", "postgres",
                                 "redis", "restricted", "web"));
}

TEST(BuiltInProfiles, AreValidAndBeginWithWhatTheyAreFor) {
  for (const BuiltInProfile& profile : built_in_profiles()) {
    EXPECT_NO_THROW(profile_options(std::string(profile.name))) << profile.name;
    EXPECT_TRUE(profile.text.starts_with("# ")) << profile.name;
    EXPECT_THAT(std::string(summary(profile)), EndsWith(".")) << profile.name;
  }
}

TEST(BuiltInProfiles, LegacyRootIsAPresetOfOptions) {
  const Options options = profile_options("legacy-root");
  EXPECT_EQ(options.user, std::nullopt);
  EXPECT_EQ(options.userns, Userns::root);
  EXPECT_EQ(options.keep_caps,
            (CapabilitySet{Capability::chown, Capability::dac_override, Capability::fowner,
                           Capability::setuid, Capability::setgid, Capability::kill}));
}

TEST(BuiltInProfiles, LegacyRootLeavesWhatTheCommandLineSays) {
  const auto parsed = cli::parse_words({"--userns=keep", "--profile", "legacy-root", "--user",
                                        "app", "--keep-cap", "SYS_ADMIN", "ls"},
                                       false);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->options.userns, Userns::keep);
  EXPECT_TRUE(
      parsed->options.keep_caps.contains({Capability::sys_admin, Capability::dac_override}));
}

// What makes them hardened is not written down in them but done by default: none may loosen it.
TEST(BuiltInProfiles, ConsentToNothing) {
  for (const BuiltInProfile& profile : built_in_profiles()) {
    const Options options = profile_options(std::string(profile.name));
    EXPECT_FALSE(options.allow_root || options.allow_root_group || options.allow_new_privs)
        << profile.name;
    EXPECT_TRUE(options.keep_caps.empty() || options.userns == Userns::root) << profile.name;
  }
}

}  // namespace
}  // namespace stepdown
