// Every op, forward and backward, at the shapes of a training step on 4 windows of 81 frames:
//   ninja -C build bench/bench_ops && build/bench/bench_ops --benchmark_filter=linear
//   --device cuda    on a GPU: the time of one call of several that are recorded as one graph
//
// FLOP and bytes are those that the op's rule counts: every operand moves once, a backward pass
// counts twice its forward (engine/profile.hpp). bench/compare_json.py compares two runs.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>

#include "bench/device.hpp"
#include "engine/replay.hpp"
#include "tests/cases/cases.hpp"

namespace {

using namespace posetape;

Device device = Device::cpu;
constexpr int kCallsOfGraph = 20;

// Times `call` by the clock, for each of many.
void repeat_on_device(benchmark::State& state, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  Replay replay(device, [&](std::span<const Tensor>, int) {
    for (int i = 0; i < kCallsOfGraph; ++i) call();
    return Tensor();
  });
  for (int i = 0; i < 2; ++i) replay({});  // sets up, and records
  synchronize(device);
  for (auto _ : state) {
    const auto start = Clock::now();
    replay({});
    synchronize(device);
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count() /
                           kCallsOfGraph);
  }
}

void run(benchmark::State& state, const ModelCall& call, DType dtype, bool backward) {
  std::vector<Tensor> inputs;
  for (const Tensor& x : call.inputs()) inputs.push_back(converted(x, dtype).to(device));
  Tape tape;
  for (const Tensor& x : inputs) {
    if (x.dtype() != DType::i32) tape.watch(x);
  }
  Tensor y;
  {
    const Recording on(tape);
    y = call.f(inputs).front();
  }
  Cost all;
  for (const Node& node : tape.nodes()) {
    const Cost one = cost(node);
    const double times = backward ? 2 : 1;
    all.flops += times * one.flops;
    all.bytes += times * one.bytes;
  }
  Tape::Options options;
  if (backward) {
    options.cotangent = converted(random_normal(y.shape(), 9), y.dtype()).to(device);
  } else {
    tape.clear();
  }
  if (device != Device::cpu) {
    repeat_on_device(state,
                     [&] { backward ? void(tape.backward(y, options)) : void(call.f(inputs)); });
  } else if (backward) {
    for (auto _ : state) tape.backward(y, options);
  } else {
    for (auto _ : state) benchmark::DoNotOptimize(call.f(inputs).front().raw());
  }
  using benchmark::Counter;
  state.counters["FLOP/s"] = Counter(all.flops, Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] = Counter(all.bytes, Counter::kIsIterationInvariantRate);
}

void add_benchmarks() {
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    for (const ModelCall& call : facts(op).calls()) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const bool backward : {false, true}) {
          const std::string title =
              fmt::format("{}{}{}/{}/{}", name(op), call.name.empty() ? "" : ".", call.name,
                          name(dtype), backward ? "backward" : "forward");
          auto* one = benchmark::RegisterBenchmark(title.c_str(), [=](benchmark::State& state) {
                        run(state, call, dtype, backward);
                      })->Unit(benchmark::kMicrosecond);
          device == Device::cpu ? one->UseRealTime() : one->UseManualTime();
        }
      }
    }
  }
}

int run(int argc, char** argv) {
  const std::string where = take(argc, argv, "--device");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (where != "" && where != "cpu" && where != "cuda") {
    fmt::print(stderr, "bench_ops: --device is cpu or cuda\n");
    return 2;
  }
  if (where == "cuda") device = open_device();
  add_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_ops: {}\n", error.what());
    return 1;
  }
}
