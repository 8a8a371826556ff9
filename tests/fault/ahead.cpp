// Makes one system call a number of times, in vain, and then becomes the command.
//
//   ahead NUMBER TIMES COMMAND [ARG…]
//
// strace(1) breaks the Nth call of a name in every process that it follows. With the launcher this
// far ahead in its count, only its helpers come to an Nth call of that name.
#include <unistd.h>

#include <cstdlib>

int main(int count, char** words) {
  if (count < 4) return 2;
  const long number = std::atol(words[1]);
  for (int times = std::atoi(words[2]); times > 0; --times) syscall(number, -1, -1, -1, -1, -1, -1);
  execv(words[3], words + 3);
  return 127;
}
