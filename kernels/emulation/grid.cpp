// Runs a launch's blocks one after the other.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/block.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/launch.hpp"
#include "kernels/emulation/report.hpp"
#include "kernels/emulation/shared_memory.hpp"

namespace posetape::emulation {
namespace {

std::uint64_t mix(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0x9E3779B97F4A7C15u + index + 1;
  z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93u;
  return z ^ (z >> 32);
}

// The blocks' numbers in the order in which they run.
std::vector<std::uint64_t> block_order(std::uint64_t blocks, const Schedule& schedule) {
  std::vector<std::uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (schedule.order == Schedule::Order::descending) std::reverse(order.begin(), order.end());
  if (schedule.order == Schedule::Order::random) {
    for (std::uint64_t i = blocks; i > 1; --i) {
      std::swap(order[i - 1], order[mix(schedule.seed, i) % i]);
    }
  }
  return order;
}

void run_blocks(const Launch& launch, const Schedule& schedule) {
  const std::uint64_t blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  const std::size_t limit = std::max(architecture().shared_default, launch.dynamic_shared);
  const std::size_t shared =
      launch.dynamic_shared > architecture().shared_default ? architecture().shared_optin : limit;
  for (const std::uint64_t number : block_order(blocks, schedule)) {
    blockIdx = {static_cast<unsigned>(number % launch.grid.x),
                static_cast<unsigned>(number / launch.grid.x % launch.grid.y),
                static_cast<unsigned>(number / launch.grid.x / launch.grid.y)};
    begin_shared(launch.dynamic_shared, shared);
    bool good = run_block(mix(schedule.seed, number));
    block.current = -1;
    const Declaration* overrun = end_shared();
    if (good && overrun != nullptr) {
      good = false;
      block.failure = Failure::shared_overrun;
      block.culprit = block.other = -1;
      block.text = overrun->name;
      block.site = overrun->site;
    }
    if (!good) {
      finish_launch();
      throw Finding("posetape emulation: " + describe_failure() + "  kernel " + launch.kernel +
                    " launched at " + to_string(launch.site) + ", grid " + to_string(launch.grid) +
                    ", block " + to_string(launch.block) + ", schedule " + to_string(schedule));
    }
  }
}

}  // namespace

// Two blocks have to fit, or a race between them is not seen.
int watched_threads() {
  return kTsan ? std::min(kTsanFibres / 2, kMaxFibres) : kMaxFibres;
}

void run_grid(const Launch& launch) {
  if (block.current >= 0) throw Finding("posetape emulation: a launch from within a kernel");
  if (static_cast<int>(launch.block.x * launch.block.y * launch.block.z) > watched_threads()) {
    throw Finding(
        "posetape emulation: this compiler's ThreadSanitizer sees no races in blocks of " +
        std::to_string(watched_threads() + 1) + " threads or more, and kernel " + launch.kernel +
        " was launched with more at " + to_string(launch.site));
  }
  gridDim = launch.grid;
  blockDim = launch.block;
  block.body = launch.body;
  block.kernel = launch.kernel;
  block.arguments = launch.arguments.get();
  const Schedule now = schedule();
  prepare_threads(launch.block, now.order);
  run_blocks(launch, now);
  finish_launch();
}

}  // namespace posetape::emulation
