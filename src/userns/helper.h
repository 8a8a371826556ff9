// A child that stays behind in this process's namespaces, to do one thing when told and to answer.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "sys/fd.h"

namespace stepdown::userns {

// The death of either side is the end of the channel for the other: nobody waits for ever. The
// child never comes back into the caller's code. The destructor reaps it.
class Helper {
 public:
  using Work = std::function<std::string()>;

  // Forks; the child waits to be told. Its signals are blocked, so that none of the caller's
  // handlers runs in it and what ends it is the channel.
  explicit Helper(const Work& work);
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  // Tells it to begin; what `work` returned, when the child has ended. Error: the one that `work`
  // threw, or, of the step "userns", that the child ended without an answer.
  std::string answer();

 private:
  bool wait_for_end();

  sys::Fd channel_;
  pid_t pid_ = -1;
};

}  // namespace stepdown::userns
