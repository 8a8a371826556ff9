// parse_status and parse_id_map: what the kernel writes is understood, all else is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "stepdown/inspect.h"

namespace stepdown {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// As Linux 6.18 writes it, shortened to the lines around those that matter.
const std::string nginx_worker =
    "Name:\tnginx\n"
    "Umask:\t0022\n"
    "State:\tS (sleeping)\n"
    "Tgid:\t4711\n"
    "Ngid:\t0\n"
    "Pid:\t4712\n"
    "PPid:\t42\n"
    "TracerPid:\t0\n"
    "Uid:\t1000\t1001\t1002\t1003\n"
    "Gid:\t2000\t2001\t2002\t2003\n"
    "FDSize:\t256\n"
    "Groups:\t7 33 4294967294 \n"
    "NSpid:\t4712\n"
    "Kthread:\t0\n"
    "VmPeak:\t    3060 kB\n"
    "VmSize:\t    3060 kB\n"
    "Threads:\t3\n"
    "SigQ:\t0/96365\n"
    "CapInh:\t0000000000000001\n"
    "CapPrm:\t0000000000000402\n"
    "CapEff:\t0000000000000400\n"
    "CapBnd:\t000001ffffffffff\n"
    "CapAmb:\t8000000000000000\n"
    "NoNewPrivs:\t1\n"
    "Seccomp:\t2\n"
    "Seccomp_filters:\t3\n"
    "Speculation_Store_Bypass:\tvulnerable\n";

// The text with one line replaced; an empty `line` takes it away.
std::string with_line(const std::string& key, const std::string& line) {
  std::string text = nginx_worker;
  const std::size_t begin = text.find("\n" + key + ":\t") + 1;
  if (key == "Name") {
    text.replace(0, text.find('\n') + 1, line.empty() ? line : line + "\n");
  } else {
    text.replace(begin, text.find('\n', begin) + 1 - begin, line.empty() ? line : line + "\n");
  }
  return text;
}

ProcessState parsed(const std::string& text) {
  return parse_status("process 4712", text);
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "accepted";
}

TEST(StatusText, GivesEveryPrivilege) {
  const ProcessState state = parsed(nginx_worker);
  EXPECT_EQ(state.pid, 4712);
  EXPECT_EQ(state.parent, 42);
  EXPECT_EQ(state.command, "[nginx]");
  const Credentials& credentials = state.credentials;
  EXPECT_EQ(credentials.uid, (IdQuad<Uid>{Uid{1000}, Uid{1001}, Uid{1002}, Uid{1003}}));
  EXPECT_EQ(credentials.gid, (IdQuad<Gid>{Gid{2000}, Gid{2001}, Gid{2002}, Gid{2003}}));
  EXPECT_THAT(credentials.groups, ElementsAre(Gid{7}, Gid{33}, Gid{4294967294}));
  const CapabilityState& sets = credentials.capabilities;
  EXPECT_EQ(sets.inheritable.bits(), 1U);
  EXPECT_EQ(sets.permitted.bits(), 0x402U);
  EXPECT_EQ(sets.effective.bits(), 0x400U);
  EXPECT_EQ(sets.bounding.bits(), 0x1ffffffffffU);
  EXPECT_EQ(sets.ambient.bits(), 0x8000000000000000U);
  EXPECT_TRUE(credentials.no_new_privs);
  EXPECT_EQ(state.seccomp_mode, 2);
  EXPECT_EQ(state.seccomp_filters, 3);
}

TEST(StatusText, TellsTheLivingFromTheDead) {
  const auto thread = [](const std::string& text) {
    return inspect::parse_thread_status("process 4712", text);
  };
  const inspect::ThreadStatus worker = thread(nginx_worker);
  EXPECT_EQ(worker.process, 4711);
  EXPECT_EQ(worker.threads, 3U);
  EXPECT_TRUE(worker.runs());
  EXPECT_FALSE(worker.is_kernel_thread());

  const inspect::ThreadStatus dead_leader = thread(with_line("State", "State:\tZ (zombie)"));
  EXPECT_TRUE(dead_leader.dead);
  EXPECT_TRUE(dead_leader.runs());
  EXPECT_FALSE(dead_leader.is_kernel_thread());

  std::string zombie = with_line("State", "State:\tZ (zombie)");
  zombie.replace(zombie.find("Threads:\t3"), 10, "Threads:\t1");
  EXPECT_FALSE(thread(zombie).runs());
  EXPECT_FALSE(thread(zombie).is_kernel_thread());

  std::string kernel_thread = with_line("VmSize", "");
  kernel_thread.replace(kernel_thread.find("Threads:\t3"), 10, "Threads:\t1");
  EXPECT_TRUE(thread(kernel_thread).runs());
  EXPECT_TRUE(thread(kernel_thread).is_kernel_thread());
}

TEST(StatusText, MayLackWhatOlderKernelsDoNotHave) {
  EXPECT_EQ(parsed(with_line("Seccomp_filters", "")).seccomp_filters, 0);
  EXPECT_EQ(parsed(with_line("Seccomp", "")).seccomp_mode, 0);
}

TEST(StatusText, HasAnEmptyGroupList) {
  EXPECT_THAT(parsed(with_line("Groups", "Groups:\t ")).credentials.groups, IsEmpty());
  EXPECT_THAT(parsed(with_line("Groups", "Groups:\t")).credentials.groups, IsEmpty());
}

TEST(StatusText, CanNotBeForgedThroughTheName) {
  // The kernel escapes newlines in the name; what looks like a key in it is part of the name.
  const ProcessState state = parsed(with_line("Name", "Name:\tx\\nUid:\t0\t0\t0\t0"));
  EXPECT_EQ(state.command, "[x\\nUid:\t0\t0\t0\t0]");
  EXPECT_EQ(state.credentials.uid.real, Uid{1000});
}

TEST(StatusText, IsRefusedWhereAFieldIsMissing) {
  for (const char* key : {"Name", "State", "Tgid", "Pid", "PPid", "Uid", "Gid", "Groups", "Threads",
                          "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"}) {
    EXPECT_THAT(refusal([&] { parsed(with_line(key, "")); }),
                HasSubstr("process 4712: no " + std::string(key) + " in the status text"));
  }
  EXPECT_THAT(refusal([] { parsed(""); }), HasSubstr("breaks off"));
}

TEST(StatusText, IsRefusedWhereAFieldIsThereTwice) {
  EXPECT_THAT(refusal([] { parsed(nginx_worker + "CapEff:\t0000000000000000\n"); }),
              HasSubstr("CapEff is in the status text twice"));
}

TEST(StatusText, IsRefusedWhereItBreaksOffAnywhere) {
  // Wherever a read may end: never a smaller number than the kernel meant.
  const ProcessState whole = parsed(nginx_worker);
  for (std::size_t size = 0; size < nginx_worker.size(); ++size) {
    try {
      const ProcessState part = parsed(nginx_worker.substr(0, size));
      EXPECT_EQ(part.credentials, whole.credentials) << size;
    } catch (const Error&) {
    }
  }
  EXPECT_THAT(refusal([] { parsed(nginx_worker.substr(0, nginx_worker.size() - 1)); }),
              HasSubstr("breaks off"));
}

TEST(StatusText, IsRefusedWhereAFieldIsMalformed) {
  const std::vector<std::string> lines = {
      "State:\t",
      "Tgid:\tx",
      "Pid:\t",
      "Pid:\t-1",
      "Pid:\t4194305",
      "Pid:\t99999999999999999999",
      "Pid:\t12 ",
      "PPid:\t0x2a",
      "Uid:\t1000\t1000\t1000",
      "Uid:\t1000\t1000\t1000\t1000\t1000",
      "Uid:\t1000\t1000\t1000\t1000\t",
      "Uid:\t1000 1000 1000 1000",
      "Uid:\t1000\t1000\t1000\t4294967296",
      "Uid:\t1000\t1000\t1000\t-1",
      "Uid:\t1000\t1000\t1000\t",
      "Uid:\t+1\t1000\t1000\t1000",
      "Gid:\t1000\t1000\t1000\tabc",
      "Groups:\t7  33 ",
      "Groups:\t7,33 ",
      "Groups:\t4294967296 ",
      "Groups:\tx",
      "Threads:\t",
      "CapInh:\t0",
      "CapPrm:\t000000000000040g",
      "CapEff:\t00000000000000000",
      "CapEff:\t000000000000000",
      "CapEff:\t0x00000000000000",
      "CapEff:\t-000000000000001",
      "CapBnd:\t 00000000000000 ",
      "CapAmb:\t",
      "NoNewPrivs:\t2",
      "NoNewPrivs:\tyes",
      "NoNewPrivs:\t",
      "Seccomp:\t3",
      "Seccomp:\t",
      "Seccomp_filters:\t-1",
      "Seccomp_filters:\t2147483648",
  };
  for (const std::string& line : lines) {
    const std::string key = line.substr(0, line.find(':'));
    EXPECT_THAT(refusal([&] { parsed(with_line(key, line)); }),
                HasSubstr("process 4712: malformed " + key + " in the status text"))
        << line;
  }
}

TEST(IdMapText, IsThreeNumbersInALine) {
  EXPECT_THAT(inspect::parse_id_map("process 1", "         0          0 4294967295\n"),
              ElementsAre(IdMapping{0, 0, 4294967295}));
  EXPECT_THAT(inspect::parse_id_map("process 1", "0 100000 1000\n1000 1000 1\n"),
              ElementsAre(IdMapping{0, 100000, 1000}, IdMapping{1000, 1000, 1}));
  EXPECT_THAT(inspect::parse_id_map("process 1", ""), IsEmpty());
}

TEST(IdMapText, IsRefusedOtherwise) {
  for (const char* text : {"0 0\n", "0 0 1 1\n", "0 0\n 5\n", "0 0 4294967296\n", "0 -1 1\n",
                           "a b c\n", "\n", "0 0 1\n\n", "0\t0\t1\n"}) {
    EXPECT_THAT(refusal([&] { inspect::parse_id_map("process 1", text); }),
                HasSubstr("process 1: malformed id map"))
        << text;
  }
}

constexpr const char* root_mount =
    "22 1 8:1 / / rw,relatime - ext4 /dev/root rw,hidepid=invisible\n";

TEST(ProcMountOptions, AreThoseOfWhatIsMountedAtProc) {
  const std::string mountinfo = std::string(root_mount) +
                                "23 22 0:21 / /proc rw,nosuid shared:5 - proc proc "
                                "rw,gid=4,hidepid=invisible\n"
                                "24 23 0:22 / /proc/sys ro - proc proc rw\n"
                                "25 22 0:23 / /sys rw - sysfs sysfs rw\n";
  EXPECT_EQ(inspect::proc_mount_options(mountinfo), "rw,gid=4,hidepid=invisible");
}

TEST(ProcMountOptions, AreThoseOfTheLastOneMountedThere) {
  const std::string visible = "23 22 0:21 / /proc rw - proc proc rw\n";
  const std::string hidden = "30 23 0:40 / /proc rw - proc proc rw,hidepid=ptraceable\n";
  EXPECT_EQ(inspect::proc_mount_options(visible + hidden), "rw,hidepid=ptraceable");
  EXPECT_EQ(inspect::proc_mount_options(hidden + visible), "rw");
}

TEST(ProcMountOptions, AreNoneWhereNothingIsMountedThere) {
  EXPECT_EQ(inspect::proc_mount_options(""), "");
  EXPECT_EQ(inspect::proc_mount_options(root_mount), "");
  EXPECT_EQ(inspect::proc_mount_options("23 22 0:21\n"), "");
}

}  // namespace
}  // namespace stepdown
