// What holds for every gradient-check case of every op in every type:
// results do not depend on the thread count or on what memory held before, and inputs stay as they
// are.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/restored.hpp"

using namespace posetape;

namespace {

Tensor cotangent_for(const Tensor& output, std::uint64_t seed) {
  return converted(random_normal(output.shape(), seed), output.dtype());
}

// A case's outputs, then for each output the gradients of its inputs, all copied.
std::vector<Tensor> results(const Case& c, const std::vector<Tensor>& inputs) {
  const std::vector<bool> wanted = differentiated(c);
  Tape tape;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i]) tape.watch(inputs[i]);
  }
  std::vector<Tensor> outputs;
  {
    Recording on(tape);
    outputs = c.f(inputs);
  }
  std::vector<Tensor> all;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (!outputs[o].defined()) continue;
    all.push_back(outputs[o].clone());
    if (!tape.tracks(outputs[o])) continue;  // a constant has no gradient
    Tape::Options options;
    options.cotangent = cotangent_for(outputs[o], 1000 + o);
    const Gradients g = tape.backward(outputs[o], options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (wanted[i]) all.push_back(g.of(inputs[i]).clone());
    }
  }
  return all;
}

template <class F>
void each_case(const F& f) {
  for (int i = 0; i < kOps; ++i) {
    const Op op = static_cast<Op>(i);
    for (const Case& c : cases(op)) f(c, std::string(name(op)) + "/" + c.name);
  }
}

}  // namespace

TEST_CASE("forward and backward are bit-equal for any thread count, on poisoned and fresh memory") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    each_case([&](const Case& c, const std::string& label) {
      const Restored restored;
      std::vector<Tensor> inputs;
      std::vector<Tensor> before;
      for (const Tensor& t : c.inputs) {
        inputs.push_back(converted(t, dtype));
        before.push_back(t.defined() ? inputs.back().clone() : Tensor());
      }
      set_threads(1);
      const std::vector<Tensor> expected = results(c, inputs);
      CHECK_MESSAGE(!expected.empty(), label);
      for (const int count : {2, 3}) {
        set_threads(count);
        Arena::cpu().set_poison(count == 2);
        Arena::cpu().set_reuse(count == 2);
        const std::vector<Tensor> got = results(c, inputs);
        REQUIRE(got.size() == expected.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK_MESSAGE(same_bytes(got[i], expected[i]), label, " ", std::string(name(dtype)), " ",
                        count, " threads, result ", i);
        }
      }
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i].defined()) continue;
        CHECK_MESSAGE(same_bytes(inputs[i], before[i]), label, ": input ", i, " was changed");
      }
    });
  }
}
