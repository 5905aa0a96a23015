// How sharply a refiner's loss bends: the largest eigenvalue of its Hessian on one batch, by power
// iteration on Hessian-vector products: curvature REFINER DATASET.npz
//
//   g++ -std=c++20 curvature.cpp $(pkg-config --cflags --libs posetape) -o curvature
#include <cmath>
#include <cstdio>
#include <exception>

#include "data/batches.hpp"
#include "data/dataset.hpp"
#include "diffusion/refiner.hpp"
#include "engine/gradcheck.hpp"  // random_normal
#include "engine/hvp.hpp"

using namespace posetape;

// The loss of the first window, on numbers that carry derivatives.
static std::function<Tensor()> loss_of(const diffusion::Refiner& refiner,
                                       const data::Dataset& dataset) {
  const int frames = refiner.config().frames;
  const auto all = data::all_sequences(dataset);
  data::EpochBatches batches(dataset, all, frames, /*batch=*/1, /*flip=*/false, /*seed=*/1);
  const auto [windows, flips] = batches.at(0, 0);
  const auto field = [&](data::Field f) {
    const Tensor x = data::gather(dataset, windows, flips, frames, f);
    return Tensor::of(x.shape(), x.to_doubles(), DType::dual);
  };
  const diffusion::RefinerBatch batch{field(data::Field::truth), field(data::Field::noisy),
                                      field(data::screen_field(refiner.config().network.screen))};
  return [=, &refiner] { return refiner.loss(batch, /*seed=*/1, /*step=*/0); };
}

static double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

int main(int count, char** arguments) try {
  if (count != 3) fail("usage: curvature REFINER DATASET.npz");
  const auto refiner =
      diffusion::Refiner::load(read_safetensors(arguments[1]), arguments[1], DType::dual);
  const data::Dataset dataset = data::read_dataset(arguments[2]);
  const auto loss = loss_of(refiner, dataset);
  Tensor v = random_normal(refiner.parameters().values().shape(), 1);
  for (int i = 1; i <= 8; ++i) {
    const double length = std::sqrt(dot(v, v));
    for (double& x : v.values<double>()) x /= length;
    const Tensor product = network_hvp(refiner.parameters(), loss, v);
    std::printf("iteration %d: v' H v = %.6g, |H v| = %.6g\n", i, dot(v, product),
                std::sqrt(dot(product, product)));
    v = product;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "curvature: %s\n", error.what());
  return 1;
}
