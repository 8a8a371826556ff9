// Memory of a forked child, read and written by this process.
#include "sys/process_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <system_error>

namespace stepdown::sys {
namespace {

constexpr std::size_t page = 4096;

// For calls that return -1 and set errno.
int checked(long result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return static_cast<int>(result);
}

// Two pages at the same address here and in the child, behind which nothing is mapped.
class Pages {
 public:
  Pages() {
    if (start_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    checked(munmap(start_ + 2 * page, page), "munmap");
  }
  ~Pages() { munmap(start_, 2 * page); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  [[nodiscard]] char* start() const { return start_; }
  [[nodiscard]] std::uint64_t address(std::size_t offset = 0) const {
    return reinterpret_cast<std::uint64_t>(start_) + offset;
  }

 private:
  char* start_ = static_cast<char*>(
      mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
};

// A child that ends, with the status of `at_the_end`, when it is told to.
class Child {
 public:
  explicit Child(const std::function<int()>& at_the_end = [] { return 0; }) {
    std::array<int, 2> ends{};
    checked(pipe2(ends.data(), O_CLOEXEC), "pipe2");
    pid_ = checked(fork(), "fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL);
      close(ends[1]);
      char byte = 0;
      _exit(read(ends[0], &byte, 1) == 0 ? at_the_end() : 1);
    }
    close(ends[0]);
    go_ = Fd(ends[1]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ != 0) ended();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Lets it end, and waits for that; its status.
  int ended() {
    go_.reset();
    int status = 0;
    checked(waitpid(pid_, &status, 0), "waitpid");
    pid_ = 0;
    return status;
  }

 private:
  Fd go_;
  pid_t pid_ = 0;
};

std::string read_text(const ProcessMemory& memory, std::uint64_t address, std::size_t length) {
  std::string text(length, '\0');
  if (!memory.read(address, std::as_writable_bytes(std::span(text)))) return strerrorname_np(errno);
  return text;
}

std::string write_text(const ProcessMemory& memory, std::uint64_t address,
                       const std::string& text) {
  errno = 0;
  return memory.write(address, std::as_bytes(std::span(text))) ? "ok" : strerrorname_np(errno);
}

TEST(ProcessMemory, IsReadAsTheProcessHasIt) {
  const Pages pages;
  std::strcpy(pages.start(), "the child's");
  const Child child;
  std::strcpy(pages.start(), "somebody's.");
  EXPECT_EQ(read_text(ProcessMemory(child.pid()), pages.address(), 11), "the child's");
}

TEST(ProcessMemory, IsWrittenForTheProcessToSee) {
  const Pages pages;
  Child child([&] { return std::strcmp(pages.start() + page - 4, "from outside") == 0 ? 0 : 2; });
  // Over the border of two pages.
  EXPECT_EQ(write_text(ProcessMemory(child.pid()), pages.address(page - 4),
                       std::string("from outside\0", 13)),
            "ok");
  EXPECT_EQ(*pages.start(), '\0');
  EXPECT_EQ(child.ended(), 0);
}

TEST(ProcessMemory, IsAFailureWhereAPartIsNotMapped) {
  const Pages pages;
  const Child child;
  const ProcessMemory memory(child.pid());
  EXPECT_EQ(read_text(memory, pages.address(2 * page - 4), 4), std::string(4, '\0'));
  EXPECT_EQ(read_text(memory, pages.address(2 * page - 4), 5), "EFAULT");
  EXPECT_EQ(write_text(memory, pages.address(2 * page - 4), "1234"), "ok");
  EXPECT_EQ(write_text(memory, pages.address(2 * page - 4), "12345"), "EFAULT");
}

TEST(ProcessMemory, EndsWhereNothingIsMappedAtAll) {
  const Pages pages;
  const Child child;
  const ProcessMemory memory(child.pid());
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{8}, pages.address(2 * page), std::uint64_t{1} << 47U,
        std::uint64_t{1} << 63U, std::uint64_t{0xffff'ffff'ff60'0000},
        std::numeric_limits<std::uint64_t>::max()}) {
    EXPECT_EQ(read_text(memory, address, 4), "EFAULT") << std::hex << address;
    EXPECT_EQ(write_text(memory, address, "1234"), "EFAULT") << std::hex << address;
  }
}

TEST(ProcessMemory, OfOneThatHasEndedIsNothing) {
  const Pages pages;
  Child child;
  const ProcessMemory memory(child.pid());
  EXPECT_TRUE(memory);
  child.ended();
  EXPECT_EQ(read_text(memory, pages.address(), 4), "EFAULT");
  EXPECT_EQ(write_text(memory, pages.address(), "1234"), "EFAULT");
}

TEST(ProcessMemory, OfOneThatHadEndedBeforeIsNotToBeHad) {
  Child child;
  const pid_t pid = child.pid();
  child.ended();
  const ProcessMemory memory(pid);
  const int error = errno;
  EXPECT_FALSE(memory);
  EXPECT_EQ(error, ENOENT);
}

// What `look` says, as an exit status, in a child that may change its surroundings and ids.
int apart(const std::function<int()>& look) {
  const pid_t pid = checked(fork(), "fork");
  if (pid == 0) {
    try {
      _exit(look());
    } catch (const std::exception& error) {
      dprintf(STDERR_FILENO, "%s\n", error.what());
      _exit(255);
    }
  }
  int status = 0;
  checked(waitpid(pid, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

TEST(ProcessMemory, OfAStrangerIsNotToBeHad) {
  const Child child;
  EXPECT_EQ(apart([&] {
              checked(setresuid(1001, 1001, 1001), "setresuid");
              return ProcessMemory(child.pid()) ? 0 : errno;
            }),
            EACCES);
}

TEST(ProcessMemory, IsNotAFileThatSomebodyPutWhereProcBelongs) {
  EXPECT_EQ(apart([] {
              checked(unshare(CLONE_NEWNS), "unshare");
              checked(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount");
              checked(mount("none", "/proc", "tmpfs", 0, nullptr), "mount");
              checked(mkdir("/proc/1", 0755), "mkdir");
              std::ofstream("/proc/1/mem") << "what somebody wrote";
              return ProcessMemory(1) ? 0 : errno;
            }),
            ENOENT);
}

TEST(ProcessMemory, IsClosedAtExecve) {
  // The lowest number that is free is the one it gets.
  const int number = checked(dup(STDIN_FILENO), "dup");
  close(number);
  const ProcessMemory memory(getpid());
  EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace stepdown::sys
