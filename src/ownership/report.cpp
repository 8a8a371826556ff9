#include "ownership/report.h"

namespace stepdown::ownership {

void tell(const Log& log, const std::string& step, const HandOverReport& report) {
  if (!log) return;
  const auto say = [&](LogLevel level, const std::string& text) { log(level, step + ": " + text); };
  const auto left = [&](std::uint64_t count, const std::string& text) {
    if (count != 0) say(LogLevel::info, std::to_string(count) + text);
  };
  say(LogLevel::info, std::to_string(report.changed) + " of " + std::to_string(report.entries) +
                          " entries handed over");
  if (report.hard_links != 0)
    say(LogLevel::warning, std::to_string(report.hard_links) +
                               " hard links to others' files were left alone, the first is " +
                               report.first_hard_link);
  left(report.unchangeable, " entries can't be changed here; the app can write to them");
  left(report.unlisted,
       " directories are the app's already and can't be looked into without CAP_DAC_READ_SEARCH");
  left(report.other_mounts, " mounts below it were left alone");
  left(report.shared, " sticky or world-writable directories were left alone");
  left(report.devices, " devices were left alone");
}

}  // namespace stepdown::ownership
