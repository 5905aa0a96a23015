// Whole steps of the two networks: ninja -C build bench/bench_steps && build/bench/bench_steps
//   --device cuda    on a GPU, where a step is one graph
//   --dtype bf16     the denoiser's numbers
//   --recompute 2    activations that training steps compute again: 0, 1 or 2
//
// Arguments: B sequences of N frames, width D, depth L. Counters: frames a second, arithmetic of
// the matrix products (2 x parameters x tokens forward, three times that for a training step), and
// the most memory that tensors held at a time (on a GPU without what lies in graphs).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>

#include "bench/device.hpp"
#include "bench/training_step.hpp"
#include "model/pose_denoiser.hpp"
#include "model/stcformer.hpp"

namespace {

using namespace posetape;

Device device = Device::cpu;
DType dtype = DType::f32;
int recompute_level = 0;

Tensor input(const benchmark::State& state, Index channels) {
  return noise({state.range(0), state.range(1), 17, channels}, 1).to(device);
}

Index heads(Index width) {
  return width >= 256 ? 8 : width >= 64 ? width / 32 : 2;
}

void count(benchmark::State& state, const ParameterList& list, double passes) {
  const double frames = static_cast<double>(state.range(0) * state.range(1));
  const double flop = 2.0 * passes * static_cast<double>(list.size()) * frames * 17;
  using benchmark::Counter;
  state.counters["frames/s"] = Counter(frames, Counter::kIsIterationInvariantRate);
  state.counters["FLOP/s"] = Counter(flop, Counter::kIsIterationInvariantRate);
  state.counters["peak MB"] = static_cast<double>(Arena::of(device).peak_bytes()) / 1e6;
}

// The first two calls set up and record what the others replay (engine/replay.hpp).
void repeat(benchmark::State& state, const std::function<void()>& pass) {
  if (device != Device::cpu) {
    pass();
    pass();
    synchronize(device);
  }
  for (auto _ : state) {
    pass();
    synchronize(device);
  }
}

template <class Network>
void train(benchmark::State& state, Network& network, const std::function<Tensor()>& forward) {
  TrainingStep training(network.parameters(), forward, input(state, 3), recompute_level);
  Arena::of(device).trim();
  Arena::of(device).reset_peak();
  repeat(state, [&] { training.step(); });
  count(state, network.parameters(), 3);
}

void denoiser(benchmark::State& state, bool training) {
  const Index width = state.range(2);
  model::PoseDenoiser network({width, state.range(3), heads(width), 4, true}, dtype, 1, device);
  const Tensor x = input(state, 3);
  const Tensor y = input(state, 2);
  const std::vector<int> t(static_cast<std::size_t>(state.range(0)), 20);
  const Tensor embedding = model::sinusoidal_embedding(t, width, accumulator_of(dtype)).to(device);
  const auto forward = [&] { return network(x, y, embedding); };
  if (training) return train(state, network, forward);
  Replay replay(device, [&](std::span<const Tensor>, int) { return forward(); });
  repeat(state, [&] { benchmark::DoNotOptimize(replay({}).raw()); });
  count(state, network.parameters(), 1);
}

void stcformer_train(benchmark::State& state) {
  const Index width = state.range(2);
  model::Stcformer network({width, state.range(3), heads(width), 4}, DType::f32, 1, device);
  const Tensor y = input(state, 2);
  train(state, network, [&] { return network(y); });
}

void denoiser_train(benchmark::State& state) {
  denoiser(state, true);
}
void denoiser_forward(benchmark::State& state) {
  denoiser(state, false);
}

// The last sizes are small enough for the emulation.
BENCHMARK(denoiser_train)
    ->Args({4, 81, 256, 4})
    ->Args({1, 243, 256, 4})
    ->Args({16, 27, 256, 4})
    ->Args({16, 27, 64, 2})
    ->Args({1, 3, 8, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(denoiser_forward)
    ->Args({4, 81, 256, 4})
    ->Args({1, 243, 256, 4})
    ->Args({16, 27, 256, 4})
    ->Args({1, 27, 256, 4})
    ->Args({1, 3, 8, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(stcformer_train)
    ->Args({4, 81, 256, 6})
    ->Args({16, 27, 64, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int run(int argc, char** argv) {
  const std::string where = take(argc, argv, "--device");
  const std::string type = take(argc, argv, "--dtype");
  const std::string level = take(argc, argv, "--recompute");
  if (type == "bf16") dtype = DType::bf16;
  if (level == "1" || level == "2") recompute_level = level[0] - '0';
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if ((where != "" && where != "cpu" && where != "cuda") ||
      (type != "" && type != "f32" && type != "bf16") ||
      (level != "" && level != "0" && recompute_level == 0)) {
    fmt::print(stderr,
               "bench_steps: --device is cpu or cuda, --dtype is f32 or bf16, --recompute is 0, 1 "
               "or 2\n");
    return 2;
  }
  if (where == "cuda") device = open_device();
  benchmark::AddCustomContext("dtype", name(dtype));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_steps: {}\n", error.what());
    return 1;
  }
}
