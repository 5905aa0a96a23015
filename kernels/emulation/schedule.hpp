// In which order the threads of a block run between barriers, and the blocks of a grid. CUDA
// promises none, so a kernel's result must not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/emulation/same_results.hpp"

namespace posetape::emulation {

struct Schedule {
  enum class Order {
    ascending,    // the first thread that can run, and block 0 first
    descending,   // the last thread that can run, and the last block first
    interleaved,  // lane 0 of every warp, then lane 1 of every warp, ...
    random,       // any that can run, drawn from `seed`; blocks too
  };
  Order order = Order::ascending;
  std::uint64_t seed = 0;
};

std::string to_string(const Schedule& schedule);

// For every launch that runs from now on.
void set_schedule(const Schedule& schedule);
Schedule schedule();

// The three fixed orders and `random` seeded ones.
std::vector<Schedule> all_schedules(int random = 4);

// Calls run() under each schedule, puts the schedule back, and returns the first result. Throws
// Finding where a result is not bit for bit the first one.
Bytes same_under(std::span<const Schedule> schedules, const std::function<Bytes()>& run,
                 std::size_t element_bytes = 1);

// The same for all schedules and a run() that returns a vector of plain values.
template <class F>
auto same_under_all_schedules(F&& run) {
  return with_values(run, [](const auto& bytes_of_run, std::size_t element_bytes) {
    return same_under(all_schedules(), bytes_of_run, element_bytes);
  });
}

}  // namespace posetape::emulation
