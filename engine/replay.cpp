#include "engine/replay.hpp"

#include "engine/observer.hpp"
#include "engine/tape.hpp"

namespace posetape {

struct Replay::Recorded {
  explicit Recorded(Device device) : arena(device) {}

  // Of its own: what lies in it must not be handed out to others between two launches. It outlives
  // the tensors.
  Arena arena;
  std::vector<Tensor> inputs;
  Tensor output;
  std::shared_ptr<void> graph;
  bool warm = false;
};

Replay::Replay(Device device, Function function)
    : device_(device), function_(std::move(function)) {}
Replay::Replay(Replay&&) noexcept = default;
Replay::~Replay() = default;

Tensor Replay::operator()(std::span<const Tensor> inputs, int variant) {
  if (runtime(device_).begin_recording == nullptr) return function_(inputs, variant);
  if (Observer::innermost() != nullptr) {
    std::vector<Tensor> there;
    for (const Tensor& x : inputs) there.push_back(x.to(device_));
    return function_(there, variant);
  }
  for (const Tensor& x : inputs) {
    if (x.defined()) refuse_tracked("replay", x, "call the function itself");
  }
  Key key{variant};
  for (const Tensor& x : inputs) {
    key.push_back(x.defined() ? static_cast<Index>(x.dtype()) : -1);
    for (int i = 0; i < x.shape().rank(); ++i) key.push_back(x.shape()[i]);
    key.push_back(-1);
  }
  std::unique_ptr<Recorded>& recorded = by_key_[key];
  if (!recorded) {
    recorded = std::make_unique<Recorded>(device_);
    const ArenaScope scope(recorded->arena);
    for (const Tensor& x : inputs) recorded->inputs.push_back(x.to(device_));
  } else {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].defined()) copy(inputs[i], recorded->inputs[i]);
    }
  }
  return run(*recorded, variant);
}

Tensor Replay::run(Recorded& r, int variant) {
  const Runtime& device = runtime(device_);
  if (r.graph != nullptr) {
    device.launch_recorded(r.graph.get());
    Storage::graph_launched();
    return r.output;
  }
  const ArenaScope scope(r.arena);
  r.output = Tensor();
  if (!r.warm) {
    // Libraries set themselves up and the arena fills, so that recording allocates nothing.
    r.output = function_(r.inputs, variant);
    r.warm = true;
    return r.output;
  }
  device.begin_recording();
  try {
    r.output = function_(r.inputs, variant);
    r.graph = device.end_recording();
  } catch (...) {
    device.abandon_recording();
    throw;
  }
  device.launch_recorded(r.graph.get());
  return r.output;
}

void Replay::clear() {
  by_key_.clear();
}

int Replay::recorded() const {
  int count = 0;
  for (const auto& [key, r] : by_key_) count += r->graph != nullptr ? 1 : 0;
  return count;
}

}  // namespace posetape
