// A filter under construction, by libseccomp. It covers every way into this kernel, because calls
// by one that a filter doesn't know would kill the caller as foreign.
#pragma once

#include <seccomp.h>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace stepdown::generator {

class Filter {
 public:
  // Allows everything.
  Filter();

  // `call` is an SCMP_SYS(); a name that an architecture lacks matches no call there. Every way in
  // but x32 gets `action`. Conditions on arguments may be given, all of which must hold.
  void add(int call, std::uint32_t action, std::uint32_t x32_action,
           const std::vector<scmp_arg_cmp>& conditions = {});

  // The compiled program, on stdout, as an array of C++ that is called `name`. The filter is used
  // up.
  void print(const char* name);

 private:
  struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
  };
  using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;

  static Context allow_everything();

  Context usual_;
  Context x32_;  // empty where there is none
};

// Ends the build with libseccomp's negative errno.
void require(int result, const char* call);

}  // namespace stepdown::generator
