#include "oci/sealed.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "sealed copy";
constexpr const char* own_program = "/proc/self/exe";
constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_sealed(int file) {
  const int present = ::fcntl(file, F_GET_SEALS);
  return present >= 0 && (present & seals) == seals;
}

sys::Fd empty_copy() {
  // Kernels before 6.3 don't know MFD_EXEC, later ones may want it (vm.memfd_noexec).
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  constexpr unsigned executable = 0x0010U;  // MFD_EXEC
  sys::Fd copy(::memfd_create("stepdown", flags | executable));
  if (!copy && errno == EINVAL) copy = sys::Fd(::memfd_create("stepdown", flags));
  if (!copy) throw_errno(step, "memfd_create(2)", {}, "createRuntime hooks do without");
  return copy;
}

sys::Fd sealed_copy(int program) {
  struct stat status {};
  if (::fstat(program, &status) != 0) throw_errno(step, "fstat(2)", own_program);
  sys::Fd copy = empty_copy();
  for (auto left = static_cast<std::size_t>(status.st_size); left > 0;) {
    const ssize_t sent = ::sendfile(copy.get(), program, nullptr, left);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) throw_errno(step, "sendfile(2)", own_program);
    left -= static_cast<std::size_t>(sent);
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, seals) != 0) throw_errno(step, "fcntl(F_ADD_SEALS)");
  return copy;
}

}  // namespace

void run_from_sealed_copy(std::vector<std::string> words) {
  const sys::Fd program(::open(own_program, O_RDONLY | O_CLOEXEC));
  if (!program) throw_errno(step, "open(2)", own_program, "procfs must be mounted on /proc");
  if (is_sealed(program.get())) return;
  const sys::Fd copy = sealed_copy(program.get());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  ::fexecve(copy.get(), argv.data(), environment);
  throw_errno(step, "execveat(2)", "memfd",
              "createRuntime hooks do without; sysctl vm.memfd_noexec forbids it where it is 2");
}

}  // namespace stepdown::oci
