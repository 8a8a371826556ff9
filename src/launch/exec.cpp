#include "launch/exec.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "launch/access_step.h"
#include "launch/scout.h"
#include "launch/steps.h"
#include "plan/environment.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown {

namespace {

constexpr std::string_view usual_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// BINPRM_MAX_RECURSION and BINPRM_BUF_SIZE of the kernel (execve(2)).
constexpr int nested_interpreters = 4;
constexpr std::size_t first_line = 256;

std::vector<std::string> candidates(const std::string& name, std::optional<std::string_view> path,
                                    const std::string& directory) {
  if (name.empty()) return {};
  if (name.find('/') != std::string::npos) {
    if (name.front() == '/' || directory.empty()) return {name};
    return {directory + "/" + name};
  }
  std::vector<std::string> files;
  std::string_view rest = path.value_or(usual_path);
  for (;;) {
    const std::size_t colon = rest.find(':');
    const std::string_view entry = rest.substr(0, colon);
    std::string base = entry.empty() ? "." : std::string(entry);  // POSIX: empty is the current one
    if (base.front() != '/' && !directory.empty()) base = directory + "/" + base;
    files.push_back(base + "/" + name);
    if (colon == std::string_view::npos) return files;
    rest.remove_prefix(colon + 1);
  }
}

// The file's first page, which holds what the kernel looks at first; empty when it can't be read.
std::string first_page(const std::string& file) {
  // A "#!" line may name a device, and opening one can be a deed (/dev/watchdog).
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const sys::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  std::string bytes(4096, '\0');
  const ssize_t got = fd ? ::pread(fd.get(), bytes.data(), bytes.size(), 0) : 0;
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

// The word after "#!", or empty.
std::string script_interpreter(std::string_view page) {
  const std::string_view head = page.substr(0, first_line);
  if (!head.starts_with("#!")) return {};
  const std::size_t begin = head.find_first_not_of(" \t", 2);
  if (begin == std::string::npos || head[begin] == '\n') return {};
  return std::string(
      head.substr(begin, head.find_first_of(std::string_view(" \t\n\0", 4), begin) - begin));
}

template <typename Record>
std::optional<Record> record_at(std::string_view page, std::uint64_t offset) {
  if (offset > page.size() || page.size() - offset < sizeof(Record)) return std::nullopt;
  Record record;
  std::memcpy(&record, page.data() + offset, sizeof record);
  return record;
}

// PT_INTERP of a 64-bit ELF file: the dynamic loader, or empty (elf(5)). Linkers put the headers
// and the name into the first page; where they are elsewhere the kernel will have to find them.
std::string loader_of(std::string_view page) {
  const auto header = record_at<Elf64_Ehdr>(page, 0);
  if (!header || !page.starts_with(ELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64) return {};
  for (unsigned index = 0; index < header->e_phnum; ++index) {
    const auto program = record_at<Elf64_Phdr>(page, header->e_phoff + index * sizeof(Elf64_Phdr));
    if (!program) return {};
    if (program->p_type != PT_INTERP || program->p_offset >= page.size()) continue;
    const std::string_view name = page.substr(program->p_offset, program->p_filesz);
    return std::string(name.substr(0, name.find('\0')));
  }
  return {};
}

[[noreturn]] void fail(const std::string& file, int number, const std::string& cause,
                       const std::string& hint, int status) {
  ErrorDetails details;
  details.step = file;
  details.syscall = number == 0 ? "" : "execve(2)";
  details.number = number;
  details.cause = cause;
  details.hint = hint;
  details.status = status;
  throw Error(std::move(details));
}

[[noreturn]] void explain(const std::string& file, int number) {
  switch (number) {
    case ENOENT:
      fail(file, number,
           follow_interpreters(file, {}).missing.value_or("something it needs is missing"),
           "install it in the image; a #! line may end in a carriage return; a program may be "
           "linked statically",
           exit_status::not_executable);
    case EACCES:
      fail(file, number, "the app's user may not execute it",
           "it must be executable for that user (chmod 755), so must its interpreter, and not on a "
           "noexec mount",
           exit_status::not_executable);
    case ENOEXEC:
      fail(file, number, "neither a program for this machine nor a script with a #! line", {},
           exit_status::not_executable);
    case E2BIG:
      fail(file, number, "arguments and environment are too long", {}, exit_status::not_executable);
    case EPERM:
      fail(file, number,
           "it has file capabilities that are not in the bounding set, or an LSM refuses",
           "setcap -r " + file + ", or keep them with --keep-cap", exit_status::not_executable);
    default:
      fail(file, number, {}, {}, exit_status::not_executable);
  }
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  // execve(2) takes them as char* and leaves them alone.
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

// No such file, or a file where a directory should be: it says nothing about the command.
bool is_missing(int number) {
  return number == ENOENT || number == ENOTDIR;
}

// Everything that execve(2) is given, and what to do when it fails.
struct Execution {
  Execution(const std::vector<std::string>& command, Environment its_environment,
            steps::LastWords words)
      : name(command.front()),
        environment(std::move(its_environment)),
        files(candidates(name, variable(environment, "PATH"), {})),
        arguments(pointers(command)),
        variables(pointers(environment)),
        last_words(words) {}

  std::string name;
  Environment environment;
  std::vector<std::string> files;
  std::vector<char*> arguments, variables;
  steps::LastWords last_words;
  bool exists = true;  // as far as it was seen beforehand
};

// Made by prepare_exec.
std::unique_ptr<Execution> prepared;

// Neither memory nor the C++ runtime can be relied on below a policy that refuses what it is
// tried with.
[[noreturn]] void end_unexplained(const Execution& execution, int number) {
  if (execution.last_words == steps::LastWords::say) {
    std::array<char, 512> text{};
    const int length = std::snprintf(
        text.data(), text.size(), "stepdown: %s: execve(2): %s; the policy forbids to look why\n",
        execution.name.c_str(), ::strerrordesc_np(number));
    const auto size = std::min(static_cast<std::size_t>(std::max(length, 0)), text.size() - 1);
    // There is nobody to tell that nobody could be told.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), size);
  }
  ::_exit(execution.exists ? exit_status::not_executable : exit_status::not_found);
}

// execve(2). Error: 127 when there is no such command, 126 when there is and it can't be executed,
// with the interpreter or loader named that is missing.
[[noreturn]] void execute(const Execution& execution) {
  const std::string& name = execution.name;
  std::string refused;  // the first file that was there, but may not be executed
  int last = ENOENT;
  for (const std::string& file : execution.files) {
    ::execve(file.c_str(), execution.arguments.data(), execution.variables.data());
    const int number = errno;
    if (execution.last_words != steps::LastWords::explain) {
      if (!is_missing(number)) last = number;
      if (!is_missing(number) && number != EACCES) break;
      continue;
    }
    const bool exists = ::access(file.c_str(), F_OK) == 0;
    if (!exists && (is_missing(number) || number == EACCES)) {
      // With '/' in the name there was one place to look, and it could not be entered.
      if (number == EACCES && name.find('/') != std::string::npos)
        fail(file, number, "the app's user may not enter its directory", {},
             exit_status::not_executable);
      continue;
    }
    struct stat status {};
    if (number == EACCES && name.find('/') == std::string::npos) {
      if (refused.empty() && ::stat(file.c_str(), &status) == 0 && !S_ISDIR(status.st_mode))
        refused = file;
      continue;
    }
    explain(file, number);
  }
  if (execution.last_words != steps::LastWords::explain) end_unexplained(execution, last);
  if (!refused.empty()) explain(refused, EACCES);
  fail(name.empty() ? "\"\"" : name, 0, "command not found",
       name.find('/') == std::string::npos ? "it was looked for along PATH as the app's user" : "",
       exit_status::not_found);
}

}  // namespace

CommandLookup find_command(const std::string& name, std::optional<std::string_view> path,
                           const std::string& directory) {
  CommandLookup found;
  for (const std::string& file : candidates(name, path, directory)) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) {
      // Whatever else is the matter, it is not that there is no such file.
      if (errno == EACCES) found.hidden = true;
      if (!is_missing(errno) && errno != EACCES) found.exists = true;
      continue;
    }
    // Along PATH a directory of that name is no command.
    if (S_ISDIR(status.st_mode) && name.find('/') == std::string::npos) continue;
    found.exists = true;
    if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) continue;
    // Without CAP_DAC_OVERRIDE root can't tell for others; one executable bit must do.
    if (::geteuid() != 0 && ::access(file.c_str(), X_OK) != 0) continue;
    found.file = file;
    found.for_everybody = steps::is_open_to_all(file) && (status.st_mode & S_IXOTH) != 0 &&
                          ::access(file.c_str(), X_OK) == 0;
    return found;
  }
  return found;
}

LoadedProgram follow_interpreters(const std::string& file, const std::string& directory) {
  LoadedProgram program{file, std::nullopt};
  const auto require = [&program](const char* what, const std::string& needed) {
    if (::access(needed.c_str(), F_OK) != 0 && is_missing(errno))
      program.missing = std::string(what) + needed + " does not exist";
  };
  for (int level = 0; level <= nested_interpreters && !program.missing; ++level) {
    const std::string page = first_page(program.file);
    const std::string interpreter = script_interpreter(page);
    if (interpreter.empty()) {
      const std::string loader = loader_of(page);
      if (!loader.empty()) require("its dynamic loader ", loader);
      break;
    }
    // A relative one is looked up where the app will be started (execve(2)).
    program.file = interpreter.front() == '/' || directory.empty() ? interpreter
                                                                   : directory + "/" + interpreter;
    require("its interpreter ", program.file);
  }
  return program;
}

namespace steps {

namespace {

// What the app's user finds: it may also be another file of that name further down in PATH.
CommandLookup find_as_user(const Plan& plan) {
  const std::vector<std::string> answer = scout(plan, [&plan] {
    const CommandLookup found =
        find_command(plan.command.front(), variable(plan.environment, "PATH"),
                     plan.directory.value_or(std::string()));
    return std::vector<std::string>{found.file.value_or(""), found.exists ? "exists" : ""};
  });
  CommandLookup found;
  if (!answer.at(0).empty()) found.file = answer[0];
  found.exists = !answer.at(1).empty() || plan.command.front().find('/') != std::string::npos;
  return found;
}

// --own hands the file over before it is executed; a noexec mount refuses it all the same.
bool opened_by_owning(const Plan& plan, const std::string& file) {
  struct stat status {};
  return is_owned(plan, file) && ::stat(file.c_str(), &status) == 0 &&
         (status.st_mode & S_IXUSR) != 0 && ::access(file.c_str(), X_OK) == 0;
}

}  // namespace

void examine_exec(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  const std::string& name = plan.command.front();
  StepFinding finding{.name = "exec", .detail = "become " + name, .syscall = "execve(2)"};
  const CommandLookup& found = launch.command;
  if (found.file && *found.file != name) finding.detail += " (" + *found.file + ")";
  if (!plan.command_refusal.empty()) {
    finding.state = StepState::blocked;
    finding.reason = plan.command_refusal;
  } else if (!found.file && !found.hidden) {
    finding.state = StepState::blocked;
    finding.reason = name + (found.exists ? ": not executable (a directory, or chmod 755 it)"
                                          : ": command not found");
    finding.status = found.exists ? exit_status::not_executable : exit_status::not_found;
  } else if (found.missing) {
    finding.state = StepState::blocked;
    finding.reason = *found.file + ": " + *found.missing;
    finding.status = exit_status::not_executable;
  } else if (found.file && !found.for_everybody && !opened_by_owning(plan, *found.file) &&
             can_scout(plan, launch.caller)) {
    const CommandLookup users = find_as_user(plan);
    if (users.file) {
      finding.detail = "become " + name + " (" + *users.file + ")";
    } else {
      finding.state = StepState::blocked;
      finding.reason = *found.file +
                       ": the app's user may not execute it; it and the directories above must be "
                       "open to that user (chmod 755), and not on a noexec mount";
      finding.status = users.exists ? exit_status::not_executable : exit_status::not_found;
    }
  }
  findings.push_back(std::move(finding));
}

void prepare_exec(const Launch& launch, LastWords last_words) {
  Environment environment = launch.plan.environment;
  // A supervisor has stayed under the number that was named (sd_listen_fds(3)).
  if (!launch.caller.listen_fds.empty())
    set_variable(environment, "LISTEN_PID", std::to_string(::getpid()));
  prepared = std::make_unique<Execution>(launch.plan.command, std::move(environment), last_words);
  prepared->exists = launch.command.exists || launch.command.hidden;
}

void apply_exec(const Launch& launch) {
  if (!prepared) prepare_exec(launch, LastWords::explain);
  execute(*prepared);
}

}  // namespace steps

}  // namespace stepdown
