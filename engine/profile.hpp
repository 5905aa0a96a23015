// Where the time of a step goes, op by op.
//
//   Profile profile;
//   ... a training step ...
//   for (const ProfileEvent& e : profile.events()) ...
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "engine/observer.hpp"

namespace posetape {

struct ProfileEvent {
  std::string name;  // "linear.gelu", "adam"
  bool backward = false;
  double start = 0;  // seconds since the profile began
  double seconds = 0;
  // As the op's rule counts it; a backward rule counts twice its forward, since it makes as many
  // products for each of two operands.
  Cost cost;
};

// While it lives, the ops, backward rules and optimiser steps of this thread are timed. A forward
// op's time runs from the end of what was timed before it, so that what lies between two ops
// (allocation, checks of shapes) counts.
class Profile : public Observer {
 public:
  // Waits for `device` before it looks at the clock, so that each op is timed with its kernels.
  explicit Profile(Device device = Device::cpu);

  const std::vector<ProfileEvent>& events() const { return events_; }
  // Forgets the events, and what has passed since the last one belongs to no op.
  void restart();

  std::optional<bool> wants_parts() const override { return {}; }
  void after_forward(const Node& node, Tensors inputs, Tensors outputs) override;
  void before_rule(const Node& node, Backward& backward) override;
  void after_rule(const Node& node, const Backward& backward) override;
  void before_update() override;
  void after_update(const char* optimiser, const Cost& cost) override;

 private:
  using Clock = std::chrono::steady_clock;
  void put(std::string name, bool backward, const Cost& cost);
  Clock::time_point now() const;

  Device device_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
  std::vector<ProfileEvent> events_;
};

}  // namespace posetape
