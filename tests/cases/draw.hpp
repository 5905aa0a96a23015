// How a random call of an op is drawn: every tests/cases/<op>.cpp has a function that does, so that
// a new op takes part in random programs (tests/cases/program.hpp) without a list of its own.
//
//   DrawnCall draw(Draw& d) {
//     const int x = d.any(1);
//     return {{x}, elementwise(Unary(softmax)), "softmax(@0)", {reference(d.shape_of(x))}};
//   }
//
// Operands are numbers of values that the program has; what it lacks becomes a leaf.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/jvp.hpp"
#include "engine/op.hpp"
#include "engine/rng.hpp"

namespace posetape {

// What references compute in: nothing of the kernels has a part in it, and 64 bits of digits leave
// 11 to spare beside f64.
using Numbers = std::vector<long double>;
// From the operands' values to a result's, in plain loops.
using Reference = std::function<Numbers(const std::vector<Numbers>&)>;

struct DrawnCall {
  std::vector<int> operands;          // by number; kLeftOut for an optional one that is not given
  TensorFunction f;                   // of the operands
  std::string text;                   // the call in C++, @0 for the first operand
  std::vector<Reference> references;  // one for each result
  TensorFunction composite = {};      // the same of other ops, where there is one
  bool kink = false;                  // it bends somewhere
  // Members of what the call returns, where that is a struct.
  std::vector<std::string> members = {};
};

inline constexpr int kLeftOut = -1;

struct Program;

class Draw {
 public:
  // No value has more than `room` elements. `fresh` leaves alone are drawn as operands.
  Draw(Program& program, Random& random, Index room, bool fresh = false)
      : program_(program), random_(random), room_(room), fresh_(fresh) {}

  Index below(Index n) { return random_.below(static_cast<std::uint32_t>(n)); }
  bool chance(double p) { return random_.uniform() < p; }
  // In f32, so that all types hold nearly the same.
  double number(double low, double high);
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<Index>(list.size()))];
  }

  // Extents and shapes, of those that break kernels more often than of others. `beside` elements
  // that many times have room.
  Index extent(Index beside = 1);
  Shape shape(int least_rank = 0, int most_rank = kMaxRank);
  // An axis, counted from the end at times; and some axes, none for all.
  int axis(int rank);
  std::vector<int> axes(int rank);
  // Another shape of so many elements.
  Shape regrouped(Index size);
  // What `shape` broadcasts to; and what broadcasts with it.
  Shape stretched(const Shape& shape);
  Shape partner(const Shape& shape);

  const Shape& shape_of(int value) const;
  // A value of some rank.
  int any(int least_rank = 0, int most_rank = kMaxRank);
  // A value of this shape; and one that is well above 0.
  int of(const Shape& shape, double scale = 1);
  int positive();
  int positive(const Shape& shape);
  // Numbers below `extent`, i32: always a leaf. Some of them, but not all, are `odd` where that is
  // given.
  int indices(const Shape& shape, Index extent, std::optional<std::int32_t> odd = {});

 private:
  template <class Wanted>
  int pick(const Wanted& wanted);
  int leaf(const Shape& shape, double scale);

  Program& program_;
  Random& random_;
  Index room_;
  bool fresh_;
};

// An axis of `rank` counted from 0.
inline int from_first(int axis, int rank) {
  return axis < 0 ? axis + rank : axis;
}

// "{2, 3}"
std::string braced(const Shape& shape);
std::string braced(const std::vector<int>& list);

// Calls of elementwise functions.
using Unary = std::function<Tensor(const Tensor&)>;
using Binary = std::function<Tensor(const Tensor&, const Tensor&)>;
DrawnCall drawn_unary(int x, std::string text, const Unary& op,
                      std::function<long double(long double)> f, const Unary& composite = {},
                      bool kink = false);
DrawnCall drawn_binary(Draw& d, int a, int b, std::string text, const Binary& op,
                       std::function<long double(long double, long double)> f,
                       const Binary& composite = {}, bool kink = false);
// Of one that takes any numbers.
DrawnCall drawn_binary(Draw& d, std::string text, const Binary& op,
                       std::function<long double(long double, long double)> f,
                       const Binary& composite = {}, bool kink = false);
// Of a loss of two equal shapes.
DrawnCall drawn_loss(Draw& d, std::string text, const Binary& op,
                     const std::function<Numbers(const Shape&, const std::vector<Numbers>&)>& f,
                     const Binary& composite, bool kink);

}  // namespace posetape
