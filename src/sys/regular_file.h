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

// The same of `path` in the root filesystem whose directory is `root`, as if it were ours: links
// and
// ".." lead nowhere else (openat2(2), RESOLVE_IN_ROOT), and what isn't a regular file isn't even
// opened, for a device of the image's choice may do something then. Messages say `name`.
std::optional<RegularFile> read_regular_file_in(int root, const std::string& path,
                                                const std::string& name, std::size_t limit,
                                                std::string_view kind);

}  // namespace stepdown::sys
