// What the emulation's tests share.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/port.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/schedule.hpp"

namespace posetape::test {

// Which sanitizer sees the kernels.
#ifdef POSETAPE_ASAN
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif
#ifdef POSETAPE_TSAN
inline constexpr bool kTsan = true;
#else
inline constexpr bool kTsan = false;
#endif

// An array of the device, filled with `value`.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count, T value = T{})
      : DeviceArray(std::vector<T>(count, value)) {}
  explicit DeviceArray(const std::vector<T>& values) : count_(values.size()) {
    REQUIRE(cudaMalloc(&data_, count_ * sizeof(T)) == cudaSuccess);
    REQUIRE(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice) ==
            cudaSuccess);
  }
  // A red zone may be found broken: then the test has said so already.
  ~DeviceArray() {
    try {
      cudaFree(data_);
    } catch (const emulation::Finding&) {
      emulation::reset();
    }
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return data_; }
  std::size_t size() const { return count_; }

  // Waits for everything.
  std::vector<T> values() const {
    std::vector<T> result(count_);
    // Not inside of REQUIRE, which would catch a Finding.
    const cudaError_t done = cudaDeviceSynchronize();
    REQUIRE(done == cudaSuccess);
    const auto copied =
        cudaMemcpy(result.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    REQUIRE(copied == cudaSuccess);
    return result;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

// What run() and the work it starts are found to do wrong; empty where nothing is.
template <class F>
std::string finding(F&& run) {
  try {
    run();
    cudaDeviceSynchronize();
  } catch (const emulation::Finding& found) {
    const std::string text = found.what();
    emulation::reset();
    return text;
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// For a test that ends its process, or makes a sanitizer report: the test case runs again in a
// process of its own. There this returns nothing, and the case does what it is about; for the
// parent it returns what the child wrote, and how it ended.
struct Child {
  std::string output;
  int exit_code;  // 128 + signal for one that a signal ended
};
std::optional<Child> in_child();

}  // namespace posetape::test
