// Which time belongs to what is profiled.
#include "engine/profile.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "engine/adam.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/sum.hpp"
#include "engine/tape.hpp"

using namespace posetape;

namespace {

constexpr double kPause = 0.02;

void idle() {
  std::this_thread::sleep_for(std::chrono::duration<double>(kPause));
}

}  // namespace

TEST_CASE("what happens before an update is no part of it") {
  ParameterList parameters(16, DType::f32, 1);
  parameters.add("p", {3}, {Init::constant, 1});
  Adam adam(parameters, {});
  fill(parameters.gradients(), 1.0);
  const Profile profile;
  idle();
  adam.step(0.1);
  REQUIRE(profile.events().size() == 1);
  CHECK(profile.events()[0].start >= kPause);
}

TEST_CASE("what happens before a backward pass is no part of its first rule") {
  const Tensor x = Tensor::full({2}, 1.0, DType::f32);
  Tape tape;
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(mul(x, x));
  }
  const Profile profile;
  idle();
  (void)tape.backward(loss);
  REQUIRE(profile.events().size() == 2);
  CHECK(profile.events()[0].start >= kPause);
  CHECK(profile.events()[0].backward);
}
