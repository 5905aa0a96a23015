// What the network of a refiner says of given inputs, for another implementation to be compared:
//   build/bench/peer_check refiner.safetensors answers.safetensors
// writes x, y, t, target, the output for them, the loss, and its gradient by every parameter.
#include <fmt/format.h>

#include "bench/training_step.hpp"
#include "diffusion/refiner.hpp"

namespace {

using namespace posetape;

void run(const std::string& checkpoint, const std::string& answers) {
  const TensorFile file = read_safetensors(checkpoint);
  const diffusion::Refiner trained = diffusion::Refiner::load(file, checkpoint);
  const auto& config = trained.config();
  model::PoseDenoiser network(config.network, DType::f32, 1);
  network.parameters().load([&](const std::string& name) { return file.at("network." + name); },
                            checkpoint);
  const Shape poses{3, config.frames, 17, 3};
  const Tensor x = noise(poses, 1);
  const Tensor y = noise(poses.with(3, 2), 2);
  const Tensor target = noise(poses, 3);
  const std::vector<int> t{1, config.steps / 2, config.steps};
  const auto forward = [&] { return network(x, y, t); };
  TrainingStep training(network.parameters(), forward, target);

  TensorFile out;
  out.tensors = {{"x", x},
                 {"y", y},
                 {"t", Tensor::of<std::int32_t>({3}, std::span<const std::int32_t>(t))},
                 {"target", target},
                 {"output", forward()},
                 {"loss", training.gradients()}};
  for (const auto& entry : network.parameters().entries()) {
    out.tensors.emplace_back("gradient." + entry.name, entry.gradient);
  }
  write_safetensors(answers, out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: peer_check REFINER.safetensors ANSWERS.safetensors\n");
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "peer_check: {}\n", error.what());
    return 1;
  }
}
