// Images of a class that is asked for: diffusion with classifier-free guidance, on 6 x 6 pixels.
//   g++ -std=c++20 images.cpp $(pkg-config --cflags --libs posetape) -o images
#include <algorithm>
#include <cstdio>
#include <limits>
#include <numeric>
#include <vector>

#include "diffusion/gaussian.hpp"
#include "engine/adam.hpp"
#include "engine/ema.hpp"
#include "engine/learning_rate.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"
#include "model/layers.hpp"
#include "model/pose_denoiser.hpp"

using namespace posetape;
using Image = std::vector<double>;  // of 36 pixels, -1 or 1
constexpr int kSide = 6, kClasses = 4, kNoClass = kClasses, kPlaces = 9, kSteps = 200;
constexpr Index kPixels = kSide * kSide, kWidth = 256, kBatch = 64;

// All images of each class: a bar across, a bar upright, a square's outline, a cross, wherever
// they fit.
std::vector<std::vector<Image>> all_images() {
  const auto shape = [](int c, int x, int y) {
    const bool edge = x == 0 || x == 3 || y == 0 || y == 3;
    const bool inside = x >= 0 && x < 4 && y >= 0 && y < 4;
    const bool in_class[] = {y == 1, x == 1, edge, x == y || x == 3 - y};
    return inside && in_class[c];
  };
  std::vector<std::vector<Image>> all(kClasses);
  for (int c = 0; c < kClasses; ++c) {
    for (int place = 0; place < kPlaces; ++place) {
      Image image;
      for (int p = 0; p < kPixels; ++p) {
        image.push_back(shape(c, p % kSide - place % 3, p / kSide - place / 3) ? 1 : -1);
      }
      all[c].push_back(image);
    }
  }
  return all;
}

struct Layers {
  Layers(ParameterList& list, int)
      : in(list, "in", kPixels, kWidth),
        time(list, "time", kWidth, kWidth),
        out(list, "out", kWidth, kPixels) {
    std::vector<int> t(kSteps + 1);
    std::iota(t.begin(), t.end(), 0);
    times = model::sinusoidal_embedding(t, kWidth, DType::f32);
    classes = list.add("classes", {kClasses + 1, kWidth}, {Init::normal, 0.1});
    for (int i = 0; i < 3; ++i) {
      norms.emplace_back(list, fmt::format("norm.{}", i), kWidth);
      hidden.emplace_back(list, fmt::format("hidden.{}", i), kWidth, kWidth);
    }
  }
  // x_t [B, pixels], t and class i32 [B] -> x0 [B, pixels]
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& c) const {
    const Tensor told = add(time(gather(times, t)), gather(classes, c));
    Tensor h = in(x);
    for (int i = 0; i < 3; ++i) h = add(h, hidden[i](silu(add(norms[i](h).y, told))));
    return out(h);
  }
  Tensor times, classes;
  model::Linear in, time, out;
  std::vector<model::LayerNorm> norms;
  std::vector<model::Linear> hidden;
};

// Squared distance of the nearest of some images.
double nearest(const std::vector<Image>& images, const double* x) {
  double least = std::numeric_limits<double>::infinity();
  for (const Image& image : images) {
    double sum = 0;
    for (int p = 0; p < kPixels; ++p) sum += (x[p] - image[p]) * (x[p] - image[p]);
    least = std::min(least, sum);
  }
  return least;
}

int main() {
  const auto images = all_images();
  const Module<Layers> net(0, DType::f32, /*seed=*/1);
  const diffusion::GaussianDiffusion diffusion(
      {.T = kSteps, .prediction = diffusion::Prediction::x0}, DType::f32);
  Adam adam(net);
  Ema ema(net);
  const int steps = 1500;
  for (int step = 1; step <= steps; ++step) {
    Random random(1, Stream::shuffle, step);
    std::vector<double> pixels;
    std::vector<std::int32_t> classes;
    for (int i = 0; i < kBatch; ++i) {
      classes.push_back(static_cast<int>(random.below(kClasses)));
      const Image& image = images[classes.back()][random.below(kPlaces)];
      pixels.insert(pixels.end(), image.begin(), image.end());
    }
    const Tensor x0 = Tensor::of({kBatch, kPixels}, pixels, DType::f32);
    const Tensor c = diffusion::drop_classes(Tensor::of<std::int32_t>({kBatch}, classes), kNoClass,
                                             /*rate=*/0.1, /*seed=*/1, step);
    const auto e = diffusion.example(x0, /*seed=*/1, step);
    const Tensor loss = gradients(net, [&] { return diffusion.loss(net(e.x, e.t, c), e); });
    adam.step(cosine_rate(step, steps, 50, 3e-3));
    ema.update(0.995);
    if (step % 500 == 0) std::printf("step %d  loss %.4f\n", step, loss.item());
  }

  const Averaged averaged(net, ema);
  std::vector<std::int32_t> asked;
  for (int i = 0; i < 200; ++i) asked.push_back(i % kClasses);
  int right = 0, clean = 0;
  for (const double weight : {-1.0, 0.0, 1.0}) {
    const Tensor x = diffusion.sample(
        diffusion::guide(net, Tensor::of<std::int32_t>({200}, asked), kNoClass, weight),
        {200, kPixels}, {.steps = 20, .clip = 1}, /*seed=*/7);
    const std::vector<double> pixels = x.to_doubles();
    right = clean = 0;
    for (int i = 0; i < 200; ++i) {
      std::vector<double> distances;
      for (const auto& of_class : images) {
        distances.push_back(nearest(of_class, &pixels[i * kPixels]));
      }
      const auto least = std::ranges::min_element(distances);
      right += least - distances.begin() == asked[i];
      clean += *least < 1;
    }
    std::printf("guidance %2.0f: of 200 samples %d are nearest to their class, %d are clean\n",
                weight, right, clean);
  }
  return right > 190 && clean > 160 ? 0 : 1;
}
