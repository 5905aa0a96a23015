#include "kernels/emulation/schedule.hpp"

#include <algorithm>

#include "kernels/emulation/finding.hpp"

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

std::vector<std::byte> same_under(std::span<const Schedule> schedules,
                                  const std::function<std::vector<std::byte>()>& run,
                                  std::size_t element_bytes) {
  const Restore restore;
  std::vector<std::byte> first;
  for (std::size_t i = 0; i < schedules.size(); ++i) {
    current = schedules[i];
    std::vector<std::byte> result = run();
    if (i == 0) {
      first = std::move(result);
      continue;
    }
    if (result == first) continue;
    const auto [a, b] = std::mismatch(first.begin(), first.end(), result.begin(), result.end());
    throw Finding("posetape emulation: the result depends on the order of threads\n  " +
                  to_string(schedules[0]) + " and " + to_string(schedules[i]) +
                  " differ first in element " +
                  std::to_string(static_cast<std::size_t>(a - first.begin()) / element_bytes));
  }
  return first;
}

}  // namespace posetape::emulation
