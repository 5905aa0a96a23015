// What a trainer keeps in a file: a state of which a part is not this model's is refused whole.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/trainer.hpp"

using namespace posetape;

TEST_CASE("a state of another size is refused, whichever part has it, and nothing is taken") {
  ParameterList parameters(16, DType::f32, 1);
  parameters.add("p", {3}, {Init::constant, 1});
  Trainer trainer(parameters, {});
  TensorFile good;
  trainer.save(good);
  const TrainState before = trainer.state();
  for (const std::string changed : {"trainer.m", "trainer.v", "trainer.counters"}) {
    CAPTURE(changed);
    TensorFile file;
    for (const auto& [name, tensor] : good.tensors) {
      const Tensor longer = Tensor::full({tensor.size() + 1}, 2.0, tensor.dtype());
      file.tensors.emplace_back(name, name == changed ? longer : tensor);
    }
    CHECK_THROWS_WITH_AS(trainer.load(file, "a.safetensors"),
                         doctest::Contains("a.safetensors: the optimiser's state"), Error);
    CHECK(trainer.state().epoch == before.epoch);
    TensorFile after;
    trainer.save(after);
    for (const auto& [name, tensor] : after.tensors) {
      CHECK(tensor.to_doubles() == good.at(name).to_doubles());
    }
  }
}
