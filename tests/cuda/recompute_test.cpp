#include "tests/model/recompute.hpp"

using namespace posetape;

TEST_CASE("cuda: networks train to the same bits at each level of recomputing") {
  for (const auto& [name, train] : test::kTrained) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name);
      CAPTURE(posetape::name(dtype));
      const test::Trained plain = train(dtype, Device::cuda, 0);
      CHECK(plain.losses[0] != plain.losses[2]);
      for (const int level : {1, 2}) test::check_equal(train(dtype, Device::cuda, level), plain);
    }
  }
}
