/* System calls that the policy default refuses, each tried once, and what became of it: a line
   "NAME ERRNO", "NAME done" or "NAME SIGNAL". Their arguments are such that the kernel would answer
   otherwise than the policy does, whoever asks. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *outcome(long result) {
  return result == -1 ? strerrorname_np(errno) : "done";
}

#define TRY(name, call) printf("%s %s\n", name, outcome(call))

static long clone_in_user_namespace(void) {
  const long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(0);
  return child == -1 ? -1 : waitpid((pid_t)child, NULL, 0);
}

#if defined(__x86_64__)
static void get_pid_by_x32(void) {
  syscall(0x40000000 | SYS_getpid); /* __X32_SYSCALL_BIT */
}

static void get_pid_by_i386(void) {
  long number = 20;
  __asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
}

/* What ends a child that does it. */
static void try_in_child(const char *name, void (*function)(void)) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    function();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("%s %s\n", name, WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "done");
}
#endif

int main(void) {
  void *const nowhere = (void *)1;
  const int device = open("/dev/null", O_RDWR);

  TRY("TIOCSTI", ioctl(device, TIOCSTI, "x"));
  TRY("TIOCSTI-alias", syscall(SYS_ioctl, device, 0x100000000 + TIOCSTI, "x"));

  TRY("clone-newuser", clone_in_user_namespace());
  TRY("clone3", syscall(SYS_clone3, NULL, 0));
  TRY("setns", setns(-1, 0));
  TRY("mount", mount(nowhere, nowhere, nowhere, 0, nowhere));

  TRY("keyctl", syscall(SYS_keyctl, 0, -1, 0)); /* KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING */
  TRY("add_key", syscall(SYS_add_key, nowhere, nowhere, nowhere, 0, 0));
  TRY("request_key", syscall(SYS_request_key, nowhere, nowhere, nowhere, 0));
  TRY("bpf", syscall(SYS_bpf, 0, nowhere, 1 << 20));
  TRY("perf_event_open", syscall(SYS_perf_event_open, nowhere, 0, 0, 0, -1L));
  TRY("userfaultfd", syscall(SYS_userfaultfd, -1));
  TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, nowhere));
  TRY("set_mempolicy", syscall(SYS_set_mempolicy, 0, NULL, 0));

  TRY("ptrace", ptrace(PTRACE_ATTACH, 0x7fffffff, NULL, NULL));
  TRY("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
  TRY("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
  TRY("personality", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
  TRY("personality-exec", syscall(SYS_personality, READ_IMPLIES_EXEC));

  TRY("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  TRY("socket-alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
  TRY("socket-netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK));
  TRY("socket-alias", syscall(SYS_socket, 0x100000000 + AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK));
  TRY("socket-audit", socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
  TRY("socketpair", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));

#if defined(__x86_64__)
  try_in_child("x32", get_pid_by_x32);
  try_in_child("i386", get_pid_by_i386);
#endif
  return 0;
}
