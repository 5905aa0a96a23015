#include "kernels/emulation/block.hpp"

#include <bit>
#include <cstdlib>

#include "kernels/emulation/finding.hpp"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace posetape::emulation {

Block block;

namespace {

char launch_start[8], launch_end[8];  // ThreadSanitizer: host before threads, threads before host

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t draw() {
  std::uint64_t z = (block.random += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// The first ready position from `begin` on, or -1; it is no longer ready then.
int take_from(int begin) {
  const int words = (block.size + 63) / 64;
  for (int word = begin / 64; word < words; ++word) {
    std::uint64_t bits = block.ready[word];
    if (word == begin / 64) bits &= ~std::uint64_t{0} << (begin % 64);
    if (bits == 0) continue;
    const int bit = std::countr_zero(bits);
    block.ready[word] &= ~(std::uint64_t{1} << bit);
    return word * 64 + bit;
  }
  return -1;
}

// The next thread to run, or -1.
int next_thread() {
  int position = -1;
  if (block.order == Schedule::Order::random) {
    position = take_from(static_cast<int>(draw() % static_cast<unsigned>(block.size)));
  }
  if (position < 0) position = take_from(0);
  return position < 0 ? -1 : block.thread_at[position];
}

Fibre& fibre_of(int thread) {
  return thread < 0 ? host_fibre() : block.fibres[thread];
}

void make_current(int thread) {
  block.current = thread;
  if (thread >= 0) threadIdx = block.threads[thread].index;
}

// From the running thread, which will not be resumed, to the next one or the host.
[[noreturn]] void leave_for(int thread) {
  Fibre& from = fibre_of(block.current);
  make_current(thread);
  end_fibre(from, fibre_of(thread));
  std::abort();
}

// All live threads are at the barrier.
void complete_barrier() {
  Thread& first = block.threads[block.thread_at[0]];
  int count = 0;
  if (block.live < block.size) {
    for (int i = 0; i < block.size; ++i) {
      if (block.threads[i].at == At::barrier) {
        fail(Failure::barrier_exited, block.threads[i].site, i);
      }
    }
  }
  for (int i = 0; i < block.size; ++i) {
    Thread& thread = block.threads[i];
    const bool same = thread.primitive == first.primitive && thread.site == first.site;
    if (!same) fail(Failure::barrier_sites, thread.site, i);
    count += thread.payload != 0;
  }
  int result = 0;
  if (first.primitive == Primitive::syncthreads_count) result = count;
  if (first.primitive == Primitive::syncthreads_and) result = count == block.size;
  if (first.primitive == Primitive::syncthreads_or) result = count > 0;
  for (int i = 0; i < block.size; ++i) {
    block.threads[i].result = static_cast<std::uint64_t>(result);
    block.threads[i].at = At::running;
  }
  for (int word = 0; word < (block.size + 63) / 64; ++word) {
    const int rest = block.size - word * 64;
    block.ready[word] = rest >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << rest) - 1;
  }
  block.arrived = 0;
  block.meeting = nullptr;
}

void thread_main() {
  begin_fibre();
  acquire(launch_start);
  block.body(block.arguments);
  release(launch_end);
  const int self = block.current;
  block.threads[self].at = At::exited;
  block.exited[self / 32] |= 1u << (self % 32);
  --block.live;
  check_exit(self);
  if (block.live > 0 && block.arrived == block.live) complete_barrier();
  const int next = block.live == 0 ? -1 : next_thread();
  if (next < 0 && block.live > 0) {
    int waiting = 0;
    while (block.threads[waiting].at == At::exited) ++waiting;
    fail(Failure::deadlock, block.threads[waiting].site);
  }
  leave_for(next);
}

}  // namespace

void make_ready(int thread) {
  const int position = block.position[thread];
  block.ready[position / 64] |= std::uint64_t{1} << (position % 64);
}

void wait_for_turn() {
  const int self = block.current;
  const int next = next_thread();
  if (next == self) return;
  if (next < 0) fail(Failure::deadlock, block.threads[self].site);
  make_current(next);
  switch_fibre(fibre_of(self), fibre_of(next));
}

void fail(Failure failure, const Site& site, int other) {
  block.failure = failure;
  block.culprit = block.current;
  block.other = other;
  block.site = site;
  leave_for(-1);
}

int meet_block(Primitive primitive, int predicate, const Site& site) {
  if (block.current < 0) throw Finding("posetape emulation: a barrier outside of a kernel");
  Thread& self = block.threads[block.current];
  self.at = At::barrier;
  self.primitive = primitive;
  self.payload = predicate != 0;
  self.site = site;
  arrive(block.meeting);
  self.meeting = block.meeting;
  if (++block.arrived == block.live) complete_barrier();
  wait_for_turn();
  leave(self.meeting);
  return static_cast<int>(self.result);
}

void prepare_threads(const dim3& shape, Schedule::Order order) {
  const int size = static_cast<int>(shape.x * shape.y * shape.z);
  const int warps = (size + 31) / 32;
  block.order = order;
  block.size = size;
  int place = 0;
  if (order == Schedule::Order::interleaved) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int warp = 0; warp < warps; ++warp) {
        if (const int thread = warp * 32 + lane; thread < size) block.thread_at[place++] = thread;
      }
    }
  }
  for (int i = 0; i < size; ++i) {
    if (order == Schedule::Order::descending) block.thread_at[i] = size - 1 - i;
    if (order == Schedule::Order::ascending) block.thread_at[i] = i;
    if (order == Schedule::Order::random) block.thread_at[i] = i;
    const auto index = static_cast<unsigned>(i);
    block.threads[i].index = {index % shape.x, index / shape.x % shape.y,
                              index / (shape.x * shape.y)};
  }
  for (int i = 0; i < size; ++i) block.position[block.thread_at[i]] = i;
  for (int warp = 0; warp < warps; ++warp) {
    const int lanes = size - warp * 32;
    block.absent[warp] = lanes >= 32 ? 0 : ~0u << lanes;
  }
  release(launch_start);
}

bool run_block(std::uint64_t seed) {
  block.random = seed;
  block.live = block.size;
  block.arrived = 0;
  block.meeting = nullptr;
  block.failure = Failure::none;
  block.detail[0] = block.detail[1] = 0;
  for (int warp = 0; warp < (block.size + 31) / 32; ++warp) {
    block.waiting[warp] = 0;
    block.exited[warp] = 0;
  }
  for (std::uint64_t& word : block.ready) word = 0;
  block.fibres = take_fibres(block.size, thread_main);
  for (int i = 0; i < block.size; ++i) {
    block.threads[i].at = At::running;
    block.threads[i].primitive = Primitive::none;
    make_ready(i);
  }
  const int first = next_thread();
  Fibre& host = host_fibre();
  make_current(first);
  switch_fibre(host, fibre_of(first));
  if (block.failure == Failure::none) return true;
  abandon_fibres(launch_end);
  return false;
}

void finish_launch() {
  acquire(launch_end);
}

}  // namespace posetape::emulation
