#include "cli/output.h"

#include <cstdio>

#include "stepdown/error.h"

namespace stepdown::cli {

void write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw_errno("stdout", "write(2)", "the report could not be written");
}

}  // namespace stepdown::cli
