#include "launch/unplanted_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>
#include <vector>

#include "stepdown/error.h"

namespace stepdown::steps {

namespace {

// Last component first, so that the next one is taken from the end.
void push_components(std::vector<std::string>& stack, const std::string& path) {
  std::size_t end = path.size();
  while (end != std::string::npos && end > 0) {
    const std::size_t slash = path.rfind('/', end - 1);
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    if (begin < end) stack.push_back(path.substr(begin, end - begin));
    end = slash;
  }
}

bool may_plant_in(int directory) {
  struct stat status {};
  return ::fstat(directory, &status) != 0 || status.st_uid == ::geteuid() ||
         ::faccessat(directory, ".", W_OK, AT_EACCESS) == 0;
}

std::string target_of(const std::string& step, int link, const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlinkat(link, "", target.data(), target.size());
  if (length < 0) throw_errno(step, "readlink(2)", path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

}  // namespace

sys::Fd open_unplanted(const std::string& step, const std::string& path) {
  constexpr int most_links = 40;  // path_resolution(7)
  std::vector<std::string> ahead;
  push_components(ahead, path);
  std::vector<sys::Fd> trail;
  const auto start_at_root = [&] {
    trail.clear();
    trail.emplace_back(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!trail.back()) throw_errno(step, "open(2)", "/");
  };
  start_at_root();
  for (int links = 0; !ahead.empty();) {
    const std::string name = std::move(ahead.back());
    ahead.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (trail.size() > 1) trail.pop_back();
      continue;
    }
    const int directory = trail.back().get();
    sys::Fd next(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!next || ::fstat(next.get(), &status) != 0) throw_errno(step, "openat(2)", path);
    if (!S_ISLNK(status.st_mode)) {
      trail.push_back(std::move(next));
      continue;
    }
    if (may_plant_in(directory))
      refuse(step,
             path + " passes through the symbolic link " + name +
                 ", which the app's user could have planted",
             "name what it stands for");
    if (++links > most_links) {
      errno = ELOOP;
      throw_errno(step, "openat(2)", path);
    }
    const std::string target = target_of(step, next.get(), path);
    if (target.starts_with('/')) start_at_root();
    push_components(ahead, target);
  }
  return std::move(trail.back());
}

}  // namespace stepdown::steps
