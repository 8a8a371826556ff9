#include "seccomp/assembler.h"

#include <stdexcept>

namespace stepdown::seccomp {

Assembler::Label Assembler::label() {
  places_.push_back(SIZE_MAX);
  return places_.size() - 1;
}

void Assembler::place(Label label) {
  places_.at(label) = lines_.size();
}

void Assembler::load(std::size_t offset) {
  lines_.push_back({{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)}});
}

void Assembler::mask(std::uint32_t bits) {
  lines_.push_back({{BPF_ALU | BPF_AND | BPF_K, 0, 0, bits}});
}

void Assembler::jump_if(unsigned comparison, std::uint32_t operand, Label then, Label otherwise) {
  const auto code = static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K);
  lines_.push_back({{code, 0, 0, operand}, then, otherwise});
}

void Assembler::answer(std::uint32_t verdict) {
  lines_.push_back({{BPF_RET | BPF_K, 0, 0, verdict}});
}

std::uint8_t Assembler::distance(std::size_t from, Label label) const {
  if (label == next) return 0;
  const std::size_t distance = places_.at(label) - from - 1;
  if (distance > UINT8_MAX) throw std::logic_error("a jump of a filter that is too far or back");
  return static_cast<std::uint8_t>(distance);
}

std::vector<sock_filter> Assembler::code() const {
  std::vector<sock_filter> code;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    code.push_back(lines_[i].filter);
    if (BPF_CLASS(code.back().code) != BPF_JMP) continue;
    code.back().jt = distance(i, lines_[i].then);
    code.back().jf = distance(i, lines_[i].otherwise);
  }
  return code;
}

}  // namespace stepdown::seccomp
