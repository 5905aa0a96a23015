#include "engine/profile.hpp"

#include "engine/tape.hpp"

namespace posetape {

Profile::Profile(Device device) : device_(device) {}

Profile::Clock::time_point Profile::now() const {
  synchronize(device_);
  return Clock::now();
}

void Profile::restart() {
  events_.clear();
  start_ = last_ = now();
}

void Profile::after_forward(const Node& node, Tensors, Tensors) {
  put(form(node), false, cost(node));
}

void Profile::before_rule(const Node&, Backward&) {
  last_ = now();
}

void Profile::after_rule(const Node& node, const Backward&) {
  const Cost forward = cost(node);
  put(form(node), true, {2 * forward.flops, 2 * forward.bytes, forward.products});
}

void Profile::before_update() {
  last_ = now();
}

void Profile::after_update(const char* optimiser, const Cost& cost) {
  put(optimiser, false, cost);
}

void Profile::put(std::string name, bool backward, const Cost& cost) {
  const auto end = now();
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  events_.push_back(
      {std::move(name), backward, seconds(last_ - start_), seconds(end - last_), cost});
  last_ = end;
}

}  // namespace posetape
