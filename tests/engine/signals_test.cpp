// A handled signal may arrive at any instruction: training is stopped by one. Code that keeps data
// below the stack pointer beyond the 128 bytes that the ABI grants (as the machine code of some
// matrix libraries does) loses it to the handler, and corrupts memory once in a hundred interrupted
// runs.
#include <doctest/doctest.h>
#include <sys/time.h>

#include <csignal>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

volatile std::sig_atomic_t signals = 0;

// SIGALRM every 100 us while it lives.
class Alarms {
 public:
  Alarms() {
    old_ = std::signal(SIGALRM, [](int) { signals = signals + 1; });
    every(100);
  }
  ~Alarms() {
    every(0);
    std::signal(SIGALRM, old_);
  }

 private:
  static void every(long microseconds) {
    const itimerval interval{{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &interval, nullptr);
  }
  void (*old_)(int);
};

Tensor input(const Shape& shape, std::uint64_t seed) {
  const Tensor values = random_normal(shape, seed);
  const Tensor t = Tensor::empty(shape, DType::f32);
  copy(values, t);
  return t;
}

}  // namespace

TEST_CASE("signals change no result") {
  const int before = threads();
  set_threads(1);  // whoever computes is whom the signal interrupts
  const Tensor x = input({1, 9, 17, 64}, 1);
  const Tensor w = input({192, 64}, 2);
  const auto run = [&] {
    Tape tape;
    tape.watch(w);
    Tensor out;
    {
      Recording on(tape);
      out = axial_attention(linear(x, w, {}, Activation::gelu), Axis::cross, 2);
    }
    Tape::Options options;
    options.cotangent = out;
    return std::pair{out, tape.backward(out, options).of(w)};
  };
  const auto expected = run();
  {
    const Alarms alarms;
    while (signals < 300) {
      const auto got = run();
      REQUIRE(same_bytes(got.first, expected.first));
      REQUIRE(same_bytes(got.second, expected.second));
    }
  }
  set_threads(before);
}
