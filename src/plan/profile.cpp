#include "stepdown/profile.h"

#include <algorithm>
#include <array>

#include "built_in_profiles.h"
#include "plan/contradictions.h"
#include "plan/profile_text.h"
#include "sys/regular_file.h"

namespace stepdown {

namespace {

struct Source {
  std::string name;  // what messages call it
  std::string text;
  std::string identity;   // equal for the same profile, by whatever path
  std::string directory;  // of a file, with the slash; empty for a built-in one
};

bool is_path(const std::string& name) {
  return name.find('/') != std::string::npos;
}

Source built_in_source(const std::string& name) {
  const BuiltInProfile& profile = built_in_profile(name);
  return {"profile " + name, std::string(profile.text), name, {}};
}

Source file_source(const std::string& path) {
  auto file = sys::read_regular_file(path, largest_profile, "profile");
  if (!file) refuse(path, "there is no such profile file");
  const std::string identity =
      std::to_string(file->inode.device) + "/" + std::to_string(file->inode.number);
  const std::size_t slash = path.rfind('/');
  return {path, std::move(file->text), identity,
          slash == std::string::npos ? "./" : path.substr(0, slash + 1)};
}

Source source_of(const std::string& name_or_path) {
  return is_path(name_or_path) ? file_source(name_or_path) : built_in_source(name_or_path);
}

// A profile and all that it extends, the innermost first.
class Collection {
 public:
  explicit Collection(const Source& source) { add(source); }

  [[nodiscard]] const std::vector<ErrorDetails>& problems() const { return problems_; }

  [[nodiscard]] Options options() const {
    Options options;
    for (const ProfileSetting& setting : settings_) setting.option->set(options, setting.value);
    return options;
  }

  void refuse_strangers(OptionRow::Place reader) const {
    for (const ProfileSetting& setting : settings_)
      if (!is_understood(*setting.option, reader))
        refuse(problem_step(setting.place, setting.option->name),
               reader == OptionRow::Place::launcher
                   ? "only the doors of an OCI runtime understand it (stepdown hook, stepdown "
                     "runtime)"
                   : "only the launcher understands it, not the doors of an OCI runtime",
               "keep it in a profile of its own, which extends what they share");
  }

  void find_contradictions() {
    const Options together = options();
    for (const Contradiction refuse_one : contradictions()) {
      try {
        refuse_one(together);
      } catch (const Error& error) {
        problems_.push_back(located(error.details()));
      }
    }
  }

 private:
  void add(const Source& source) {
    chain_.push_back(source.identity);
    ProfileText text = parse_profile(source.name, source.text);
    if (text.extends) extend(*text.extends, source.directory);
    std::erase_if(settings_, [&text](const ProfileSetting& setting) {
      return std::find(text.taken_back.begin(), text.taken_back.end(), setting.option) !=
             text.taken_back.end();
    });
    std::move(text.settings.begin(), text.settings.end(), std::back_inserter(settings_));
    std::move(text.problems.begin(), text.problems.end(), std::back_inserter(problems_));
  }

  void extend(const ProfileExtends& extends, const std::string& directory) {
    try {
      const bool relative = is_path(extends.name) && !extends.name.starts_with('/');
      const Source base = source_of(relative ? directory + extends.name : extends.name);
      if (std::find(chain_.begin(), chain_.end(), base.identity) != chain_.end())
        refuse(base.name, "it extends itself, directly or by way of others");
      if (chain_.size() == deepest_profile)
        refuse(base.name,
               "more than " + std::to_string(deepest_profile) + " profiles extend one another");
      add(base);
    } catch (const Error& error) {
      ErrorDetails details = error.details();
      details.cause = details.step + (details.cause.empty() ? "" : ": " + details.cause);
      details.step = problem_step(extends.place, "extends");
      problems_.push_back(std::move(details));
    }
  }

  // The step begins with the option; the last place that sets it is the one to look at.
  [[nodiscard]] ErrorDetails located(ErrorDetails details) const {
    const std::string name = details.step.substr(2, details.step.find(' ') - 2);
    for (const ProfileSetting& setting : settings_)
      if (setting.option->name == name) details.step = problem_step(setting.place, name);
    return details;
  }

  std::vector<std::string> chain_;
  std::vector<ProfileSetting> settings_;
  std::vector<ErrorDetails> problems_;
};

}  // namespace

std::span<const BuiltInProfile> built_in_profiles() {
  return built_in_profile_texts;
}

const BuiltInProfile& built_in_profile(const std::string& name) {
  std::string names;
  for (const BuiltInProfile& profile : built_in_profiles()) {
    if (profile.name == name) return profile;
    names += (names.empty() ? "" : ", ") + std::string(profile.name);
  }
  refuse("profile " + name, "there is no built-in profile of that name",
         "there are " + names + "; a file is named with a slash: ./" + name);
}

std::string_view summary(const BuiltInProfile& profile) {
  const std::string_view line = profile.text.substr(0, profile.text.find('\n'));
  return line.substr(std::min(line.find_first_not_of("# "), line.size()));
}

Options profile_options(const std::string& name_or_path, OptionRow::Place reader) {
  Collection collection(source_of(name_or_path));
  collection.find_contradictions();
  const std::vector<ErrorDetails>& problems = collection.problems();
  if (problems.empty()) {
    collection.refuse_strangers(reader);
    return collection.options();
  }
  ErrorDetails first = problems.front();
  if (problems.size() > 1)
    first.hint += (first.hint.empty() ? "" : "\n  ") +
                  std::string("and more: stepdown profile check ") + name_or_path;
  throw Error(std::move(first));
}

std::vector<ErrorDetails> profile_problems(const std::string& path) {
  Collection collection(file_source(path));
  collection.find_contradictions();
  return collection.problems();
}

}  // namespace stepdown
