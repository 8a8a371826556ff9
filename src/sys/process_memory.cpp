#include "sys/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "sys/files.h"

namespace stepdown::sys {

namespace {

// Both calls stop at the first page that isn't there. They fail with EIO when it is the very first,
// with EINVAL in the kernel's half of the addresses, and do 0 bytes when the process has ended.
bool all_of(ssize_t done, std::size_t wanted) {
  if (done >= 0 && static_cast<std::size_t>(done) == wanted) return true;
  errno = EFAULT;
  return false;
}

}  // namespace

ProcessMemory::ProcessMemory(pid_t tid)
    : fd_(open_procfs(("/proc/" + std::to_string(tid) + "/mem").c_str(), O_RDWR)) {}

bool ProcessMemory::read(std::uint64_t address, std::span<std::byte> into) const {
  return all_of(::pread64(fd_.get(), into.data(), into.size(), static_cast<off64_t>(address)),
                into.size());
}

bool ProcessMemory::write(std::uint64_t address, std::span<const std::byte> from) const {
  return all_of(::pwrite64(fd_.get(), from.data(), from.size(), static_cast<off64_t>(address)),
                from.size());
}

}  // namespace stepdown::sys
