#include "seccomp/listener.h"

#include <linux/audit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr const char* step = "supervisor";

// linux/seccomp.h has these two since 6.6.
constexpr unsigned long set_flags = _IOW('!', 4, std::uint64_t);  // SECCOMP_IOCTL_NOTIF_SET_FLAGS
constexpr unsigned long sync_wake_up = 1;  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP

// The requests end early on a signal (EINTR) that then means nothing to them.
int request(int fd, unsigned long number, void* argument) {
  int result = 0;
  do result = ::ioctl(fd, number, argument);
  while (result < 0 && errno == EINTR);
  return result;
}

// Every process that had the filter has ended.
bool abandoned(int fd) {
  pollfd listener{fd, POLLIN, 0};
  return ::poll(&listener, 1, 0) > 0 && (listener.revents & POLLHUP) != 0;
}

}  // namespace

Listener::Listener(sys::Fd fd) : fd_(std::move(fd)) {
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes_) != 0)
    throw_errno(step, "seccomp(2), SECCOMP_GET_NOTIF_SIZES");
  call_ = std::make_unique<std::byte[]>(
      std::max<std::size_t>(sizes_.seccomp_notif, sizeof(seccomp_notif)));
  response_ = std::make_unique<std::byte[]>(
      std::max<std::size_t>(sizes_.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
  // An older kernel refuses, and is merely slower.
  ::ioctl(fd_.get(), set_flags, sync_wake_up);
}

std::optional<seccomp_notif> Listener::next() const {
  for (;;) {
    // The kernel refuses a structure that isn't zero (EINVAL).
    std::memset(call_.get(), 0, std::max<std::size_t>(sizes_.seccomp_notif, sizeof(seccomp_notif)));
    if (request(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, call_.get()) == 0) {
      seccomp_notif call;
      std::memcpy(&call, call_.get(), sizeof call);
      // int 0x80 from 64-bit code leaves whatever was in the upper halves of the registers.
      if ((call.data.arch & __AUDIT_ARCH_64BIT) == 0)
        for (__u64& argument : call.data.args) argument = static_cast<__u32>(argument);
      return call;
    }
    if (errno != ENOENT) throw_errno(step, "ioctl(2), SECCOMP_IOCTL_NOTIF_RECV");
    // Either the one that called was killed meanwhile, or there is nobody left to call.
    if (abandoned(fd_.get())) return std::nullopt;
  }
}

bool Listener::still_waits(const seccomp_notif& call) const {
  std::uint64_t id = call.id;
  if (request(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0) return true;
  if (errno != ENOENT) throw_errno(step, "ioctl(2), SECCOMP_IOCTL_NOTIF_ID_VALID");
  return false;
}

void Listener::answer(const seccomp_notif& call, std::int64_t value) const {
  send({.id = call.id, .val = value, .error = 0, .flags = 0});
}

void Listener::fail(const seccomp_notif& call, int error) const {
  send({.id = call.id, .val = 0, .error = -error, .flags = 0});
}

void Listener::let_through(const seccomp_notif& call) const {
  send({.id = call.id, .val = 0, .error = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

void Listener::send(const seccomp_notif_resp& response) const {
  std::memcpy(response_.get(), &response, sizeof response);
  if (request(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, response_.get()) != 0 && errno != ENOENT)
    throw_errno(step, "ioctl(2), SECCOMP_IOCTL_NOTIF_SEND");
}

}  // namespace stepdown::seccomp
