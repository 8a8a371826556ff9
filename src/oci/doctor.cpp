#include "oci/doctor.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "json/strict_json.h"
#include "stepdown/error.h"
#include "sys/regular_file.h"

namespace stepdown::oci {

namespace {

constexpr std::size_t largest_file = std::size_t{1} << 20U;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Engines take what ends with ".json", and nothing below.
std::vector<std::string> hook_names(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) throw_errno(path, "opendir(3)");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name.ends_with(".json")) names.push_back(name);
  }
  if (errno != 0) throw_errno(path, "readdir(3)");
  std::sort(names.begin(), names.end());
  return names;
}

// Who else than root and this process's user may write there; nullopt: nobody.
std::optional<std::string> others_who_write(const struct stat& status) {
  if ((status.st_mode & S_IWOTH) != 0) return "anybody can change it";
  if ((status.st_mode & S_IWGRP) != 0 && status.st_gid != 0)
    return "group " + std::to_string(status.st_gid) + " can change it";
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return "user " + std::to_string(status.st_uid) + ", who owns it, can change it";
  return std::nullopt;
}

constexpr const char* whose = ", and with it what runs as root at every start of a container";

class Doctor {
 public:
  std::vector<HookProblem> examine(const std::vector<std::string>& directories) {
    for (const std::string& directory : directories) directories_.push_back(hook_names(directory));
    for (std::size_t index = 0; index < directories.size(); ++index) {
      examine_permissions(directories[index], directories[index], "");
      for (const std::string& name : directories_[index]) {
        const std::string path = directories[index] + "/" + name;
        if (!is_masked(directories, index, name, path)) examine_file(path);
      }
    }
    return std::move(problems_);
  }

 private:
  bool is_masked(const std::vector<std::string>& directories, std::size_t index,
                 const std::string& name, const std::string& path) {
    for (std::size_t later = directories_.size() - 1; later > index; --later) {
      const std::vector<std::string>& names = directories_[later];
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      problems_.push_back({path, "",
                           "not used: " + directories[later] + "/" + name + " replaces it",
                           "give one of the two another name, or remove it"});
      return true;
    }
    return false;
  }

  void examine_permissions(const std::string& file, const std::string& path,
                           const std::string& place) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return;
    if (const auto who = others_who_write(status))
      problems_.push_back(
          {file, place, *who + whose, "chown root:root " + path + "; chmod go-w " + path});
  }

  void examine_file(const std::string& path) {
    examine_permissions(path, path, "");
    try {
      const auto file = sys::read_regular_file(path, largest_file, "hook file");
      if (!file) refuse(path, "it isn't there any more, or a link to nothing");
      const std::vector<HookProblem> found = examine_hook_text(path, file->text, crio_is_here_);
      problems_.insert(problems_.end(), found.begin(), found.end());
      examine_binary(path, file->text);
    } catch (const Error& error) {
      problems_.push_back({path, "", error.reason(), "make it a regular file, or remove it"});
    }
  }

  void examine_binary(const std::string& file, const std::string& text) {
    std::string path;
    try {
      const json::Json document = json::parse(text, file);
      path = json::Value(document, file).at("hook").at("path").string();
    } catch (const Error&) {
      return;  // has been told
    }
    if (!path.starts_with('/')) return;
    const auto add = [&](const std::string& problem, const std::string& remedy) {
      problems_.push_back({file, "hook.path", path + " " + problem, remedy});
    };
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
      return add(std::string("can't be found (") + std::strerror(errno) +
                     "): podman leaves the hook out without a word",
                 "install it there");
    if (!S_ISREG(status.st_mode)) return add("is not a regular file", "name the program");
    if ((status.st_mode & 0111) == 0) add("is not executable", "chmod 0755 " + path);
    if ((status.st_mode & (S_ISUID | S_ISGID)) != 0)
      add("is setuid or setgid, which a hook needs never be", "chmod ug-s " + path);
    examine_permissions(file, path, "hook.path");
  }

  std::vector<std::vector<std::string>> directories_;  // the names in each
  bool crio_is_here_ = ::access("/etc/crio", F_OK) == 0;
  std::vector<HookProblem> problems_;
};

}  // namespace

std::vector<HookProblem> examine_hook_directories(const std::vector<std::string>& directories) {
  return Doctor().examine(directories);
}

}  // namespace stepdown::oci
