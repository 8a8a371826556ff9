// From what --seccomp names to a program: built in, compiled before, compiled now.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "seccomp/compile.h"
#include "seccomp/compiled_file.h"
#include "stepdown/error.h"
#include "stepdown/seccomp.h"
#include "temporary_directory.h"

namespace stepdown {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr KernelVersion now{6, 1};
const FilterSituation nothing_kept{{}, now};
const FilterSituation admin_kept{{Capability::sys_admin}, now};

const PolicySource small{"./small.json", R"({
  "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    {"names": ["read", "not_yet_a_call"], "action": "SCMP_ACT_ALLOW"},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}
  ]
})"};

PolicySource built_in(const std::string& name) {
  return {name, std::string(built_in_policy(name).text)};
}

template <typename Call>
ErrorDetails refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.details();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

class ReadySeccompFile : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

 private:
  test::TemporaryDirectory directory_;
};

TEST(ReadySeccomp, HasADefault) {
  EXPECT_EQ(built_in_policy("default").name, "default");
  EXPECT_EQ(read_policy_source("default").bytes, built_in_policy("default").text);
}

TEST(ReadySeccomp, NamesTheBuiltInOnesWhereThereIsNone) {
  const ErrorDetails details = refusal([] { read_policy_source("defualt"); });
  EXPECT_EQ(details.step, "--seccomp defualt");
  EXPECT_THAT(details.hint, AllOf(HasSubstr("default"), HasSubstr("./defualt")));
}

// For every built-in policy and situation: what the binary carries is what the compiler would say.
TEST(ReadySeccomp, TakesABuiltInPolicyFromTheBinary) {
  for (const BuiltInPolicy& policy : built_in_policies()) {
    const PolicySource source = built_in(std::string(policy.name));
    const ReadyFilter ready = ready_filter(source, nothing_kept);
    EXPECT_FALSE(ready.compiled_now) << policy.name;
    const seccomp::Policy read = seccomp::read_policy(policy.text, "p");
    EXPECT_EQ(ready.program, seccomp::compile(read, nothing_kept).program);
    EXPECT_EQ(ready.source, policy.text);
    EXPECT_EQ(ready.name, policy.name);
    EXPECT_TRUE(seccomp::hold(ready.conditions, nothing_kept));
  }
}

TEST(ReadySeccomp, CompilesABuiltInPolicyForAnotherSituation) {
  const PolicySource source = built_in("default");
  const ReadyFilter ready = ready_filter(source, admin_kept);
  EXPECT_TRUE(ready.compiled_now);
  EXPECT_NE(ready.program, ready_filter(source, nothing_kept).program);
  EXPECT_EQ(ready.conditions.kept, CapabilitySet{Capability::sys_admin});
}

TEST(ReadySeccomp, CompilesAFileOfABuiltInName) {
  EXPECT_TRUE(ready_filter({"default", small.bytes}, nothing_kept).compiled_now)
      << "the name says nothing of the text";
}

TEST(ReadySeccomp, CompilesJSON) {
  const ReadyFilter ready = ready_filter(small, nothing_kept);
  EXPECT_TRUE(ready.compiled_now);
  EXPECT_EQ(ready.name, "./small.json");
  EXPECT_EQ(ready.source, small.bytes);
  EXPECT_THAT(ready.unknown_calls, ElementsAre("not_yet_a_call"));
  EXPECT_EQ(ready.conditions.looked_at, CapabilitySet{Capability::sys_admin});
}

TEST(ReadySeccomp, NamesThePlaceOfAFault) {
  const ErrorDetails details = refusal([] {
    ready_filter({"./f", R"({"defaultAction": "allow"})"}, nothing_kept);
  });
  EXPECT_EQ(details.step, "--seccomp ./f: defaultAction");
  EXPECT_THAT(refusal([] {
                ready_filter({"./f",
                              "\x7f"
                              "ELF"},
                             nothing_kept);
              }).step,
              HasSubstr("--seccomp ./f"));
}

TEST(ReadySeccomp, LoadsWhatWasCompiledBefore) {
  const std::string bytes = compile_policy(small, admin_kept);
  const ReadyFilter ready = ready_filter({"./small.bpf", bytes}, admin_kept);
  const ReadyFilter compiled = ready_filter(small, admin_kept);
  EXPECT_EQ(ready.program, compiled.program);
  EXPECT_EQ(ready.conditions, compiled.conditions);
  EXPECT_EQ(ready.source, "");
  EXPECT_FALSE(ready.compiled_now);
}

TEST(ReadySeccomp, WritesTheDigestOfTheJSON) {
  EXPECT_EQ(seccomp::read_compiled_file(compile_policy(small, nothing_kept), "f").policy,
            seccomp::digest_of(small.bytes));
}

TEST(ReadySeccomp, RefusesWhatWasCompiledForAnotherSituation) {
  const std::string bytes = compile_policy(small, nothing_kept);
  const ErrorDetails details = refusal([&] { ready_filter({"./s", bytes}, admin_kept); });
  EXPECT_EQ(details.step, "--seccomp ./s");
  EXPECT_THAT(details.hint, HasSubstr("--keep-cap SYS_ADMIN"));
}

TEST(ReadySeccomp, RefusesWhatIsDamaged) {
  std::string bytes = compile_policy(small, nothing_kept);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_THAT(refusal([&] {
                ready_filter({"./s", bytes}, nothing_kept);
              }).cause,
              HasSubstr("damaged"));
}

TEST(ReadySeccomp, CompilesNothingTwice) {
  const std::string bytes = compile_policy(small, nothing_kept);
  EXPECT_THAT(refusal([&] {
                compile_policy({"./s", bytes}, nothing_kept);
              }).cause,
              HasSubstr("compiled already"));
}

TEST_F(ReadySeccompFile, IsReadWhereASlashIsInItsName) {
  write("default", small.bytes);
  EXPECT_EQ(read_policy_source(path("default")).bytes, small.bytes);
  EXPECT_EQ(read_policy_source(path("default")).name, path("default"));
}

TEST_F(ReadySeccompFile, IsRefusedWhereItIsMissing) {
  const ErrorDetails details = refusal([this] { read_policy_source(path("none")); });
  EXPECT_EQ(details.step, "--seccomp " + path("none"));
}

TEST_F(ReadySeccompFile, IsRefusedWhereItIsNoFile) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal([this] { read_policy_source(path("fifo")); }).cause,
              HasSubstr("not a regular file"));
}

TEST_F(ReadySeccompFile, IsRefusedAboveTheLimit) {
  write("large", std::string(largest_policy + 1, ' '));
  EXPECT_THAT(refusal([this] { read_policy_source(path("large")); }).cause,
              HasSubstr("larger than 1 MiB"));
}

TEST(RunningKernel, IsWhatUnameSays) {
  utsname name{};
  ASSERT_EQ(::uname(&name), 0);
  const KernelVersion kernel = running_kernel();
  EXPECT_THAT(std::string(name.release), testing::StartsWith(std::to_string(kernel.major) + "." +
                                                             std::to_string(kernel.minor)));
}

}  // namespace
}  // namespace stepdown
