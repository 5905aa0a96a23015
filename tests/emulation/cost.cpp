// What a thread and a barrier cost: emulation_cost
#include <chrono>
#include <cstdio>

#include "kernels/cuda/port.hpp"
#include "kernels/emulation/schedule.hpp"

namespace {

constexpr int kRounds = 2000;

__global__ void barriers(int n) {
  for (int i = 0; i < n; ++i) __syncthreads();
}

__global__ void shuffles(int n) {
  float x = 1;
  for (int i = 0; i < n; ++i) x = __shfl_xor_sync(~0u, x, 1);
}

__global__ void nothing(int) {}

double seconds(void (*kernel)(int), int blocks, int threads, int n) {
  POSETAPE_LAUNCH(kernel, 1, threads, 0, nullptr, 1);
  cudaDeviceSynchronize();
  const auto begin = std::chrono::steady_clock::now();
  POSETAPE_LAUNCH(kernel, blocks, threads, 0, nullptr, n);
  cudaDeviceSynchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main() {
  using namespace posetape::emulation;
  for (const Schedule& schedule : all_schedules(1)) {
    set_schedule(schedule);
    std::printf("%s\n", to_string(schedule).c_str());
    for (const int threads : {32, 128, 256, 1024}) {
      const double barrier = seconds(barriers, 1, threads, kRounds) / kRounds / threads;
      const double shuffle = seconds(shuffles, 1, threads, kRounds) / kRounds / threads;
      const double start = seconds(nothing, 200, threads, 0) / 200 / threads;
      std::printf("  %4d threads: %6.1f ns a thread and barrier, %6.1f a shuffle, %6.1f to start\n",
                  threads, barrier * 1e9, shuffle * 1e9, start * 1e9);
    }
  }
}
