// Going into real user namespaces: what userns::enter leaves behind, and how it fails. Every state
// is made, and entered from, by a child of the test; mounts are made in mount namespaces of theirs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "stepdown/error.h"
#include "sys/fd.h"
#include "userns/enter.h"

namespace stepdown {
namespace {

using sys::Fd;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using Action = std::function<void()>;
using Tale = std::function<std::string()>;

constexpr uid_t target_uid = 4321;
constexpr gid_t target_gid = 4322;

// --- children ---

void must(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

// Reads until nobody is left who could write; a process that stays behind is an error.
std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 30'000) == 0) return text + " (and somebody hangs)";
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

// What `tale` returns when a child of this process does it.
std::string told_by_child(const Tale& tale) {
  std::array<int, 2> ends{};
  must(pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  const Fd out(ends[0]);
  Fd in(ends[1]);
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    alarm(20);
    std::string text;
    try {
      text = tale();
    } catch (const std::exception& error) {
      text = std::string("threw ") + error.what();
    }
    const bool told =
        write(in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(told ? 0 : 1);
  }
  in.reset();
  std::string text = read_to_end(out.get());
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  if (status != 0) text += " (status " + std::to_string(status) + ")";
  return text;
}

// --- files ---

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  must(file.good(), path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  must(file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
       path);
}

std::string without_padding(const std::string& text) {
  std::string words;
  for (const char character : text)
    if (character != ' ' || (!words.empty() && words.back() != ' ' && words.back() != '\n'))
      words += character;
  return words;
}

std::string own_map(const char* name) {
  return without_padding(text_of(std::string("/proc/self/") + name));
}

// --- states to enter from ---

constexpr std::uint64_t bit(unsigned capability) {
  return std::uint64_t{1} << capability;
}
constexpr std::uint64_t helpers = bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_DAC_OVERRIDE);

void set_capabilities(std::uint64_t held) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = static_cast<std::uint32_t>(held);
  const auto high = static_cast<std::uint32_t>(held >> 32);
  const std::array<__user_cap_data_struct, 2> data = {{{low, low, 0}, {high, high, 0}}};
  must(syscall(SYS_capset, &header, data.data()) == 0, "capset");
}

std::string capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  must(syscall(SYS_capget, &header, data.data()) == 0, "capget");
  const auto set = [](std::uint32_t low, std::uint32_t high) {
    return std::to_string(std::uint64_t{low} | std::uint64_t{high} << 32);
  };
  return set(data[0].permitted, data[1].permitted) + " " +
         set(data[0].effective, data[1].effective) + " " +
         set(data[0].inheritable, data[1].inheritable);
}

std::string every_capability() {
  const std::string all = std::to_string(
      bit(1 + static_cast<unsigned>(std::stoul(text_of("/proc/sys/kernel/cap_last_cap")))) - 1);
  return all + " " + all + " 0";
}

// As the launch does it before the step "userns".
void become_target(std::uint64_t held = helpers) {
  must(setgroups(0, nullptr) == 0, "setgroups");
  must(setresgid(target_gid, target_gid, target_gid) == 0, "setresgid");
  must(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_KEEPCAPS");
  must(setresuid(target_uid, target_uid, target_uid) == 0, "setresuid");
  set_capabilities(held);
}

void own_mounts() {
  must(unshare(CLONE_NEWNS) == 0, "unshare");
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount --make-rprivate");
}

// An empty directory that all may enter, beneath /tmp, in this process's own mount namespace.
std::string scratch() {
  own_mounts();
  must(mount("scratch", "/tmp", "tmpfs", 0, "mode=0755") == 0, "mount /tmp");
  return "/tmp";
}

void bind_mount(const std::string& from, const std::string& to) {
  must(mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind " + to);
}

void ignore_children() {
  must(signal(SIGCHLD, SIG_IGN) != SIG_ERR, "signal");
}

// A filter for `call`, and only with this value of argument number `index`.
void filter_call(long call, unsigned index, std::uint32_t value, std::uint32_t answer) {
  const auto argument =
      static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
  std::array<sock_filter, 6> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "PR_SET_SECCOMP");
}

// What Docker's default filter does.
void refuse_unshare() {
  for (const std::uint32_t flags : {0U, static_cast<std::uint32_t>(CLONE_NEWUSER)})
    filter_call(SYS_unshare, 0, flags, SECCOMP_RET_ERRNO | EPERM);
}

// This process becomes uid 0 of a user namespace as userns-remap makes it.
void enter_outer_namespace() {
  const std::string process = "/proc/" + std::to_string(getpid());
  std::array<int, 2> ends{};
  must(pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  const Fd out(ends[0]);
  const Fd in(ends[1]);
  const pid_t outside = fork();
  if (outside == 0) {
    char byte = 0;
    if (read(out.get(), &byte, 1) != 1) _exit(1);
    write_text(process + "/uid_map", "0 100000 65536");
    write_text(process + "/gid_map", "0 100000 65536");
    _exit(0);
  }
  must(unshare(CLONE_NEWUSER) == 0, "unshare");
  must(write(in.get(), "x", 1) == 1, "write");
  int status = 1;
  must(waitpid(outside, &status, 0) == outside && status == 0, "maps");
  must(setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0, "become root");
}

// --- what is asked for ---

using Map = std::vector<IdMapping>;

UserNamespace with_maps(const Map& uids, const Map& gids, MapWriter writer = MapWriter::helper) {
  UserNamespace wanted;
  wanted.uid_map = uids;
  wanted.gid_map = gids;
  wanted.writer = writer;
  return wanted;
}

UserNamespace root_inside(MapWriter writer = MapWriter::helper) {
  return with_maps({{0, target_uid, 1}}, {{0, target_gid, 1}}, writer);
}

UserNamespace with_ranges(MapWriter writer = MapWriter::helper) {
  return with_maps({{0, target_uid, 1}, {1, 200000, 1000}}, {{0, target_gid, 1}, {1, 300000, 1000}},
                   writer);
}

// "entered", or why not.
std::string try_to_enter(const UserNamespace& wanted) {
  try {
    userns::enter(wanted);
  } catch (const Error& error) {
    EXPECT_EQ(error.details().step, "userns");
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "entered";
}

// What the target has to tell after it entered.
std::string told_inside(const UserNamespace& wanted, const Tale& tale) {
  return told_by_child([&] {
    become_target();
    userns::enter(wanted);
    return tale();
  });
}

// How it went for the target, after `before` as root.
std::string target_entering(
    const UserNamespace& wanted, const Action& before = [] {}, std::uint64_t held = helpers) {
  return told_by_child([&] {
    before();
    become_target(held);
    return try_to_enter(wanted);
  });
}

// --- inside ---

TEST(Entering, MakesTheTargetRootInside) {
  EXPECT_EQ(told_inside(root_inside(),
                        [] {
                          uid_t real = 1, effective = 1, saved = 1;
                          gid_t group = 1, effective_group = 1, saved_group = 1;
                          getresuid(&real, &effective, &saved);
                          getresgid(&group, &effective_group, &saved_group);
                          return std::to_string(real + effective + saved) + " " +
                                 std::to_string(group + effective_group + saved_group) + "\n" +
                                 own_map("uid_map") + own_map("gid_map");
                        }),
            "0 0\n0 4321 1\n0 4322 1\n");
}

TEST(Entering, KeepsTheTargetsOwnNumbers) {
  EXPECT_EQ(told_inside(with_maps({{target_uid, target_uid, 1}}, {{target_gid, target_gid, 1}}),
                        [] { return std::to_string(getuid()) + " " + std::to_string(getgid()); }),
            "4321 4322");
}

TEST(Entering, MapsSeveralRanges) {
  EXPECT_EQ(told_inside(with_ranges(),
                        [] {
                          must(setgroups(0, nullptr) == 0, "setgroups");
                          must(setresgid(33, 33, 33) == 0, "setresgid");
                          must(setresuid(34, 34, 34) == 0, "setresuid");
                          return own_map("uid_map") + own_map("gid_map");
                        }),
            "0 4321 1\n1 200000 1000\n0 4322 1\n1 300000 1000\n");
}

// It could be looked into by others of its uid for a moment, and has what was root's. Here it is
// undumpable from its setresuid(2) on, and whatever it says about that changes nothing.
TEST(Entering, WithAHelperNeverNeedsToBeDumpable) {
  EXPECT_EQ(
      target_entering(root_inside(),
                      [] { filter_call(SYS_prctl, 0, PR_SET_DUMPABLE, SECCOMP_RET_ERRNO | 0); }),
      "entered");
}

TEST(Entering, MapsRootOutsideWithSetfcap) {
  const UserNamespace wanted = with_maps({{0, target_uid, 1}, {1, 0, 1}}, {{0, target_gid, 1}});
  EXPECT_EQ(target_entering(
                wanted, [] {}, helpers | bit(CAP_SETFCAP)),
            "entered");
  EXPECT_THAT(target_entering(wanted), AllOf(HasSubstr("uid_map"), HasSubstr("SETFCAP")));
}

TEST(Entering, TakesAsManyLinesAsTheKernelDoes) {
  UserNamespace wanted = root_inside();
  for (std::uint32_t i = 1; i < 340; ++i) {
    wanted.uid_map.push_back({2 * i, 2 * i, 1});
    wanted.gid_map.push_back({1000 - 2 * i, 1000 - 2 * i, 1});
  }
  check_id_map("--uid-map", wanted.uid_map);
  EXPECT_EQ(target_entering(wanted), "entered");
}

TEST(Entering, TakesAsLongAMapAsCheckIdMapDoes) {
  UserNamespace wanted = with_maps({{0, target_uid, 1}}, {{0, target_gid, 1}});
  const std::uint32_t billion = 1000000000;
  for (std::uint32_t i = 0; id_map_text(wanted.uid_map).size() < 4095 - 24; ++i)
    wanted.uid_map.push_back({billion + 2 * i, 2 * billion + 2 * i, 1});
  for (std::uint32_t length = 1; id_map_text(wanted.uid_map).size() < 4095; length *= 10)
    wanted.uid_map.back().length = length;
  ASSERT_EQ(id_map_text(wanted.uid_map).size(), 4095U);
  check_id_map("--uid-map", wanted.uid_map);
  EXPECT_EQ(target_entering(wanted), "entered");
}

TEST(Entering, KeepsThePid) {
  EXPECT_EQ(told_by_child([] {
              become_target();
              const pid_t before = getpid();
              userns::enter(root_inside());
              return std::string(getpid() == before ? "kept" : "another");
            }),
            "kept");
}

TEST(Entering, GivesEveryCapabilityInside) {
  EXPECT_EQ(told_inside(root_inside(), capabilities), every_capability());
}

TEST(Entering, LeavesNothingOutside) {
  EXPECT_EQ(told_by_child([] {
              const Fd parent(open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
              const std::string directory = scratch();
              write_text(directory + "/roots", "x");
              must(chmod((directory + "/roots").c_str(), 0600) == 0, "chmod");
              become_target();
              userns::enter(with_ranges());
              std::string powers;
              const auto attempt = [&powers](const char* what, int result) {
                if (result >= 0) powers += std::string(what) + " ";
              };
              attempt("chown", chown("/tmp/roots", 0, 0));
              attempt("open", open("/tmp/roots", O_RDONLY | O_CLOEXEC));
              attempt("create", open("/tmp/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
              attempt("sethostname", sethostname("x", 1));
              attempt("return", setns(parent.get(), CLONE_NEWUSER));
              attempt("kill", kill(getppid(), 0));
              attempt("be unmapped", setresuid(5000, 5000, 5000));
              attempt("mount", mount("x", "/tmp", "tmpfs", 0, nullptr));
              return "powers: " + powers;
            }),
            "powers: ");
}

TEST(Entering, MakesTheTargetTheOwnerOfTheNamespace) {
  EXPECT_EQ(told_by_child([] {
              std::array<int, 2> ends{};
              must(pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
              const pid_t child = fork();
              if (child == 0) {
                become_target();
                userns::enter(with_ranges());
                must(write(ends[1], "x", 1) == 1, "write");
                pause();
              }
              char byte = 0;
              must(read(ends[0], &byte, 1) == 1, "read");
              const std::string process = "/proc/" + std::to_string(child);
              const Fd space(open((process + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
              uid_t owner = 0;
              must(ioctl(space.get(), NS_GET_OWNER_UID, &owner) == 0, "NS_GET_OWNER_UID");
              kill(child, SIGKILL);
              waitpid(child, nullptr, 0);
              return std::to_string(owner);
            }),
            "4321");
}

TEST(Entering, EndsUndumpable) {
  for (const bool before : {false, true}) {
    for (const MapWriter writer : {MapWriter::helper, MapWriter::self}) {
      EXPECT_EQ(told_by_child([before, writer] {
                  become_target();
                  must(prctl(PR_SET_DUMPABLE, before ? 1UL : 0UL, 0UL, 0UL, 0UL) == 0, "dumpable");
                  userns::enter(root_inside(writer));
                  return std::to_string(prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL));
                }),
                "0");
    }
  }
}

// The owner of the files that proc(5) shows of the only child: root's while it is undumpable.
uid_t owner_of_the_childs_files() {
  const std::string id = std::to_string(getpid());
  pid_t child = 0;
  std::ifstream("/proc/" + id + "/task/" + id + "/children") >> child;
  struct stat status {};
  must(stat(("/proc/" + std::to_string(child) + "/environ").c_str(), &status) == 0, "stat");
  return status.st_uid;
}

uid_t seen_at_unshare = target_uid;

TEST(Entering, LetsNobodyLookIntoTheHelper) {
  EXPECT_EQ(
      told_by_child([] {
        must(signal(SIGSYS, [](int) { seen_at_unshare = owner_of_the_childs_files(); }) != SIG_ERR,
             "signal");
        filter_call(SYS_unshare, 0, CLONE_NEWUSER, SECCOMP_RET_TRAP);
        become_target();
        must(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL) == 0, "PR_SET_DUMPABLE");
        try_to_enter(root_inside());
        return std::to_string(seen_at_unshare);
      }),
      "0");
}

std::string open_descriptors() {
  std::string numbers;
  for (int fd = 0; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) numbers += std::to_string(fd) + " ";
  return numbers;
}

std::string children_left() {
  if (waitpid(-1, nullptr, WNOHANG) >= 0) return "a child is left";
  return errno == ECHILD ? "none" : std::strerror(errno);
}

TEST(Entering, LeavesNoDescriptorAndNoChild) {
  for (const MapWriter writer : {MapWriter::helper, MapWriter::self}) {
    EXPECT_EQ(told_by_child([writer] {
                become_target();
                const std::string before = open_descriptors();
                userns::enter(root_inside(writer));
                if (open_descriptors() != before) return "left " + open_descriptors();
                return children_left();
              }),
              "none");
  }
}

TEST(Entering, LeavesNoDescriptorAndNoChildWhenItFails) {
  EXPECT_EQ(told_by_child([] {
              become_target(0);
              const std::string before = open_descriptors();
              if (try_to_enter(with_ranges()) == "entered") return std::string("entered");
              if (open_descriptors() != before) return "left " + open_descriptors();
              return children_left();
            }),
            "none");
}

TEST(Entering, LeavesSignalsAsTheyWere) {
  EXPECT_EQ(told_by_child([] {
              sigset_t blocked;
              sigemptyset(&blocked);
              sigaddset(&blocked, SIGUSR1);
              sigprocmask(SIG_SETMASK, &blocked, nullptr);
              ignore_children();
              become_target();
              userns::enter(root_inside());
              sigset_t now;
              sigprocmask(SIG_SETMASK, nullptr, &now);
              std::string members;
              for (int number = 1; number < 32; ++number)
                if (sigismember(&now, number) == 1) members += std::to_string(number) + " ";
              struct sigaction action {};
              sigaction(SIGCHLD, nullptr, &action);
              return members + (action.sa_handler == SIG_IGN ? "ignored" : "changed");
            }),
            std::to_string(SIGUSR1) + " ignored");
}

TEST(Entering, WorksWhereSigchldIsIgnored) {
  EXPECT_EQ(target_entering(with_ranges(), ignore_children), "entered");
}

TEST(Entering, WorksAsPid1OfAPidNamespace) {
  for (const bool own_proc : {true, false}) {
    EXPECT_EQ(told_by_child([own_proc] {
                own_mounts();
                must(unshare(CLONE_NEWPID) == 0, "unshare");
                return told_by_child([own_proc] {
                  if (own_proc)
                    must(mount("proc", "/proc", "proc", 0, nullptr) == 0, "mount /proc");
                  become_target();
                  userns::enter(with_ranges());
                  return std::to_string(getpid()) + " " + own_map("uid_map");
                });
              }),
              "1 0 4321 1\n1 200000 1000\n");
  }
}

// There the launcher's files are hidden from everybody of its uid, since it isn't dumpable.
TEST(Entering, FailsWhereProcHidesOthersProcesses) {
  EXPECT_THAT(told_by_child([] {
                own_mounts();
                must(unshare(CLONE_NEWPID) == 0, "unshare");
                return told_by_child([] {
                  must(mount("proc", "/proc", "proc", 0, "hidepid=2") == 0, "mount /proc");
                  become_target();
                  return try_to_enter(with_ranges());
                });
              }),
              HasSubstr("hidepid"));
}

// --- failures ---

TEST(Entering, FailsWhenTheHelperLacksACapability) {
  EXPECT_THAT(target_entering(
                  with_ranges(), [] {}, bit(CAP_DAC_OVERRIDE)),
              AllOf(StartsWith("userns: /proc/self/uid_map: write(2): Operation not permitted"),
                    HasSubstr("(needs SETUID)")));
  EXPECT_THAT(target_entering(
                  with_ranges(), [] {}, bit(CAP_SETUID) | bit(CAP_DAC_OVERRIDE)),
              AllOf(StartsWith("userns: /proc/self/gid_map: write(2): Operation not permitted"),
                    HasSubstr("(needs SETGID)")));
}

TEST(Entering, FailsForAMapThatTheKernelRefuses) {
  EXPECT_THAT(
      target_entering(with_maps({{0, target_uid, 1}, {0, 200000, 1}}, {{0, target_gid, 1}})),
      StartsWith("userns: /proc/self/uid_map: write(2): Invalid argument"));
}

TEST(Entering, FailsWhenNoHelperCanBeForked) {
  for (const MapWriter writer : {MapWriter::helper, MapWriter::newidmap}) {
    EXPECT_THAT(target_entering(with_ranges(writer),
                                [] {
                                  const rlimit none{0, 0};
                                  must(setrlimit(RLIMIT_NPROC, &none) == 0, "setrlimit");
                                }),
                AllOf(StartsWith("userns: fork(2): Resource temporarily unavailable"),
                      HasSubstr("RLIMIT_NPROC")));
  }
}

TEST(Entering, FailsWhenTheHelperDiesBeforeItIsTold) {
  // It alone receives a single byte.
  EXPECT_THAT(target_entering(root_inside(),
                              [] { filter_call(SYS_recvfrom, 2, 1, SECCOMP_RET_KILL_PROCESS); }),
              AllOf(StartsWith("userns: the helper"), HasSubstr("ended before its work was done")));
}

TEST(Entering, FailsWhenTheHelperDiesWritingAMap) {
  for (const char* map : {"0 4321 1", "0 4322 11"}) {
    EXPECT_THAT(target_entering(with_maps({{0, target_uid, 1}}, {{0, target_gid, 11}}),
                                [map] {
                                  filter_call(SYS_write, 2,
                                              static_cast<std::uint32_t>(std::strlen(map)),
                                              SECCOMP_RET_KILL_PROCESS);
                                }),
                AllOf(StartsWith("userns: the helper"), HasSubstr("ended before its work")));
  }
}

TEST(Entering, FailsWhenAWriteIsOnlySaidToHaveHappened) {
  EXPECT_THAT(
      target_entering(root_inside(), [] { filter_call(SYS_write, 2, 8, SECCOMP_RET_ERRNO | 0); }),
      StartsWith("userns: /proc/self/uid_map: write(2)"));
}

// Kills the helper of `launcher`, this process's parent, a while after it sees it.
void kill_helper_of(pid_t launcher, std::chrono::microseconds after) {
  const std::string id = std::to_string(launcher);
  const std::string children = "/proc/" + id + "/task/" + id + "/children";
  while (getppid() == launcher) {
    std::ifstream file(children);
    for (pid_t child = 0; file >> child;) {
      if (child == getpid()) continue;
      std::this_thread::sleep_for(after);
      kill(child, SIGKILL);
      return;
    }
  }
}

TEST(Entering, NeitherHangsNorGoesAstrayWhenTheHelperIsKilled) {
  int failures = 0;
  // The killer often comes too late; it must have come in time now and then.
  for (int i = 0; i < 60 || (failures < 5 && i < 3000); ++i) {
    const std::string outcome = told_by_child([i] {
      const pid_t launcher = getpid();
      if (fork() == 0) {
        kill_helper_of(launcher, std::chrono::microseconds(i % 60 * 10));
        _exit(0);
      }
      become_target();
      const std::string told = try_to_enter(with_ranges());
      return told == "entered" ? own_map("uid_map") + own_map("gid_map") : told;
    });
    if (outcome == "0 4321 1\n1 200000 1000\n0 4322 1\n1 300000 1000\n") continue;
    EXPECT_THAT(outcome, HasSubstr("ended before its work was done"));
    ++failures;
  }
  EXPECT_GE(failures, 5);
}

TEST(Entering, LeavesNoHelperWhenTheLauncherIsKilled) {
  EXPECT_EQ(told_by_child([] {
              must(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) == 0, "subreaper");
              const pid_t launcher = fork();
              if (launcher == 0) {
                filter_call(SYS_unshare, 0, CLONE_NEWUSER, SECCOMP_RET_KILL_PROCESS);
                become_target();
                userns::enter(root_inside());
                _exit(0);
              }
              std::string ended;
              int status = 0;
              for (pid_t pid = 0; (pid = waitpid(-1, &status, 0)) > 0;)
                ended +=
                    pid == launcher ? (WIFSIGNALED(status) ? "launcher " : "survivor ") : "helper ";
              return ended;
            }),
            "launcher helper ");
}

TEST(Entering, FailsInAProcessWithSeveralThreads) {
  EXPECT_THAT(told_by_child([] {
                become_target();
                std::thread other([] { pause(); });
                other.detach();
                return try_to_enter(root_inside());
              }),
              AllOf(HasSubstr("unshare(2): Invalid argument"), HasSubstr("several threads")));
}

// --- its own hand ---

TEST(EnteringByItself, MapsItsOwnIdsAndForbidsSetgroups) {
  EXPECT_EQ(told_by_child([] {
              become_target(0);
              userns::enter(root_inside(MapWriter::self));
              const bool denied = setgroups(0, nullptr) != 0 && errno == EPERM;
              return own_map("uid_map") + own_map("gid_map") + own_map("setgroups") +
                     (denied ? "refused" : "allowed");
            }),
            "0 4321 1\n0 4322 1\ndeny\nrefused");
}

TEST(EnteringByItself, NeedsNoOtherProcess) {
  EXPECT_EQ(target_entering(
                root_inside(MapWriter::self),
                [] {
                  const rlimit none{0, 0};
                  must(setrlimit(RLIMIT_NPROC, &none) == 0, "setrlimit");
                },
                0),
            "entered");
}

TEST(EnteringByItself, FailsForIdsThatAreNotItsOwn) {
  EXPECT_THAT(target_entering(
                  with_ranges(MapWriter::self), [] {}, 0),
              StartsWith("userns: /proc/self/uid_map: write(2): Operation not permitted"));
  EXPECT_THAT(target_entering(
                  with_maps({{0, target_uid, 1}}, {{0, 5, 1}}, MapWriter::self), [] {}, 0),
              StartsWith("userns: /proc/self/gid_map: write(2): Operation not permitted"));
}

// --- newuidmap(1) ---

// What newuidmap needs to know, in a mount namespace of this process's own.
void grant_subordinate_ids() {
  const std::string directory = scratch();
  write_text(directory + "/passwd", text_of("/etc/passwd") + "steps:x:4321:4322::/:/bin/sh\n");
  write_text(directory + "/subuid", "steps:200000:1000\n");
  write_text(directory + "/subgid", "steps:300000:1000\n");
  for (const char* name : {"passwd", "subuid", "subgid"})
    bind_mount(directory + "/" + name, std::string("/etc/") + name);
}

void replace_newuidmap(const std::string& script) {
  const std::string file = scratch() + "/newuidmap";
  write_text(file, script);
  must(chmod(file.c_str(), 0755) == 0, "chmod");
  bind_mount(file, "/usr/bin/newuidmap");
}

TEST(EnteringByNewuidmap, MapsWhatIsGranted) {
  EXPECT_EQ(told_by_child([] {
              grant_subordinate_ids();
              become_target(0);
              userns::enter(with_ranges(MapWriter::newidmap));
              return own_map("uid_map") + own_map("gid_map") + own_map("setgroups") +
                     children_left();
            }),
            "0 4321 1\n1 200000 1000\n0 4322 1\n1 300000 1000\nallow\nnone");
}

TEST(EnteringByNewuidmap, WorksWhereSigchldIsIgnored) {
  EXPECT_EQ(target_entering(
                with_ranges(MapWriter::newidmap),
                [] {
                  grant_subordinate_ids();
                  ignore_children();
                },
                0),
            "entered");
}

TEST(EnteringByNewuidmap, NamesTheProcessAsProcDoes) {
  EXPECT_EQ(told_by_child([] {
              grant_subordinate_ids();
              must(unshare(CLONE_NEWPID) == 0, "unshare");
              return told_by_child([] {
                become_target(0);
                return try_to_enter(with_ranges(MapWriter::newidmap));
              });
            }),
            "entered");
}

TEST(EnteringByNewuidmap, FailsForWhatIsNotGranted) {
  const UserNamespace uids =
      with_maps({{0, target_uid, 1}, {1, 200000, 1001}}, {{0, target_gid, 1}}, MapWriter::newidmap);
  EXPECT_THAT(target_entering(uids, grant_subordinate_ids, 0),
              AllOf(StartsWith("userns: /usr/bin/newuidmap failed: newuidmap: "),
                    HasSubstr("not allowed"), HasSubstr("/etc/subuid")));
  const UserNamespace gids =
      with_maps({{0, target_uid, 1}}, {{0, target_gid, 1}, {1, 5, 1}}, MapWriter::newidmap);
  EXPECT_THAT(target_entering(gids, grant_subordinate_ids, 0),
              StartsWith("userns: /usr/bin/newgidmap failed: newgidmap: "));
}

TEST(EnteringByNewuidmap, FailsUnderNoNewPrivs) {
  EXPECT_THAT(
      target_entering(
          with_ranges(MapWriter::newidmap),
          [] {
            grant_subordinate_ids();
            must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0, "nnp");
          },
          0),
      AllOf(StartsWith("userns: /usr/bin/newuidmap failed"), HasSubstr("no_new_privs is set")));
}

TEST(EnteringByNewuidmap, FailsWhereItIsNotInstalled) {
  EXPECT_THAT(target_entering(
                  with_ranges(MapWriter::newidmap), [] { bind_mount(scratch(), "/usr/bin"); }, 0),
              AllOf(StartsWith("userns: /usr/bin/newuidmap can't be executed: No such file"),
                    HasSubstr("install /usr/bin/newuidmap")));
}

TEST(EnteringByNewuidmap, FailsWhenItDidNothingOrSomethingElse) {
  const auto told = [](const char* script) {
    return target_entering(
        with_ranges(MapWriter::newidmap),
        [script] {
          replace_newuidmap(script);
          bind_mount("/usr/bin/true", "/usr/bin/newgidmap");
        },
        0);
  };
  EXPECT_EQ(told("#!/bin/sh\nexit 0"),
            "userns: the kernel's uid_map has nothing more instead of '0 4321 1'");
  EXPECT_EQ(told("#!/bin/sh\necho 0 4321 1 > /proc/$1/uid_map"),
            "userns: the kernel's uid_map has nothing more instead of '1 200000 1000'");
  EXPECT_EQ(told("#!/bin/sh\necho 7 4321 1 > /proc/$1/uid_map"),
            "userns: the kernel's uid_map has '7 4321 1' instead of '0 4321 1'");
}

TEST(EnteringByNewuidmap, FailsWhenNewgidmapDidNothing) {
  EXPECT_EQ(target_entering(
                with_ranges(MapWriter::newidmap),
                [] {
                  grant_subordinate_ids();
                  bind_mount("/usr/bin/true", "/usr/bin/newgidmap");
                },
                0),
            "userns: the kernel's gid_map has nothing more instead of '0 4322 1'");
}

TEST(EnteringByNewuidmap, FailsWhenItIsKilled) {
  EXPECT_THAT(
      target_entering(
          with_ranges(MapWriter::newidmap), [] { replace_newuidmap("#!/bin/sh\nkill -9 $$"); }, 0),
      HasSubstr("/usr/bin/newuidmap failed, killed by signal 9"));
}

TEST(EnteringByNewuidmap, PassesOnTheBeginningOfWhatItSays) {
  const std::string told = target_entering(
      with_ranges(MapWriter::newidmap),
      [] {
        replace_newuidmap(
            "#!/bin/sh\nprintf 'first\\033[2Jline\\n' >&2\n"
            "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done\n"
            "exit 1");
      },
      0);
  EXPECT_THAT(told, AllOf(HasSubstr("failed: first\\x1b[2Jline"), HasSubstr("0123456789"),
                          HasSubstr("/etc/subuid")));
  EXPECT_LT(told.size(), 2000U);
}

TEST(EnteringByNewuidmap, GivesItAnEnvironmentOfItsOwn) {
  EXPECT_THAT(target_entering(
                  with_ranges(MapWriter::newidmap),
                  [] {
                    replace_newuidmap("#!/bin/sh\nenv; exit 1");
                    must(setenv("SECRET", "x", 1) == 0, "setenv");
                    must(setenv("PATH", "/nowhere", 1) == 0, "setenv");
                  },
                  0),
              AllOf(HasSubstr("LC_ALL=C"), HasSubstr("PATH=/usr/sbin:/usr/bin"),
                    Not(HasSubstr("SECRET")), Not(HasSubstr("/nowhere"))));
}

TEST(EnteringByNewuidmap, GivesItNeitherDescriptorsNorBlockedSignals) {
  EXPECT_THAT(
      target_entering(
          with_ranges(MapWriter::newidmap),
          [] { replace_newuidmap("#!/bin/sh\nreadlink /proc/$$/fd/*; exit 1"); }, 0),
      AllOf(HasSubstr("/usr/bin/newuidmap"), HasSubstr("pipe:"), Not(HasSubstr("socket:"))));
  // No shell, which would unblock them.
  EXPECT_THAT(target_entering(
                  with_ranges(MapWriter::newidmap),
                  [] { replace_newuidmap("#!/usr/bin/env -S grep SigBlk /proc/self/status"); }, 0),
              HasSubstr("SigBlk:\\x090000000000000000"));
}

// --- what /proc may be ---

// A directory as an image may have it, all files writable.
void mount_forged_proc() {
  own_mounts();
  must(mount("forged", "/proc", "tmpfs", 0, "mode=0755") == 0, "mount /proc");
  must(mkdir("/proc/self", 0755) == 0 && mkdir("/proc/sys", 0755) == 0, "mkdir");
  for (const char* name : {"uid_map", "gid_map", "setgroups"}) {
    const std::string file = std::string("/proc/self/") + name;
    write_text(file, "");
    must(chmod(file.c_str(), 0666) == 0, "chmod");
  }
}

TEST(Proc, IsRefusedWhenItIsForged) {
  for (const MapWriter writer : {MapWriter::helper, MapWriter::self, MapWriter::newidmap})
    EXPECT_THAT(target_entering(root_inside(writer), mount_forged_proc),
                StartsWith("userns: /proc is not procfs"));
  EXPECT_THAT(told_by_child([] {
                mount_forged_proc();
                return userns::obstacle();
              }),
              AllOf(StartsWith("/proc is not procfs"), HasSubstr("mount -t proc"),
                    HasSubstr("--pretend-root")));
}

TEST(Proc, IsRefusedWhenSomethingIsMountedOverAMap) {
  const auto cover = [] {
    const std::string file = scratch() + "/map";
    write_text(file, "");
    must(chmod(file.c_str(), 0666) == 0, "chmod");
    bind_mount(file, "/proc/self/uid_map");
  };
  EXPECT_THAT(target_entering(root_inside(), cover),
              StartsWith("userns: /proc/self/uid_map: openat2(2): Invalid cross-device link"));
}

TEST(Proc, IsAnObstacleWhenItIsMissing) {
  EXPECT_THAT(told_by_child([] {
                must(chroot(scratch().c_str()) == 0, "chroot");
                return userns::obstacle();
              }),
              AllOf(StartsWith("/proc: open(2): No such file"), HasSubstr("mount -t proc")));
}

TEST(Proc, IsRefusedWhenItBelongsToAPidNamespaceThatLacksTheProcess) {
  EXPECT_THAT(told_by_child([] {
                own_mounts();
                must(unshare(CLONE_NEWPID) == 0, "unshare");
                const std::string mounted = told_by_child([] {
                  must(mount("proc", "/proc", "proc", 0, nullptr) == 0, "mount /proc");
                  return std::string("mounted");
                });
                return mounted + " " + userns::obstacle();
              }),
              AllOf(StartsWith("mounted /proc/self: readlink(2): No such file"),
                    HasSubstr("another pid namespace")));
}

// --- obstacles ---

TEST(Obstacles, AreNoneHere) {
  EXPECT_EQ(told_by_child(userns::obstacle), "");
  EXPECT_EQ(told_by_child(userns::obstacle_by_trial), "");
}

TEST(Obstacles, AreNoneForAnUnprivilegedUser) {
  EXPECT_EQ(told_by_child([] {
              become_target(0);
              return userns::obstacle() + userns::obstacle_by_trial();
            }),
            "");
}

TEST(Obstacles, AreNoneForARootWhoCouldNotMapItself) {
  EXPECT_EQ(told_by_child([] {
              set_capabilities(helpers);
              return userns::obstacle_by_trial();
            }),
            "");
}

TEST(Obstacles, AreLookedForWithoutATrace) {
  EXPECT_EQ(told_by_child([] {
              const std::string before = open_descriptors() + own_map("uid_map") + capabilities() +
                                         text_of("/proc/self/setgroups");
              userns::obstacle();
              userns::obstacle_by_trial();
              if (open_descriptors() + own_map("uid_map") + capabilities() +
                      text_of("/proc/self/setgroups") !=
                  before)
                return std::string("changed");
              return children_left();
            }),
            "none");
}

TEST(Obstacles, AreContainerFiltersByName) {
  for (auto* const look : {userns::obstacle, userns::obstacle_by_trial}) {
    EXPECT_THAT(told_by_child([look] {
                  refuse_unshare();
                  return look();
                }),
                AllOf(HasSubstr("seccomp filter forbids unshare(2)"),
                      HasSubstr("docker: --security-opt seccomp=FILE"),
                      HasSubstr("without a namespace, --pretend-root")));
  }
  EXPECT_THAT(target_entering(root_inside(), refuse_unshare),
              StartsWith("userns: CLONE_NEWUSER: unshare(2): Operation not permitted"));
}

TEST(Obstacles, AreFiltersThatLookAtTheFlags) {
  EXPECT_THAT(told_by_child([] {
                filter_call(SYS_unshare, 0, CLONE_NEWUSER, SECCOMP_RET_ERRNO | EPERM);
                return userns::obstacle() + userns::obstacle_by_trial();
              }),
              AllOf(StartsWith("CLONE_NEWUSER: unshare(2): Operation not permitted"),
                    HasSubstr("RestrictNamespaces="), HasSubstr("--pretend-root")));
}

TEST(Obstacles, AreAChroot) {
  const auto enter_chroot = [] {
    const std::string root = scratch();
    must(mkdir((root + "/proc").c_str(), 0755) == 0, "mkdir");
    bind_mount("/proc", root + "/proc");
    must(chroot(root.c_str()) == 0 && chdir("/") == 0, "chroot");
  };
  EXPECT_THAT(told_by_child([&] {
                enter_chroot();
                return userns::obstacle() + userns::obstacle_by_trial();
              }),
              AllOf(StartsWith("CLONE_NEWUSER: unshare(2): Operation not permitted; a chroot"),
                    HasSubstr("--pretend-root")));
  EXPECT_THAT(target_entering(root_inside(), enter_chroot), HasSubstr("a chroot"));
}

TEST(Obstacles, AreALimitOfZero) {
  EXPECT_THAT(
      told_by_child([] {
        enter_outer_namespace();
        write_text("/proc/sys/user/max_user_namespaces", "0");
        return userns::obstacle();
      }),
      AllOf(StartsWith("sysctl user.max_user_namespaces is 0"), HasSubstr("--pretend-root")));
}

TEST(Obstacles, AreALimitThatIsUsedUp) {
  EXPECT_THAT(told_by_child([] {
                enter_outer_namespace();
                write_text("/proc/sys/user/max_user_namespaces", "1");
                const pid_t other = fork();
                if (other == 0) {
                  must(unshare(CLONE_NEWUSER) == 0, "unshare");
                  kill(getpid(), SIGSTOP);
                  _exit(0);
                }
                int status = 0;
                must(waitpid(other, &status, WUNTRACED) == other, "waitpid");
                std::string told = userns::obstacle() + userns::obstacle_by_trial();
                kill(other, SIGKILL);
                waitpid(other, &status, 0);
                return told;
              }),
              AllOf(StartsWith("CLONE_NEWUSER: unshare(2): No space left on device"),
                    HasSubstr("user.max_user_namespaces")));
}

TEST(Obstacles, AreAFurtherProcessThatTheLimitForbids) {
  EXPECT_THAT(told_by_child([] {
                const rlimit none{0, 0};
                must(setrlimit(RLIMIT_NPROC, &none) == 0, "setrlimit");
                become_target(0);
                return userns::obstacle_by_trial();
              }),
              AllOf(StartsWith("fork(2): Resource"), HasSubstr("RLIMIT_NPROC")));
}

// As where AppArmor restricts user namespaces: unshare works, the write of uid_map does not.
TEST(Obstacles, AreSecurityModulesThatForbidTheMap) {
  EXPECT_THAT(
      told_by_child([] {
        const auto size = static_cast<std::uint32_t>(id_map_text({{0, target_uid, 1}}).size());
        filter_call(SYS_write, 2, size, SECCOMP_RET_ERRNO | EPERM);
        become_target(0);
        return userns::obstacle_by_trial();
      }),
      AllOf(StartsWith("/proc/self/uid_map: write(2): Operation not permitted"),
            HasSubstr("apparmor_restrict_unprivileged_userns")));
}

}  // namespace
}  // namespace stepdown
