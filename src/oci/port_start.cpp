#include "oci/port_start.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "--unprivileged-ports";
constexpr const char* path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

std::optional<std::uint32_t> number_in(const sys::Fd& file) {
  std::array<char, 16> text{};
  const ssize_t length = ::pread(file.get(), text.data(), text.size(), 0);
  std::string_view word(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  if (word.ends_with('\n')) word.remove_suffix(1);
  return inspect::parse_decimal<std::uint32_t>(word);
}

}  // namespace

std::optional<std::uint32_t> own_port_start() {
  return number_in(sys::open_procfs(path));
}

std::optional<std::uint32_t> port_start_in(const std::string& network) {
  if (network.empty()) return own_port_start();
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const sys::Fd own(::open("/proc/self/ns/net", flags));
  const sys::Fd other(::open(network.c_str(), flags));
  if (!own || !other || ::setns(other.get(), CLONE_NEWNET) != 0) return std::nullopt;
  const std::optional<std::uint32_t> start = own_port_start();
  if (::setns(own.get(), CLONE_NEWNET) != 0) throw_errno("linux.namespaces", "setns(2)", "network");
  return start;
}

// What is below /proc/sys/net belongs to the network namespace of whoever opens it, and stays that
// one's.
PortStart::PortStart() : file_(sys::open_procfs(path, O_RDWR)) {
  if (!file_)
    throw_errno(step, "open(2)", path, "it needs procfs, IPv4, and CAP_NET_ADMIN over the network");
}

std::uint32_t PortStart::value() const {
  const auto number = number_in(file_);
  if (!number) refuse(step, std::string(path) + " has no number in it");
  return *number;
}

void PortStart::set(std::uint32_t first) const {
  // A pod's other containers may rely on a lower one.
  if (value() <= first) return;
  const std::string text = std::to_string(first);
  if (::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw_errno(
        step, "pwrite(2)", path,
        errno == EINVAL ? "it can't lie above the first of net.ipv4.ip_local_port_range" : "");
  if (value() != first) refuse(step, std::string(path) + " did not keep what was written to it");
}

}  // namespace stepdown::oci
