// The same work again and again: on a GPU it is recorded once, as a CUDA graph, and from then on
// one launch runs all of it.
//
//   Replay step(Device::cuda, [&](std::span<const Tensor> in, int) { return f(in[0], in[1]); });
//   Tensor y = step(std::vector{a, b});  // a, b on the host, y on the device
//
// On the CPU the function is called each time, and also where an Observer looks: the host can't
// read in the middle of a graph. A recorded graph is no op: inputs that a recording tape tracks are
// an Error.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

class Replay {
 public:
  // Everything that changes from call to call comes through the inputs, or lies in tensors that the
  // function reads and that others write to in place. It must not read values on the host, and the
  // tensors it makes belong to the recording: keep none of them but the result.
  using Function = std::function<Tensor(std::span<const Tensor> inputs, int variant)>;

  Replay(Device device, Function function);
  Replay(Replay&&) noexcept;
  ~Replay();

  // The function of the inputs, which lie on the host and are copied; undefined ones stay so. The
  // first call with new shapes runs the function, the second records it. `variant` tells apart work
  // that is different for inputs of equal shapes. The result lies on the device and is overwritten
  // by the next call of these shapes and this variant; it must not outlive the Replay.
  Tensor operator()(std::span<const Tensor> inputs, int variant = 0);

  // Forgets what was recorded.
  void clear();
  // Graphs that were recorded so far.
  int recorded() const;

 private:
  struct Recorded;
  using Key = std::vector<Index>;

  Tensor run(Recorded& recorded, int variant);

  Device device_;
  Function function_;
  std::map<Key, std::unique_ptr<Recorded>> by_key_;
};

}  // namespace posetape
