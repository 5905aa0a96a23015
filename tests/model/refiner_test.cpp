// What needs a whole refiner and the engine's own checks; the method's formulas are in
// tests/diffusion/refiner_test.cpp.
#include "diffusion/refiner.hpp"

#include "engine/taps.hpp"
#include "tests/cases/models.hpp"
#include "tests/model/whole_model.hpp"

using namespace posetape;
using diffusion::Refiner;
using diffusion::RefinerConfig;

namespace {

RefinerConfig tiny() {
  RefinerConfig config;
  config.network = {16, 1, 2, 2, true};
  config.frames = 4;
  return config;
}

Refiner make(const RefinerConfig& config, DType dtype) {
  const diffusion::ErrorScale scale{std::vector<double>(51, 0.0), std::vector<double>(51, 0.04)};
  return Refiner(config, some_noise(), scale, dtype, 11);
}

Tensor rooted(std::uint64_t seed, double scale, DType dtype) {
  const Tensor t = random_normal({2, 4, 17, 3}, seed, scale);
  for (Index i = 0; i < t.size(); i += 51) std::fill_n(t.data<double>() + i, 3, 0.0);
  return Tensor::of(t.shape(), t.values<double>(), dtype);
}

diffusion::RefinerBatch batch(DType dtype) {
  const Tensor y = random_normal({2, 4, 17, 2}, 3, 0.3);
  return {rooted(1, 0.4, dtype), rooted(2, 0.4, dtype),
          Tensor::of(y.shape(), y.values<double>(), dtype)};
}

}  // namespace

TEST_CASE("DDIM's result has the right derivative with respect to the noisy poses") {
  const diffusion::RefinerBatch b = batch(DType::f64);
  GradcheckOptions options;
  options.full_up_to = 0;
  options.tolerance = 1e-8;
  options.step = 1e-3;
  const std::vector<Tensor> inputs{b.noisy, b.y};
  const GradcheckReport report = gradcheck(
      [](std::span<const Tensor> in) {
        return std::vector{make(tiny(), in[0].dtype()).refine(in[0], in[1], 3)};
      },
      inputs, options);
  CHECK_MESSAGE(report.passed(), report.failures());
}

TEST_CASE("refine keeps the root at zero and reports its steps") {
  const Refiner refiner = make(tiny(), DType::f32);
  const diffusion::RefinerBatch b = batch(DType::f32);
  const Taps taps({"t", "x_k", "x_hat"});
  const Tensor out = refiner.refine(b.noisy, b.y, 2);
  REQUIRE(taps.captured().size() == 6);
  CHECK(taps.at("step.1.t").values == std::vector{50.0});
  CHECK(taps.at("step.2.t").values == std::vector{25.0});
  CHECK(taps.at("step.1.x_k").values == b.noisy.to_doubles());
  const std::vector<double> refined = out.to_doubles();
  const std::vector<double>& last = taps.at("step.2.x_hat").values;
  for (std::size_t i = 0; i < refined.size(); ++i) CHECK(refined[i] == (i % 51 < 3 ? 0 : last[i]));
  for (Index i = 0; i < out.size(); i += 51) {
    for (int c = 0; c < 3; ++c) CHECK(out.data<float>()[i + c] == 0.0f);
  }
}

TEST_CASE("a refiner comes back from its file bit for bit") {
  const Refiner refiner = make(tiny(), DType::f32);
  TensorFile file;
  refiner.save(file);
  const Refiner loaded = Refiner::load(file, "memory");
  const diffusion::RefinerBatch b = batch(DType::f32);
  CHECK(loaded.refine(b.noisy, b.y, 2).to_doubles() ==
        refiner.refine(b.noisy, b.y, 2).to_doubles());
  CHECK(diffusion::to_json(loaded.config()) == diffusion::to_json(refiner.config()));
  CHECK(loaded.loss(b, 1, 2).item() == refiner.loss(b, 1, 2).item());

  file.metadata["format"] = "posetape lifter 1";
  CHECK_THROWS_WITH_AS(Refiner::load(file, "x.safetensors"),
                       doctest::Contains("x.safetensors: not a refiner checkpoint"), Error);
  file.metadata["format"] = "posetape refiner 7";
  CHECK_THROWS_WITH_AS(Refiner::load(file, "x.safetensors"),
                       doctest::Contains("written by another version"), Error);
}

TEST_CASE("loss and refinement are the same bits for any thread count") {
  const Refiner refiner = make(tiny(), DType::f32);
  const diffusion::RefinerBatch b = batch(DType::f32);
  test::check_thread_independence([&] {
    std::vector<double> values = refiner.refine(b.noisy, b.y, 2).to_doubles();
    values.push_back(refiner.loss(b, 3, 4).item());
    return values;
  });
}
