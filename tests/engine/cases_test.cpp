// Claims that hold for every gradient-check case of every op, beside that its gradient is right:
// results do not depend on the thread count or on what memory held before, inputs stay as they are,
// and a gradient can be written over anything or added to what is there.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "kernels/cpu/parallel.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

bool floating(const Tensor& t) {
  return t.defined() && t.dtype() != DType::i32;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

Tensor converted(const Tensor& t, DType dtype) {
  if (!floating(t)) return t;
  const Tensor other = Tensor::empty(t.shape(), dtype);
  copy(t, other);
  return other;
}

std::vector<bool> differentiated(const Case& c) {
  std::vector<bool> result;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    bool constant = !floating(c.inputs[i]);
    for (const int k : c.options.constant) constant = constant || static_cast<std::size_t>(k) == i;
    result.push_back(!constant);
  }
  return result;
}

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
    Tape::Options options;
    options.cotangent = cotangent_for(outputs[o], 1000 + o);
    const Gradients g = tape.backward(outputs[o], options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (wanted[i]) all.push_back(g.of(inputs[i]).clone());
    }
  }
  return all;
}

// Puts the process back as it was.
struct Restored {
  int threads = posetape::threads();
  ~Restored() {
    set_threads(threads);
    Arena::cpu().set_poison(false);
    Arena::cpu().set_reuse(true);
  }
};

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

// Two losses of one tape: of the case alone, and of the case plus <previous, input> for every
// input. The second one's terms are recorded after the case, so in its backward they come first,
// and the case's gradients are added onto them.
TEST_CASE("a gradient added is the gradient written plus what was there") {
  each_case([&](const Case& c, const std::string& label) {
    const std::vector<bool> wanted = differentiated(c);
    Tape tape;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      if (wanted[i]) tape.watch(c.inputs[i]);
    }
    std::vector<Tensor> previous(c.inputs.size());
    Tensor alone;
    Tensor both;
    {
      Recording on(tape);
      const std::vector<Tensor> outputs = c.f(c.inputs);
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        if (!outputs[o].defined()) continue;
        const Tensor term = sum(mul(outputs[o], cotangent_for(outputs[o], 2000 + o)));
        alone = alone.defined() ? add(alone, term) : term;
      }
      both = alone;
      for (std::size_t i = 0; i < c.inputs.size(); ++i) {
        if (!wanted[i]) continue;
        previous[i] = random_normal(c.inputs[i].shape(), 3000 + i);
        both = add(both, sum(mul(c.inputs[i], previous[i])));
      }
    }
    const Gradients written = tape.backward(alone);
    const Gradients added = tape.backward(both);
    std::vector<std::pair<Tensor, Tensor>> destinations;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      if (!wanted[i]) continue;
      destinations.emplace_back(c.inputs[i],
                                Tensor::full(c.inputs[i].shape(), std::nan(""), DType::f64));
    }
    Tape::Options options;
    options.destinations = destinations;
    tape.backward(alone, options);
    std::size_t next = 0;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      if (!wanted[i]) continue;
      const Tensor in_place = destinations[next++].second;
      CHECK_MESSAGE(same_bytes(in_place, written.of(c.inputs[i])), label, ": destination ", i);
      const std::vector<double> w = written.of(c.inputs[i]).to_doubles();
      const std::vector<double> p = previous[i].to_doubles();
      const std::vector<double> a = added.of(c.inputs[i]).to_doubles();
      double worst = 0;
      for (std::size_t k = 0; k < a.size(); ++k) {
        const double error = std::fabs(a[k] - (w[k] + p[k])) / (1 + std::fabs(w[k]));
        worst = std::isnan(error) ? INFINITY : std::max(worst, error);
      }
      // Rounding only: a product may add its terms onto what is there one after the other.
      CHECK_MESSAGE(worst < 1e-12, label, ": input ", i, " is off by ", worst);
    }
  });
}
