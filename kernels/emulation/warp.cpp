// The primitives in which the lanes of a warp meet.
#include <bit>

#include "kernels/emulation/architecture.hpp"
#include "kernels/emulation/block.hpp"
#include "kernels/emulation/finding.hpp"

namespace posetape::emulation {
namespace {

bool same_call(const Thread& a, const Thread& b) {
  return a.primitive == b.primitive && a.mask == b.mask && a.site == b.site;
}

// One value for all lanes: a vote or a reduction.
std::uint64_t combine(Primitive primitive, unsigned mask, const Thread* lanes) {
  const auto first = static_cast<std::uint32_t>(lanes[std::countr_zero(mask)].payload);
  std::uint32_t value = first;
  unsigned votes = 0;
  std::uint32_t sum = 0, conjunction = ~0u, disjunction = 0, parity = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const auto x = static_cast<std::uint32_t>(lanes[lane].payload);
    const auto as_signed = [](std::uint32_t v) { return static_cast<std::int32_t>(v); };
    if (x != 0) votes |= 1u << lane;
    sum += x;
    conjunction &= x;
    disjunction |= x;
    parity ^= x;
    const bool better =
        (primitive == Primitive::reduce_min_unsigned && x < value) ||
        (primitive == Primitive::reduce_max_unsigned && x > value) ||
        (primitive == Primitive::reduce_min_signed && as_signed(x) < as_signed(value)) ||
        (primitive == Primitive::reduce_max_signed && as_signed(x) > as_signed(value));
    if (better) value = x;
  }
  switch (primitive) {
    case Primitive::ballot:
      return votes;
    case Primitive::any:
      return votes != 0;
    case Primitive::all:
      return votes == mask;
    case Primitive::reduce_add:
      return sum;
    case Primitive::reduce_and:
      return conjunction;
    case Primitive::reduce_or:
      return disjunction;
    case Primitive::reduce_xor:
      return parity;
    default:
      return value;
  }
}

bool is_shuffle(Primitive primitive) {
  return primitive >= Primitive::shfl && primitive <= Primitive::shfl_xor;
}

// d += a b, where row g of a and d is in lanes 4 g to 4 g + 3, and so is column g of b. Products of
// two bf16 are exact in f32; they are added up in their order.
void multiply(const Thread* lanes) {
  float a[16][16], b[16][8], d[16][8];
  const auto each_lane = [&](const auto& f) {
    for (int lane = 0; lane < 32; ++lane) {
      f(*reinterpret_cast<const Fragments*>(lanes[lane].payload), lane / 4, lane % 4 * 2);
    }
  };
  each_lane([&](const Fragments& of, int g, int t) {
    for (int i = 0; i < 4; ++i) {
      a[g + i % 2 * 8][t + i / 2 * 8] = static_cast<float>(of.a[i].x);
      a[g + i % 2 * 8][t + i / 2 * 8 + 1] = static_cast<float>(of.a[i].y);
      d[g + i / 2 * 8][t + i % 2] = of.d[i];
    }
    for (int i = 0; i < 2; ++i) {
      b[t + i * 8][g] = static_cast<float>(of.b[i].x);
      b[t + i * 8 + 1][g] = static_cast<float>(of.b[i].y);
    }
  });
  for (int row = 0; row < 16; ++row) {
    float sums[8];
    for (int n = 0; n < 8; ++n) sums[n] = d[row][n];
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 8; ++n) sums[n] += a[row][k] * b[k][n];
    }
    for (int n = 0; n < 8; ++n) d[row][n] = sums[n];
  }
  each_lane([&](const Fragments& of, int g, int t) {
    for (int i = 0; i < 4; ++i) of.d[i] = d[g + i / 2 * 8][t + i % 2];
  });
}

// All lanes that the running thread names wait. Lets them go on where they wait for each other.
void try_complete(int warp, const Thread& self) {
  Thread* lanes = block.threads + warp * 32;
  const unsigned mask = self.mask;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    // A lane that meets others first may still come here. If it waits for this one, nobody can go
    // on in the end, and the report of that says why.
    if (!same_call(lanes[lane], self)) return;
  }
  const bool shuffle = is_shuffle(self.primitive);
  const bool multiplies = self.primitive == Primitive::mma;
  if (multiplies) multiply(lanes);
  const bool combines = !shuffle && !multiplies && self.primitive != Primitive::syncwarp;
  const std::uint64_t common = combines ? combine(self.primitive, mask, lanes) : 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if (shuffle && !(mask >> lanes[lane].source & 1)) {
      fail(Failure::source_not_named, self.site, warp * 32 + lane);
    }
    lanes[lane].result = shuffle ? lanes[lanes[lane].source].payload : common;
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    lanes[lane].at = At::running;
    make_ready(warp * 32 + lane);
  }
  block.waiting[warp] &= ~mask;
}

}  // namespace

int lane() {
  return block.current % 32;
}

std::uint64_t meet_warp(Primitive primitive, unsigned mask, std::uint64_t payload, int source,
                        const Site& site) {
  if (block.current < 0) throw Finding("posetape emulation: a warp primitive outside of a kernel");
  const int warp = block.current / 32;
  const unsigned bit = 1u << (block.current % 32);
  Thread& self = block.threads[block.current];
  self.at = At::warp;
  self.primitive = primitive;
  self.mask = mask;
  self.payload = payload;
  self.source = source;
  self.site = site;
  if (!(mask & bit)) fail(Failure::caller_not_named, site);
  if (mask & block.absent[warp]) fail(Failure::absent_named, site);
  if (mask & block.exited[warp]) fail(Failure::exited_named, site);

  // Shuffles and votes order no memory accesses (CUDA C++ Programming Guide, "Warp Shuffle
  // Functions"); only __syncwarp does.
  const bool orders = kTsan && primitive == Primitive::syncwarp;
  if (orders) {
    Meeting* meeting = nullptr;
    for (unsigned rest = block.waiting[warp] & mask; rest != 0; rest &= rest - 1) {
      const Thread& other = block.threads[warp * 32 + std::countr_zero(rest)];
      if (same_call(other, self)) meeting = other.meeting;
    }
    arrive(meeting);
    self.meeting = meeting;
  }
  block.waiting[warp] |= bit;
  if ((block.waiting[warp] & mask) == mask) try_complete(warp, self);
  wait_for_turn();
  if (orders) leave(self.meeting);
  return self.result;
}

void meet_warp_mma(const Fragments& fragments, const Site& site) {
  if (block.current >= 0 && architecture().major < 8) fail(Failure::no_tensor_cores, site);
  meet_warp(Primitive::mma, ~0u, reinterpret_cast<std::uint64_t>(&fragments), 0, site);
}

void check_exit(int thread) {
  const int warp = thread / 32;
  for (unsigned rest = block.waiting[warp]; rest != 0; rest &= rest - 1) {
    const int other = warp * 32 + std::countr_zero(rest);
    if (block.threads[other].mask >> (thread % 32) & 1) {
      fail(Failure::exited_named, block.threads[other].site, other);
    }
  }
}

}  // namespace posetape::emulation
