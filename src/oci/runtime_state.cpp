#include "oci/runtime_state.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <vector>

#include "stepdown/error.h"
#include "sys/fd.h"
#include "sys/text.h"

namespace stepdown::oci {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* step = "runtime state";
constexpr auto longest_answer = std::chrono::seconds(10);
constexpr std::size_t longest_complaint = 4096;
constexpr int not_executed = 127;

// Ignored, it would have the kernel reap the child, whose status would be lost; and the real
// runtime gets the disposition as it came.
class OwnChildren {
 public:
  OwnChildren() {
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    if (::sigaction(SIGCHLD, &usual, &before_) != 0) throw_errno(step, "sigaction(2)");
  }
  ~OwnChildren() { restore(); }
  OwnChildren(const OwnChildren&) = delete;
  OwnChildren& operator=(const OwnChildren&) = delete;
  void restore() const { ::sigaction(SIGCHLD, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0)
      if (errno != EINTR) throw_errno(step, "waitpid(2)");
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};

struct Pipe {
  sys::Fd reader, writer;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(step, "pipe2(2)");
  return {sys::Fd(ends[0]), sys::Fd(ends[1])};
}

// What is on its way through a pipe: `most` bytes are kept.
struct Stream {
  sys::Fd reader;
  std::size_t most;
  std::string text = {};
  bool cut = false;
};

void read_some(Stream& stream) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(stream.reader.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) return stream.reader.reset();
  const std::size_t kept =
      std::min(static_cast<std::size_t>(got), stream.most - stream.text.size());
  stream.text.append(buffer.data(), kept);
  if (kept < static_cast<std::size_t>(got)) stream.cut = true;
}

// Both to their ends, so that the writer never waits.
void read_all(std::array<Stream, 2>& streams) {
  const Clock::time_point deadline = Clock::now() + longest_answer;
  while (streams[0].reader || streams[1].reader) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    // poll(2) passes over what is closed: its descriptor is -1.
    std::array<pollfd, 2> waiting{
        {{streams[0].reader.get(), POLLIN, 0}, {streams[1].reader.get(), POLLIN, 0}}};
    const int ready = left.count() <= 0
                          ? 0
                          : ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) throw_errno(step, "poll(2)");
    if (ready == 0)
      refuse(step, "the runtime gave no answer within " + std::to_string(longest_answer.count()) +
                       " seconds");
    for (std::size_t index = 0; index < streams.size() && ready > 0; ++index)
      if (waiting[index].revents != 0) read_some(streams[index]);
  }
}

// Nothing that allocates or throws: only execve(2) or _exit(2) lead out of here.
[[noreturn]] void execute(char* const* words, int output, int complaints,
                          const OwnChildren& own_children) {
  own_children.restore();
  if (::dup2(output, STDOUT_FILENO) >= 0 && ::dup2(complaints, STDERR_FILENO) >= 0)
    ::execve(words[0], words, environ);
  ::_exit(not_executed);
}

std::string complaint_of(const Stream& stream) {
  std::string text = stream.text;
  while (text.ends_with('\n')) text.pop_back();
  return sys::escaped(text, true);
}

std::string answer(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  Pipe output = make_pipe();
  Pipe complaints = make_pipe();
  const OwnChildren own_children;
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno(step, "fork(2)");
  if (pid == 0)
    execute(arguments.data(), output.writer.get(), complaints.writer.get(), own_children);
  Child child(pid);
  output.writer.reset();
  complaints.writer.reset();
  std::array<Stream, 2> streams{Stream{std::move(output.reader), limits.bytes},
                                Stream{std::move(complaints.reader), longest_complaint}};
  read_all(streams);
  const int status = child.wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string why = complaint_of(streams[1]);
    refuse(step, words.front() + " failed" + (why.empty() ? "" : ": " + why));
  }
  if (streams[0].cut) refuse(step, "an answer of more than 16 MiB");
  return std::move(streams[0].text);
}

}  // namespace

State ask_runtime(const std::string& runtime, const RuntimeWords& words, const std::string& id) {
  std::vector<std::string> question{runtime};
  question.insert(question.end(), words.words.begin(),
                  words.words.begin() + static_cast<std::ptrdiff_t>(words.command));
  question.insert(question.end(), {"state", id});
  State state = read_state(answer(std::move(question)));
  if (state.id != id)
    refuse(step,
           "the runtime speaks of " + json::shown(state.id) + " when asked for " + json::shown(id));
  return state;
}

}  // namespace stepdown::oci
