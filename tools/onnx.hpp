// A network as an ONNX model, for ONNX Runtime and whatever else reads it. What is written is what
// runs: the function is called once, and every op that it runs becomes a few nodes of the graph.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/parameters.hpp"

namespace posetape::tools {

struct OnnxInput {
  std::string name;
  Tensor example;    // of its shape, f32 or i32, on the CPU; the values do not matter
  std::string what;  // for people
};

struct OnnxModel {
  std::string name;
  std::vector<OnnxInput> inputs;
  std::string output;
  std::string output_is;                        // for people
  std::map<std::string, std::string> metadata;  // kept in the file
};

// The file (IR version 8, operators of version 17) that computes f of inputs of these shapes.
// Parameters go by their names; what else f uses that did not come from an input is a constant.
// Throws Error, naming the op, where one has no form in ONNX or is not in f32.
std::string to_onnx(const OnnxModel& model, const ParameterList& parameters,
                    const std::function<Tensor(std::span<const Tensor>)>& f);

}  // namespace posetape::tools
