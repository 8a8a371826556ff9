// Classic BPF (bpf(4)) with labels instead of distances, for short pieces of a filter.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stepdown::seccomp {

class Assembler {
 public:
  using Label = std::size_t;

  Label label();
  // Names the instruction that comes next, or the end.
  void place(Label label);

  // Into the accumulator, a word of struct seccomp_data.
  void load(std::size_t offset);
  void mask(std::uint32_t bits);
  // BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET, which compare the accumulator. Labels stand ahead,
  // `next` is the instruction that follows.
  void jump_if(unsigned comparison, std::uint32_t operand, Label then, Label otherwise);
  void answer(std::uint32_t verdict);

  static constexpr Label next = SIZE_MAX;

  // Every label has been placed, none of them further ahead than the 255 instructions of a jump.
  [[nodiscard]] std::vector<sock_filter> code() const;

 private:
  struct Line {
    sock_filter filter;
    Label then = next, otherwise = next;
  };
  [[nodiscard]] std::uint8_t distance(std::size_t from, Label label) const;

  std::vector<Line> lines_;
  std::vector<std::size_t> places_;
};

}  // namespace stepdown::seccomp
