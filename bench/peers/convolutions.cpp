// Times a convolution on request, so that convolutions.py can take turns with PyTorch: reads lines
// "DIMENSIONS BATCH SIZE CHANNELS OUT KERNEL STRIDE GROUPS THREADS SECONDS" and answers each with
// "FORWARD STEP", the medians in seconds of a forward pass and of one with the gradients of input,
// weight and bias: of one thread by the time that it computed, so that other programs don't count,
// of several by the clock. SIZE is that of each dimension, with zeros around it so that it stays
// the same.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <iostream>
#include <sstream>

#include "bench/training_step.hpp"
#include "engine/conv1d.hpp"
#include "engine/conv2d.hpp"
#include "kernels/base/parallel.hpp"

namespace {

using namespace posetape;

double now(int threads) {
  if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

double median_time(int threads, double seconds, const std::function<void()>& pass) {
  pass();  // the arena fills
  std::vector<double> times;
  double total = 0;
  while (times.size() < 3 || total < seconds) {
    const double start = now(threads);
    pass();
    times.push_back(now(threads) - start);
    total += times.back();
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  return *middle;
}

std::string measure(const std::string& line) {
  int dimensions = 0, threads = 0;
  Index batch = 0, size = 0, channels = 0, out = 0, kernel = 0, stride = 0, groups = 0;
  double seconds = 0;
  std::istringstream in(line);
  in >> dimensions >> batch >> size >> channels >> out >> kernel >> stride >> groups >> threads >>
      seconds;
  if (!in || (dimensions != 1 && dimensions != 2)) fail("request \"{}\": see the source", line);
  set_threads(threads);
  const bool plane = dimensions == 2;
  const Index zeros = kernel / 2;
  const auto channels_last = [&](Index first, Index extent, Index last) {
    return plane ? Shape{first, extent, extent, last} : Shape{first, extent, last};
  };
  const Tensor x = noise(channels_last(batch, size, channels), 1);
  const Tensor weight = noise(channels_last(out, kernel, channels / groups), 2);
  const Tensor bias = noise({out}, 3);
  const auto forward = [&] {
    return plane ? conv2d(x, weight, bias,
                          {.stride = {stride, stride},
                           .before = {zeros, zeros},
                           .after = {zeros, zeros},
                           .groups = groups})
                 : conv1d(x, weight, bias, {.stride = stride, .before = zeros, .after = zeros});
  };
  const Tensor dy = noise(forward().shape(), 4);
  const auto step = [&] {
    Tape tape;
    for (const Tensor& t : {x, weight, bias}) tape.watch(t);
    Tensor y;
    {
      const Recording on(tape);
      y = forward();
    }
    Tape::Options options;
    options.cotangent = dy;
    tape.backward(y, options);
  };
  const double alone = median_time(threads, seconds, forward);
  return fmt::format("{:.9f} {:.9f}", alone, median_time(threads, seconds, step));
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      fmt::print("{}\n", measure(line));
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_convolutions: {}\n", error.what());
    return 1;
  }
}
