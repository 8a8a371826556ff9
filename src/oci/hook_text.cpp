#include <algorithm>
#include <array>
#include <functional>

#include "json/strict_json.h"
#include "oci/doctor.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

using json::Value;

constexpr auto stages = std::to_array<std::string_view>(
    {"createRuntime", "createContainer", "startContainer", "prestart", "poststart", "poststop"});
constexpr std::string_view podmans_stage = "precreate";

// `stepdown hook STAGE` and where it belongs.
struct OwnStage {
  std::string_view word, stage;
};
constexpr auto own_stages = std::to_array<OwnStage>({{"create-runtime", "createRuntime"},
                                                     {"prestart", "prestart"},
                                                     {"create-container", "createContainer"},
                                                     {"precreate", "precreate"}});

class Examination {
 public:
  Examination(std::string file, bool crio_is_here, std::vector<HookProblem>& problems)
      : file_(std::move(file)), crio_is_here_(crio_is_here), problems_(problems) {}

  void examine(const Value& document) {
    if (!is_current(document)) return;
    attempt([&] { document.only({"version", "hook", "when", "stages"}); }, "leave it out");
    attempt([&] { examine_hook(document.at("hook")); });
    attempt([&] { examine_when(document); });
    attempt([&] { examine_stages(document); });
    try {
      examine_own_words(document);
    } catch (const Error&) {
      // A value of another type: has been told.
    }
  }

  void add(std::string place, std::string problem, std::string remedy) {
    problems_.push_back({file_, std::move(place), std::move(problem), std::move(remedy)});
  }

  // A value that isn't what it should be is a problem like the others.
  void attempt(const std::function<void()>& look, const std::string& remedy = "see oci-hooks(5)") {
    try {
      look();
    } catch (const Error& error) {
      const ErrorDetails& details = error.details();
      const std::string prefix = file_ + ": ";
      add(details.step.starts_with(prefix) ? details.step.substr(prefix.size()) : "", details.cause,
          details.hint.empty() ? remedy : details.hint);
    }
  }

 private:
  // Without a version a file is one of 0.1.0, whose conditions mean something else.
  bool is_current(const Value& document) {
    if (document.has("version") && document.at("version").string() == "1.0.0") return true;
    add("version", "not \"1.0.0\": read by the old format 0.1.0, or refused",
        "\"version\": \"1.0.0\", with \"hook\", \"when\" and \"stages\"");
    return false;
  }

  void examine_hook(const Value& hook) {
    attempt([&] { hook.only({"path", "args", "env", "timeout"}); }, "leave it out");
    attempt([&] {
      const Value path = hook.at("path");
      if (!path.string().starts_with('/'))
        add(path.place(), "not absolute, which runtimes refuse when the container starts",
            "write the whole path, as /usr/local/bin/stepdown");
    });
    attempt([&] {
      if (!hook.has("env") || hook.at("env").strings().empty())
        add(below(hook, "env"),
            "unset or empty: runc then gives the hook the environment of the image (LD_PRELOAD)",
            "\"env\": [\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\"]");
    });
    attempt([&] { examine_timeout(hook); });
  }

  void examine_timeout(const Value& hook) {
    const char* const remedy = "\"timeout\": 30, in seconds";
    if (!hook.has("timeout"))
      add(below(hook, "timeout"), "absent: a hook that hangs holds the container up for ever",
          remedy);
    else if (hook.at("timeout").number(0, 86400) == 0)
      add(below(hook, "timeout"), "0: runc ends the hook at once, and the container fails", remedy);
  }

  void examine_when(const Value& document) {
    if (!document.has("when"))
      return add("when", "missing: the hook never runs", "\"when\": {\"always\": true}");
    const Value when = document.at("when");
    attempt(
        [&] {
          when.only({"always", "annotations", "commands", "hasBindMounts"});
        },
        "leave it out");
    for (const char* condition : {"always", "hasBindMounts"})
      if (when.has(condition) && !when.at(condition).boolean())
        return add(below(when, condition), "false: the hook never runs, whatever else is there",
                   "leave it out, or write true");
    const bool matches = when.has("always") || when.has("hasBindMounts") ||
                         (when.has("commands") && !when.at("commands").strings().empty()) ||
                         (when.has("annotations") && !when.at("annotations").json().empty());
    if (!matches) add(when.place(), "empty: the hook never runs", "\"when\": {\"always\": true}");
  }

  void examine_stages(const Value& document) {
    const Value all = document.at("stages");
    if (all.elements().empty())
      add(all.place(), "empty: the hook never runs", "\"stages\": [\"createRuntime\"]");
    for (const Value& stage : all.elements()) {
      const std::string& name = stage.string();
      if (name == podmans_stage)
        examine_precreate(stage);
      else if (!is_known(name))
        add(stage.place(), "there is no stage " + json::shown(name),
            "createRuntime, createContainer, startContainer, poststart, poststop, or precreate "
            "(podman)");
    }
  }

  void examine_precreate(const Value& stage) {
    const auto lies_below = [this](const char* directory) {
      return file_.find(directory) != std::string::npos;
    };
    // The last is podman's and CRI-O's default.
    if (lies_below("/crio/") || lies_below("/cri-o/") ||
        (crio_is_here_ && lies_below("/containers/oci/hooks.d/")))
      add(stage.place(), "precreate is podman's alone: CRI-O refuses the file, and does not start",
          "move the file to a directory that only podman reads (podman --hooks-dir)");
  }

  // The hook is ours: its words and its stages belong together.
  void examine_own_words(const Value& document) {
    const Value hook = document.at("hook");
    const std::vector<std::string> words =
        hook.has("args") ? hook.at("args").strings() : std::vector<std::string>();
    const std::string& path = hook.at("path").string();
    if (!words.empty() && words.front() == "hook")
      return add(below(hook, "args"), "the first of them is the program's own name, not a word",
                 "\"args\": [\"stepdown\", \"hook\", ...]");
    const bool ours = path.ends_with("/stepdown") || (words.size() > 1 && words[1] == "hook");
    if (!ours) return;
    const auto own = std::find_if(own_stages.begin(), own_stages.end(), [&](const auto& stage) {
      return words.size() > 2 && words[1] == "hook" && words[2] == stage.word;
    });
    if (own == own_stages.end())
      return add(below(hook, "args"), "no stage of stepdown hook is named",
                 "\"args\": [\"stepdown\", \"hook\", \"create-runtime\", ...]");
    for (const Value& stage : document.at("stages").elements())
      if (is_known(stage.string()) && !belongs(own->stage, stage.string()))
        add(stage.place(),
            json::shown(stage.string()) + ", but hook.args say " + std::string(own->word),
            "\"stages\": [\"" + std::string(own->stage) + "\"]");
    examine_log(hook, words);
  }

  static bool is_known(std::string_view stage) {
    return stage == podmans_stage || std::find(stages.begin(), stages.end(), stage) != stages.end();
  }

  // Podman runs prestart hooks as createRuntime ones.
  static bool belongs(std::string_view own, std::string_view stage) {
    const auto runtimes = [](std::string_view name) {
      return name == "createRuntime" || name == "prestart";
    };
    return own == stage || (runtimes(own) && runtimes(stage));
  }

  void examine_log(const Value& hook, const std::vector<std::string>& words) {
    const auto says = [&words](const std::string& option) {
      return std::any_of(words.begin(), words.end(), [&option](const std::string& word) {
        return word == option || word.starts_with(option + "=");
      });
    };
    // A profile can name the file as well.
    if (!says("--log-file") && !says("--profile"))
      add(below(hook, "args"),
          "the reason of a refusal gets lost: crun and podman show no hook's stderr",
          "\"--log-file\", \"/var/log/stepdown-hook.log\"");
  }

  static std::string below(const Value& value, const std::string& key) {
    return value.place() + "." + key;
  }

  std::string file_;
  bool crio_is_here_;
  std::vector<HookProblem>& problems_;
};

}  // namespace

std::vector<HookProblem> examine_hook_text(const std::string& file, std::string_view text,
                                           bool crio_is_here) {
  std::vector<HookProblem> problems;
  Examination examination(file, crio_is_here, problems);
  examination.attempt([&] {
    const json::Json document = json::parse(text, file);
    examination.examine(Value(document, file));
  });
  return problems;
}

}  // namespace stepdown::oci
