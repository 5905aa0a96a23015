#include "engine/profile.hpp"

#include <utility>

namespace posetape {
namespace {

thread_local Profile* current_profile = nullptr;

}  // namespace

Profile::Profile(Device device) : device_(device), outer_(std::exchange(current_profile, this)) {}

Profile::~Profile() {
  current_profile = outer_;
}

Profile::Clock::time_point Profile::now() const {
  synchronize(device_);
  return Clock::now();
}

Profile* Profile::current() {
  return current_profile;
}

void Profile::restart() {
  events_.clear();
  start_ = last_ = now();
}

void Profile::end(const Node& node, bool backward) {
  const Rule& r = rule(node.op);
  ProfileEvent event;
  event.name = name(node.op);
  if (r.mode != nullptr) event.name += "." + r.mode(node);
  event.backward = backward;
  event.cost = posetape::cost(node);
  if (backward) event.cost = {2 * event.cost.flops, 2 * event.cost.bytes};
  put(std::move(event));
}

void Profile::end(const std::string& name, const Cost& cost) {
  ProfileEvent event;
  event.name = name;
  event.cost = cost;
  put(std::move(event));
}

void Profile::put(ProfileEvent event) {
  const auto end = now();
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  event.start = seconds(last_ - start_);
  event.seconds = seconds(end - last_);
  last_ = end;
  events_.push_back(std::move(event));
}

}  // namespace posetape
