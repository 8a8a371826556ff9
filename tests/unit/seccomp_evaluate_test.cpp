// The interpreter, instruction by instruction; tests/integration/seccomp_kernel_test.cpp holds it
// against the kernel's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>

#include <bit>
#include <cstddef>

#include "seccomp/evaluate.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {
namespace {

using testing::HasSubstr;

FilterProgram program(const std::vector<sock_filter>& lines) {
  FilterProgram program;
  for (const sock_filter& line : lines) program.code.push_back(std::bit_cast<std::uint64_t>(line));
  return program;
}

sock_filter line(unsigned code, std::uint32_t k = 0, std::uint8_t jt = 0, std::uint8_t jf = 0) {
  return {static_cast<std::uint16_t>(code), jt, jf, k};
}

const sock_filter return_a = line(BPF_RET | BPF_A);
const sock_filter load_five = line(BPF_LD | BPF_IMM, 5);

constexpr seccomp_data some_call{
    59, 0xc000003e, 0x1122334455667788, {0x100000002, 3, 4, 5, 6, 0xfedcba9876543210}};

std::uint32_t result(const std::vector<sock_filter>& lines) {
  return evaluate(program(lines), some_call);
}

std::string refusal(const std::vector<sock_filter>& lines) {
  try {
    evaluate(program(lines), some_call);
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, "seccomp");
    return error.details().cause;
  }
  return "none";
}

// What is left in the accumulator, which begins with 5, after one instruction with operand `k`.
std::uint32_t calculated(unsigned operation, std::uint32_t k) {
  const std::uint32_t by_constant =
      result({load_five, line(BPF_ALU | operation | BPF_K, k), return_a});
  const std::uint32_t by_register =
      result({line(BPF_LDX | BPF_IMM, k), load_five, line(BPF_ALU | operation | BPF_X), return_a});
  EXPECT_EQ(by_constant, by_register);
  return by_constant;
}

TEST(SeccompEvaluate, LoadsEachPartOfTheCall) {
  const auto word = [](std::size_t offset) {
    return result({line(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)), return_a});
  };
  EXPECT_EQ(word(offsetof(seccomp_data, nr)), 59U);
  EXPECT_EQ(word(offsetof(seccomp_data, arch)), 0xc000003eU);
  EXPECT_EQ(word(offsetof(seccomp_data, instruction_pointer)), 0x55667788U);
  EXPECT_EQ(word(offsetof(seccomp_data, args)), 2U);
  EXPECT_EQ(word(offsetof(seccomp_data, args) + 4), 1U);
  EXPECT_EQ(word(60), 0xfedcba98U);
  EXPECT_EQ(result({line(BPF_LD | BPF_W | BPF_LEN), return_a}), sizeof(seccomp_data));
  EXPECT_EQ(result({line(BPF_LDX | BPF_W | BPF_LEN), line(BPF_MISC | BPF_TXA), return_a}),
            sizeof(seccomp_data));
}

TEST(SeccompEvaluate, Calculates) {
  EXPECT_EQ(calculated(BPF_ADD, 0xffffffff), 4U);
  EXPECT_EQ(calculated(BPF_SUB, 6), 0xffffffffU);
  EXPECT_EQ(calculated(BPF_MUL, 0x80000001), 0x80000005U);
  EXPECT_EQ(calculated(BPF_DIV, 2), 2U);
  EXPECT_EQ(calculated(BPF_AND, 4), 4U);
  EXPECT_EQ(calculated(BPF_OR, 2), 7U);
  EXPECT_EQ(calculated(BPF_XOR, 1), 4U);
  EXPECT_EQ(calculated(BPF_LSH, 31), 0x80000000U);
  EXPECT_EQ(calculated(BPF_RSH, 1), 2U);
  EXPECT_EQ(result({load_five, line(BPF_ALU | BPF_NEG), return_a}), 0xfffffffbU);
}

TEST(SeccompEvaluate, EndsWithZeroWhereARegisterDividesByZero) {
  EXPECT_EQ(result({load_five, line(BPF_ALU | BPF_DIV | BPF_X), line(BPF_RET | BPF_K, 7)}), 0U);
}

TEST(SeccompEvaluate, JumpsAsTheComparisonSays) {
  const auto jumps = [](unsigned comparison, std::uint32_t operand) {
    return result({load_five, line(BPF_JMP | comparison | BPF_K, operand, 1, 0),
                   line(BPF_RET | BPF_K, 0), line(BPF_RET | BPF_K, 1)}) == 1;
  };
  EXPECT_TRUE(jumps(BPF_JEQ, 5));
  EXPECT_FALSE(jumps(BPF_JEQ, 4));
  EXPECT_TRUE(jumps(BPF_JGE, 5));
  EXPECT_FALSE(jumps(BPF_JGE, 0xffffffff)) << "unsigned";
  EXPECT_TRUE(jumps(BPF_JGT, 4));
  EXPECT_FALSE(jumps(BPF_JGT, 5));
  EXPECT_TRUE(jumps(BPF_JSET, 4));
  EXPECT_FALSE(jumps(BPF_JSET, 2));
  EXPECT_EQ(result({line(BPF_JMP | BPF_JA, 1), line(BPF_RET | BPF_K, 1), line(BPF_RET | BPF_K, 2)}),
            2U);
}

TEST(SeccompEvaluate, RemembersWhatIsStored) {
  EXPECT_EQ(result({load_five, line(BPF_ST, 15), line(BPF_LD | BPF_IMM, 1),
                    line(BPF_LDX | BPF_MEM, 15), line(BPF_ALU | BPF_ADD | BPF_X), return_a}),
            6U);
  EXPECT_EQ(result({load_five, line(BPF_MISC | BPF_TAX), line(BPF_STX, 0),
                    line(BPF_LD | BPF_IMM, 1), line(BPF_LD | BPF_MEM, 0), return_a}),
            5U);
}

TEST(SeccompEvaluate, RefusesWhatTheKernelRefuses) {
  EXPECT_THAT(refusal({}), HasSubstr("past its end"));
  EXPECT_THAT(refusal({load_five}), HasSubstr("past its end"));
  EXPECT_THAT(refusal({line(BPF_JMP | BPF_JA, 1), return_a}), HasSubstr("out of the program"));
  EXPECT_THAT(refusal({line(BPF_JMP | BPF_JA, 0xffffffff), return_a}),
              HasSubstr("out of the program"));
  EXPECT_THAT(refusal({line(BPF_JMP | BPF_JEQ, 0, 2, 0), return_a}),
              HasSubstr("out of the program"));
  EXPECT_THAT(refusal({line(BPF_LD | BPF_W | BPF_ABS, 64), return_a}), HasSubstr("outside"));
  EXPECT_THAT(refusal({line(BPF_LD | BPF_W | BPF_ABS, 2), return_a}), HasSubstr("outside"));
  EXPECT_THAT(refusal({line(BPF_LD | BPF_MEM, 3), return_a}), HasSubstr("nothing was stored"));
  EXPECT_THAT(refusal({line(BPF_ST, 16), return_a}), HasSubstr("outside the memory"));
  EXPECT_THAT(refusal({line(BPF_ALU | BPF_DIV | BPF_K, 0), return_a}), HasSubstr("division"));
  EXPECT_THAT(refusal({line(BPF_ALU | BPF_LSH | BPF_K, 32), return_a}), HasSubstr("shift"));
  for (const int code :
       {BPF_LD | BPF_B | BPF_ABS, BPF_LD | BPF_W | BPF_IND, BPF_ALU | BPF_MOD | BPF_K,
        BPF_LDX | BPF_B | BPF_MSH, BPF_JMP | 0x50, BPF_RET | 0x20, 0xffff})
    EXPECT_THAT(refusal({line(static_cast<unsigned>(code), 4), return_a}),
                HasSubstr("no instruction for seccomp"))
        << std::hex << code;
}

TEST(SeccompEvaluate, KnowsWhichCallsMayDependOnArguments) {
  // Of call 7 an argument is looked at, of call 8 the place that it is made from.
  const auto of = [](std::size_t offset) {
    return line(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  };
  const FilterProgram some = program(
      {of(offsetof(seccomp_data, arch)), line(BPF_JMP | BPF_JEQ, some_call.arch, 0, 4),
       of(offsetof(seccomp_data, nr)), line(BPF_JMP | BPF_JEQ, 7, 3, 0),
       line(BPF_JMP | BPF_JEQ, 8, 3, 0), return_a, return_a, of(offsetof(seccomp_data, args[5])),
       of(offsetof(seccomp_data, instruction_pointer) + 4), return_a});
  EXPECT_TRUE(looks_at_arguments(some, some_call.arch, 7));
  EXPECT_TRUE(looks_at_arguments(some, some_call.arch, 8));
  EXPECT_FALSE(looks_at_arguments(some, some_call.arch, 9));
  EXPECT_FALSE(looks_at_arguments(some, some_call.arch + 1, 7));
  for (std::size_t offset = 0; offset < sizeof(seccomp_data); offset += 4)
    EXPECT_EQ(looks_at_arguments(program({of(offset), return_a}), some_call.arch, 7), offset >= 8)
        << offset;
}

TEST(SeccompEvaluate, NamesTheInstruction) {
  EXPECT_THAT(refusal({load_five, line(BPF_ALU | BPF_MOD | BPF_K, 4), return_a}),
              HasSubstr("instruction 1 "));
}

}  // namespace
}  // namespace stepdown::seccomp
