// Whole steps of the two networks: ninja -C build bench/bench_steps && build/bench/bench_steps
//
// Arguments: B sequences of N frames, width D, depth L. Counters: frames a second, arithmetic of
// the matrix products (2 x parameters x tokens forward, three times that for a training step), and
// the most memory that tensors held at a time.
#include <benchmark/benchmark.h>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "model/pose_denoiser.hpp"
#include "model/stcformer.hpp"

namespace {

using namespace posetape;

Tensor input(const benchmark::State& state, Index channels) {
  const Shape shape{state.range(0), state.range(1), 17, channels};
  const Tensor values = random_normal(shape, 1);
  return Tensor::of(shape, std::span<const double>(values.values<double>()), DType::f32);
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

// One training step: forward, loss, backward, Adam.
template <class Network>
void train(benchmark::State& state, Network& network, const std::function<Tensor()>& forward) {
  const Tensor target = input(state, 3);
  Adam adam(network.parameters());
  Arena::cpu().trim();
  Arena::cpu().reset_peak();
  for (auto _ : state) {
    Tape tape;
    network.parameters().watch(tape);
    Tensor loss;
    {
      Recording on(tape);
      loss = joint_distance_loss(forward(), target);
    }
    Tape::Options options;
    options.destinations = network.parameters().destinations();
    options.release = true;
    tape.backward(loss, options);
    adam.step(1e-4);
  }
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
