// What hook files do without a word, told.
#include "oci/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "json/strict_json.h"
#include "stepdown/error.h"
#include "temporary_directory.h"

namespace stepdown::oci {
namespace {

using json::Json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// "PLACE: PROBLEM" of each.
std::vector<std::string> lines(const std::vector<HookProblem>& problems) {
  std::vector<std::string> all;
  for (const HookProblem& problem : problems) {
    EXPECT_NE(problem.remedy, "") << problem.problem;
    all.push_back(problem.place + ": " + problem.problem);
  }
  return all;
}

Json good() {
  return Json::parse(R"({
    "version": "1.0.0",
    "hook": {"path": "/usr/local/bin/stepdown",
             "args": ["stepdown", "hook", "create-runtime", "--log-file", "/var/log/hook.log"],
             "env": ["PATH=/usr/bin"], "timeout": 30},
    "when": {"always": true},
    "stages": ["createRuntime"]})");
}

std::vector<std::string> told(const Json& document, const std::string& file = "/h/10-x.json") {
  return lines(examine_hook_text(file, document.dump()));
}

struct Trap {
  const char* name;
  const char* pointer;  // what is changed
  const char* value;    // its JSON; empty: removed
  const char* place;
  const char* says;
};
void PrintTo(const Trap& trap, std::ostream* stream) {
  *stream << trap.name;
}
class HookFile : public testing::TestWithParam<Trap> {};

TEST_P(HookFile, IsToldOfTheTrap) {
  const Trap& trap = GetParam();
  Json document = good();
  const Json::json_pointer pointer(trap.pointer);
  if (*trap.value == '\0')
    document[pointer.parent_pointer()].erase(pointer.back());
  else
    document[pointer] = Json::parse(trap.value);
  EXPECT_THAT(told(document), ElementsAre(AllOf(testing::StartsWith(std::string(trap.place) + ": "),
                                                HasSubstr(trap.says))));
}

// Not an annotation, which an image can bring, and which makes crun open any file of the host.
TEST(HookFileWithoutLog, IsToldToNameOne) {
  Json document = good();
  document["hook"]["args"] = {"stepdown", "hook", "create-runtime"};
  const std::vector<HookProblem> problems = examine_hook_text("/h/10-x.json", document.dump());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0].remedy,
              AllOf(HasSubstr("--log-file"), testing::Not(HasSubstr("annotation"))));
}

INSTANTIATE_TEST_SUITE_P(
    Table, HookFile,
    testing::Values(
        Trap{"old version", "/version", R"("0.1.0")", "version", "1.0.0"},
        Trap{"no version", "/version", "", "version", "1.0.0"},
        Trap{"unknown key", "/stage", R"(["prestart"])", "stage", "unknown"},
        Trap{"unknown key of the hook", "/hook/arguments", "[]", "hook.arguments", "unknown"},
        Trap{"unknown condition", "/when/hasbindmounts", "true", "when.hasbindmounts", "unknown"},
        Trap{"no path", "/hook/path", "", "hook", "path"},
        Trap{"relative path", "/hook/path", R"("stepdown")", "hook.path", "absolute"},
        Trap{"no environment", "/hook/env", "", "hook.env", "environment of the image"},
        Trap{"empty environment", "/hook/env", "[]", "hook.env", "environment of the image"},
        Trap{"null environment", "/hook/env", "null", "hook.env", "environment of the image"},
        Trap{"no timeout", "/hook/timeout", "", "hook.timeout", "for ever"},
        Trap{"timeout 0", "/hook/timeout", "0", "hook.timeout", "at once"},
        Trap{"timeout below 0", "/hook/timeout", "-1", "hook.timeout", ""},
        Trap{"timeout of another type", "/hook/timeout", R"("30")", "hook.timeout", ""},
        Trap{"no conditions", "/when", "", "when", "never runs"},
        Trap{"empty conditions", "/when", "{}", "when", "never runs"},
        Trap{"empty lists", "/when", R"({"commands": [], "annotations": {}})", "when",
             "never runs"},
        Trap{"never", "/when", R"({"always": false})", "when.always", "never runs"},
        Trap{"never, and more", "/when", R"({"commands": ["x"], "always": false})", "when.always",
             "never runs"},
        Trap{"no bind mounts", "/when", R"({"hasBindMounts": false})", "when.hasBindMounts",
             "never runs"},
        Trap{"no stages", "/stages", "", "", "stages"},
        Trap{"empty stages", "/stages", "[]", "stages", "never runs"},
        Trap{"stage in the words of the command", "/stages/0", R"("create-runtime")", "stages[0]",
             ""},
        Trap{"stage of another hook", "/stages/0", R"("createContainer")", "stages[0]",
             "create-runtime"},
        Trap{"args without the program", "/hook/args", R"(["hook", "create-runtime"])", "hook.args",
             "program's own name"},
        Trap{"args without a stage", "/hook/args", R"(["stepdown", "--user", "app"])", "hook.args",
             "no stage"},
        Trap{"no args", "/hook/args", "", "hook.args", "no stage"},
        Trap{"lost messages", "/hook/args", R"(["stepdown", "hook", "create-runtime"])",
             "hook.args", "lost"}));

TEST(HookFile, ThatIsRightIsLeftInPeace) {
  EXPECT_THAT(told(good()), IsEmpty());
}

TEST(HookFile, OfAnotherProgramIsNotToldAboutOurWords) {
  Json document = good();
  document["hook"]["path"] = "/usr/bin/other";
  document["hook"]["args"] = {"other", "--verbose"};
  document["stages"] = {"poststop", "startContainer"};
  EXPECT_THAT(told(document), IsEmpty());
}

TEST(HookFile, MayHaveItsLogInAProfile) {
  Json document = good();
  document["hook"]["args"] = {"stepdown", "hook", "create-runtime", "--profile=/etc/p.toml"};
  EXPECT_THAT(told(document), IsEmpty());
}

TEST(HookFile, MayServePodmansStageButNotForCrio) {
  Json document = good();
  document["stages"] = {"precreate"};
  document["hook"]["args"][2] = "precreate";
  EXPECT_THAT(told(document), IsEmpty());
  EXPECT_THAT(told(document, "/etc/crio/hooks.d/x.json"),
              ElementsAre(AllOf(HasSubstr("stages[0]"), HasSubstr("CRI-O"))));
}

TEST(HookFile, MayServePodmansStageWhereCrioIsNot) {
  Json document = good();
  document["stages"] = {"precreate"};
  document["hook"]["args"][2] = "precreate";
  for (const char* directory : {"/etc", "/usr/share"}) {
    const std::string shared = std::string(directory) + "/containers/oci/hooks.d/x.json";
    EXPECT_THAT(told(document, shared), IsEmpty());
    EXPECT_THAT(lines(examine_hook_text(shared, document.dump(), true)),
                ElementsAre(AllOf(HasSubstr("stages[0]"), HasSubstr("CRI-O"))));
  }
  EXPECT_THAT(lines(examine_hook_text("/etc/podman/x.json", document.dump(), true)), IsEmpty());
}

TEST(HookFile, ThatIsNoJsonSaysWhere) {
  const auto problems = examine_hook_text("/h/x.json", "{\"version\": \"1.0.0\",\n \"hook\": }");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems.front().file, "/h/x.json");
  EXPECT_THAT(problems.front().problem, HasSubstr("line 2"));
}

TEST(HookFile, IsToldOfAllItsTrapsAtOnce) {
  Json document = good();
  document["hook"].erase("env");
  document["hook"].erase("timeout");
  document["when"] = Json::object();
  EXPECT_THAT(told(document),
              ElementsAre(HasSubstr("hook.env"), HasSubstr("hook.timeout"), HasSubstr("when")));
}

// ---- what only a look at the machine tells ----

class HookDirectories : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(first_);
    std::filesystem::create_directory(second_);
    write(binary_, "#!/bin/true\n");
    mode(binary_, 0755);
  }

  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  static void mode(const std::string& path, mode_t bits) {
    ASSERT_EQ(::chmod(path.c_str(), bits), 0);
  }
  void hook(const std::string& path) {
    Json document = good();
    document["hook"]["path"] = binary_;
    write(path, document.dump());
  }
  std::vector<std::string> told() { return lines(examine_hook_directories({first_, second_})); }

  test::TemporaryDirectory place_;
  std::string first_ = place_ / "first", second_ = place_ / "second", binary_ = place_ / "stepdown";
};

TEST_F(HookDirectories, WithGoodHooksHaveNoProblems) {
  hook(first_ + "/10-a.json");
  hook(second_ + "/20-b.json");
  write(first_ + "/readme", "no hook");
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(HookDirectories, AreToldOfABinaryThatIsMissing) {
  hook(first_ + "/a.json");
  std::filesystem::remove(binary_);
  EXPECT_THAT(told(), ElementsAre(AllOf(HasSubstr("hook.path"), HasSubstr("can't be found"))));
}

TEST_F(HookDirectories, AreToldOfABinaryThatCantBeExecuted) {
  hook(first_ + "/a.json");
  mode(binary_, 0644);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("not executable")));
}

TEST_F(HookDirectories, AreToldOfADirectoryInTheBinarysPlace) {
  hook(first_ + "/a.json");
  std::filesystem::remove(binary_);
  std::filesystem::create_directory(binary_);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("not a regular file")));
}

TEST_F(HookDirectories, AreToldOfASetuidBinary) {
  hook(first_ + "/a.json");
  mode(binary_, 04755);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("setuid")));
}

TEST_F(HookDirectories, AreToldWhoElseCanChangeTheBinary) {
  hook(first_ + "/a.json");
  mode(binary_, 0757);
  EXPECT_THAT(told(), ElementsAre(AllOf(HasSubstr("hook.path"), HasSubstr("anybody"))));
}

TEST_F(HookDirectories, AreToldWhoElseCanChangeTheFileOrTheDirectory) {
  hook(first_ + "/a.json");
  mode(first_ + "/a.json", 0666);
  mode(second_, 0777);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("anybody"), HasSubstr("anybody")));
}

TEST_F(HookDirectories, AreToldOfAForeignOwner) {
  hook(first_ + "/a.json");
  ASSERT_EQ(::chown((first_ + "/a.json").c_str(), 12345, 0), 0);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("user 12345")));
}

TEST_F(HookDirectories, AreToldOfAFileThatALaterOneReplaces) {
  hook(second_ + "/a.json");
  write(first_ + "/a.json", "broken");
  const auto problems = examine_hook_directories({first_, second_});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems.front().file, first_ + "/a.json");
  EXPECT_THAT(problems.front().problem, HasSubstr(second_ + "/a.json replaces it"));
}

TEST_F(HookDirectories, AreToldOfWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((first_ + "/a.json").c_str(), 0644), 0);
  std::filesystem::create_symlink("/nowhere", second_ + "/b.json");
  EXPECT_THAT(told(), ElementsAre(HasSubstr("not a regular file"), HasSubstr("isn't there")));
}

TEST_F(HookDirectories, ThatCantBeReadAreAFailure) {
  EXPECT_THROW(examine_hook_directories({place_ / "none"}), Error);
}

}  // namespace
}  // namespace stepdown::oci
