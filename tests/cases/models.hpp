// Whole training steps of the networks here, in every variant that changes their graph.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "diffusion/conditional_noise.hpp"
#include "engine/parameters.hpp"
#include "tests/cases/suite.hpp"

namespace posetape {

// A network with the loss of one batch.
struct ModelStep {
  std::shared_ptr<void> owner;
  const ParameterList* parameters = nullptr;
  std::function<Tensor()> loss;
};

enum class ModelSize {
  tiny,      // a gradient check's
  training,  // widths and frame counts of real training, for what code it runs
};

struct ModelCase {
  std::string model;  // "model:denoiser"
  std::string name;
  std::function<ModelStep(DType, ModelSize, Device)> make;
  // The first, longest step of the differences: below the distance to the next kink of the loss.
  double step = 1e-3;
};

const std::vector<ModelCase>& model_cases();

// Errors of about 5 cm that depend on the condition, the root joint always zero.
diffusion::ConditionalNoise some_noise();

// The rows of one: its whole gradient along random directions by differences and by dual numbers,
// and the coverage of its calls by the ops' cases.
std::vector<SuiteRow> check_model(const ModelCase& c, const SuiteOptions& options);

}  // namespace posetape
