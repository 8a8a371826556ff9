#include "userns/helper.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "stepdown/error.h"

namespace stepdown::userns {

namespace {

constexpr const char* step = "userns";

// An answer is one datagram: the kind, then the text, or the fields of the Error, each with a NUL
// behind it.
constexpr char done = '.', failed = '!';
constexpr std::size_t longest_answer = 8192;

std::string packed(const ErrorDetails& details) {
  std::string text(1, failed);
  const auto add = [&text](std::string_view field) { (text += field) += '\0'; };
  add(details.step);
  add(details.syscall);
  add(std::to_string(details.number));
  add(details.cause);
  add(details.hint);
  for (const std::string& need : details.needs) add(need);
  return text;
}

ErrorDetails unpacked(std::string_view text) {
  const auto take = [&text] {
    const std::string_view field = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(field.size() + 1, text.size()));
    return std::string(field);
  };
  ErrorDetails details;
  details.step = take();
  details.syscall = take();
  const std::string number = take();
  std::from_chars(number.data(), number.data() + number.size(), details.number);
  details.cause = take();
  details.hint = take();
  while (!text.empty()) details.needs.push_back(take());
  return details;
}

ssize_t receive(int channel, char* into, std::size_t size) {
  for (;;) {
    const ssize_t got = ::recv(channel, into, size, 0);
    if (got >= 0 || errno != EINTR) return got;
  }
}

bool send(int channel, std::string_view text) {
  // One datagram goes out whole or not at all, and signals are no reason for the latter here: the
  // buffer is empty. A dead peer shall be an error, not SIGPIPE.
  text = text.substr(0, longest_answer);
  return ::send(channel, text.data(), text.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(text.size());
}

// noexcept: what gets through here would unwind into a copy of the caller; it ends the child.
[[noreturn]] void serve(int channel, const Helper::Work& work) noexcept {
  char word = 0;
  if (receive(channel, &word, 1) != 1) ::_exit(0);
  std::string answer;
  try {
    answer = done + work();
  } catch (const Error& error) {
    answer = packed(error.details());
  } catch (const std::exception& error) {
    ErrorDetails details;
    details.step = step;
    details.cause = error.what();
    answer = packed(details);
  }
  ::_exit(send(channel, answer) ? 0 : 1);
}

// Errors as of sigprocmask(2): a mask that is not what was asked for would reach the app.
sigset_t set_mask(int how, const sigset_t& mask) {
  sigset_t before;
  if (::sigprocmask(how, &mask, &before) != 0) throw_errno(step, "sigprocmask(2)");
  return before;
}

}  // namespace

Helper::Helper(const Work& work) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw_errno(step, "socketpair(2)");
  sys::Fd here(ends[0]);
  const sys::Fd there(ends[1]);
  sigset_t all;
  ::sigfillset(&all);
  const sigset_t callers = set_mask(SIG_BLOCK, all);
  pid_ = ::fork();
  if (pid_ == 0) {
    here.reset();
    serve(there.get(), work);
  }
  if (pid_ < 0)
    throw_errno(step, "fork(2)", {},
                "RLIMIT_NPROC (docker: --ulimit nproc) and the pids cgroup limit the processes");
  set_mask(SIG_SETMASK, callers);
  channel_ = std::move(here);
}

Helper::~Helper() {
  channel_.reset();
  if (pid_ > 0) wait_for_end();
}

bool Helper::wait_for_end() {
  // ECHILD: whoever started us ignores SIGCHLD, and the kernel has reaped it already.
  while (::waitpid(pid_, nullptr, 0) < 0)
    if (errno != EINTR) return errno == ECHILD;
  return true;
}

std::string Helper::answer() {
  std::array<char, longest_answer> buffer;
  ssize_t got = -1;
  if (send(channel_.get(), "g")) got = receive(channel_.get(), buffer.data(), buffer.size());
  if (got <= 0) refuse(step, "the helper that stays outside ended before its work was done");
  // It holds capabilities until it ends: the app must not run beside it.
  if (!wait_for_end()) throw_errno(step, "waitpid(2)");
  pid_ = -1;
  const std::string_view answer(buffer.data(), static_cast<std::size_t>(got));
  if (answer.front() == failed) throw Error(unpacked(answer.substr(1)));
  return std::string(answer.substr(1));
}

}  // namespace stepdown::userns
