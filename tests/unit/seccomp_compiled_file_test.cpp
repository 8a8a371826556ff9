// The file that `stepdown seccomp compile` writes: what damage and what mistakes are found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <bit>
#include <string>

#include "seccomp/compiled_file.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::uint64_t line(std::uint16_t code, std::uint32_t k) {
  return std::bit_cast<std::uint64_t>(sock_filter{code, 1, 2, k});
}

CompiledFile some_file() {
  CompiledFile file;
  file.architecture = this_architecture();
  file.policy = digest_of("{}");
  file.conditions.looked_at = {Capability::sys_admin, Capability::setuid};
  file.conditions.kept = {Capability::setuid};
  file.conditions.kernel_from = {4, 8};
  file.conditions.below = KernelVersion{6, 12};
  file.program.code = {line(BPF_LD | BPF_W | BPF_ABS, 0), line(BPF_RET | BPF_K, 0x7fff0000)};
  file.program.terminal_part = 1;
  file.program.flags = SECCOMP_FILTER_FLAG_LOG;
  return file;
}

ErrorDetails refusal(std::string_view bytes) {
  try {
    read_compiled_file(bytes, "--seccomp ./f");
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, "--seccomp ./f");
    return error.details();
  }
  ADD_FAILURE() << "it was read";
  return {};
}

std::string cause(std::string_view bytes) {
  return refusal(bytes).cause;
}

// With a digest that fits, as whoever makes a file by hand would.
std::string with_digest(std::string bytes) {
  bytes.resize(bytes.size() - Digest{}.size());
  const Digest digest = digest_of(bytes);
  return bytes.append(digest.begin(), digest.end());
}

TEST(CompiledFile, IsReadAsItWasWritten) {
  EXPECT_EQ(read_compiled_file(write_compiled_file(some_file()), "f"), some_file());
  CompiledFile plain = some_file();
  plain.conditions = {};
  EXPECT_EQ(read_compiled_file(write_compiled_file(plain), "f"), plain);
}

TEST(CompiledFile, IsKnownByItsFirstBytes) {
  EXPECT_TRUE(is_compiled_file(write_compiled_file(some_file())));
  EXPECT_FALSE(is_compiled_file("{}"));
  EXPECT_FALSE(is_compiled_file(""));
}

TEST(CompiledFile, IsRefusedWithAnyBitFlipped) {
  const std::string good = write_compiled_file(some_file());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_THROW(read_compiled_file(bad, "f"), Error) << "bit " << bit;
  }
}

TEST(CompiledFile, IsRefusedTruncatedAtAnyLength) {
  const std::string good = write_compiled_file(some_file());
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW(read_compiled_file(good.substr(0, length), "f"), Error) << length << " bytes";
}

// Truncated or longer, but with a digest of its own: the length that it says must hold.
TEST(CompiledFile, IsRefusedWhereItsLengthIsNotWhatItSays) {
  const std::string good = write_compiled_file(some_file());
  const std::size_t body = good.size() - Digest{}.size();
  for (std::size_t length = 18; length < body; ++length) {
    const std::string bad = with_digest(good.substr(0, length) + std::string(32, '\0'));
    EXPECT_THROW(read_compiled_file(bad, "f"), Error) << length << " bytes";
  }
  EXPECT_THAT(cause(with_digest(good.substr(0, body) + "x" + std::string(32, '\0'))),
              HasSubstr("longer than it says"));
}

TEST(CompiledFile, IsRefusedWithBytesAfterIt) {
  EXPECT_THAT(cause(write_compiled_file(some_file()) + "\n"), HasSubstr("damaged"));
}

TEST(CompiledFile, IsRefusedOnAnotherArchitecture) {
  CompiledFile file = some_file();
  file.architecture = AUDIT_ARCH_S390X;
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("another architecture"));
}

TEST(CompiledFile, IsRefusedInAnotherVersionOfTheFormat) {
  std::string bytes = write_compiled_file(some_file());
  bytes[18] = 2;  // after the format's name
  EXPECT_THAT(cause(with_digest(bytes)), AllOf(HasSubstr("version 2"), HasSubstr("version 1")));
}

TEST(CompiledFile, IsRefusedWithAProgramThatMakesNoSense) {
  CompiledFile file = some_file();
  file.program.code.clear();
  file.program.terminal_part = 0;
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("empty"));
  file.program.code.assign(BPF_MAXINSNS + 1, line(BPF_RET | BPF_K, 0));
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("more instructions"));
  file = some_file();
  file.program.terminal_part = 3;
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("no sense"));
  file = some_file();
  file.program.flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("no sense"));
}

TEST(CompiledFile, IsRefusedWithConditionsThatMakeNoSense) {
  CompiledFile file = some_file();
  file.conditions.kept = {Capability::chown};
  EXPECT_THAT(cause(write_compiled_file(file)), HasSubstr("conditions"));
}

TEST(CompiledFile, IsNoOtherFormat) {
  const FilterProgram raw = some_file().program;
  const std::string bpf(std::bit_cast<const char*>(raw.code.data()), raw.code.size() * 8);
  for (const std::string& foreign :
       {std::string("\x7f"
                    "ELF"),
        std::string("{\"defaultAction\": \"SCMP_ACT_ALLOW\"}"), bpf, std::string()})
    EXPECT_THAT(cause(foreign), HasSubstr("no policy that stepdown seccomp compile wrote"));
}

// FIPS 180-2, appendix B.1.
TEST(CompiledFile, HasSHA256ForADigest) {
  const Digest digest = digest_of("abc");
  EXPECT_EQ(digest.front(), 0xba);
  EXPECT_EQ(digest[1], 0x78);
  EXPECT_EQ(digest.back(), 0xad);
}

ErrorDetails situation_refusal(const FilterSituation& situation) {
  try {
    refuse_other_situation(some_file().conditions, situation, "--seccomp ./f");
  } catch (const Error& error) {
    return error.details();
  }
  return {};
}

TEST(CompiledFile, IsForASituation) {
  const CapabilitySet setuid{Capability::setuid};
  EXPECT_EQ(situation_refusal({setuid, {4, 8}}).cause, "");
  EXPECT_EQ(situation_refusal({setuid, {6, 11}}).cause, "");
  EXPECT_EQ(situation_refusal({setuid | CapabilitySet{Capability::chown}, {5, 0}}).cause, "")
      << "the policy doesn't look at CHOWN";
  EXPECT_THAT(situation_refusal({setuid, {4, 7}}).cause, HasSubstr("this one is 4.7"));
  EXPECT_THAT(situation_refusal({setuid, {6, 12}}).cause, HasSubstr("this one is 6.12"));
  EXPECT_THAT(situation_refusal({{}, {5, 0}}).cause, HasSubstr("keeps none"));
}

TEST(CompiledFile, NamesTheCommandThatCompilesItForTheSituation) {
  const ErrorDetails details =
      situation_refusal({{Capability::setuid, Capability::sys_admin}, {5, 0}});
  EXPECT_EQ(details.step, "--seccomp ./f");
  EXPECT_THAT(details.hint,
              HasSubstr("stepdown seccomp compile --keep-cap SETUID --keep-cap SYS_ADMIN"));
}

}  // namespace
}  // namespace stepdown::seccomp
