// The format, all numbers with their lowest byte first:
//
//   18 bytes   the name of the format, which begins with a byte that no text does
//   u32        its version
//   u32        AUDIT_ARCH_*
//   32 bytes   SHA-256 of the JSON
//   u64 u64    the capabilities that the policy looks at, and those of them that the app keeps
//   u32 u32    from this kernel on, MAJOR MINOR
//   u32        1 when it is meant for kernels below the next one, else 0
//   u32 u32    that kernel, MAJOR MINOR, or 0 0
//   u32 u32    the length of the terminal part, in instructions, and the flags
//   u32        how many instructions, each u16 u8 u8 u32: code, jt, jf, k
//   32 bytes   SHA-256 of everything before
#include "seccomp/compiled_file.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sha2.h>

#include <algorithm>
#include <bit>

#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr std::string_view magic = "\x8eseccomp-stepdown\n";
constexpr std::uint32_t version = 1;
constexpr std::uint32_t known_flags = SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;

class Writer {
 public:
  template <typename Number>
  void number(Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
      bytes_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xffU);
  }
  void bytes(std::string_view bytes) { bytes_ += bytes; }
  void digest(const Digest& digest) { bytes_.append(digest.begin(), digest.end()); }
  void kernel(const KernelVersion& kernel) {
    number<std::uint32_t>(kernel.major);
    number<std::uint32_t>(kernel.minor);
  }
  [[nodiscard]] const std::string& all() const { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& name) : rest_(bytes), name_(name) {}

  template <typename Number>
  Number number() {
    const std::string_view field = take(sizeof(Number));
    std::uint64_t value = 0;
    for (std::size_t i = field.size(); i-- > 0;)
      value = value << 8U | static_cast<unsigned char>(field[i]);
    return static_cast<Number>(value);
  }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  Digest digest() {
    Digest digest;
    const std::string_view field = take(digest.size());
    std::copy(field.begin(), field.end(), digest.begin());
    return digest;
  }
  KernelVersion kernel() {
    const std::uint32_t major = u32();
    return {major, u32()};
  }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  std::string_view take(std::size_t length) {
    if (rest_.size() < length) refuse(name_, "the compiled policy is shorter than it says");
    const std::string_view field = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return field;
  }

  std::string_view rest_;
  const std::string& name_;
};

[[noreturn]] void refuse_anew(const std::string& name, const std::string& cause,
                              const std::string& options = {}) {
  refuse(name, cause, "compile it anew: stepdown seccomp compile" + options + " FILE -o OUT");
}

FilterConditions read_conditions(Reader& reader, const std::string& name) {
  FilterConditions conditions;
  conditions.looked_at = CapabilitySet::from_bits(reader.number<std::uint64_t>());
  conditions.kept = CapabilitySet::from_bits(reader.number<std::uint64_t>());
  conditions.kernel_from = reader.kernel();
  const std::uint32_t has_limit = reader.u32();
  const KernelVersion below = reader.kernel();
  if (has_limit == 1) conditions.below = below;
  if (!conditions.looked_at.contains(conditions.kept) || has_limit > 1 ||
      (has_limit == 0 && below != KernelVersion{}))
    refuse_anew(name, "the compiled policy's conditions make no sense");
  return conditions;
}

FilterProgram read_program(Reader& reader, const std::string& name) {
  FilterProgram program;
  program.terminal_part = reader.u32();
  program.flags = reader.u32();
  const std::uint32_t count = reader.u32();
  if (count == 0) refuse_anew(name, "the compiled policy's program is empty");
  if (count > BPF_MAXINSNS)
    refuse_anew(name, "the compiled policy's program has more instructions than the kernel takes");
  if (program.terminal_part > count || (program.flags & ~known_flags) != 0)
    refuse_anew(name, "the compiled policy's program makes no sense");
  for (std::uint32_t i = 0; i < count; ++i) {
    sock_filter line{};
    line.code = reader.number<std::uint16_t>();
    line.jt = reader.number<std::uint8_t>();
    line.jf = reader.number<std::uint8_t>();
    line.k = reader.u32();
    program.code.push_back(std::bit_cast<std::uint64_t>(line));
  }
  return program;
}

std::string text_of(const KernelVersion& kernel) {
  return std::to_string(kernel.major) + "." + std::to_string(kernel.minor);
}

std::string list_of(CapabilitySet capabilities) {
  std::string text;
  for (const Capability capability : capabilities.members())
    text += (text.empty() ? "" : ", ") + capability_flag(capability);
  return text.empty() ? "none" : text;
}

}  // namespace

Digest digest_of(std::string_view bytes) {
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, std::bit_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  Digest digest;
  SHA256Final(digest.data(), &context);
  return digest;
}

bool is_compiled_file(std::string_view bytes) {
  return bytes.starts_with(magic);
}

std::string write_compiled_file(const CompiledFile& file) {
  Writer writer;
  writer.bytes(magic);
  writer.number(version);
  writer.number(file.architecture);
  writer.digest(file.policy);
  writer.number(file.conditions.looked_at.bits());
  writer.number(file.conditions.kept.bits());
  writer.kernel(file.conditions.kernel_from);
  writer.number<std::uint32_t>(file.conditions.below ? 1 : 0);
  writer.kernel(file.conditions.below.value_or(KernelVersion{}));
  writer.number(file.program.terminal_part);
  writer.number(file.program.flags);
  writer.number(static_cast<std::uint32_t>(file.program.code.size()));
  for (const std::uint64_t code : file.program.code) {
    const auto line = std::bit_cast<sock_filter>(code);
    writer.number<std::uint16_t>(line.code);
    writer.number<std::uint8_t>(line.jt);
    writer.number<std::uint8_t>(line.jf);
    writer.number<std::uint32_t>(line.k);
  }
  const Digest digest = digest_of(writer.all());
  writer.digest(digest);
  return writer.all();
}

CompiledFile read_compiled_file(std::string_view bytes, const std::string& name) {
  if (!is_compiled_file(bytes)) refuse(name, "no policy that stepdown seccomp compile wrote");
  Reader reader(bytes.substr(magic.size()), name);
  if (const std::uint32_t other = reader.u32(); other != version)
    refuse_anew(name, "the compiled policy has version " + std::to_string(other) +
                          " of the format, and this stepdown reads version " +
                          std::to_string(version));
  // Before anything is made of the rest.
  const std::size_t body = bytes.size() - std::min(bytes.size(), Digest{}.size());
  if (Reader(bytes.substr(body), name).digest() != digest_of(bytes.substr(0, body)))
    refuse_anew(name, "the compiled policy is damaged: its digest differs");
  CompiledFile file;
  file.architecture = reader.u32();
  if (file.architecture != this_architecture())
    refuse_anew(name, "the compiled policy is for another architecture than this one");
  file.policy = reader.digest();
  file.conditions = read_conditions(reader, name);
  file.program = read_program(reader, name);
  reader.digest();
  if (!reader.done()) refuse_anew(name, "the compiled policy is longer than it says");
  return file;
}

std::uint32_t this_architecture() {
  return seccomp_arch_native();
}

bool hold(const FilterConditions& conditions, const FilterSituation& situation) {
  return (situation.kept & conditions.looked_at) == conditions.kept &&
         situation.kernel >= conditions.kernel_from &&
         (!conditions.below || situation.kernel < *conditions.below);
}

void refuse_other_situation(const FilterConditions& conditions, const FilterSituation& situation,
                            const std::string& name) {
  if (hold(conditions, situation)) return;
  const CapabilitySet kept = situation.kept & conditions.looked_at;
  if (kept != conditions.kept) {
    std::string options;
    for (const Capability capability : kept.members())
      options += " --keep-cap " + capability_flag(capability);
    refuse_anew(name,
                "compiled for an app that keeps, of the capabilities that the policy looks at, " +
                    list_of(conditions.kept) + ", and this one keeps " + list_of(kept),
                options);
  }
  std::string kernels;
  if (conditions.kernel_from != KernelVersion{})
    kernels += " from " + text_of(conditions.kernel_from) + " on";
  if (conditions.below) kernels += " below " + text_of(*conditions.below);
  refuse_anew(name,
              "compiled for kernels" + kernels + ", and this one is " + text_of(situation.kernel));
}

}  // namespace stepdown::seccomp
