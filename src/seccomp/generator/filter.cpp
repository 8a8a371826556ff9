#include "filter.h"

#include <linux/filter.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace stepdown::generator {

void require(int result, const char* call) {
  if (result == 0) return;
  std::fprintf(stderr, "%s: error %d\n", call, -result);
  std::exit(1);
}

Filter::Context Filter::allow_everything() {
  Context filter(seccomp_init(SCMP_ACT_ALLOW));
  require(filter ? 0 : -ENOMEM, "seccomp_init");
  return filter;
}

Filter::Filter() : usual_(allow_everything()) {
#if defined(__x86_64__)
  require(seccomp_arch_add(usual_.get(), SCMP_ARCH_X86), "seccomp_arch_add");
  x32_ = allow_everything();
  require(seccomp_arch_add(x32_.get(), SCMP_ARCH_X32), "seccomp_arch_add");
  require(seccomp_arch_remove(x32_.get(), SCMP_ARCH_NATIVE), "seccomp_arch_remove");
#elif defined(__aarch64__)
  require(seccomp_arch_add(usual_.get(), SCMP_ARCH_ARM), "seccomp_arch_add");
#endif
}

void Filter::add(int call, std::uint32_t action, std::uint32_t x32_action,
                 const std::vector<scmp_arg_cmp>& conditions) {
  const auto count = static_cast<unsigned>(conditions.size());
  require(seccomp_rule_add_array(usual_.get(), action, call, count, conditions.data()),
          "seccomp_rule_add_array");
  if (x32_)
    require(seccomp_rule_add_array(x32_.get(), x32_action, call, count, conditions.data()),
            "seccomp_rule_add_array");
}

void Filter::print(const char* name) {
  // A merge takes the second filter over, and with it its release.
  if (x32_) require(seccomp_merge(usual_.get(), x32_.release()), "seccomp_merge");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> program(std::tmpfile(), std::fclose);
  require(program ? 0 : -errno, "tmpfile");
  require(seccomp_export_bpf(usual_.get(), fileno(program.get())), "seccomp_export_bpf");
  std::rewind(program.get());
  std::printf("inline constexpr sock_filter %s[] = {\n", name);
  sock_filter line{};
  while (std::fread(&line, sizeof line, 1, program.get()) == 1)
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", line.code, line.jt, line.jf, line.k);
  std::puts("};");
}

}  // namespace stepdown::generator
