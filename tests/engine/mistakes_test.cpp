// Mistakes that programs make: each is an Error that says what is wrong and what to do, or has the
// right result.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/attention.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
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
  refuses([] { reshape({}, {1}); }, {"reshape: x is an undefined tensor"});
  refuses([] { gather(ones({3, 2}), {}); }, {"gather: index is an undefined tensor"});
  refuses([] { concat({}, 0); }, {"concat: no inputs"});
  refuses([] { AttentionProbabilities({}, Axis::time, 1, 0, Axis::time); },
          {"attention probabilities: qkv is []"});
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
