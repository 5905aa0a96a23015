#include "tests/model/recompute.hpp"

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
