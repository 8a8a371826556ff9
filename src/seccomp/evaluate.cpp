// Linux, kernel/seccomp.c, seccomp_check_filter(), says which instructions there are, and
// net/core/filter.c what they do.
#include "seccomp/evaluate.h"

#include <linux/filter.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr const char* step = "seccomp";

class Machine {
 public:
  Machine(const FilterProgram& program, const seccomp_data& call)
      : code_(program.code), call_(call) {}

  // Of the call not only the number and the architecture were loaded.
  [[nodiscard]] bool looked_further() const { return looked_further_; }

  std::uint32_t run() {
    // Jumps go forward only, so that every program ends.
    while (true) {
      if (at_ >= code_.size()) refuse_here("the program goes on past its end");
      const auto line = std::bit_cast<sock_filter>(code_[at_++]);
      switch (BPF_CLASS(line.code)) {
        case BPF_RET:
          if (line.code == (BPF_RET | BPF_K)) return line.k;
          if (line.code == (BPF_RET | BPF_A)) return a_;
          refuse_instruction();
        case BPF_LD:
        case BPF_LDX:
          load(line);
          break;
        case BPF_ST:
        case BPF_STX:
          store(line);
          break;
        case BPF_ALU:
          if (!calculate(line)) return 0;
          break;
        case BPF_JMP:
          jump(line);
          break;
        default:
          move(line);
      }
    }
  }

 private:
  void load(const sock_filter& line) {
    const bool into_a = BPF_CLASS(line.code) == BPF_LD;
    std::uint32_t& target = into_a ? a_ : x_;
    switch (line.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        target = word_of_call(line.k);
        break;
      case BPF_LD | BPF_W | BPF_LEN:
      case BPF_LDX | BPF_W | BPF_LEN:
        target = sizeof(seccomp_data);
        break;
      case BPF_LD | BPF_IMM:
      case BPF_LDX | BPF_IMM:
        target = line.k;
        break;
      case BPF_LD | BPF_MEM:
      case BPF_LDX | BPF_MEM:
        if (line.k >= BPF_MEMWORDS || (stored_ >> line.k & 1U) == 0)
          refuse_here("a load from memory that nothing was stored in");
        target = memory_[line.k];
        break;
      default:
        refuse_instruction();
    }
  }

  std::uint32_t word_of_call(std::uint32_t offset) {
    if (offset % sizeof(std::uint32_t) != 0 || offset >= sizeof(seccomp_data))
      refuse_here("a load from outside the call's description");
    if (offset != offsetof(seccomp_data, nr) && offset != offsetof(seccomp_data, arch))
      looked_further_ = true;
    std::uint32_t word = 0;
    std::memcpy(&word, std::bit_cast<std::array<char, sizeof call_>>(call_).data() + offset,
                sizeof word);
    return word;
  }

  void store(const sock_filter& line) {
    if (line.code != BPF_ST && line.code != BPF_STX) refuse_instruction();
    if (line.k >= BPF_MEMWORDS) refuse_here("a store outside the memory");
    memory_[line.k] = line.code == BPF_ST ? a_ : x_;
    stored_ |= 1U << line.k;
  }

  // false: a division by zero, which ends the program with 0.
  bool calculate(const sock_filter& line) {
    if (line.code == (BPF_ALU | BPF_NEG)) {
      a_ = 0 - a_;
      return true;
    }
    const bool by_x = BPF_SRC(line.code) == BPF_X;
    const std::uint32_t operand = by_x ? x_ : line.k;
    switch (line.code & ~BPF_X) {
      case BPF_ALU | BPF_ADD:
        a_ += operand;
        return true;
      case BPF_ALU | BPF_SUB:
        a_ -= operand;
        return true;
      case BPF_ALU | BPF_MUL:
        a_ *= operand;
        return true;
      case BPF_ALU | BPF_DIV:
        if (operand == 0 && !by_x) refuse_here("a division by the constant zero");
        if (operand == 0) return false;
        a_ /= operand;
        return true;
      case BPF_ALU | BPF_AND:
        a_ &= operand;
        return true;
      case BPF_ALU | BPF_OR:
        a_ |= operand;
        return true;
      case BPF_ALU | BPF_XOR:
        a_ ^= operand;
        return true;
      case BPF_ALU | BPF_LSH:
        a_ <<= shift_of(operand, by_x);
        return true;
      case BPF_ALU | BPF_RSH:
        a_ >>= shift_of(operand, by_x);
        return true;
      default:
        refuse_instruction();
    }
  }

  // The kernel takes the lower five bits of a register, and no constant above them.
  [[nodiscard]] std::uint32_t shift_of(std::uint32_t operand, bool by_x) const {
    if (operand > 31 && !by_x) refuse_here("a shift by more than 31");
    return operand & 31U;
  }

  void jump(const sock_filter& line) {
    if (line.code == (BPF_JMP | BPF_JA)) {
      go(line.k);
      return;
    }
    const std::uint32_t operand = BPF_SRC(line.code) == BPF_X ? x_ : line.k;
    bool holds = false;
    switch (line.code & ~BPF_X) {
      case BPF_JMP | BPF_JEQ:
        holds = a_ == operand;
        break;
      case BPF_JMP | BPF_JGE:
        holds = a_ >= operand;
        break;
      case BPF_JMP | BPF_JGT:
        holds = a_ > operand;
        break;
      case BPF_JMP | BPF_JSET:
        holds = (a_ & operand) != 0;
        break;
      default:
        refuse_instruction();
    }
    go(holds ? line.jt : line.jf);
  }

  void go(std::uint32_t distance) {
    if (distance >= code_.size() - at_) refuse_here("a jump out of the program");
    at_ += distance;
  }

  void move(const sock_filter& line) {
    if (line.code == (BPF_MISC | BPF_TAX))
      x_ = a_;
    else if (line.code == (BPF_MISC | BPF_TXA))
      a_ = x_;
    else
      refuse_instruction();
  }

  [[noreturn]] void refuse_instruction() const { refuse_here("no instruction for seccomp(2)"); }

  [[noreturn]] void refuse_here(const char* cause) const {
    refuse(step,
           "instruction " + std::to_string(at_ == 0 ? 0 : at_ - 1) + " of the filter: " + cause);
  }

  const std::vector<std::uint64_t>& code_;
  const seccomp_data& call_;
  std::size_t at_ = 0;  // of the next instruction
  std::uint32_t a_ = 0, x_ = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory_{};
  std::uint32_t stored_ = 0;  // bit n: memory_[n] was
  bool looked_further_ = false;
};

}  // namespace

std::uint32_t evaluate(const FilterProgram& program, const seccomp_data& call) {
  return Machine(program, call).run();
}

bool looks_at_arguments(const FilterProgram& program, std::uint32_t architecture, int number) {
  seccomp_data call{};
  call.nr = number;
  call.arch = architecture;
  // Up to the first load of something else every call of this number goes the same way.
  Machine machine(program, call);
  machine.run();
  return machine.looked_further();
}

}  // namespace stepdown::seccomp
