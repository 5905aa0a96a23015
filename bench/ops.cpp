// Every op, forward and backward, at the shapes of a training step on 4 windows of 81 frames:
//   ninja -C build bench/bench_ops && build/bench/bench_ops --benchmark_filter=linear
//   --device cuda    on a GPU: the time of one call of several that are recorded as one graph
//
// FLOP and bytes are those that the op's rule counts: every operand moves once, a backward pass
// counts twice its forward (engine/profile.hpp). bench/compare_json.py compares two runs.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <chrono>

#include "bench/device.hpp"
#include "engine/ops.hpp"
#include "engine/replay.hpp"
#include "tests/cases/cases.hpp"

namespace {

using namespace posetape;

// A call at a model's shapes; its inputs are made when its turn comes.
struct Call {
  std::string name;  // beside the op's, where it has more than one
  std::function<std::vector<Tensor>()> inputs;
  TensorFunction f;
};
using Calls = std::vector<Call>;

constexpr Index kBatch = 4;
constexpr Index kFrames = 81;
constexpr Index kJoints = 17;
constexpr Index kWidth = 256;
const Shape kTokens{kBatch, kFrames, kJoints, kWidth};
const Shape kPoses{kBatch, kFrames, kJoints, 3};

Tensor positive(const Shape& shape, std::uint64_t seed) {
  return random_uniform(shape, seed, 0.5, 2);
}

Calls unary(Tensor (*op)(const Tensor&)) {
  return {{"", [] { return std::vector{positive(kTokens, 1)}; }, elementwise(op)}};
}

Calls binary(Tensor (*op)(const Tensor&, const Tensor&)) {
  const auto with = [](const Shape& b) {
    return [b] { return std::vector{positive(kTokens, 1), positive(b, 2)}; };
  };
  return {{"", with(kTokens), elementwise(op)}, {"broadcast", with({kWidth}), elementwise(op)}};
}

Calls loss(Tensor (*op)(const Tensor&, const Tensor&)) {
  return {{"",
           [] {
             return std::vector{random_normal(kPoses, 1), random_normal(kPoses, 2)};
           },
           elementwise(op)}};
}

Calls relu_calls() {
  return unary(relu);
}
Calls exp_calls() {
  return unary(exp);
}
Calls log_calls() {
  return unary(log);
}
Calls sqrt_calls() {
  return unary(sqrt);
}
Calls tanh_calls() {
  return unary(tanh);
}
Calls sigmoid_calls() {
  return unary(sigmoid);
}
Calls silu_calls() {
  return unary(silu);
}
Calls gelu_calls() {
  return unary(gelu);
}
Calls softmax_calls() {
  return unary(softmax);
}
Calls add_calls() {
  return binary(add);
}
Calls sub_calls() {
  return binary(sub);
}
Calls mul_calls() {
  return binary(mul);
}
Calls div_calls() {
  return binary(div);
}
Calls joint_distance_loss_calls() {
  return loss(joint_distance_loss);
}
Calls mse_loss_calls() {
  return loss(mse_loss);
}
Calls scale_calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) { return std::vector{scale(in[0], 0.5, 1)}; }}};
}
Calls cast_calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{
                 cast(in[0], in[0].dtype() == DType::f32 ? DType::bf16 : DType::f32)};
           }}};
}
Calls reshape_calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{reshape(in[0], {kBatch * kFrames * kJoints, kWidth})};
           }}};
}
Calls transpose_calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{transpose(in[0], {0, 2, 1, 3})};
           }}};
}
Calls concat_calls() {
  return {{"",
           [] {
             return std::vector{random_normal(kPoses, 1), random_normal(kPoses.with(3, 2), 2)};
           },
           [](std::span<const Tensor> in) {
             return std::vector{concat({in[0], in[1]}, -1)};
           }}};
}
Calls slice_calls() {
  return {{"", [] { return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{slice(in[0], -1, 2 * kWidth, 3 * kWidth)};
           }}};
}
Calls broadcast_to_calls() {
  return {{"",
           [] {
             return std::vector{random_normal({kBatch, 1, 1, kWidth}, 1)};
           },
           [](std::span<const Tensor> in) { return std::vector{broadcast_to(in[0], kTokens)}; }}};
}
Calls gather_calls() {
  return {{"",
           [] {
             std::vector<std::int32_t> index(kBatch * kFrames * kJoints);
             for (std::size_t i = 0; i < index.size(); ++i) {
               index[i] = static_cast<std::int32_t>(i % 5);
             }
             const auto count = static_cast<Index>(index.size());
             return std::vector{
                 random_normal({5, kWidth}, 1),
                 Tensor::of<std::int32_t>({count}, std::span<const std::int32_t>(index))};
           },
           [](std::span<const Tensor> in) { return std::vector{gather(in[0], in[1])}; }}};
}
Calls sum_calls() {
  const auto tokens = [] { return std::vector{random_normal(kTokens, 1)}; };
  return {{"all", tokens, [](std::span<const Tensor> in) { return std::vector{sum(in[0])}; }},
          {"rows", tokens,
           [](std::span<const Tensor> in) {
             return std::vector{sum(in[0], {{0, 1, 2}, false})};
           }},
          {"columns", tokens, [](std::span<const Tensor> in) {
             return std::vector{sum(in[0], {{-1}, false})};
           }}};
}
Calls matmul_calls() {
  return {{"",
           [] {
             return std::vector{random_normal({kBatch * kFrames * kJoints, kWidth}, 1),
                                random_normal({kWidth, kWidth}, 2)};
           },
           [](std::span<const Tensor> in) { return std::vector{matmul(in[0], in[1])}; }}};
}
Calls blend_calls() {
  return {
      {"",
       [] {
         return std::vector{random_normal({kBatch}, 1), random_normal(kPoses, 2),
                            random_normal({kBatch}, 3), random_normal(kPoses, 4)};
       },
       [](std::span<const Tensor> in) { return std::vector{blend(in[0], in[1], in[2], in[3])}; }}};
}
Calls linear_calls() {
  const auto call = [](std::string name, Index in, Index out, Activation activation) {
    return Call{std::move(name),
                [=] {
                  return std::vector{random_normal(kTokens.with(3, in), 1),
                                     random_normal({out, in}, 2), random_normal({out}, 3)};
                },
                [=](std::span<const Tensor> x) {
                  return std::vector{linear(x[0], x[1], x[2], activation)};
                }};
  };
  return {call("input", 5, kWidth, Activation::none),
          call("qkv", kWidth, 3 * kWidth, Activation::none),
          call("proj", kWidth, kWidth, Activation::none),
          call("fc1", kWidth, 4 * kWidth, Activation::gelu),
          call("fc2", 4 * kWidth, kWidth, Activation::none),
          call("output", kWidth, 3, Activation::none)};
}
Calls layer_norm_calls() {
  const auto inputs = [] {
    return std::vector{random_normal(kTokens, 1), random_normal({kWidth}, 2),
                       random_normal({kWidth}, 3), random_normal(kTokens, 4),
                       random_normal({kBatch, kWidth}, 5)};
  };
  const auto call = [&](std::string name, std::size_t count) {
    return Call{std::move(name),
                [=] {
                  std::vector<Tensor> in = inputs();
                  in.resize(count);
                  return in;
                },
                [=](std::span<const Tensor> in) {
                  const Tensor residual = count > 3 ? in[3] : Tensor();
                  const Tensor shift = count > 4 ? in[4] : Tensor();
                  return std::vector{layer_norm(in[0], in[1], in[2], 1e-5, residual, shift).y};
                }};
  };
  return {call("", 3), call("residual", 4), call("residual_and_shift", 5)};
}
Calls axial_attention_calls() {
  const auto call = [](std::string name, Axis axis) {
    return Call{std::move(name),
                [] {
                  return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1),
                                     random_normal(kTokens, 2)};
                },
                [=](std::span<const Tensor> in) {
                  return std::vector{axial_attention(in[0], axis, 8, 0, in[1])};
                }};
  };
  return {call("cross", Axis::cross), call("space", Axis::space), call("time", Axis::time)};
}
Calls structure_embedding_calls() {
  return {{"",
           [] {
             std::array<std::int32_t, kJoints> part{};
             for (std::size_t j = 0; j < part.size(); ++j) part[j] = static_cast<int>(j % 5);
             return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1),
                                random_normal({kWidth, 3, 3}, 2), random_normal({kWidth}, 3),
                                random_normal({5, kWidth / 16}, 4),
                                Tensor::of<std::int32_t>({kJoints}, part)};
           },
           [](std::span<const Tensor> in) {
             return std::vector{structure_embedding(in[0], in[1], in[2], in[3], in[4])};
           }}};
}

// The generated list: an op without `<op>_calls` does not compile.
Calls calls(Op op) {
  switch (op) {
#define POSETAPE_OP(op) \
  case Op::op:          \
    return op##_calls();
#include "kernels/ops.def"
#undef POSETAPE_OP
  }
  return {};
}

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

void run(benchmark::State& state, const Call& call, DType dtype, bool backward) {
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
    for (const Call& call : calls(op)) {
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
