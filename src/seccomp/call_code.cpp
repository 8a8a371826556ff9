// A number of 64 bits is compared by its halves, which is all that classic BPF can load.
#include <linux/seccomp.h>

#include <bit>
#include <cstddef>

#include "seccomp/assembler.h"
#include "seccomp/call_rules.h"

namespace stepdown::seccomp {

namespace {

constexpr std::size_t offset_of(unsigned argument, bool upper) {
  constexpr bool little = std::endian::native == std::endian::little;
  return offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t) +
         (upper == little ? sizeof(std::uint32_t) : 0);
}

class TestCode {
 public:
  TestCode(Assembler& code, const ArgumentTest& test, bool half, Assembler::Label fails)
      : code_(code), test_(test), half_(half), fails_(fails), holds_(code.label()) {
    switch (test.comparison) {
      case Comparison::eq:
        upper(BPF_JEQ, Assembler::next, fails_);
        lower(BPF_JEQ, Assembler::next, fails_);
        break;
      case Comparison::ne:
        upper(BPF_JEQ, Assembler::next, holds_);
        lower(BPF_JEQ, fails_, Assembler::next);
        break;
      case Comparison::ge:
        upper(BPF_JGT, holds_, Assembler::next);
        same_upper(fails_);
        lower(BPF_JGE, Assembler::next, fails_);
        break;
      case Comparison::gt:
        upper(BPF_JGT, holds_, Assembler::next);
        same_upper(fails_);
        lower(BPF_JGT, Assembler::next, fails_);
        break;
      case Comparison::lt:
        upper(BPF_JGT, fails_, Assembler::next);
        same_upper(holds_);
        lower(BPF_JGE, fails_, Assembler::next);
        break;
      case Comparison::le:
        upper(BPF_JGT, fails_, Assembler::next);
        same_upper(holds_);
        lower(BPF_JGT, fails_, Assembler::next);
        break;
      case Comparison::masked_eq:
        masked(true, static_cast<std::uint32_t>(test.mask >> 32U), upper_value());
        masked(false, static_cast<std::uint32_t>(test.mask), lower_value());
    }
    code.place(holds_);
  }

 private:
  [[nodiscard]] std::uint32_t upper_value() const {
    return static_cast<std::uint32_t>(test_.value >> 32U);
  }
  [[nodiscard]] std::uint32_t lower_value() const {
    return static_cast<std::uint32_t>(test_.value);
  }

  void upper(unsigned comparison, Assembler::Label then, Assembler::Label otherwise) {
    if (half_) return;
    code_.load(offset_of(test_.index, true));
    code_.jump_if(comparison, upper_value(), then, otherwise);
  }
  void same_upper(Assembler::Label otherwise) {
    if (!half_) code_.jump_if(BPF_JEQ, upper_value(), Assembler::next, otherwise);
  }
  void lower(unsigned comparison, Assembler::Label then, Assembler::Label otherwise) {
    code_.load(offset_of(test_.index, false));
    code_.jump_if(comparison, lower_value(), then, otherwise);
  }
  void masked(bool of_upper, std::uint32_t mask, std::uint32_t value) {
    if (mask == 0) return;
    code_.load(offset_of(test_.index, of_upper));
    if (mask != UINT32_MAX) code_.mask(mask);
    code_.jump_if(BPF_JEQ, value, Assembler::next, fails_);
  }

  Assembler& code_;
  const ArgumentTest& test_;
  bool half_;
  Assembler::Label fails_, holds_;
};

}  // namespace

std::vector<sock_filter> code_of(const CallRules& rules, const Verdict& standard) {
  Assembler code;
  for (const Clause& clause : rules.clauses) {
    const Assembler::Label fails = code.label();
    for (const ArgumentTest& test : clause.tests) TestCode(code, test, rules.half, fails);
    code.answer(answer_of(clause.verdict));
    if (clause.tests.empty()) return code.code();
    code.place(fails);
  }
  code.answer(answer_of(standard));
  return code.code();
}

}  // namespace stepdown::seccomp
