// --require: what a container will be, judged before it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/precreate.h"
#include "oci/rewrite.h"
#include "oci_world.h"

namespace stepdown::oci {
namespace {

using json::Json;
using test::container_of;
using test::options;
using test::rewritten;
using test::sample;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string refusal(const std::vector<std::string>& rules, const Json& config) {
  // A rule that a container breaks is a finding, not a failure.
  return test::refusal(
      [&] {
        require(rules, container_of(config));
        return 0;
      },
      1);
}
Json docker() {
  return sample("docker.json");
}

TEST(Require, LetsAContainerPassThatKeepsTheRules) {
  const Container container = container_of(rewritten(docker(), options("app")));
  require({"non-root,no-root-group", "no-capabilities", "uid=1000,gid=1000,groups=1000:44",
           "seccomp,no-new-privs,restricted"},
          container);
}

TEST(Require, JudgesNothingWithoutRules) {
  require({}, container_of(docker()));
}

TEST(Require, RefusesRootAndSaysWhatToChange) {
  EXPECT_THAT(refusal({"non-root"}, docker()),
              AllOf(StartsWith("--require: non-root doesn't hold: uid 0"),
                    HasSubstr("docker, podman: --user 1000:1000"), HasSubstr("Dockerfile"),
                    HasSubstr("runAsUser: 1000")));
}

struct Broken {
  const char* rule;
  const char* detail;
  const char* docker;
  const char* kubernetes;
};
void PrintTo(const Broken& broken, std::ostream* stream) {
  *stream << broken.rule;
}
class RequireRule : public testing::TestWithParam<Broken> {};

TEST_P(RequireRule, IsRefusedWithTheWordsOfEngines) {
  Json config = docker();
  config["linux"]["seccomp"] = nullptr;
  EXPECT_THAT(refusal({GetParam().rule}, config),
              AllOf(HasSubstr(std::string(GetParam().rule) + " doesn't hold: "),
                    HasSubstr(GetParam().detail), HasSubstr(GetParam().docker),
                    HasSubstr(GetParam().kubernetes)));
}

INSTANTIATE_TEST_SUITE_P(
    Oci, RequireRule,
    testing::Values(Broken{"no-root-group", "gid 0", "--user 1000:1000", "runAsGroup: 1000"},
                    Broken{"no-capabilities", "cap_chown", "--cap-drop ALL", "drop: [ALL]"},
                    Broken{"only-capability=NET_BIND_SERVICE", "cap_chown",
                           "--cap-drop ALL --cap-add NET_BIND_SERVICE", "add: [NET_BIND_SERVICE]"},
                    Broken{"no-new-privs", "not set", "--security-opt no-new-privileges",
                           "allowPrivilegeEscalation: false"},
                    Broken{"seccomp", "no seccomp filter", "seccomp=unconfined", "RuntimeDefault"},
                    Broken{"uid=1000", "uid 0", "--user 1000", "runAsUser: 1000"},
                    Broken{"gid=1000", "gid 0", "--user UID:1000", "runAsGroup: 1000"},
                    Broken{"groups=5:6", "no supplementary groups", "--group-add 5 --group-add 6",
                           "supplementalGroups: [5, 6]"},
                    Broken{"user-namespace", "no user namespace", "userns-remap",
                           "hostUsers: false"},
                    Broken{"restricted", "no seccomp filter", "--cap-drop ALL", "RuntimeDefault"}));

TEST(Require, NamesEverythingThatDoesNotHold) {
  EXPECT_THAT(refusal({"non-root,seccomp", "no-new-privs"}, docker()),
              AllOf(HasSubstr("non-root doesn't hold"), HasSubstr("; no-new-privs doesn't hold"),
                    Not(HasSubstr("; seccomp")), Not(HasSubstr("RuntimeDefault"))));
}

TEST(Require, SaysEachRemedyOnce) {
  const std::string text = refusal({"non-root,no-root-group", "restricted"}, docker());
  const std::size_t first = text.find("runAsUser");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("runAsUser", first + 1), std::string::npos);
}

TEST(Require, CountsTheBoundingSetWhereItCanComeBack) {
  Json config = rewritten(docker(), options("app"));
  config["process"]["capabilities"]["bounding"] = {"CAP_KILL"};
  require({"no-capabilities"}, container_of(config));  // moot: no_new_privs and no uid 0
  config["process"]["noNewPrivileges"] = false;
  EXPECT_THAT(refusal({"no-capabilities"}, config), HasSubstr("cap_kill"));
}

TEST(Require, SeesAUserNamespace) {
  require({"user-namespace"}, container_of(sample("kubernetes.json")));
}

// ---- precreate ----

TEST(Precreate, RefusesAnOptionThatIsNotUtf8InItsOwnWords) {
  Json config = docker();
  config["root"]["path"] = "/";
  Options asked = options("1000:1000");
  const auto made = [&] {
    return precreate(asked, config.dump(), [](LogLevel, std::string_view) {});
  };
  asked.environment = {{"LANG", "\xc3\xa4"}};
  EXPECT_THAT(made(), HasSubstr("LANG=\xc3\xa4"));
  asked.environment = {{"LANG", "\xe4"}};
  EXPECT_THAT(test::refusal(made), AllOf(StartsWith("config.json: "), HasSubstr("isn't UTF-8")));
}

// ---- annotations ----

TEST(Annotations, CountOnlyWhereTheyAreAllowed) {
  const Container container = container_of(sample("kubernetes.json"));
  Options asked = options("admin");
  EXPECT_EQ(with_annotations(asked, container).user, "admin");
  asked.door.allow_annotations = {"init"};
  EXPECT_EQ(with_annotations(asked, container).user, "admin");
  EXPECT_EQ(with_annotations(asked, container).init, Init::process);
  asked.door.allow_annotations = {"init", "user"};
  EXPECT_EQ(with_annotations(asked, container).user, "app");
}

struct Annotation {
  const char* option;
  const char* value;
  const char* says;
};
void PrintTo(const Annotation& annotation, std::ostream* stream) {
  *stream << annotation.option << '=' << annotation.value;
}
class BadAnnotation : public testing::TestWithParam<Annotation> {};

TEST_P(BadAnnotation, IsRefusedByItsName) {
  Json config = docker();
  const std::string name = GetParam().option;
  config["annotations"]["stepdown." + name] = GetParam().value;
  Options asked = options("app");
  asked.door.allow_annotations = {name};
  EXPECT_THAT(test::refusal([&] { return with_annotations(asked, container_of(config)); }),
              AllOf(StartsWith("annotation stepdown." + name), HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(Oci, BadAnnotation,
                         testing::Values(Annotation{"read-only", "yes", "true or false"},
                                         Annotation{"user", "", "empty"},
                                         Annotation{"init", "later", "--init=group"},
                                         Annotation{"port", "0", "1 to 65535"}));

TEST(Annotations, TakeAFlagAsTrueOrFalse) {
  Json config = docker();
  config["annotations"] = {{"stepdown.read-only", "true"}, {"stepdown.init", "group"}};
  Options asked = options("app");
  asked.door.allow_annotations = {"read-only", "init"};
  EXPECT_TRUE(with_annotations(asked, container_of(config)).read_only);
  EXPECT_EQ(with_annotations(asked, container_of(config)).init, Init::group);
  config["annotations"]["stepdown.read-only"] = "false";
  EXPECT_FALSE(with_annotations(asked, container_of(config)).read_only);
}

}  // namespace
}  // namespace stepdown::oci
