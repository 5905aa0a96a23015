// Mistakes that programs make: each is an Error that says what is wrong and what to do, or has the
// right result.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/adam.hpp"
#include "engine/attention.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "engine/recompute.hpp"
#include "engine/tape.hpp"

using namespace posetape;

namespace {

Tensor ones(const Shape& shape, DType dtype = DType::f32) {
  return Tensor::full(shape, 1, dtype);
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no Error";
}

// That f throws an Error that holds all of these.
void refuses(const std::function<void()>& f, const std::vector<std::string>& parts) {
  const std::string message = message_of(f);
  for (const std::string& part : parts) {
    CHECK_MESSAGE(message.find(part) != std::string::npos, message, " lacks ", part);
  }
}

using Inputs = std::vector<Tensor>;

// An op with inputs that fit it.
struct Call {
  std::string op;
  std::vector<std::string> names;
  Inputs inputs;
  std::function<void(const Inputs&)> run;
  std::vector<bool> optional = {};  // by input

  bool may_lack(std::size_t i) const { return i < optional.size() && optional[i]; }
};

template <class F>
Call unary(const std::string& op, F f) {
  return {op, {"x"}, {ones({2, 3})}, [f](const Inputs& in) { (void)f(in[0]); }};
}

template <class F>
Call binary(const std::string& op, F f) {
  return {op, {"a", "b"}, {ones({2, 2}), ones({2, 2})}, [f](const Inputs& in) {
            (void)f(in[0], in[1]);
          }};
}

// All that take floating tensors alone; the two that take indices have them where they belong.
std::vector<Call> calls() {
  const auto loss = [](const std::string& op, auto f) {
    Call call = binary(op, f);
    call.names = {"prediction", "target"};
    return call;
  };
  const Tensor parts = Tensor::full({3}, 0, DType::i32);
  return {
      unary("relu", [](const Tensor& x) { return relu(x); }),
      unary("gelu", [](const Tensor& x) { return gelu(x); }),
      unary("silu", [](const Tensor& x) { return silu(x); }),
      unary("exp", [](const Tensor& x) { return exp(x); }),
      unary("log", [](const Tensor& x) { return log(x); }),
      unary("sqrt", [](const Tensor& x) { return sqrt(x); }),
      unary("tanh", [](const Tensor& x) { return tanh(x); }),
      unary("sigmoid", [](const Tensor& x) { return sigmoid(x); }),
      unary("softmax", [](const Tensor& x) { return softmax(x); }),
      unary("scale", [](const Tensor& x) { return scale(x, 2); }),
      unary("sum", [](const Tensor& x) { return sum(x); }),
      unary("sum", [](const Tensor& x) { return mean(x); }),
      unary("cumsum", [](const Tensor& x) { return cumsum(x); }),
      unary("slice", [](const Tensor& x) { return slice(x, 0, 0, 1); }),
      unary("transpose",
            [](const Tensor& x) {
              return transpose(x, {1, 0});
            }),
      unary("broadcast_to",
            [](const Tensor& x) {
              return broadcast_to(x, {4, 2, 3});
            }),
      unary("cast", [](const Tensor& x) { return cast(x, DType::f64); }),
      binary("add", [](const Tensor& a, const Tensor& b) { return add(a, b); }),
      binary("sub", [](const Tensor& a, const Tensor& b) { return sub(a, b); }),
      binary("mul", [](const Tensor& a, const Tensor& b) { return mul(a, b); }),
      binary("div", [](const Tensor& a, const Tensor& b) { return div(a, b); }),
      binary("matmul", [](const Tensor& a, const Tensor& b) { return matmul(a, b); }),
      loss("mse_loss", [](const Tensor& a, const Tensor& b) { return mse_loss(a, b); }),
      loss("joint_distance_loss",
           [](const Tensor& a, const Tensor& b) { return joint_distance_loss(a, b); }),
      {"concat",
       {"input 0", "input 1", "input 2"},
       {ones({2}), ones({3}), ones({1})},
       [](const Inputs& in) { concat(in, 0); }},
      {"blend",
       {"p", "x", "q", "y"},
       {ones({2}), ones({2, 3}), ones({2}), ones({2, 3})},
       [](const Inputs& in) { blend(in[0], in[1], in[2], in[3]); }},
      {"linear",
       {"x", "weight", "bias"},
       {ones({2, 3}), ones({4, 3}), ones({4})},
       [](const Inputs& in) { linear(in[0], in[1], in[2], Activation::gelu); },
       {false, false, true}},
      {"layer_norm",
       {"x", "gamma", "beta", "residual", "shift"},
       {ones({2, 3}), ones({3}), ones({3}), ones({2, 3}), ones({1, 3})},
       [](const Inputs& in) { layer_norm(in[0], in[1], in[2], 1e-5, in[3], in[4]); },
       {false, false, false, true, true}},
      {"axial_attention",
       {"qkv", "add"},
       {ones({1, 2, 3, 12}), ones({1, 2, 3, 4})},
       [](const Inputs& in) { axial_attention(in[0], Axis::time, 2, 0, in[1]); },
       {false, true}},
      {"structure_embedding",
       {"qkv", "weight", "bias", "table"},
       {ones({1, 2, 3, 12}), ones({4, 3, 3}), ones({4}), ones({5, 2})},
       [parts](const Inputs& in) { structure_embedding(in[0], in[1], in[2], in[3], parts); }},
      {"unfold",
       {"x"},
       {ones({1, 2, 2, 1})},
       [](const Inputs& in) {
         unfold(in[0], {2, 1});
       }},
      {"take_along_axis",
       {"x"},
       {ones({3})},
       [parts](const Inputs& in) { take_along_axis(in[0], parts); }},
      {"scatter_add",
       {"x"},
       {ones({3})},
       [parts](const Inputs& in) { scatter_add(in[0], parts, 0, 2); }},
      {"cross_entropy",
       {"logits"},
       {ones({3, 2})},
       [parts](const Inputs& in) { cross_entropy(in[0], parts); }},
      {"gather", {"table"}, {ones({3, 2})}, [parts](const Inputs& in) { gather(in[0], parts); }},
  };
}

}  // namespace

TEST_CASE("an undefined tensor as input of any op is an Error with the names of both") {
  for (const Call& call : calls()) {
    CHECK_NOTHROW(call.run(call.inputs));
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      Inputs inputs = call.inputs;
      inputs[i] = Tensor();
      if (call.may_lack(i)) {
        CHECK_NOTHROW(call.run(inputs));
      } else if (call.op == "structure_embedding" && i == 3) {
        refuses([&] { call.run(inputs); }, {"structure_embedding: table and part belong together"});
      } else {
        refuses([&] { call.run(inputs); },
                {call.op + ": " + call.names[i] + " is an undefined tensor; assign it one"});
      }
    }
  }
  refuses(
      [] {
        stc_attention(ones({1, 2, 3, 12}), Axis::time, 2, 0, {{}, ones({4}), {}, {}});
      },
      {"axial_attention: weight is an undefined tensor; assign it one"});
  refuses([] { reshape({}, {1}); }, {"reshape: x is an undefined tensor"});
  refuses([] { gather(ones({3, 2}), {}); }, {"gather: index is an undefined tensor"});
  refuses([] { gather(ones({3, 2}), {}, 1); }, {"gather: index is an undefined tensor"});
  refuses([] { take_along_axis(ones({3}), {}); }, {"take_along_axis: index is an undefined"});
  refuses([] { scatter_add(ones({3}), {}, 0, 1); }, {"scatter_add: index is an undefined"});
  refuses([] { concat({}, 0); }, {"concat: no inputs"});
  refuses([] { AttentionProbabilities({}, Axis::time, 1, 0, Axis::time); },
          {"attention probabilities: qkv is []"});
}

TEST_CASE("an undefined tensor in the functions of tensors is an Error") {
  const Tensor none;
  const Tensor t = ones({1});
  refuses([&] { (void)none.clone(); }, {"clone: the tensor is undefined"});
  refuses([&] { (void)none.alias({1}); }, {"alias: the tensor is undefined"});
  refuses([&] { (void)none.to_doubles(); }, {"to_doubles: the tensor is undefined"});
  refuses([&] { (void)none.item(); }, {"item: the tensor is undefined"});
  refuses([&] { (void)none.values<float>(); }, {"values: the tensor is undefined"});
  refuses([&] { fill(none, 1); }, {"fill: the tensor is undefined"});
  refuses([&] { copy(none, t); }, {"copy: the tensor is undefined"});
  refuses([&] { copy(t, none); }, {"copy: the tensor is undefined"});
  refuses([&] { accumulate(none, t); }, {"accumulate: the tensor is undefined"});
  refuses([&] { accumulate(t, none); }, {"accumulate: the tensor is undefined"});
}

TEST_CASE("inputs of different types are an Error that names the op and both") {
  for (const Call& call : calls()) {
    for (std::size_t i = 1; i < call.inputs.size(); ++i) {
      Inputs inputs = call.inputs;
      inputs[i] = ones(inputs[i].shape(), DType::f64);
      refuses([&] { call.run(inputs); },
              {call.op + ": " + call.names[0] + " is f32 " + inputs[0].shape().text(),
               call.names[i] + " f64 " + inputs[i].shape().text(), "cast() converts"});
      inputs[i] = ones(inputs[i].shape(), DType::i32);
      refuses([&] { call.run(inputs); }, {call.op + ": ", " is f32 ", call.names[i] + " i32 ",
                                          "must be floating", "to_doubles()"});
    }
    Inputs inputs = call.inputs;
    inputs[0] = ones(inputs[0].shape(), DType::i32);
    if (call.op != "cast") {
      refuses([&] { call.run(inputs); },
              {call.op + ": " + call.names[0] + " is i32 ", "must be floating"});
    }
  }
  // The advice works.
  const Tensor numbers = Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{3, -4});
  const Tensor converted = Tensor::of(numbers.shape(), numbers.to_doubles(), DType::f32);
  CHECK(mul(ones({2}), converted).to_doubles() == std::vector<double>{3, -4});
  CHECK(add(ones({2}), cast(ones({2}, DType::f64), DType::f32)).to_doubles() ==
        std::vector<double>{2, 2});

  refuses(
      [] {
        gather(ones({3, 2}), ones({1}));
      },
      {"gather: index is f32 [1]", "indices must be i32"});
  refuses([] { cast(ones({2}, DType::i32), DType::f32); }, {"cast: i32 [2] to f32"});
  refuses([] { accumulate(ones({2}), ones({2}, DType::f64)); },
          {"accumulate: f32 [2] into f64 [2]", "cast() converts"});
  refuses([] { copy(ones({2}, DType::i32), ones({2})); }, {"copy: i32 [2] into f32 [2]"});
  // Layout alone has no type.
  CHECK(reshape(numbers, {2, 1}).dtype() == DType::i32);
}

TEST_CASE("a function that is differentiated and brings in numbers of its own is told so") {
  const TensorFunction f = [](std::span<const Tensor> in) {
    return std::vector{mul(in[0], ones({2}, DType::f64))};
  };
  refuses([&] { jvp(f, Inputs{ones({2}, DType::f64)}, Inputs{ones({2}, DType::f64)}); },
          {"mul: a is ", "b f64 [2]", "in the type of its inputs"});
}

namespace {

using Doubles = std::vector<double>;

Tensor numbers(const Doubles& values) {
  return Tensor::of<double>({static_cast<Index>(values.size())}, values);
}

// f(), recorded on the tape.
template <class F>
auto recorded(Tape& tape, const F& f) {
  const Recording on(tape);
  return f();
}

// A list of two parameters: w is {1, 2}, b {3}.
struct TwoParameters {
  explicit TwoParameters(DType dtype = DType::f64) : list(32, dtype, 1) {
    w = list.add("w", {2}, {});
    b = list.add("b", {1}, {Init::constant, 3});
    copy(numbers({1, 2}), list.entries()[0].master);
    list.masters_changed();
  }
  // sum(w^2) + b, and its gradients in the list.
  Tensor pass(std::size_t destinations = 2) const {
    Tape tape;
    list.watch(tape);
    const Tensor loss = recorded(tape, [&] { return add(sum(mul(w, w)), sum(b)); });
    Tape::Options options;
    options.destinations = list.destinations().first(destinations);
    tape.backward(loss, options);
    return loss;
  }

  ParameterList list;
  Tensor w, b;
};

const std::string kChanged = "was changed in place since";

}  // namespace

TEST_CASE("a tensor that a rule has saved and that was changed since is an Error") {
  const Tensor other = numbers({7, 8});
  const auto changes = std::vector<std::function<void(const Tensor&)>>{
      [](const Tensor& t) { fill(t, 100); },
      [&](const Tensor& t) { copy(other, t); },
      [&](const Tensor& t) { accumulate(other, t); },
      [](const Tensor& t) { fill_normal(t, 1, Stream::test, 0); },
      [](const Tensor& t) { fill(t.alias({1}, 1), 100); },
      [](const Tensor& t) {
        fill(reshape(t, {2, 1}), 100);
      },
      [](const Tensor& t) {
        t.values<double>()[0] = 100;
        t.mark_written();
      },
  };
  for (const auto& change : changes) {
    for (const bool intermediate : {false, true}) {
      const Tensor x = numbers({1, 2});
      Tape tape;
      tape.watch(x);
      Tensor h = x;
      const Tensor loss = recorded(tape, [&] {
        if (intermediate) h = exp(x);
        return sum(mul(h, h));
      });
      change(h);
      refuses([&] { tape.backward(loss); }, {"backward: mul needs the tensor f64 [2]", kChanged});
    }
  }
  // Through an alias that was made before, and one of the alias that was saved.
  const Tensor block = numbers({1, 2, 3, 4});
  const Tensor half = block.alias({2}, 2);
  Tape tape;
  tape.watch(half);
  const Tensor loss = recorded(tape, [&] {
    const Tensor column = reshape(half, {2, 1});
    return sum(mul(column, column));
  });
  CHECK(tape.backward(loss).of(half).to_doubles() == Doubles{6, 8});
  fill(block, 0);
  refuses([&] { tape.backward(loss); }, {"backward: mul needs the tensor f64 [2, 1]", kChanged});
}

TEST_CASE("what nobody has saved may change, and so may what a loss does not depend on") {
  const Tensor x = numbers({1, 2});
  const Tensor constant = numbers({3, 4});
  Tape tape;
  tape.watch(x);
  Tensor aside;
  const Tensor loss = recorded(tape, [&] {
    aside = exp(x);
    const Tensor unused = mul(aside, aside);
    return sum(scale(add(x, constant), 5));
  });
  fill(x, 100);
  fill(constant, 100);
  fill(aside, 100);
  CHECK(tape.backward(loss).of(x).to_doubles() == Doubles{5, 5});
  // And a leaf before it is used.
  Tape next;
  next.watch(x);
  fill(x, 2);
  CHECK(next.backward(recorded(next, [&] { return sum(mul(x, x)); })).of(x).to_doubles() ==
        Doubles{4, 4});
}

TEST_CASE("weights that an optimiser has moved between forward and backward are an Error") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const TwoParameters p(dtype);
    Adam adam(p.list);
    p.pass();
    Tape tape;
    p.list.watch(tape);
    const Tensor loss = recorded(tape, [&] { return sum(mul(p.w, p.w)); });
    adam.step(0.1);
    refuses([&] { tape.backward(loss); },
            {"backward: mul needs the tensor ", "[2]", kChanged, "an optimiser's step"});
    // The masters of bf16 are a memory of their own.
    const std::uint64_t version = p.list.masters().version();
    p.pass();
    adam.step(0.1);
    CHECK(p.list.masters().version() > version);
  }
  // A parameter is a memory of its own, though all lie in one block.
  const TwoParameters p;
  Tape tape;
  p.list.watch(tape);
  const Tensor loss = recorded(tape, [&] { return sum(mul(p.w, p.w)); });
  fill(p.b, 5);
  CHECK(tape.backward(loss).of(p.w).to_doubles() == Doubles{2, 4});
  fill(p.list.values(), 1);
  refuses([&] { tape.backward(loss); }, {"backward: mul needs the tensor f64 [2]", kChanged});
}

TEST_CASE("a gradient's destination in the memory of a saved tensor is an Error") {
  for (const bool whole : {true, false}) {
    const Tensor x = numbers({1, 2});
    Tape tape;
    tape.watch(x);
    const Tensor loss = recorded(tape, [&] { return sum(mul(x, x)); });
    const std::pair<Tensor, Tensor> place{x, whole ? x : x.alias({2})};
    Tape::Options options;
    options.destinations = std::span(&place, 1);
    refuses([&] { tape.backward(loss, options); },
            {"backward: mul needs the tensor f64 [2]", "as a gradient's destination"});
    CHECK(x.to_doubles() == Doubles{1, 2});  // before anything was written
  }
}

TEST_CASE("an undefined destination is an Error, and so is one of an undefined tensor") {
  const Tensor x = numbers({1, 2});
  Tape tape;
  tape.watch(x);
  const Tensor loss = recorded(tape, [&] { return sum(x); });
  for (const auto& place : {std::pair{x, Tensor()}, std::pair{Tensor(), x}}) {
    Tape::Options options;
    options.destinations = std::span(&place, 1);
    refuses([&] { tape.backward(loss, options); },
            {"backward: a destination or its tensor is undefined"});
  }
}

TEST_CASE("a recorded value that was changed in place before its next use is an Error") {
  const Tensor x = numbers({1, 2});
  Tape tape;
  tape.watch(x);
  const Tensor h = recorded(tape, [&] { return add(x, numbers({1, 1})); });
  fill(h, 3);
  refuses([&] { recorded(tape, [&] { return mul(h, h); }); },
          {"mul: input 0, f64 [2], " + kChanged + " it was recorded", "use ops"});
  const Tensor loss = recorded(tape, [&] { return sum(x); });
  fill(loss, 3);
  refuses([&] { tape.backward(loss); }, {"backward: the loss f64 [] " + kChanged});
}

TEST_CASE("what a segment reads may not change before it runs again") {
  const auto run = [](const Tensor& changed, const std::vector<std::string>& parts,
                      const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
    Tape tape(1);
    tape.watch(x);
    const Tensor loss = recorded(tape, [&] {
      return sum(recompute(
          1, [](const Tensor& in) { return exp(in); }, recompute(1, f, x)));
    });
    fill(changed, 5);
    refuses([&] { tape.backward(loss); }, parts);
  };
  const Tensor x = numbers({1, 2});
  const Tensor w = numbers({3, 4});
  run(
      w, {"recompute: input 1 of mul, f64 [2], " + kChanged + " the forward pass"},
      [&](const Tensor& in) { return exp(mul(in, w)); }, x);
  run(
      w, {"recompute: input 1 of add, f64 [2], " + kChanged},
      [&](const Tensor& in) { return exp(add(in, w)); }, x);
  run(
      w, {"recompute: a constant that the function reads " + kChanged},
      [&](const Tensor& in) { return exp(add(in, scale(w, 2))); }, x);
  run(
      x, {"recompute: input 0 of mul, f64 [2], " + kChanged},
      [&](const Tensor& in) { return exp(mul(in, in)); }, x);
}

TEST_CASE("clone() is recorded; copy() and accumulate() of a tracked tensor are Errors") {
  const Tensor x = numbers({1, 2, 3});
  Tape tape;
  tape.watch(x);
  const Tensor loss = recorded(tape, [&] {
    const Tensor c = x.clone();
    CHECK(c.raw() != x.raw());
    const Tensor same = c.to(Device::cpu);
    return sum(mul(c, same));
  });
  CHECK(tape.backward(loss).of(x).to_doubles() == Doubles{2, 4, 6});

  const Recording on(tape);
  const Tensor h = exp(x);
  const Tensor buffer = numbers({5, 5, 5});
  for (const Tensor& t : {x, h, x.alias({3}), h.alias({3, 1})}) {
    refuses([&] { copy(t, buffer); },
            {"copy: the tape that records tracks the source f64 [3", "clone()", "NoRecording"});
    refuses([&] { accumulate(t, buffer); },
            {"accumulate: the tape that records tracks the source f64 [3", "add()"});
  }
  CHECK(buffer.to_doubles() == Doubles{5, 5, 5});
  // Reading is free, and so are constants.
  CHECK(x.to_doubles() == Doubles{1, 2, 3});
  CHECK(sum(x).item() == 6);
  copy(numbers({7, 7, 7}), buffer);
  accumulate(numbers({1, 1, 1}), buffer);
  {
    const NoRecording off;
    copy(x, buffer);
    accumulate(x, buffer);
  }
  CHECK(buffer.to_doubles() == Doubles{2, 4, 6});
}

TEST_CASE("an alias of a tracked tensor as input of an op is an Error") {
  const Tensor x = numbers({1, 2});
  const Tensor before = x.alias({2, 1});
  Tape tape;
  tape.watch(x);
  const Tensor h = recorded(tape, [&] { return exp(x); });
  const Tensor outside = h.alias({2, 1});
  const Recording on(tape);
  for (const Tensor& t :
       {before, x.alias({2, 1}), h.alias({2, 1}), outside, x.alias({2}).alias({2, 1})}) {
    refuses([&] { sum(mul(t, t)); },
            {"mul: input 0, f64 [2, 1], shares memory with a tensor", "use reshape() or slice()"});
    refuses([&] { (void)t.clone(); }, {"shares memory with a tensor"});
  }
  // What the message advises.
  const Tensor r = reshape(x, {2, 1});
  CHECK(tape.backward(sum(mul(r, r))).of(x).to_doubles() == Doubles{2, 4});
  Tensor constant;
  {
    const NoRecording off;
    constant = x.alias({2});
  }
  CHECK(tape.backward(sum(mul(constant, x))).of(x).to_doubles() == Doubles{1, 2});
  Tape other;
  other.watch(before);
  CHECK(other.backward(recorded(other, [&] { return sum(mul(before, before)); }))
            .of(before)
            .to_doubles() == Doubles{2, 4});

  const TwoParameters p;
  Tape third;
  third.watch(p.w);
  const Recording also(third);
  refuses([&] { sum(p.list.values()); }, {"sum: input 0, f64 [32], shares memory"});
  refuses([&] { mul(p.w, p.list.entries()[0].master); }, {"mul: input 1, f64 [2], shares memory"});
  // A parameter that is not watched is a constant.
  CHECK(third.backward(sum(mul(p.w, broadcast_to(p.b, {2})))).of(p.w).to_doubles() ==
        Doubles{3, 3});
}

TEST_CASE("a loss that the tape has not recorded is an Error") {
  const Tensor x = numbers({1, 2});
  Tape tape;
  refuses([&] { tape.backward(sum(x)); }, {"backward: this tape watches nothing", "watch()"});
  tape.watch(x);
  const std::vector<std::string> unknown{"backward: the tape has not recorded the loss f64 []",
                                         "a Recording of it lives"};
  refuses([&] { tape.backward(sum(mul(x, x))); }, unknown);
  const Tensor constant = recorded(tape, [&] { return sum(numbers({3, 4})); });
  refuses([&] { tape.backward(constant); }, unknown);
  CHECK_FALSE(tape.tracks(constant));
  refuses([&] { tape.backward({}); }, {"backward: the loss is an undefined tensor"});
  refuses([&] { tape.watch({}); }, {"watch: the tensor is undefined"});
  Tape other;
  other.watch(x);
  const Tensor elsewhere = recorded(other, [&] { return sum(mul(x, x)); });
  CHECK(other.tracks(elsewhere));
  refuses([&] { tape.backward(elsewhere); }, unknown);

  const TwoParameters p;
  Tape forgets;  // watch() of one
  forgets.watch(p.w);
  const Tensor loss = recorded(forgets, [&] { return add(sum(p.w), sum(p.b)); });
  Tape::Options options;
  options.destinations = p.list.destinations();
  refuses([&] { forgets.backward(loss, options); },
          {"backward: destination for a tensor f64 [1] that the tape does not watch",
           "parameters.watch(tape)"});
}

TEST_CASE("second derivatives through two tapes are an Error") {
  const Tensor w = numbers({1});
  Tape inner;
  Tape outer;
  inner.watch(w);
  outer.watch(w);
  const std::vector<std::string> second{"mul: input 0, f64 [1], is a gradient or was recorded by",
                                        "second derivatives are hvp()'s",
                                        "clone() under a NoRecording"};
  {
    const Recording on(outer);
    Tensor cube;
    Tensor y;
    {
      const Recording also(inner);
      cube = mul(mul(w, w), w);
      y = sum(cube);
    }
    const Tensor g = inner.backward(y).of(w);
    CHECK(g.item() == 3);
    refuses([&] { mul(g, g); }, second);
    refuses([&] { mul(cube, w); }, second);
    refuses([&] { mul(g.alias({1}), w); }, second);
    // As constants they are welcome.
    Tensor constant;
    {
      const NoRecording off;
      constant = g.clone();
    }
    CHECK(outer.backward(sum(mul(constant, w))).of(w).item() == 3);
  }
  // However long the way; what the inner tape makes of constants alone is one for both.
  {
    const Recording on(outer);
    Tensor far;
    Tensor constant;
    {
      const Recording also(inner);
      far = scale(scale(w, 2), 2);
      constant = scale(numbers({3}), 2);
    }
    refuses([&] { mul(far, w); }, second);
    CHECK(mul(constant, w).item() == 6);
  }
  // The graph of the inner tape may be older.
  {
    const Recording on(outer);
    const Tensor y = recorded(inner, [&] { return sum(mul(w, w)); });
    refuses([&] { mul(inner.backward(y).of(w), w); }, second);
  }
  // What the outer tape tracks may come in as the cotangent; another one is a constant.
  {
    const Recording on(outer);
    const Tensor v = numbers({2});
    Tape of_v;
    of_v.watch(v);
    const Tensor y = recorded(of_v, [&] { return scale(v, 2); });
    Tape::Options options;
    options.cotangent = w;
    refuses([&] { mul(of_v.backward(y, options).of(v), w); }, second);
    options.cotangent = numbers({3});
    CHECK(mul(of_v.backward(y, options).of(v), w).item() == 6);
  }
  // Nor does one tape differentiate its own gradients.
  {
    const Recording on(outer);
    const Tensor g = outer.backward(sum(mul(w, w))).of(w);
    refuses([&] { mul(g, w); }, second);
  }
  // Computed outside of both, the loss is not recorded at all.
  refuses(
      [&] { outer.backward(sum(inner.backward(recorded(inner, [&] { return sum(w); })).of(w))); },
      {"backward: the tape has not recorded the loss", "second derivatives are hvp()'s"});
}

TEST_CASE("a gradient that nobody has read is not overwritten by the next pass") {
  const std::vector<std::string> unread{"backward: the destination for f64 [2] holds the gradient",
                                        "not added up", "fill() the destination with 0"};
  const TwoParameters p;
  p.pass();
  refuses([&] { p.pass(); }, unread);
  refuses([&] { p.pass(1); }, unread);
  CHECK(p.list.gradients().alias({2}).to_doubles() == Doubles{2, 4});  // and lost nothing

  // Reading it, using it, and throwing it away.
  const Tensor sums = Tensor::zeros(p.list.gradients().shape(), DType::f64);
  const auto uses = std::vector<std::function<void()>>{
      [&] { fill(p.list.gradients(), 0); },
      [&] { accumulate(p.list.gradients(), sums); },
      [&] { (void)p.list.gradients().to_doubles(); },
      [&] { (void)p.list.entries()[0].gradient.values<double>()[1]; },
      [&] { Adam(p.list).step(0); },
  };
  for (const auto& use : uses) {
    use();
    p.pass();
  }
  fill(p.list.gradients(), 0);
  CHECK(sums.alias({2}).to_doubles() == Doubles{2, 4});

  // Two passes into different places of one block are two halves of one gradient.
  p.pass(1);
  Tape tape;
  tape.watch(p.b);
  Tape::Options options;
  options.destinations = p.list.destinations().last(1);
  tape.backward(recorded(tape, [&] { return sum(p.b); }), options);
  const Doubles both = p.list.gradients().to_doubles();
  CHECK(Doubles{both[0], both[1], both[16]} == Doubles{2, 4, 1});
}

TEST_CASE("a step without a gradient is an Error, at the first step and later") {
  const std::string message = "adam: no gradient was written since the last step";
  const TwoParameters p;
  Adam adam(p.list);
  refuses([&] { adam.step(0.1); }, {message, "options.destinations = parameters.destinations()"});
  Tape tape;
  p.list.watch(tape);
  const Tensor loss = recorded(tape, [&] { return sum(mul(p.w, p.w)); });
  tape.backward(loss);  // no destinations
  refuses([&] { adam.step(0.1); }, {message});
  CHECK(adam.steps == 0);
  refuses([&] { adam.update(); }, {message});
  CHECK(p.w.to_doubles() == Doubles{1, 2});
  p.pass();
  adam.step(0.1);
  (void)p.list.gradients().to_doubles();  // a look at them writes nothing
  refuses([&] { adam.step(0.1); }, {message});
  CHECK(adam.steps == 1);
  // Gradients of one's own, by functions or by hand.
  fill(p.list.gradients(), 1);
  adam.step(0.1);
  p.list.entries()[1].gradient.values<double>()[0] = 1;
  adam.step(0.1);
  CHECK(adam.steps == 3);
}
