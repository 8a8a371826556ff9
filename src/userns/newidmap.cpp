#include "userns/newidmap.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

#include "stepdown/error.h"
#include "sys/fd.h"
#include "sys/text.h"

namespace stepdown::userns {

namespace {

constexpr const char* step = "userns";
constexpr int not_executed = 127;
constexpr std::size_t longest_complaint = 500;

std::vector<std::string> words_of(const std::string& program, const std::string& pid,
                                  const std::vector<IdMapping>& map) {
  std::vector<std::string> words = {program, pid};
  for (const IdMapping& line : map)
    for (const std::uint32_t number : {line.inside, line.outside, line.length})
      words.push_back(std::to_string(number));
  return words;
}

// Nothing that allocates or throws: only execve(2) or _exit(2) lead out of here.
[[noreturn]] void execute(char* const* words, int output) {
  static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  static char locale[] = "LC_ALL=C";
  static char* const environment[] = {path, locale, nullptr};
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(output, STDOUT_FILENO) >= 0 && ::dup2(output, STDERR_FILENO) >= 0)
    ::execve(words[0], words, environment);
  const char* const why = std::strerror(errno);
  // A complaint that gets lost leaves the status, which says enough.
  static_cast<void>(!::write(output, why, std::strlen(why)));
  ::_exit(not_executed);
}

// All of it is read, so that the writer never waits; the beginning is kept.
std::string read_complaint(int fd) {
  std::string text;
  std::array<char, 512> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    text.resize(std::min(text.size(), longest_complaint));
  }
  while (text.ends_with('\n')) text.pop_back();
  return sys::escaped(text);
}

std::string hint_for(const std::string& program, bool executed) {
  if (!executed)
    return "install " + program +
           " (Debian: uidmap, Alpine: shadow-uidmap), or start with "
           "CAP_SETUID and CAP_SETGID";
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return "no_new_privs is set, which takes its privileges away: docker without "
           "--security-opt no-new-privileges";
  return "it grants what /etc/subuid and /etc/subgid list for the user, who needs an entry in "
         "/etc/passwd";
}

void run(const std::string& program, const std::string& pid, const std::vector<IdMapping>& map) {
  std::vector<std::string> words = words_of(program, pid, map);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(step, "pipe2(2)");
  const sys::Fd reader(ends[0]);
  sys::Fd writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw_errno(step, "fork(2)", program);
  if (child == 0) execute(arguments.data(), writer.get());
  // An end that stayed open here would let read_complaint wait for ever.
  if (::close(writer.release()) != 0) throw_errno(step, "close(2)");
  const std::string complaint = read_complaint(reader.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw_errno(step, "waitpid(2)", program);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;

  const bool executed = !WIFEXITED(status) || WEXITSTATUS(status) != not_executed;
  std::string cause = program + (executed ? " failed" : " can't be executed");
  if (WIFSIGNALED(status)) cause += ", killed by signal " + std::to_string(WTERMSIG(status));
  if (!complaint.empty()) cause += ": " + complaint;
  refuse(step, cause, hint_for(program, executed));
}

}  // namespace

void run_newidmap(const std::string& pid, const UserNamespace& wanted) {
  // Ignored, it would have the kernel reap the children, and their status would be lost.
  if (::signal(SIGCHLD, SIG_DFL) == SIG_ERR) throw_errno(step, "signal(2)");
  run("/usr/bin/newuidmap", pid, wanted.uid_map);
  run("/usr/bin/newgidmap", pid, wanted.gid_map);
}

}  // namespace stepdown::userns
