// An attacker who owns the tree swaps what is in it while it is handed over. Whatever the hand-over
// says about that, the victim outside the tree is never touched.
#include <linux/fs.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "ownership_world.h"

namespace {

using namespace ownership_world;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds duration{1000};

void swap_names(const std::string& a, const std::string& b) {
  ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
}

// Repeats `attack` in a thread of its own for as long as it lives.
class Attacker {
 public:
  explicit Attacker(std::function<void()> attack)
      : thread_([this, attack = std::move(attack)] {
          while (!done_) attack();
        }) {}
  ~Attacker() {
    done_ = true;
    thread_.join();
  }
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// A file and a directory of root, with a file in it; knows whether anything was done to them.
class Victim {
 public:
  explicit Victim(const std::string& path)
      : paths_{directory(path), file(path + "/file", root, 0600), directory(path + "/sub"),
               file(path + "/sub/file", root, 0600)} {}
  void expect_untouched() const {
    for (const std::string& path : paths_) EXPECT_EQ(owner_of(path), root) << path;
  }

 private:
  std::vector<std::string> paths_;
};

struct Outcome {
  int changed = 0;
  int refused = 0;
};

// Hands `path` over again and again; `reset` makes it wrong each time.
Outcome hand_over_repeatedly(const std::string& path, const std::function<void()>& reset) {
  Outcome outcome;
  const Clock::time_point end = Clock::now() + duration;
  while (Clock::now() < end) {
    reset();
    try {
      outcome.changed += hand_over(path).changed != 0 ? 1 : 0;
    } catch (const Error&) {
      ++outcome.refused;
    }
  }
  return outcome;
}

// Gives what is pinned by `fd` to the attacker, whatever its name is at the moment.
void give_to_stranger(int fd) {
  // It may have gone meanwhile: then there is nothing to give.
  [[maybe_unused]] const int ignored =
      ::fchownat(fd, "", raw(stranger.uid), raw(stranger.gid), AT_EMPTY_PATH);
}

TEST(Race, OfADirectoryWithASymlinkNeverReachesTheVictim) {
  in_a_world([](const std::string& top) {
    const Victim victim(top + "/victim");
    directory(top + "/data", stranger);
    directory(top + "/data/sub", stranger);
    file(top + "/data/sub/file", stranger);
    directory(top + "/data/sub/sub", stranger);
    file(top + "/data/sub/sub/file", stranger);
    symbolic_link("../victim", top + "/data/link");
    const int inner = pinned(top + "/data/sub/sub/file");
    const int sub = pinned(top + "/data/sub");
    const Attacker attacker([&top] { swap_names(top + "/data/sub", top + "/data/link"); });
    const Outcome outcome = hand_over_repeatedly(top + "/data", [&] {
      give_to_stranger(inner);
      give_to_stranger(sub);
    });
    victim.expect_untouched();
    EXPECT_GT(outcome.changed, 0);
  });
}

TEST(Race, OfAFileWithASymlinkOrAHardLinkNeverReachesTheVictim) {
  in_a_world([](const std::string& top) {
    const Victim victim(top + "/victim");
    directory(top + "/data", stranger);
    file(top + "/data/file", stranger);
    file(top + "/data/other", stranger);
    symbolic_link("../victim/file", top + "/data/symlink");
    hard_link(top + "/victim/sub/file", top + "/data/hardlink");
    const int one = pinned(top + "/data/file");
    const int two = pinned(top + "/data/other");
    const int link = pinned(top + "/data/symlink");
    const Attacker attacker([&top] {
      swap_names(top + "/data/file", top + "/data/symlink");
      swap_names(top + "/data/other", top + "/data/hardlink");
    });
    const Outcome outcome = hand_over_repeatedly(top + "/data", [&] {
      for (const int fd : {one, two, link}) give_to_stranger(fd);
    });
    victim.expect_untouched();
    EXPECT_GT(outcome.changed, 0);
  });
}

TEST(Race, OfTheTopWithASymlinkNeverReachesTheVictim) {
  in_a_world([](const std::string& top) {
    const Victim victim(top + "/victim");
    directory(top + "/home", stranger);
    directory(top + "/home/data", stranger);
    file(top + "/home/data/file", stranger);
    symbolic_link("../victim", top + "/home/link");
    const int data = pinned(top + "/home/data");
    const int inner = pinned(top + "/home/data/file");
    const Attacker attacker([&top] { swap_names(top + "/home/data", top + "/home/link"); });
    const Outcome outcome = hand_over_repeatedly(top + "/home/data", [&] {
      give_to_stranger(data);
      give_to_stranger(inner);
    });
    victim.expect_untouched();
    EXPECT_GT(outcome.changed, 0);
    EXPECT_GT(outcome.refused, 0);
  });
}

TEST(Race, OfACreatedDirectoryWithASymlinkNeverReachesTheVictim) {
  in_a_world([](const std::string& top) {
    const Victim victim(top + "/victim");
    directory(top + "/home", app);
    symbolic_link("../victim", top + "/home/link");
    const std::string created = top + "/home/new";
    const std::string link = top + "/home/link";
    // Fails until there is something to swap, and is at it as soon as there is.
    const Attacker attacker([&] { swap_names(created, link); });
    const Outcome outcome = hand_over_repeatedly(created + "/sub", [&] {
      while (exists(created) || !S_ISLNK(status_of(link).st_mode)) {
        ::rmdir((created + "/sub").c_str());
        ::rmdir((link + "/sub").c_str());
        if (::rmdir(created.c_str()) != 0) ::rename(created.c_str(), link.c_str());
      }
    });
    victim.expect_untouched();
    EXPECT_GT(outcome.changed + outcome.refused, 0);
  });
}

TEST(Race, OfADirectoryWithOneThatIsMovedAwayNeverLeavesTheTree) {
  in_a_world([](const std::string& top) {
    const Victim victim(top + "/victim");
    directory(top + "/data", stranger);
    std::string path = top + "/data";
    for (int level = 0; level < 150; ++level) path = directory(path + "/d", stranger);
    file(path + "/file", stranger);
    const int bottom = pinned(path + "/file");
    // ".." of what was moved is the victim's directory.
    const Attacker attacker([&top] {
      ::rename((top + "/data/d/d/d").c_str(), (top + "/victim/d").c_str());
      ::rename((top + "/victim/d").c_str(), (top + "/data/d/d/d").c_str());
    });
    const Outcome outcome =
        hand_over_repeatedly(top + "/data", [bottom] { give_to_stranger(bottom); });
    victim.expect_untouched();
    EXPECT_GT(outcome.changed + outcome.refused, 0);
  });
}

}  // namespace
