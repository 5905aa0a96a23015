// The marked numbers of sequences added up by a gated recurrent unit, stopped and resumed.
//   g++ -std=c++20 gru.cpp $(pkg-config --cflags --libs posetape) -o gru && ./gru
#include <cstdio>
#include <vector>

#include "engine/adam.hpp"
#include "engine/checkpoint.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"

using namespace posetape;
constexpr Index kFrames = 12, kBatch = 64, kHidden = 16;

struct Layers {
  Layers(ParameterList& list, int) {
    of_x = list.add("of_x", {3 * kHidden, 2}, {Init::uniform, 0.25});
    of_h = list.add("of_h", {3 * kHidden, kHidden}, {Init::uniform, 0.25});
    bias = list.add("bias", {3 * kHidden}, {});
    out = list.add("out", {1, kHidden}, {Init::uniform, 0.25});
  }
  Tensor cell(const Tensor& h, const Tensor& x) const {  // Cho et al., arXiv 1406.1078
    const Tensor a = linear(x, of_x, bias), b = linear(h, of_h);
    const auto part = [](auto& t, Index i) { return slice(t, 1, kHidden * i, kHidden * (i + 1)); };
    const Tensor reset = sigmoid(add(part(a, 0), part(b, 0)));
    const Tensor keep = sigmoid(add(part(a, 1), part(b, 1)));
    const Tensor next = tanh(add(part(a, 2), mul(reset, part(b, 2))));
    return add(next, mul(keep, sub(h, next)));
  }
  Tensor operator()(std::int64_t number) const {  // the mean square error on a batch
    Random random(7, Stream::test, static_cast<std::uint64_t>(number));
    std::vector<double> sums(kBatch);
    Tensor h = Tensor::zeros({kBatch, kHidden}, DType::f32);
    for (Index t = 0; t < kFrames; ++t) {
      std::vector<double> x;
      for (double& sum : sums) {
        x.insert(x.end(), {random.uniform(), random.uniform() < 0.2 ? 1.0 : 0.0});
        sum += x[x.size() - 2] * x.back();
      }
      h = cell(h, Tensor::of({kBatch, 2}, x, DType::f32));
    }
    return mse_loss(linear(h, out), Tensor::of({kBatch, 1}, sums, DType::f32));
  }
  Tensor of_x, of_h, bias, out;
};

int main() {
  const Module<Layers> net(0, DType::f32, /*seed=*/6);
  Adam adam(net);
  std::int64_t step = 0;
  const Checkpoint checkpoint("gru.safetensors", net, adam, {{"step", &step}});
  if (checkpoint.resume()) std::printf("goes on after step %d\n", int(step));
  while (step < 800) {
    const Tensor loss = gradients(net, [&] { return net(step); });
    adam.step(0.01);
    if (++step % 200 == 0) std::printf("step %3d  loss %.4f\n", int(step), loss.item());
    if (step % 200 == 0) checkpoint.save();
  }
  std::printf("loss on sequences that it has not seen %.4f\n", net(-1).item());
  return net(-1).item() < 0.01 ? 0 : 1;
}
