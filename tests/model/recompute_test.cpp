#include "tests/model/recompute.hpp"

#include <memory>

#include "engine/profile.hpp"
#include "engine/taps.hpp"
#include "kernels/base/parallel.hpp"

using namespace posetape;

TEST_CASE("networks train to the same bits with less memory at each level of recomputing") {
  const int before = threads();
  for (const auto& [name, train] : test::kTrained) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name);
      CAPTURE(posetape::name(dtype));
      set_threads(1);
      const test::Trained plain = train(dtype, Device::cpu, 0);
      CHECK(plain.losses[0] != plain.losses[2]);
      const test::Trained mlp = train(dtype, Device::cpu, 1);
      set_threads(3);
      const test::Trained blocks = train(dtype, Device::cpu, 2);
      test::check_equal(mlp, plain);
      test::check_equal(blocks, plain);
      test::check_equal(train(dtype, Device::cpu, 0), plain);
      test::check_equal(train(dtype, Device::cpu, 1), plain);
      CHECK(mlp.peak < plain.peak);
      CHECK(blocks.peak < mlp.peak);
    }
  }
  set_threads(before);
}

TEST_CASE("recompute: who looks on in one of the two passes changes no gradient") {
  const model::PoseDenoiser network({16, 2, 2, 4, true}, DType::f32, 1);
  const ParameterList& parameters = network.parameters();
  const auto looking = [](int how) -> std::unique_ptr<Observer> {
    if (how == 0) return nullptr;
    if (how == 1) return std::make_unique<Profile>();
    return std::make_unique<Taps>(std::vector<std::string>{"*.local"});
  };
  std::vector<double> expected;
  for (int forward = 0; forward < 3; ++forward) {
    for (int backward = 0; backward < 3; ++backward) {
      CAPTURE(forward);
      CAPTURE(backward);
      Tape tape(model::kRecomputeBlock);
      for (const auto& entry : parameters.entries()) tape.watch(entry.value);
      Tensor loss;
      {
        const auto observer = looking(forward);
        const Recording on(tape);
        const Tensor y = network(test::noise({1, 5, 17, 3}, 1), test::noise({1, 5, 17, 2}, 2),
                                 test::noise({1, 16}, 3));
        loss = sum(mul(y, y));
      }
      const auto observer = looking(backward);
      const Gradients gradients = tape.backward(loss);
      std::vector<double> all;
      for (const auto& entry : parameters.entries()) {
        const std::vector<double> values = gradients.of(entry.value).to_doubles();
        all.insert(all.end(), values.begin(), values.end());
      }
      if (expected.empty()) expected = all;
      CHECK(all == expected);
    }
  }
}
