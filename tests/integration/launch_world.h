// What the tests of --userns, of low ports inside one and of --pretend-root share: the probe as the
// app "app" of world.h, looked at from outside while it lives, or refused.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "init_world.h"
#include "world.h"

namespace stepdown::world {

using Ids = std::vector<std::uint32_t>;

inline Start probing(Words options, const Words& asked = {}) {
  Start start;
  start.words = std::move(options);
  start.words.insert(start.words.end(), {"--user", "app", "--", "probe"});
  start.words.insert(start.words.end(), asked.begin(), asked.end());
  return start;
}

// `look` gets the pid of the binary, or of what it has become, while the probe waits.
inline Outcome watched(const World& world, Start start, const std::function<void(pid_t)>& look) {
  start.words.insert(start.words.end(), {"+report=/srv/out/report", "+hold=stdin"});
  bool looked = false;
  start.watch = [&](pid_t pid) {
    looked = true;
    look(pid);
  };
  Outcome outcome = world.run(start);
  EXPECT_TRUE(looked) << outcome.err;
  return outcome;
}

// It exits 125, no app runs, and an owned path is as it was. What was said.
inline std::string refused(const World& world, Start start) {
  static int number = 0;
  const std::string data = "/srv/owned-" + std::to_string(++number);
  world.directory(data, 0, 0, 0755);
  const std::string before = change_stamp(data);
  start.words.insert(start.words.begin(), {"--own", data});
  const Outcome outcome = world.run(start);
  EXPECT_EQ(outcome.status, 125) << outcome.err;
  EXPECT_FALSE(outcome.app_ran());
  EXPECT_EQ(change_stamp(data), before);
  return outcome.err;
}

inline void expect_said(const std::string& text, const Words& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

inline void expect_all_five(const Report& app, Caps kept) {
  EXPECT_EQ(app.inheritable, kept);
  EXPECT_EQ(app.permitted, kept);
  EXPECT_EQ(app.effective, kept);
  EXPECT_EQ(app.bounding, kept);
  EXPECT_EQ(app.ambient, kept);
}

inline std::string path_of(pid_t pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

// The lines of a uid_map or gid_map, blanks made single.
inline std::string map_of(pid_t pid, const std::string& name) {
  std::istringstream lines(read_file(path_of(pid, name)));
  std::string text;
  for (std::uint32_t inside = 0, outside = 0, length = 0; lines >> inside >> outside >> length;)
    text += std::to_string(inside) + " " + std::to_string(outside) + " " + std::to_string(length) +
            "\n";
  return text;
}

// What tells one namespace from another; `kind` as in /proc/PID/ns.
inline ino_t namespace_of(pid_t pid, const std::string& kind) {
  struct stat status {};
  checked(stat(path_of(pid, "ns/" + kind).c_str(), &status), "stat of a namespace");
  return status.st_ino;
}

inline pid_t only_child_of(pid_t pid) {
  const std::set<pid_t> children = children_of(pid);
  if (children.size() != 1)
    throw std::runtime_error("there are " + std::to_string(children.size()) + " children");
  return *children.begin();
}

inline std::set<pid_t> threads_of(pid_t pid) {
  std::set<pid_t> threads;
  for (const auto& each : std::filesystem::directory_iterator(path_of(pid, "task")))
    threads.insert(std::stoi(each.path().filename()));
  return threads;
}

// What its descriptors refer to, as in /proc/PID/fd.
inline Words open_files_of(pid_t pid) {
  Words files;
  for (const int fd : open_fds_of(pid)) {
    std::array<char, 4096> target{};
    const ssize_t length =
        readlink(path_of(pid, "fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
    files.emplace_back(target.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  }
  return files;
}

}  // namespace stepdown::world
