// Times PoseDenoiser on request, so that a script can take turns with another program:
//   build/bench/bench_measure
// reads lines "KIND DTYPE BATCH FRAMES WIDTH DEPTH THREADS SECONDS" and answers each with one line,
// "WALL CPU PEAK RUNS": the median of a pass in seconds, by the clock and by the time that this
// process computed, the most bytes that tensors held at a time, and how many passes fitted into
// SECONDS (at least three). KIND is train (forward, loss,
// backward, Adam), forward, or refine (two denoising steps of DDIM, K = 2). bench/peers/peer.py
// speaks the same.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>

#include "bench/training_step.hpp"
#include "diffusion/refiner.hpp"
#include "kernels/base/parallel.hpp"

namespace {

using namespace posetape;

struct Request {
  std::string kind;
  std::string dtype;
  Index batch = 0;
  Index frames = 0;
  Index width = 0;
  Index depth = 0;
  int threads = 0;
  double seconds = 0;

  static Request parse(const std::string& line) {
    Request r;
    std::istringstream in(line);
    in >> r.kind >> r.dtype >> r.batch >> r.frames >> r.width >> r.depth >> r.threads >> r.seconds;
    if (!in || r.batch < 1 || r.frames < 1 || r.width < 1 || r.depth < 0 || r.threads < 1) {
      fail("request \"{}\": expected KIND DTYPE BATCH FRAMES WIDTH DEPTH THREADS SECONDS", line);
    }
    return r;
  }
};

DType parse_dtype(const std::string& text) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (text == name(dtype)) return dtype;
  }
  fail("dtype {}: the network runs in f32 or bf16", text);
}

struct Answer {
  double wall = 0;
  double cpu = 0;
  std::size_t peak = 0;
  std::size_t runs = 0;
};

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Answer repeat(double seconds, std::size_t before, const std::function<void()>& pass) {
  using Clock = std::chrono::steady_clock;
  pass();  // the arena fills, the pages become resident
  Arena::cpu().reset_peak();
  std::vector<double> wall;
  std::vector<double> cpu;
  double total = 0;
  while (wall.size() < 3 || total < seconds) {
    const auto start = Clock::now();
    const std::clock_t computed = std::clock();
    pass();
    cpu.push_back(static_cast<double>(std::clock() - computed) / CLOCKS_PER_SEC);
    wall.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += wall.back();
  }
  return {median(wall), median(cpu), Arena::cpu().peak_bytes() - before, wall.size()};
}

Answer measure(const Request& r) {
  set_threads(r.threads);
  const DType dtype = parse_dtype(r.dtype);
  const std::size_t before = Arena::cpu().bytes_in_use();
  const Shape poses{r.batch, r.frames, 17, 3};
  const model::PoseDenoiserConfig config{r.width, r.depth, 8, 4, true};
  if (r.kind == "refine") {
    diffusion::RefinerConfig refiner_config;
    refiner_config.network = config;
    const auto rows = [](Index sequence) {
      const auto seed = static_cast<std::uint64_t>(sequence);
      return diffusion::NoiseSequence{noise({120, 51}, seed).to_doubles(),
                                      noise({120, 85}, seed + 2).to_doubles()};
    };
    const diffusion::Refiner refiner(
        refiner_config, diffusion::ConditionalNoise::fit(51, 85, 2, rows),
        {std::vector<double>(51, 0.0), std::vector<double>(51, 1.0)}, dtype, 1);
    const DType type = accumulator_of(dtype);
    const Tensor estimate = noise(poses, 1, type);
    const Tensor screen = noise(poses.with(3, 2), 2, type);
    return repeat(r.seconds, before, [&] { refiner.refine(estimate, screen, 2); });
  }
  const Tensor x = noise(poses, 1, dtype);
  const Tensor y = noise(poses.with(3, 2), 2, dtype);
  const std::vector<int> t(static_cast<std::size_t>(r.batch), 20);
  model::PoseDenoiser network(config, dtype, 1);
  const auto forward = [&] { return network(x, y, t); };
  if (r.kind == "forward") return repeat(r.seconds, before, forward);
  if (r.kind != "train") fail("kind {}: expected train, forward or refine", r.kind);
  TrainingStep training(network.parameters(), forward, noise(poses, 3, accumulator_of(dtype)));
  return repeat(r.seconds, before, [&] { training.step(); });
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      const Answer a = measure(Request::parse(line));
      fmt::print("{:.9f} {:.9f} {} {}\n", a.wall, a.cpu, a.peak, a.runs);
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_measure: {}\n", error.what());
    return 1;
  }
}
