// Functions of libraries that are loaded when they are called: linked, a library would cost every
// start its time and memory, also where no device is asked for.
#pragma once

#include <string>

namespace posetape::cuda {

// Loads a library ("libnccl.so.2") from where the system looks, or else from the toolkit that this
// was built with. Null where neither has it.
void* load_library(const char* file);
// The address of one of its functions. Null where it has none of this name, and where `library` is:
// then `why` says what the system says.
void* function_of(void* library, const char* name, std::string& why);

// A function of this type, whose address `find` knows by its name.
template <void* (*find)(const char*), class Function>
class Loaded;
template <void* (*find)(const char*), class R, class... P>
class Loaded<find, R(P...)> {
 public:
  explicit constexpr Loaded(const char* name) : name_(name) {}
  R operator()(P... arguments) {
    if (function_ == nullptr) function_ = reinterpret_cast<R (*)(P...)>(find(name_));
    return function_(arguments...);
  }

 private:
  const char* name_;
  R (*function_)(P...) = nullptr;
};

}  // namespace posetape::cuda
