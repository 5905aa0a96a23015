// A kernel with everything in it that the port has two versions of: nvcc compiles it, and g++ runs
// it (port_test.cpp).
#include "kernels/cuda/port.hpp"

namespace posetape {

template <class T, int kRows>
__global__ void __launch_bounds__(64)
    everything(const float4* __restrict__ x, bf16x2* __restrict__ pairs, T* __restrict__ sums,
               int* counts, int n) {
  using Row = float[33];
  POSETAPE_SHARED(Row, rows, kRows);
  POSETAPE_DYNAMIC_SHARED(float, scratch);
  const int t = static_cast<int>(threadIdx.x + blockDim.x * blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x) % warpSize;
  float4 v = make_float4(0, 0, 0, 0);
  if (t < n) v = load_vector<float4>(x + t);
  rows[threadIdx.x % kRows][threadIdx.x / kRows] = __fmaf_rn(v.x, v.y, v.z);
  scratch[threadIdx.x] = v.w;
  __syncthreads();
  float sum = rows[threadIdx.x % kRows][threadIdx.x / kRows] + scratch[threadIdx.x];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, step);
  const bf16x2 pair = to_bf16x2(make_float2(v.x, v.y));
  const bf16x2 next = __shfl_down_sync(0xFFFFFFFFu, pair, 1u);
  const float2 back = to_float2(next);
  if (t < n) pairs[t] = next;
  if (lane == 0) {
    sums[t / warpSize] = store<T>(static_cast<Accumulator<T>>(sum));
    atomicAdd(counts, 1);
  }
  const unsigned positive = __ballot_sync(0xFFFFFFFFu, back.x > 0 && __expf(v.x) > 0);
  if (threadIdx.x == 0) atomicMax(counts + 1, __popc(positive) + static_cast<int>(rsqrtf(1.0f)));
  float product[4] = {};
  mma(product, {pair, next, pair, next}, {next, pair});
  const float rounded = static_cast<float>(to_bf16(__ldg(&x[0].x)));
  if (t == 0) counts[2] = static_cast<int>(rounded) + min(3, 4) + max(1, 0) + (product[0] < 0);
}

inline cudaError_t launch_everything(const float4* x, bf16x2* pairs, float* sums, int* counts,
                                     int n, cudaStream_t stream) {
  const unsigned blocks = static_cast<unsigned>((n + 63) / 64);
  return POSETAPE_LAUNCH((everything<float, 8>), blocks, 64, 64 * sizeof(float), stream, x, pairs,
                         sums, counts, n);
}

}  // namespace posetape
