// The files that the doors work on: documents of the host, and account files that an image may have
// forged.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "oci/files.h"
#include "oci/port_start.h"
#include "stepdown/error.h"
#include "temporary_directory.h"

namespace stepdown::oci {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::size_t mebibyte = std::size_t{1} << 20U;
constexpr const char* secret = "app:x:0:0:secret of the host:/:/bin/sh\n";

template <typename Action>
std::string refusal(const Action& action) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

// A bundle with a root filesystem, and a file of the host beside it.
class OciFiles : public testing::Test {
 protected:
  OciFiles() {
    fs::create_directories(in_image("etc"));
    write(in_bundle("secret"), secret);
  }

  static void write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  [[nodiscard]] fs::path in_bundle(const std::string& name) const { return bundle_ / name; }
  [[nodiscard]] fs::path in_image(const std::string& name) const {
    return in_bundle("rootfs") / name;
  }
  [[nodiscard]] sys::Fd root() const { return open_root(bundle_.path(), "rootfs"); }
  [[nodiscard]] AccountFiles accounts() const { return read_account_files_in(root()); }

 private:
  test::TemporaryDirectory bundle_;
};

// ---- the root filesystem ----

TEST_F(OciFiles, FindsTheRootBesideTheConfigurationOrByItsPath) {
  struct stat wanted {};
  ASSERT_EQ(::stat(in_image("").c_str(), &wanted), 0);
  for (const std::string& path : {std::string("rootfs"), in_image("").string()}) {
    struct stat found {};
    ASSERT_EQ(::fstat(open_root(in_bundle("").string(), path).get(), &found), 0);
    EXPECT_EQ(found.st_ino, wanted.st_ino);
  }
}

TEST_F(OciFiles, RefusesARootThatIsNoDirectory) {
  EXPECT_THAT(refusal([&] { return open_root(in_bundle("").string(), "secret"); }),
              AllOf(StartsWith("root.path: "), HasSubstr("Not a directory")));
  EXPECT_THAT(refusal([&] { return open_root(in_bundle("").string(), "nothing"); }),
              AllOf(StartsWith("root.path: "), HasSubstr("No such file")));
}

TEST_F(OciFiles, RefusesARootBehindAMagicLink) {
  EXPECT_THAT(refusal([] { return open_root("/", "/proc/self/root"); }),
              AllOf(StartsWith("root.path: "), HasSubstr("symbolic links")));
  fs::create_symlink("/proc/self/cwd", in_bundle("link"));
  EXPECT_THAT(refusal([&] { return open_root(in_bundle("").string(), "link"); }),
              StartsWith("root.path: "));
}

// ---- account files ----

TEST_F(OciFiles, ReadsTheAccountsOfTheImage) {
  write(in_image("etc/passwd"), "app:x:1000:1000::/home/app:\n");
  write(in_image("etc/group"), "app:x:1000:\n");
  EXPECT_EQ(accounts().passwd, "app:x:1000:1000::/home/app:\n");
  EXPECT_EQ(accounts().group, "app:x:1000:\n");
  EXPECT_EQ(accounts().passwd_path, "/etc/passwd (in the image)");
}

TEST_F(OciFiles, TakesMissingAccountsForNone) {
  EXPECT_THAT(accounts().passwd, IsEmpty());
  fs::remove(in_image("etc"));
  EXPECT_THAT(accounts().group, IsEmpty());
}

TEST_F(OciFiles, FollowsLinksWithinTheImage) {
  fs::create_directories(in_image("usr/etc"));
  write(in_image("usr/etc/passwd"), "app:x:7:7::/:\n");
  for (const char* target :
       {"/usr/etc/passwd", "../usr/etc/passwd", "../../../../usr/etc/passwd"}) {
    fs::remove(in_image("etc/passwd"));
    fs::create_symlink(target, in_image("etc/passwd"));
    EXPECT_EQ(accounts().passwd, "app:x:7:7::/:\n") << target;
  }
}

TEST_F(OciFiles, NeverReadsTheHosts) {
  const std::string outside = in_bundle("secret").string();
  for (const std::string& target : {outside, std::string("../../secret"), "../../../../" + outside,
                                    std::string("/proc/self/root") + outside}) {
    fs::remove(in_image("etc/passwd"));
    fs::create_symlink(target, in_image("etc/passwd"));
    EXPECT_THAT(accounts().passwd, IsEmpty()) << target;
  }
  write(in_bundle("passwd"), secret);
  fs::remove_all(in_image("etc"));
  fs::create_directory_symlink("..", in_image("etc"));
  EXPECT_THAT(accounts().passwd, IsEmpty());
  fs::remove(in_image("etc"));
  fs::create_directory_symlink(in_bundle(""), in_image("etc"));
  EXPECT_THAT(accounts().passwd, IsEmpty());
}

TEST_F(OciFiles, RefusesLinksInACircle) {
  fs::create_symlink("group", in_image("etc/passwd"));
  fs::create_symlink("passwd", in_image("etc/group"));
  EXPECT_THAT(refusal([&] { return accounts(); }),
              AllOf(StartsWith("/etc/passwd (in the image): "), HasSubstr("symbolic links")));
}

TEST_F(OciFiles, RefusesAccountsAboveTenMebibytes) {
  write(in_image("etc/passwd"), "");
  fs::resize_file(in_image("etc/passwd"), 11 * mebibyte);
  EXPECT_THAT(refusal([&] { return accounts(); }),
              AllOf(StartsWith("/etc/passwd (in the image): "), HasSubstr("10 MiB")));
}

class ForgedAccounts : public OciFiles, public testing::WithParamInterface<mode_t> {};

TEST_P(ForgedAccounts, AreRefusedWithoutOpeningThem) {
  const std::string path = in_image("etc/group").string();
  ASSERT_EQ(GetParam() == S_IFDIR ? ::mkdir(path.c_str(), 0755)
                                  : ::mknod(path.c_str(), GetParam() | 0644, makedev(1, 5)),
            0);
  // O_PATH, which opens nothing, tells nobody (open(2)).
  const sys::Fd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), path.c_str(), IN_OPEN), 0);
  EXPECT_THAT(refusal([&] { return accounts(); }),
              AllOf(StartsWith("/etc/group (in the image): "), HasSubstr("not a regular file")));
  std::array<char, 512> events{};
  EXPECT_EQ(::read(watch.get(), events.data(), events.size()), -1) << "it was opened";
}

INSTANTIATE_TEST_SUITE_P(Oci, ForgedAccounts,
                         testing::Values(S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK, S_IFDIR));

// ---- documents ----

TEST_F(OciFiles, ReadsADocument) {
  write(in_bundle("config.json"), "{}");
  EXPECT_EQ(read_document(in_bundle("config.json")), "{}");
}

TEST_F(OciFiles, RefusesADocumentThatIsMissingSpecialOrTooLarge) {
  const std::string path = in_bundle("config.json").string();
  EXPECT_THAT(refusal([&] { return read_document(path); }), HasSubstr("missing"));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(refusal([&] { return read_document(path); }), HasSubstr("not a regular file"));
  fs::remove(path);
  write(path, "");
  fs::resize_file(path, 16 * mebibyte + 1);
  EXPECT_THAT(refusal([&] { return read_document(path); }), HasSubstr("16 MiB"));
}

TEST_F(OciFiles, ReplacesADocumentWithItsModeAndOwner) {
  const fs::path path = in_bundle("config.json");
  write(path, "old");
  ASSERT_EQ(::chown(path.c_str(), 1234, 5678), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  replace_document(path, json::Json{{"z", 1}, {"a", 18446744073709551615U}});
  EXPECT_EQ(text_of(path), R"({"z":1,"a":18446744073709551615})");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFREG | 0640));
  EXPECT_EQ(status.st_uid, 1234U);
  EXPECT_EQ(status.st_gid, 5678U);
}

TEST_F(OciFiles, ReplacesWhatALinkLeadsToAndNotTheLink) {
  write(in_bundle("real.json"), "old");
  fs::create_symlink("real.json", in_bundle("config.json"));
  replace_document(in_bundle("config.json"), json::Json::object());
  EXPECT_TRUE(fs::is_symlink(in_bundle("config.json")));
  EXPECT_EQ(text_of(in_bundle("real.json")), "{}");
}

TEST_F(OciFiles, LeavesADocumentAloneWhereTheNewOneCantBeWritten) {
  const fs::path path = in_bundle("config.json");
  write(path, "old");
  EXPECT_THAT(refusal([&] {
                replace_document(path, json::Json("no UTF-8: \xff"));
                return 0;
              }),
              AllOf(StartsWith(path.string() + ": "), HasSubstr("isn't UTF-8")));
  EXPECT_EQ(text_of(path), "old");
  const auto count = std::distance(fs::directory_iterator(in_bundle("")), fs::directory_iterator());
  EXPECT_EQ(count, 3) << "rootfs, secret, config.json, and nothing unfinished";
  EXPECT_THAT(refusal([&] {
                replace_document(in_bundle("nothing"), json::Json::object());
                return 0;
              }),
              HasSubstr("No such file"));
}

// ---- stdin ----

// Another stdin for as long as it lives.
class Stdin {
 public:
  explicit Stdin(int fd) : saved_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) {
    EXPECT_EQ(::dup2(fd, STDIN_FILENO), STDIN_FILENO);
  }
  Stdin(const Stdin&) = delete;
  Stdin& operator=(const Stdin&) = delete;
  ~Stdin() { ::dup2(saved_.get(), STDIN_FILENO); }

 private:
  sys::Fd saved_;
};

TEST_F(OciFiles, ReadAllOfStdin) {
  const std::string text(300000, 'x');
  write(in_bundle("state"), text);
  const sys::Fd file(::open(in_bundle("state").c_str(), O_RDONLY | O_CLOEXEC));
  const Stdin instead(file.get());
  EXPECT_EQ(read_stdin("hook"), text);
}

TEST_F(OciFiles, ReadSixteenMebibytesOfStdinAndNoMore) {
  write(in_bundle("state"), "");
  const sys::Fd file(::open(in_bundle("state").c_str(), O_RDONLY | O_CLOEXEC));
  const Stdin instead(file.get());
  fs::resize_file(in_bundle("state"), 16 * mebibyte);
  EXPECT_EQ(read_stdin("hook").size(), 16 * mebibyte);
  ASSERT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  fs::resize_file(in_bundle("state"), 16 * mebibyte + 1);
  EXPECT_THAT(refusal([] { return read_stdin("hook"); }), HasSubstr("16 MiB"));
}

TEST_F(OciFiles, RefuseAnEndlessStdin) {
  const sys::Fd zeros(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const Stdin instead(zeros.get());
  EXPECT_THAT(refusal([] { return read_stdin("hook"); }),
              AllOf(StartsWith("hook: "), HasSubstr("16 MiB")));
}

TEST_F(OciFiles, RefuseATerminalAsStdin) {
  const sys::Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
  std::array<char, 64> name{};
  ASSERT_EQ(::ptsname_r(master.get(), name.data(), name.size()), 0);
  const sys::Fd terminal(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const Stdin instead(terminal.get());
  EXPECT_THAT(refusal([] { return read_stdin("hook"); }), HasSubstr("terminal"));
}

// ---- this process ----

TEST(OciProcess, BecomesUndumpable) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int before = ::prctl(PR_GET_DUMPABLE);
    become_undumpable();
    ::_exit(before == 1 && ::prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// In a network namespace of its own, whose ports begin at `start`; 0 where `holds` says so.
template <typename Claim>
int in_a_network(const char* start, const Claim& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool made = ::unshare(CLONE_NEWNET) == 0;
    std::ofstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") << start;
    try {
      ::_exit(made && holds() ? 0 : 1);
    } catch (const std::exception&) {
      ::_exit(2);
    }
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(OciProcess, LooksIntoAnotherNetworkAndComesBack) {
  const std::string parents = "/proc/" + std::to_string(::getpid()) + "/ns/net";
  const std::optional<std::uint32_t> start = own_port_start();
  EXPECT_EQ(in_a_network("77",
                         [&] {
                           const bool looked = port_start_in(parents) == start && start != 77U;
                           const bool nowhere =
                               !port_start_in("/nowhere") && !port_start_in("/proc/self/ns/uts");
                           return looked && nowhere && port_start_in({}) == 77U;
                         }),
            0);
}

TEST(OciProcess, LowersThePortStartOfANetworkAndNeverRaisesIt) {
  const auto set = [](std::uint32_t first) {
    PortStart().set(first);
    return own_port_start();
  };
  EXPECT_EQ(in_a_network("1024", [&] { return set(80) == 80U && set(443) == 80U; }), 0);
  EXPECT_EQ(in_a_network("0", [&] { return set(80) == 0U; }), 0);
}

TEST(OciProcess, KnowsItsOwnPortStart) {
  std::uint32_t expected = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> expected;
  EXPECT_EQ(own_port_start(), expected);
}

}  // namespace
}  // namespace stepdown::oci
