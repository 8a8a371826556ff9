// The way down into a directory tree and back, whatever its depth: no recursion, a bounded number
// of descriptors, one string for all names. An attacker may have made 20,000 levels.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"

namespace stepdown::ownership {

class Descent {
 public:
  // How many directories are held open, counted from the deepest.
  static constexpr std::size_t held = 64;

  struct Level {
    sys::Fd fd;              // empty while `held` or more levels below it are open
    struct statx status {};  // as it was when it was entered
    std::size_t names = 0;   // where its names begin
    std::size_t path_length = 0;
  };

  // `changed` is what to say when a directory is no longer where it was.
  Descent(std::string step, std::string top, std::string changed)
      : step_(std::move(step)), changed_(std::move(changed)), path_(std::move(top)) {}

  [[nodiscard]] bool empty() const { return levels_.empty(); }
  // The directory that is worked on; it may be good for look-ups only (O_PATH).
  [[nodiscard]] int directory() const { return levels_.back().fd.get(); }
  // What enter(), next() or leave() was about last, for messages.
  [[nodiscard]] const std::string& path() const { return path_; }
  // An entry of the directory that has just been entered.
  [[nodiscard]] std::string path_of(const char* name) const;

  // Goes down into `directory`: the top, or the entry that next() gave last.
  void enter(sys::Fd directory, const struct statx& status);
  // Remembers a subdirectory of the current directory, to be visited when its listing is done.
  void remember(const char* name);
  // Takes one of the remembered names; nullptr when none is left. Valid until the next call.
  const char* next();
  // Goes up again. The directory that is left is returned still open: its owner is changed after
  // the way up has been found, because from then on it may be closed to this process.
  Level leave();

 private:
  void reopen_parent(const Level& child);

  std::string step_;
  std::string changed_;
  std::string path_;
  std::string names_;  // a stack: the remembered names of all levels, each ended by a NUL
  std::vector<Level> levels_;
};

}  // namespace stepdown::ownership
