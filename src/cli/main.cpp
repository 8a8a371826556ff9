#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "cli/commands.h"
#include "cli/log.h"
#include "stepdown/error.h"

namespace {

using namespace stepdown;
using cli::Words;

// A setuid or setcap stepdown would let anybody choose who to be: it is for root to start.
void refuse_secure_execution() {
  if (::getauxval(AT_SECURE) != 0)
    refuse("start", "stepdown is setuid, setgid or has file capabilities, and must have none",
           "chmod u-s,g-s on it, setcap -r, and let root (or the container engine) start it");
}

// A descriptor of ours must not become the app's stdin, stdout or stderr. O_PATH of "/" needs no
// /dev, answers every read and write with EBADF, and is gone at execve(2): closed, as it came.
void hold_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/", O_PATH | O_CLOEXEC) != fd)
      throw_errno("start", "open(2)", "a closed standard descriptor could not be held");
}

int dispatch(const std::string& name, Words words) {
  if (name == "gosu" || name == "su-exec") return cli::gosu_command(name, words);
  const std::string command = words.empty() ? "" : words.front();
  const auto rest = [&words] { return Words(words.begin() + 1, words.end()); };
  if (command == "run") return cli::run_command(rest());
  if (command == "plan") return cli::plan_command(rest());
  if (command == "check") return cli::check_command(rest());
  if (command == "profile") return cli::profile_command(rest());
  if (command == "seccomp") return cli::seccomp_command(rest());
  if (command == "hook") return cli::hook_command(rest());
  if (command == "runtime") return cli::runtime_command(rest());
  return cli::run_command(words);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    refuse_secure_execution();
    hold_standard_descriptors();
    const std::string path = argc > 0 ? argv[0] : "stepdown";
    return dispatch(path.substr(path.rfind('/') + 1), Words(argv + std::min(argc, 1), argv + argc));
  } catch (const Error& error) {
    cli::write_log(LogLevel::error, error.what());
    return error.details().status;
  } catch (const std::bad_alloc&) {
    cli::write_log(LogLevel::error, "out of memory");
  } catch (const std::exception& error) {
    cli::write_log(LogLevel::error, error.what());
  }
  return exit_status::failed;
}
