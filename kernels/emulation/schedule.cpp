#include "kernels/emulation/schedule.hpp"

namespace posetape::emulation {
namespace {

Schedule current;

class Restore {
 public:
  Restore() = default;
  ~Restore() { current = before_; }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  Schedule before_ = current;
};

}  // namespace

std::string to_string(const Schedule& schedule) {
  switch (schedule.order) {
    case Schedule::Order::ascending:
      return "ascending";
    case Schedule::Order::descending:
      return "descending";
    case Schedule::Order::interleaved:
      return "interleaved";
    case Schedule::Order::random:
      break;
  }
  return "random, seed " + std::to_string(schedule.seed);
}

void set_schedule(const Schedule& schedule) {
  current = schedule;
}
Schedule schedule() {
  return current;
}

std::vector<Schedule> all_schedules(int random) {
  std::vector<Schedule> all = {
      {Schedule::Order::ascending}, {Schedule::Order::descending}, {Schedule::Order::interleaved}};
  for (int seed = 1; seed <= random; ++seed) {
    all.push_back({Schedule::Order::random, static_cast<std::uint64_t>(seed)});
  }
  return all;
}

Bytes same_under(std::span<const Schedule> schedules, const std::function<Bytes()>& run,
                 std::size_t element_bytes) {
  const Restore restore;
  return same_results(
      schedules.size(), [&](std::size_t i) { current = schedules[i]; },
      [&](std::size_t i) { return to_string(schedules[i]); }, run, element_bytes);
}

}  // namespace posetape::emulation
