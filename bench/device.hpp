// Benchmarks on a GPU: their options, and what the context says of the device.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "engine/dtype.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape {

// Takes `flag`'s value out of the command line; empty where it is not given.
inline std::string take(int& argc, char** argv, const std::string& flag) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] != flag) continue;
    const std::string value = argv[i + 1];
    std::copy(argv + i + 2, argv + argc, argv + i);
    argc -= 2;
    return value;
  }
  return {};
}

// The GPU, with the context saying what it is; throws where there is none.
inline Device open_device() {
  const cuda::DeviceInfo& info = cuda::open();
  const auto version = [](int number) {
    return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
  };
  benchmark::AddCustomContext("driver", version(info.driver));
  benchmark::AddCustomContext("runtime", version(info.runtime));
  benchmark::AddCustomContext("device",
                              info.name + (info.emulated ? " (emulated: times mean nothing)" : ""));
  return Device::cuda;
}

}  // namespace posetape
