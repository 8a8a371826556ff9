#include "cli/version.h"

namespace stepdown::cli {

std::string version_number() {
  return STEPDOWN_VERSION;
}

std::string version_text() {
  return "stepdown " + version_number() +
         "\nlibraries: " STEPDOWN_LIBRARIES "\nbuild: " STEPDOWN_BUILD "\n";
}

}  // namespace stepdown::cli
