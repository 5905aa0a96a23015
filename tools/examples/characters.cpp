// A text learned character by character: a transformer that looks back alone, and says it again.
//   g++ -std=c++20 characters.cpp $(pkg-config --cflags --libs posetape) -o characters
//   characters [WEIGHTS.safetensors]       keeps the weights that it begins with
#include <chrono>
#include <cstdio>
#include <string>

#include "engine/adam.hpp"
#include "engine/attention.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "model/checkpoint.hpp"

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
    const Tensor x = add(gather(letter, letters), place);
    const Tensor all = linear(x, qkv);
    const auto third = [&](Index i) { return slice(all, -1, i * kWidth, (i + 1) * kWidth); };
    const Tensor h = add(x, attention(third(0), third(1), third(2), mask));
    return linear(add(h, linear(linear(h, up, {}, Activation::gelu), down)), out);
  }
  Tensor mask, letter, place, qkv, up, down, out;
};

// Windows of a text, which is a ring: one that begins at each character from `begin` on.
Tensor windows(const std::string& text, std::size_t begin, Index count) {
  const Tensor t = Tensor::empty({count, kSpan}, DType::i32);
  for (Index i = 0; i < t.size(); ++i) {
    t.data<std::int32_t>()[i] = text[(begin + std::size_t(i / kSpan + i % kSpan)) % text.size()];
  }
  return t;
}

int main(int argc, char** argv) {
  const Module<Layers> net(0, DType::f32, /*seed=*/5);
  if (argc > 1) {
    TensorFile file;
    model::save_parameters(net, "", file);
    write_safetensors(argv[1], file);
  }
  Adam adam(net);
  const Tensor x = windows(kText, 0, std::ssize(kText)), y = windows(kText, 1, std::ssize(kText));
  const auto start = std::chrono::steady_clock::now();
  for (int step = 1; step <= 200; ++step) {
    const Tensor loss = gradients(net, [&] { return cross_entropy(net(x), y); });
    adam.step(0.005);
    if (step % 50 == 0) std::printf("step %3d  loss %.6f\n", step, loss.item());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("200 steps in %.3f s\n", took.count());
  std::string said = kText.substr(0, kSpan);
  while (said.size() < kText.size()) {
    const Tensor next = argmax(net(windows(said, said.size() - kSpan, 1)));
    said += static_cast<char>(next.data<std::int32_t>()[kSpan - 1]);
  }
  std::printf("%s\n", said.c_str());
  return said == kText ? 0 : 1;
}
