#include "oci/port_start.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "--unprivileged-ports";
constexpr const char* path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

}  // namespace

// What is below /proc/sys/net belongs to the network namespace of whoever opens it, and stays that
// one's.
PortStart::PortStart() : file_(sys::open_procfs(path, O_RDWR)) {
  if (!file_)
    throw_errno(step, "open(2)", path, "it needs procfs, IPv4, and CAP_NET_ADMIN over the network");
}

std::uint32_t PortStart::value() const {
  std::array<char, 16> text{};
  const ssize_t length = ::pread(file_.get(), text.data(), text.size(), 0);
  if (length < 0) throw_errno(step, "pread(2)", path);
  std::string_view word(text.data(), static_cast<std::size_t>(length));
  if (word.ends_with('\n')) word.remove_suffix(1);
  const auto number = inspect::parse_decimal<std::uint32_t>(word);
  if (!number) refuse(step, std::string(path) + " has no number in it");
  return *number;
}

void PortStart::set(std::uint32_t first) const {
  if (value() == first) return;
  const std::string text = std::to_string(first);
  if (::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw_errno(
        step, "pwrite(2)", path,
        errno == EINVAL ? "it can't lie above the first of net.ipv4.ip_local_port_range" : "");
  if (value() != first) refuse(step, std::string(path) + " did not keep what was written to it");
}

}  // namespace stepdown::oci
