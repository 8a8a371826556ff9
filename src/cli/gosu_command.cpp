#include "cli/commands.h"
#include "cli/launching.h"
#include "cli/output.h"
#include "cli/version.h"
#include "stepdown/error.h"

namespace stepdown::cli {

namespace {

// Scripts compare versions: it starts with a number, as gosu's does.
std::string version() {
  return version_number() + " (stepdown)";
}

std::string usage(const std::string& name) {
  return "Usage: " + name + " user-spec command [args]\n" +  //
         "   eg: " + name + " app sh\n" +                    //
         "       " + name + " nobody:root sh -c 'whoami && id'\n" + "       " + name +
         " 1000:1 id\n\n" +  //
         name + " version: " + version() + "\n";
}

}  // namespace

int gosu_command(const std::string& name, const Words& words) {
  const std::string first = words.empty() ? "" : words.front();
  if (first == "--help" || first == "-h" || first == "-?") {
    write_out(usage(name));
    return 0;
  }
  if (first == "--version" || first == "-v") {
    write_out(version() + "\n");
    return 0;
  }
  if (words.size() < 2) refuse(name, "a user and a command are needed", usage(name));
  Options options;
  options.manners = Manners::gosu;
  options.user = first;
  options.command.assign(words.begin() + 1, words.end());
  launch_app(prepare(options));
}

}  // namespace stepdown::cli
