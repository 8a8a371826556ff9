#include "launch/scout.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "capability/apply.h"
#include "launch/identity_calls.h"
#include "stepdown/error.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace stepdown::steps {

namespace {

constexpr const char* step = "scout";

// Every answer ends with a NUL; the last byte says whether the child got through.
constexpr char answered = '.';
constexpr char failed = '!';

[[noreturn]] void child(const Plan& plan, int answers,
                        const std::function<std::vector<std::string>()>& look) {
  std::string text;
  try {
    const Credentials me = own_credentials();
    // What is kept inside a user namespace counts there alone.
    const CapabilitySet keep =
        plan.user_namespace ? CapabilitySet() : plan.keep & me.capabilities.permitted;
    if (!keep.empty()) capability::keep_over_setuid(true);
    become(plan.identity, me);
    capability::set_process(keep, keep, {});
    for (const std::string& line : look()) text += line + '\0';
    text += answered;
  } catch (const std::exception& error) {
    text = std::string(error.what()) + failed;
  }
  ::_exit(sys::write_all(answers, text) ? 0 : 1);
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t length = ::read(fd, buffer, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) throw_errno(step, "read(2)");
    if (length == 0) return text;
    text.append(buffer, static_cast<std::size_t>(length));
  }
}

}  // namespace

bool can_scout(const Plan& plan, const Caller& caller) {
  const CapabilitySet held = caller.credentials.capabilities.effective;
  return plan.keeps_caller || held.contains({Capability::setuid, Capability::setgid}) ||
         (caller.credentials.uid.all_are(plan.identity.uid) &&
          caller.credentials.gid.all_are(plan.identity.gid) &&
          same_groups(caller.credentials.groups, plan.identity.groups, plan.identity.gid));
}

std::vector<std::string> scout(const Plan& plan,
                               const std::function<std::vector<std::string>()>& look) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno(step, "pipe2(2)");
  sys::Fd reader(ends[0]);
  sys::Fd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno(step, "fork(2)");
  if (pid == 0) child(plan, writer.get(), look);
  // An end that stayed open here would let read_all wait for ever.
  if (::close(writer.release()) != 0) throw_errno(step, "close(2)");
  std::string text = read_all(reader.get());
  int status = 0;
  // ECHILD: whoever started us ignores SIGCHLD, and the kernel has reaped it already.
  while (::waitpid(pid, &status, 0) < 0 && errno != ECHILD)
    if (errno != EINTR) throw_errno(step, "waitpid(2)");
  if (text.empty() || text.back() != answered) {
    if (!text.empty()) text.pop_back();
    refuse(step, "the app's user could not be tried out" + (text.empty() ? text : ": " + text));
  }
  text.pop_back();
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    if (end == std::string::npos) refuse(step, "the answer of the app's user broke off");
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace stepdown::steps
