#include "model/stcformer.hpp"

#include "tests/model/whole_model.hpp"

using namespace posetape;
using model::Stcformer;
using model::StcformerConfig;

TEST_CASE("STCFormer has exactly the parameters of the released networks") {
  CHECK(test::parameter_count(Stcformer({}, DType::f32, 1).parameters()) == 4'748'000);
  StcformerConfig large;
  large.width = 512;
  CHECK(test::parameter_count(Stcformer(large, DType::f32, 1).parameters()) == 18'933'184);
}

TEST_CASE("STCFormer computes the same bits for any thread count") {
  const Stcformer network({32, 2, 2, 4}, DType::f32, 3);
  const Tensor y =
      Tensor::of({2, 9, 17, 2}, random_normal({2, 9, 17, 2}, 1).values<double>(), DType::f32);
  test::check_thread_independence([&] { return network(y).to_doubles(); });
}

TEST_CASE("STCFormer runs at any number of frames and refuses other skeletons") {
  const Stcformer network({16, 1, 2, 2}, DType::f32, 3);
  CHECK(network(Tensor::zeros({1, 1, 17, 2}, DType::f32)).shape() == Shape{1, 1, 17, 3});
  CHECK(network(Tensor::zeros({1, 30, 17, 2}, DType::f32)).shape() == Shape{1, 30, 17, 3});
  CHECK_THROWS_WITH_AS(network(Tensor::zeros({1, 3, 16, 2}, DType::f32)),
                       doctest::Contains("[B, N, 17"), Error);
  CHECK_THROWS_WITH_AS(Stcformer({30, 1, 4, 2}, DType::f32, 1),
                       doctest::Contains("multiple of 2 x heads"), Error);
}
