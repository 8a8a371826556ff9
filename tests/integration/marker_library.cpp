// What a hostile image would have loaded into a hook by LD_PRELOAD: leaves a file where the
// variable MARKER says.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

namespace {

[[gnu::constructor]] void leave_a_marker() {
  const char* path = std::getenv("MARKER");
  if (path == nullptr) return;
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0) close(fd);
}

}  // namespace
