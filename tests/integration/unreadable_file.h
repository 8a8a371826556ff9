// A file that can be opened and mapped, and whose content never comes: whoever touches the mapping,
// directly or through /proc/PID/mem, waits. It is a filesystem in user space (fuse(4)) whose server
// leaves the one request unanswered.
#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "init_world.h"

namespace stepdown::world {

class UnreadableFile {
 public:
  // Beneath the /srv of a World that is there.
  UnreadableFile() {
    checked(mknod("/srv/fuse", S_IFCHR | 0600, makedev(10, 229)), "mknod /srv/fuse");
    fuse_ = checked(open("/srv/fuse", O_RDWR | O_CLOEXEC), "open /srv/fuse");
    checked(mkdir(mounted_at, 0755), "mkdir");
    const std::string options =
        "fd=" + std::to_string(fuse_) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
    checked(mount("unreadable", mounted_at, "fuse", 0, options.c_str()), "mount");
    server_ = std::thread([this] { serve(); });
  }
  UnreadableFile(const UnreadableFile&) = delete;
  UnreadableFile& operator=(const UnreadableFile&) = delete;
  ~UnreadableFile() {
    let_go();
    server_.join();
    umount2(mounted_at, MNT_DETACH);
    close(fuse_);
  }

  [[nodiscard]] std::string path() const { return std::string(mounted_at) + "/file"; }
  // The thread that waits for the content; 0 before there is one.
  [[nodiscard]] pid_t reader() const { return reader_; }
  // Whoever waits is told that it can't be read. Not even SIGKILL ends the wait before.
  void let_go() const { umount2(mounted_at, MNT_FORCE); }

 private:
  static constexpr const char* mounted_at = "/srv/unreadable";
  static constexpr std::uint64_t file_node = 2;

  template <typename Body>
  void answer(std::uint64_t request, const Body& body) const {
    fuse_out_header header{static_cast<std::uint32_t>(sizeof header + sizeof body), 0, request};
    std::vector<char> message(header.len);
    std::memcpy(message.data(), &header, sizeof header);
    std::memcpy(message.data() + sizeof header, &body, sizeof body);
    if (write(fuse_, message.data(), message.size()) < 0) return;  // nobody waits any more
  }
  void answer_error(std::uint64_t request, int error) const {
    const fuse_out_header header{sizeof header, -error, request};
    if (write(fuse_, &header, sizeof header) < 0) return;
  }

  static fuse_attr attributes(std::uint64_t node) {
    fuse_attr attributes{};
    attributes.ino = node;
    attributes.size = node == file_node ? 4096 : 0;
    attributes.mode = node == file_node ? S_IFREG | 0666 : S_IFDIR | 0755;
    attributes.nlink = 1;
    return attributes;
  }

  void serve() {
    std::vector<char> buffer(1 << 17);
    while (read(fuse_, buffer.data(), buffer.size()) > 0) {
      fuse_in_header in{};
      std::memcpy(&in, buffer.data(), sizeof in);
      switch (in.opcode) {
        case FUSE_INIT: {
          fuse_init_out init{};
          init.major = FUSE_KERNEL_VERSION;
          init.minor = FUSE_KERNEL_MINOR_VERSION;
          init.max_write = 4096;
          answer(in.unique, init);
          break;
        }
        case FUSE_LOOKUP: {
          fuse_entry_out entry{};
          entry.nodeid = file_node;
          entry.attr = attributes(file_node);
          answer(in.unique, entry);
          break;
        }
        case FUSE_GETATTR: {
          fuse_attr_out found{};
          found.attr = attributes(in.nodeid);
          answer(in.unique, found);
          break;
        }
        case FUSE_OPEN:
          answer(in.unique, fuse_open_out{});
          break;
        case FUSE_READ:
          reader_ = static_cast<pid_t>(in.pid);
          break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
          break;  // these have no answer
        case FUSE_FLUSH:
        case FUSE_RELEASE:
          answer_error(in.unique, 0);
          break;
        default:
          answer_error(in.unique, ENOSYS);
      }
    }
  }

  int fuse_ = -1;
  std::atomic<pid_t> reader_ = 0;
  std::thread server_;
};

}  // namespace stepdown::world
