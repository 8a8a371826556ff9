#include "ownership/descent.h"

#include <fcntl.h>

#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::ownership {

std::string Descent::path_of(const char* name) const {
  return path_.ends_with('/') ? path_ + name : path_ + "/" + name;
}

void Descent::enter(sys::Fd directory, const struct statx& status) {
  Level level;
  level.fd = std::move(directory);
  level.status = status;
  level.names = names_.size();
  level.path_length = path_.size();
  levels_.push_back(std::move(level));
  if (levels_.size() > held) levels_[levels_.size() - 1 - held].fd.reset();
}

void Descent::remember(const char* name) {
  names_ += name;
  names_ += '\0';
}

const char* Descent::next() {
  const Level& level = levels_.back();
  path_.resize(level.path_length);
  if (names_.size() == level.names) return nullptr;
  names_.pop_back();
  // Below the first name of this level lies the NUL that ends the parent's last one.
  const std::size_t before = names_.rfind('\0');
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  if (!path_.ends_with('/')) path_ += '/';
  const std::size_t name = path_.size();
  path_.append(names_, begin);
  names_.resize(begin);
  return path_.c_str() + name;
}

Descent::Level Descent::leave() {
  Level child = std::move(levels_.back());
  levels_.pop_back();
  if (!levels_.empty() && !levels_.back().fd) reopen_parent(child);
  return child;
}

void Descent::reopen_parent(const Level& child) {
  Level& parent = levels_.back();
  // Whoever moved the child meanwhile decides where ".." leads: it is compared before it is used.
  sys::Fd found(::openat(child.fd.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct statx status {};
  if (!found || !sys::look(found.get(), status)) throw_errno(step_, "openat(2)", path_ + "/..");
  if (sys::inode_of(status) != sys::inode_of(parent.status) ||
      status.stx_mnt_id != parent.status.stx_mnt_id) {
    refuse(step_, path_ + ": " + changed_);
  }
  parent.fd = std::move(found);
}

}  // namespace stepdown::ownership
