#include "oci/runtime.h"

#include <unistd.h>

#include "oci/document.h"
#include "oci/exec_door.h"
#include "oci/files.h"
#include "oci/precreate.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

void step_down_bundle(const std::string& bundle, const Options& options, const Log& log) {
  const std::string path = bundle + "/config.json";
  json::Json config = json::parse(read_config(path), path, limits);
  step_down(config, path, bundle, options, log);
  replace_document(path, config);
}

[[noreturn]] void refuse_restore() {
  refuse("restore", "a checkpoint brings its own user, capabilities and no_new_privs with it",
         "start the container anew; --allow-restore lets checkpoints through as they are");
}

[[noreturn]] void execute(const std::string& runtime, std::vector<std::string> words) {
  std::vector<char*> arguments;
  std::string name = runtime;
  arguments.push_back(name.data());
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execve(runtime.c_str(), arguments.data(), environ);
  throw_errno("runtime", "execve(2)", runtime);
}

}  // namespace

void become_runtime(const Options& options, std::vector<std::string> words, const Log& log) {
  const RuntimeWords parsed = parse_runtime_words(words);
  const std::string runtime = find_runtime(options);
  const std::string_view command = parsed.name();
  if (command == "create" || command == "run") step_down_bundle(parsed.bundle, options, log);
  if (command == "restore" && !options.door.allow_restore) refuse_restore();
  if (command == "exec") words = step_down_exec(runtime, options, parsed, log);
  execute(runtime, std::move(words));
}

}  // namespace stepdown::oci
