// A text learned character by character: a transformer that looks back alone, and says it again.
//   g++ -std=c++20 characters.cpp $(pkg-config --cflags --libs posetape) -o characters
#include <chrono>
#include <cstdio>

#include "engine/adam.hpp"
#include "engine/attention.hpp"
#include "engine/checkpoint.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"

using namespace posetape;
const std::string kText = "so much depends upon a red wheel barrow glazed with rain water ";
constexpr Index kLetters = 128, kSpan = 16, kWidth = 32;

struct Layers {
  Layers(ParameterList& list, int) : mask(causal_mask(kSpan, DType::f32)) {
    letter = list.add("letter", {kLetters, kWidth}, {Init::normal, 1});
    place = list.add("place", {kSpan, kWidth}, {Init::normal, 1});
    qkv = list.add("qkv", {3 * kWidth, kWidth}, {Init::uniform, 0.18});
    up = list.add("up", {4 * kWidth, kWidth}, {Init::uniform, 0.18});
    down = list.add("down", {kWidth, 4 * kWidth}, {Init::uniform, 0.09});
    out = list.add("out", {kLetters, kWidth}, {Init::uniform, 0.18});
  }
  // letters i32 [B, span] -> logits of what follows each, [B, span, letters]
  Tensor operator()(const Tensor& letters) const {
    const Tensor x = add(gather(letter, letters), place), all = linear(x, qkv);
    const auto third = [&](Index i) { return slice(all, -1, i * kWidth, (i + 1) * kWidth); };
    const Tensor h = add(x, attention(third(0), third(1), third(2), mask));
    return linear(add(h, linear(linear(h, up, {}, Activation::gelu), down)), out);
  }
  Tensor mask, letter, place, qkv, up, down, out;
};

// Windows of a text, which is a ring: one that begins at each character from `at` on.
Tensor windows(const std::string& text, Index at, Index n) {
  const Index size = std::ssize(text);
  std::vector<std::int32_t> t;
  for (Index i = 0; i < n * kSpan; ++i) t.push_back(text[(at + i / kSpan + i % kSpan) % size]);
  return Tensor::of<std::int32_t>({n, kSpan}, t);
}

int main(int argc, char** argv) {
  const Module<Layers> net(0, DType::f32, /*seed=*/5);
  Adam adam(net);
  if (argc > 1) Checkpoint(argv[1], net, adam, {}).save();  // what it begins with
  const Tensor x = windows(kText, 0, std::ssize(kText)), y = windows(kText, 1, std::ssize(kText));
  const auto start = std::chrono::steady_clock::now();
  for (int step = 1; step <= 200; ++step) {
    const Tensor loss = gradients(net, [&] { return cross_entropy(net(x), y); });
    adam.step(0.005);
    if (step % 50 == 0) std::printf("step %3d  loss %.6f\n", step, loss.item());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::string said = kText.substr(0, kSpan);
  while (said.size() < kText.size())
    said += char(argmax(net(windows(said, std::ssize(said) - kSpan, 1))).to_doubles().back());
  std::printf("200 steps in %.3f s\n%s\n", took.count(), said.c_str());
  return said == kText ? 0 : 1;
}
