// Whole steps of the two networks: ninja -C build bench/bench_steps && build/bench/bench_steps
//
// Arguments: B sequences of N frames, width D, depth L. Counters: frames a second, arithmetic of
// the matrix products (2 x parameters x tokens forward, three times that for a training step), and
// the most memory that tensors held at a time.
#include <benchmark/benchmark.h>

#include "bench/training_step.hpp"
#include "model/pose_denoiser.hpp"
#include "model/stcformer.hpp"

namespace {

using namespace posetape;

Tensor input(const benchmark::State& state, Index channels) {
  return noise({state.range(0), state.range(1), 17, channels}, 1);
}

Index heads(Index width) {
  return width >= 256 ? 8 : width / 32;
}

void count(benchmark::State& state, const ParameterList& list, double passes) {
  const double frames = static_cast<double>(state.range(0) * state.range(1));
  const double flop = 2.0 * passes * static_cast<double>(list.size()) * frames * 17;
  using benchmark::Counter;
  state.counters["frames/s"] = Counter(frames, Counter::kIsIterationInvariantRate);
  state.counters["FLOP/s"] = Counter(flop, Counter::kIsIterationInvariantRate);
  state.counters["peak MB"] = static_cast<double>(Arena::cpu().peak_bytes()) / 1e6;
}

template <class Network>
void train(benchmark::State& state, Network& network, const std::function<Tensor()>& forward) {
  TrainingStep training(network.parameters(), forward, input(state, 3));
  Arena::cpu().trim();
  Arena::cpu().reset_peak();
  for (auto _ : state) training.step();
  count(state, network.parameters(), 3);
}

void denoiser(benchmark::State& state, bool training) {
  const Index width = state.range(2);
  model::PoseDenoiser network({width, state.range(3), heads(width), 4, true}, DType::f32, 1);
  const Tensor x = input(state, 3);
  const Tensor y = input(state, 2);
  const std::vector<int> t(static_cast<std::size_t>(state.range(0)), 20);
  const auto forward = [&] { return network(x, y, t); };
  if (training) return train(state, network, forward);
  for (auto _ : state) benchmark::DoNotOptimize(forward().raw());
  count(state, network.parameters(), 1);
}

void stcformer_train(benchmark::State& state) {
  const Index width = state.range(2);
  model::Stcformer network({width, state.range(3), heads(width), 4}, DType::f32, 1);
  const Tensor y = input(state, 2);
  train(state, network, [&] { return network(y); });
}

void denoiser_train(benchmark::State& state) {
  denoiser(state, true);
}
void denoiser_forward(benchmark::State& state) {
  denoiser(state, false);
}

BENCHMARK(denoiser_train)
    ->Args({4, 81, 256, 4})
    ->Args({1, 243, 256, 4})
    ->Args({16, 27, 64, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(denoiser_forward)
    ->Args({4, 81, 256, 4})
    ->Args({1, 243, 256, 4})
    ->Args({1, 27, 256, 4})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(stcformer_train)
    ->Args({4, 81, 256, 6})
    ->Args({16, 27, 64, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
