#include "kernels/cpu/onednn.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>

// OpenMP's, whose threads oneDNN computes on; its header is not everywhere where its library is.
extern "C" void omp_set_num_threads(int count);

namespace posetape::onednn {
namespace {

using dnnl::memory;

constexpr auto kBf16 = memory::data_type::bf16;
constexpr auto kF32 = memory::data_type::f32;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// Of the calling thread, which oneDNN is to compute on alone.
dnnl::stream& stream() {
  static thread_local dnnl::stream calls = [] {
    omp_set_num_threads(1);
    return dnnl::stream(engine());
  }();
  return calls;
}

// Memory that the caller owns. oneDNN's constructor takes inputs without const, too.
memory at(const memory::desc& desc, const void* data) {
  return memory(desc, engine(), const_cast<void*>(data));
}

dnnl::primitive_attr own_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::matmul::primitive_desc describe(const memory::desc& a, const memory::desc& b,
                                      const memory::desc& c) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), a, b, c, own_scratch()};
#else
  return {dnnl::matmul::desc(a, b, c), own_scratch(), engine()};
#endif
}

}  // namespace

struct Product {
  memory::desc b;  // as the caller has it
  dnnl::matmul::primitive_desc described;
  dnnl::reorder::primitive_desc packing_described;
  dnnl::matmul multiplication;
  dnnl::reorder packing;

  explicit Product(const Shape& s)
      : b({s.k, s.n}, kBf16, memory::dims{s.b_row_step, s.b_column_step}),
        described(describe({{s.rows, s.k}, kBf16, memory::dims{s.a_row_step, s.a_column_step}},
                           {{s.k, s.n}, kBf16, memory::format_tag::any},
                           {{s.rows, s.n}, kF32, memory::dims{s.n, 1}})),
        packing_described(engine(), b, engine(), described.weights_desc(), own_scratch()),
        multiplication(described),
        packing(packing_described) {}
};

Index least_work() {
  static const Index least = [] {
    constexpr Index kNone = std::numeric_limits<Index>::max();
    const char* wish = std::getenv("POSETAPE_ONEDNN");
    if (wish != nullptr && std::string_view(wish) == "0") return kNone;
    if (wish != nullptr && std::string_view(wish) == "1") return Index{1};
    const bool amx = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_amx;
    // Less takes no longer by gemm()'s own code than the call does.
    return amx ? Index{1} << 18 : kNone;
  }();
  return least;
}

const Product& product(const Shape& shape) {
  static std::mutex mutex;
  static std::map<Shape, std::unique_ptr<const Product>> products;
  stream();  // oneDNN decides when it makes a product how many threads will compute it
  const std::lock_guard lock(mutex);
  auto& kept = products[shape];
  if (kept == nullptr) kept = std::make_unique<const Product>(shape);
  return *kept;
}

Index packed_bytes(const Product& p) {
  return static_cast<Index>(p.described.weights_desc().get_size());
}

Index scratch_bytes(const Product& p) {
  return static_cast<Index>(std::max(p.described.scratchpad_desc().get_size(),
                                     p.packing_described.scratchpad_desc().get_size()));
}

void pack(const Product& p, const bf16* b, void* packed, void* scratch) {
  p.packing.execute(stream(),
                    {{DNNL_ARG_FROM, at(p.b, b)},
                     {DNNL_ARG_TO, at(p.described.weights_desc(), packed)},
                     {DNNL_ARG_SCRATCHPAD, at(p.packing_described.scratchpad_desc(), scratch)}});
  stream().wait();
}

void multiply(const Product& p, const bf16* a, const void* packed, float* sums, void* scratch) {
  p.multiplication.execute(stream(),
                           {{DNNL_ARG_SRC, at(p.described.src_desc(), a)},
                            {DNNL_ARG_WEIGHTS, at(p.described.weights_desc(), packed)},
                            {DNNL_ARG_DST, at(p.described.dst_desc(), sums)},
                            {DNNL_ARG_SCRATCHPAD, at(p.described.scratchpad_desc(), scratch)}});
  stream().wait();
}

}  // namespace posetape::onednn
