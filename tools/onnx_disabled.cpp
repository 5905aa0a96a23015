// A build without ONNX's classes.
#include "engine/error.hpp"
#include "tools/onnx.hpp"

namespace posetape::tools {

std::string to_onnx(const OnnxModel& /*model*/, const ParameterList& /*parameters*/,
                    const std::function<Tensor(std::span<const Tensor>)>& /*f*/) {
  fail(
      "ONNX: this build does not write it; install libonnx-dev and libprotobuf-dev, and build "
      "again");
}

}  // namespace posetape::tools
