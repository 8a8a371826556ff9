// Runs at build time: libseccomp compiles the terminal filter once, and the launcher carries the
// program. Compiling it at every start would cost more than all the steps of the drop together.
#include <linux/filter.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <type_traits>

namespace {

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

void require(int result, const char* call) {
  if (result == 0) return;
  std::fprintf(stderr, "%s: error %d\n", call, -result);
  std::exit(1);
}

}  // namespace

int main() {
  const std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseFilter> filter(
      seccomp_init(SCMP_ACT_ALLOW));
  require(filter ? 0 : -ENOMEM, "seccomp_init");
#if defined(__x86_64__)
  // The other two ways into the same kernel; without them their callers would be killed as foreign.
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_X86), "seccomp_arch_add");
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_X32), "seccomp_arch_add");
#elif defined(__aarch64__)
  require(seccomp_arch_add(filter.get(), SCMP_ARCH_ARM), "seccomp_arch_add");
#endif
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    // The kernel reads 32 bits of the request: 0x100000000 + TIOCSTI is TIOCSTI, too.
    const scmp_arg_cmp is_request{1, SCMP_CMP_MASKED_EQ, 0xffffffffULL, request};
    require(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                   &is_request),
            "seccomp_rule_add_array");
  }
  std::FILE* const program = std::tmpfile();
  if (program == nullptr) return 1;
  require(seccomp_export_bpf(filter.get(), fileno(program)), "seccomp_export_bpf");
  std::rewind(program);
  std::puts("// Made by src/seccomp/generator/terminal_filter.cpp.");
  std::puts("constexpr sock_filter program[] = {");
  sock_filter line{};
  while (std::fread(&line, sizeof line, 1, program) == 1)
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", line.code, line.jt, line.jf, line.k);
  std::puts("};");
  return std::fflush(stdout) == 0 ? 0 : 1;
}
