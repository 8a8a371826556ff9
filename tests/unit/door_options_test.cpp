// The options of the doors: rows of the one table, which the launcher doesn't understand, and keys
// of profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "cli/parser.h"
#include "plan/contradictions.h"
#include "stepdown/error.h"
#include "stepdown/options.h"
#include "stepdown/profile.h"
#include "temporary_directory.h"

namespace stepdown {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Place = OptionRow::Place;

template <typename Action>
std::string refusal(const Action& action) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

Options set(std::string_view name, std::string_view value) {
  Options options;
  const OptionRow* row = find_option(name);
  EXPECT_NE(row, nullptr) << name;
  if (row != nullptr) row->set(options, value);
  return options;
}

class DoorProfile : public testing::Test {
 protected:
  [[nodiscard]] std::string write(const std::string& text,
                                  const std::string& name = "host.toml") const {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }

 private:
  test::TemporaryDirectory directory_;
};

// ---- the table ----

TEST(DoorOptions, AreFoundByName) {
  ASSERT_NE(find_option("inject"), nullptr);
  EXPECT_EQ(find_option("inject")->place, Place::doors);
  EXPECT_EQ(find_option("user")->place, Place::both);
  EXPECT_EQ(find_option("injec"), nullptr);
  EXPECT_EQ(find_option("--user"), nullptr);
}

TEST(DoorOptions, TakeNothingFromTheContainersEnvironment) {
  EXPECT_FALSE(is_understood(*find_option("user-env"), Place::doors));
}

TEST(DoorOptions, AreUnknownToTheLauncher) {
  for (const OptionRow& row : option_table()) {
    if (row.place != Place::doors) continue;
    const std::string word = "--" + std::string(row.name);
    for (const bool plan : {false, true})
      EXPECT_THAT(refusal([&] {
                    return cli::parse_words({word, "--", "app", "ls"}, plan);
                  }),
                  HasSubstr("unknown option " + word));
    EXPECT_FALSE(row.common) << word;
  }
}

TEST(DoorOptions, ComeAfterTheCommandUntouched) {
  const auto parsed = cli::parse_words({"app", "--", "ls", "--inject"}, false);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_THAT(parsed.value_or(cli::ParsedWords{}).options.command, ElementsAre("ls", "--inject"));
}

// ---- values ----

TEST(DoorOptions, SetWhatTheySay) {
  EXPECT_THAT(set("require", "non-root,uid=7").door.require, ElementsAre("non-root,uid=7"));
  EXPECT_THAT(set("idmap", "/data").door.idmap, ElementsAre("/data"));
  EXPECT_TRUE(set("idmap-root", "").door.idmap_root);
  EXPECT_TRUE(set("idmap-only", "").door.idmap_only);
  EXPECT_EQ(set("unprivileged-ports", "0").door.unprivileged_ports, 0U);
  EXPECT_EQ(set("unprivileged-ports", "65535").door.unprivileged_ports, 65535U);
  EXPECT_TRUE(set("user-always", "").door.user_always);
  EXPECT_TRUE(set("inject", "").door.inject);
  EXPECT_TRUE(set("allow-root-exec", "").door.allow_root_exec);
  EXPECT_TRUE(set("allow-restore", "").door.allow_restore);
  EXPECT_THAT(set("allow-annotations", "user").door.allow_annotations, ElementsAre("user"));
  EXPECT_EQ(set("runtime-path", "/usr/bin/crun").door.runtime_path, "/usr/bin/crun");
}

struct BadValue {
  const char* option;
  const char* value;
  const char* says;
};
void PrintTo(const BadValue& bad, std::ostream* stream) {
  *stream << bad.option << ' ' << bad.value;
}
class BadDoorOption : public testing::TestWithParam<BadValue> {};

TEST_P(BadDoorOption, IsRefused) {
  const BadValue& bad = GetParam();
  EXPECT_THAT(refusal([&] { return set(bad.option, bad.value); }),
              AllOf(HasSubstr("--" + std::string(bad.option)), HasSubstr(bad.says)));
}

INSTANTIATE_TEST_SUITE_P(
    Doors, BadDoorOption,
    testing::Values(BadValue{"require", "non-roott", "no such rule"},
                    BadValue{"require", "", "no such rule"}, BadValue{"idmap", "data", "absolute"},
                    // The kernel's own limit (net/ipv4/sysctl_net_ipv4.c).
                    BadValue{"unprivileged-ports", "65536", "0 to 65535"},
                    BadValue{"unprivileged-ports", "-1", "0 to 65535"},
                    BadValue{"unprivileged-ports", "", "0 to 65535"},
                    BadValue{"allow-annotations", "usr", "no such option"},
                    BadValue{"allow-annotations", "--user", "no such option"},
                    // The environment's, which is nobody's to allow.
                    BadValue{"allow-annotations", "user-env", "no such option"},
                    BadValue{"allow-annotations", "allow-annotations", "host's alone"},
                    BadValue{"allow-annotations", "runtime-path", "host's alone"},
                    BadValue{"allow-annotations", "log-file", "host's alone"},
                    BadValue{"allow-annotations", "profile", "host's alone"},
                    BadValue{"runtime-path", "crun", "absolute"}));

TEST(DoorOptions, HandAVolumeOverOnce) {
  Options options = set("idmap", "/data");
  options.own = {{"/other", true}};
  for (const Contradiction refuse_one : contradictions()) refuse_one(options);
  options.own.push_back({"/data", false});
  EXPECT_THAT(refusal([&] {
                for (const Contradiction refuse_one : contradictions()) refuse_one(options);
                return 0;
              }),
              AllOf(HasSubstr("--idmap /data"), HasSubstr("--own")));
}

// ---- profiles ----

constexpr const char* host_profile = R"(
user = "app"
port = 80
require = ["non-root", "seccomp"]
idmap = "/data"
idmap-only = true
unprivileged-ports = 1000
inject = true
allow-annotations = ["user", "init"]
)";

TEST_F(DoorProfile, TakesTheirOptionsAsKeys) {
  const Options options = profile_options(write(host_profile), Place::doors);
  EXPECT_EQ(options.user, "app");
  EXPECT_THAT(options.door.require, ElementsAre("non-root", "seccomp"));
  EXPECT_THAT(options.door.idmap, ElementsAre("/data"));
  EXPECT_TRUE(options.door.idmap_only && options.door.inject);
  EXPECT_EQ(options.door.unprivileged_ports, 1000U);
  EXPECT_THAT(options.door.allow_annotations, ElementsAre("user", "init"));
}

TEST_F(DoorProfile, IsRefusedByTheLauncherWithTheReason) {
  const std::string path = write("user = \"app\"\nport = 80\nrequire = [\"non-root\"]\n");
  EXPECT_THAT(refusal([&] { return profile_options(path); }),
              AllOf(HasSubstr("host.toml:3:12: require"), HasSubstr("only the doors")));
  EXPECT_THAT(refusal([&] {
                return cli::parse_words({"--profile", path, "ls"}, false);
              }),
              HasSubstr("only the doors"));
}

TEST_F(DoorProfile, MayNotSayWhatTheLauncherAloneUnderstands) {
  EXPECT_THAT(
      refusal([&] { return profile_options(write("user-env = \"PUID\"\n"), Place::doors); }),
      AllOf(HasSubstr("host.toml:1:12: user-env"), HasSubstr("only the launcher")));
}

TEST_F(DoorProfile, IsJudgedWithAllThatItExtends) {
  static_cast<void>(write("inject = true\n", "base.toml"));
  EXPECT_THAT(refusal([&] { return profile_options(write("extends = \"./base.toml\"\n")); }),
              AllOf(HasSubstr("base.toml:1:10: inject"), HasSubstr("only the doors")));
}

TEST_F(DoorProfile, IsCheckedWhoeverWillReadIt) {
  EXPECT_THAT(profile_problems(write(host_profile)), IsEmpty());
  EXPECT_THAT(profile_problems(write("require = \"nothing\"\nidmap = \"/a\"\nown = \"/a\"\n")),
              SizeIs(2));
}

}  // namespace
}  // namespace stepdown
