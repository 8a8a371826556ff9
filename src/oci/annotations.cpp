#include <algorithm>

#include "oci/rewrite.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

using Kind = OptionRow::Kind;

void set_option(Options& options, const OptionRow& row, const std::string& value) {
  const bool switches = row.kind == Kind::flag || row.kind == Kind::mode;
  const std::string step = "annotation " + std::string(annotation_prefix) + std::string(row.name);
  if (switches && value == "false") return;
  if (row.kind == Kind::flag && value != "true") refuse(step, "it is true or false");
  if (value.empty()) refuse(step, "it is empty");
  try {
    row.set(options, switches && value == "true" ? std::string_view() : value);
  } catch (const Error& error) {
    ErrorDetails details = error.details();
    details.cause = details.step + ": " + details.cause;
    details.step = step;
    throw Error(std::move(details));
  }
}

}  // namespace

Options with_annotations(const Options& options, const Container& container) {
  Options together = options;
  const std::vector<std::string>& allowed = options.door.allow_annotations;
  for (const auto& [name, value] : container.annotations) {
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) continue;
    if (const OptionRow* row = find_option(name)) set_option(together, *row, value);
  }
  return together;
}

}  // namespace stepdown::oci
