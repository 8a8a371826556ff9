// What the app of the Landlock tests tries: the probe's word +do=DEED:PATH[:PATH] does it and tells
// "ok" or the name of errno. The deeds are the routes by which something can be written.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace writes {

inline long open_and_write(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0644);
  if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY) return fd;
  return write(fd, "x", 1);
}

inline long with_unix_socket(const std::string& path, bool abstract, bool binds) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path + (abstract ? 1 : 0), sizeof address.sun_path - 2);
  const auto length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 1 : 0));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  return binds ? bind(fd, generic, length) : connect(fd, generic, length);
}

// listen(2) gives a socket that has no port one of those for everybody.
inline long listen_without_bind() {
  return listen(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 1);
}

inline long open_terminal_pair() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || unlockpt(master) != 0) return -1;
  const char* const name = ptsname(master);
  return name == nullptr ? -1 : open_and_write(name, O_RDWR);
}

inline long perform(const std::string& deed, const std::string& path, const std::string& other) {
  const char* const a = path.c_str();
  const char* const b = other.c_str();
  if (deed == "create") return open_and_write(path, O_WRONLY | O_CREAT | O_EXCL);
  if (deed == "write") return open_and_write(path, O_WRONLY);
  if (deed == "read-write") return open_and_write(path, O_RDWR);
  if (deed == "append") return open_and_write(path, O_WRONLY | O_APPEND);
  if (deed == "overwrite") return open_and_write(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (deed == "read-and-truncate") return open_and_write(path, O_RDONLY | O_TRUNC);
  if (deed == "unnamed") return open_and_write(path, O_WRONLY | O_TMPFILE);
  if (deed == "truncate") return truncate(a, 0);
  if (deed == "mkdir") return mkdir(a, 0755);
  if (deed == "rmdir") return rmdir(a);
  if (deed == "unlink") return unlink(a);
  if (deed == "fifo") return mknod(a, S_IFIFO | 0644, 0);
  if (deed == "socket") return mknod(a, S_IFSOCK | 0644, 0);
  if (deed == "device") return mknod(a, S_IFCHR, 0);  // 0:0, a whiteout, is everybody's to make
  if (deed == "file") return mknod(a, S_IFREG | 0644, 0);
  if (deed == "bind") return with_unix_socket(path, false, true);
  if (deed == "symlink") return symlink("/", a);
  if (deed == "link") return link(a, b);
  if (deed == "rename") return rename(a, b);
  if (deed == "exchange") return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
  if (deed == "list") return open(a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (deed == "read") return open(a, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (deed == "chmod") return chmod(a, 0640);
  if (deed == "chown") return chown(a, static_cast<uid_t>(-1), getgid());
  if (deed == "utimes") return utimensat(AT_FDCWD, a, nullptr, 0);
  if (deed == "setxattr") return setxattr(a, "user.stepdown", "x", 1, 0);
  if (deed == "write-fd") return write(std::stoi(path), "x", 1);
  if (deed == "ftruncate") return ftruncate(std::stoi(path), 0);
  if (deed == "terminal-pair") return open_terminal_pair();
  if (deed == "connect-abstract") return with_unix_socket(path, true, false);
  if (deed == "signal") return kill(path == "parent" ? getppid() : std::stoi(path), SIGURG);
  if (deed == "listen-without-bind") return listen_without_bind();
  errno = ENOSYS;
  return -1;
}

inline std::string result_of(const std::string& words) {
  const std::size_t first = words.find(':');
  const std::string deed = words.substr(0, first);
  const std::string rest = first == std::string::npos ? "" : words.substr(first + 1);
  const std::size_t second = rest.find(':');
  const std::string other = second == std::string::npos ? "" : rest.substr(second + 1);
  if (perform(deed, rest.substr(0, second), other) >= 0) return "ok";
  const char* const name = strerrorname_np(errno);
  return name == nullptr ? std::to_string(errno) : name;
}

}  // namespace writes
