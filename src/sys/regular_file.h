// Whole texts from files that somebody else may have put there.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "sys/files.h"

namespace stepdown::sys {

struct RegularFile {
  std::string text;
  InodeId inode;
};

// Symlinks are followed: images have them. nullopt: nothing is there. Error: it is not regular (a
// FIFO is never waited for), above `limit` bytes (whole MiB), or can't be read; `kind` says in the
// message what was expected: "account file".
std::optional<RegularFile> read_regular_file(const std::string& path, std::size_t limit,
                                             std::string_view kind);

}  // namespace stepdown::sys
