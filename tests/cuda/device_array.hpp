// Memory of the device for tests that call kernels without the engine.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "kernels/cuda/runtime.hpp"

namespace posetape::test {

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : count_(values.size()) {
    memory_ = cuda::allocate(bytes() + 1);  // never nothing
    REQUIRE(memory_ != nullptr);
    cuda::upload(memory_, values.data(), bytes());
  }
  ~DeviceArray() { cuda::release(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return static_cast<T*>(memory_); }

  // Waits for the device.
  std::vector<T> values() const {
    std::vector<T> result(count_);
    cuda::download(result.data(), memory_, bytes());
    return result;
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(T); }

  std::size_t count_;
  void* memory_;
};

}  // namespace posetape::test
