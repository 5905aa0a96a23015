#include "kernels/emulation/cublas_lt.hpp"

#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "kernels/emulation/blas.hpp"
#include "kernels/emulation/call.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/product.hpp"
#include "kernels/emulation/stream.hpp"

struct cublasLtContext {};

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::int32_t transpose_a = CUBLAS_OP_N;
  std::int32_t transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  std::uint64_t rows;
  std::uint64_t columns;
  std::int64_t ld;
  std::int32_t batch = 1;
  std::int64_t step = 0;
};

struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::array<std::uint32_t, 4> alignments = {256, 256, 256, 256};  // of A, B, C and D
};

namespace posetape::emulation {
namespace {

// What the one algorithm asks for.
constexpr std::size_t kWorkspace = 4096;
constexpr std::uint32_t kWorkspaceAlignment = 16;

// Objects of one kind that exist.
template <class T>
class Made {
 public:
  cublasStatus_t make(T** handle, T value) {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    auto made = std::make_unique<T>(value);
    *handle = made.get();
    all_[*handle] = std::move(made);
    return CUBLAS_STATUS_SUCCESS;
  }
  bool has(T* handle) const { return all_.contains(handle); }
  cublasStatus_t destroy(T* handle) {
    return all_.erase(handle) > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  }
  std::string leaks(const std::string& name) const {
    std::string text;
    for (std::size_t i = 0; i < all_.size(); ++i) text += "a " + name + " of cuBLASLt\n";
    return text;
  }
  void reset() { all_.clear(); }

 private:
  std::map<T*, std::unique_ptr<T>> all_;
};

Made<cublasLtContext> handles;
Made<cublasLtMatmulDescOpaque_t> descriptions;
Made<cublasLtMatrixLayoutOpaque_t> layouts;
Made<cublasLtMatmulPreferenceOpaque_t> preferences;

template <class T>
cublasStatus_t set(T& field, const void* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&field, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

std::size_t size_of(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
      return 4;
    case CUDA_R_16BF:
      return 2;
  }
  return 0;
}

// A product's description and its matrices.
struct Problem {
  const cublasLtMatmulDescOpaque_t& op;
  const cublasLtMatrixLayoutOpaque_t &a, &b, &c, &d;

  bool transposes_a() const { return op.transpose_a == CUBLAS_OP_T; }
  bool transposes_b() const { return op.transpose_b == CUBLAS_OP_T; }
  // Whether the bias's pointer is used.
  bool has_vector() const { return op.epilogue != CUBLASLT_EPILOGUE_DEFAULT; }
  std::uint64_t inner() const { return transposes_a() ? a.rows : a.columns; }
};

// The rows of NVIDIA's table for cublasLtMatmul that there are kernels for here: one type for all
// matrices. The table has no epilogue for f64.
bool has_kernels(const Problem& p) {
  const cudaDataType_t type = p.d.type;
  if (p.a.type != type || p.b.type != type || p.c.type != type) return false;
  const bool known = p.op.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
                     p.op.epilogue == CUBLASLT_EPILOGUE_BIAS ||
                     (p.op.epilogue == CUBLASLT_EPILOGUE_BGRADB && p.d.batch == 1);
  if (!known || p.op.transpose_a > CUBLAS_OP_T || p.op.transpose_b > CUBLAS_OP_T) return false;
  if (type == CUDA_R_64F) {
    return p.op.compute == CUBLAS_COMPUTE_64F && p.op.scale == CUDA_R_64F &&
           p.op.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
  }
  return (type == CUDA_R_32F || type == CUDA_R_16BF) && p.op.compute == CUBLAS_COMPUTE_32F &&
         p.op.scale == CUDA_R_32F;
}

bool is_layout(const cublasLtMatrixLayoutOpaque_t& x) {
  return x.rows > 0 && x.columns > 0 && x.batch > 0 && x.step >= 0 && x.ld > 0 &&
         static_cast<std::uint64_t>(x.ld) >= x.rows;
}

bool is_small(const cublasLtMatrixLayoutOpaque_t& x) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
  return x.rows <= kMost && x.columns <= kMost;
}

// From the first element past the last one.
std::int64_t extent(const cublasLtMatrixLayoutOpaque_t& x) {
  return (static_cast<std::int64_t>(x.columns) - 1) * x.ld + static_cast<std::int64_t>(x.rows);
}

cublasStatus_t check_problem(const Problem& p) {
  for (const auto* x : {&p.a, &p.b, &p.c, &p.d}) {
    if (!is_layout(*x) || x->batch != p.d.batch) return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto& [op, a, b, c, d] = p;
  const bool fits = (p.transposes_a() ? a.columns : a.rows) == d.rows &&
                    (p.transposes_b() ? b.columns : b.rows) == p.inner() &&
                    (p.transposes_b() ? b.rows : b.columns) == d.columns && c.rows == d.rows &&
                    c.columns == d.columns;
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  if (d.batch > 1 && d.step < extent(d)) return CUBLAS_STATUS_INVALID_VALUE;  // it overlaps itself
  const bool small = is_small(a) && is_small(b) && is_small(c) && is_small(d);
  return small && has_kernels(p) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

// All that an algorithm depends on, as one number.
std::uint64_t fingerprint(const Problem& p) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  const auto add = [&](std::uint64_t x) { hash = (hash ^ x) * 1099511628211u; };
  for (const std::int64_t x :
       {std::int64_t{p.op.compute}, std::int64_t{p.op.scale}, std::int64_t{p.op.transpose_a},
        std::int64_t{p.op.transpose_b}, std::int64_t{p.op.epilogue}}) {
    add(static_cast<std::uint64_t>(x));
  }
  for (const auto* x : {&p.a, &p.b, &p.c, &p.d}) {
    for (const std::int64_t y :
         {std::int64_t{x->type}, static_cast<std::int64_t>(x->rows),
          static_cast<std::int64_t>(x->columns), x->ld, std::int64_t{x->batch}, x->step}) {
      add(static_cast<std::uint64_t>(y));
    }
  }
  return hash;
}

// Nobody asks for more than this one.
constexpr std::uint64_t kMostAlignment = 256;
std::uint64_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<std::uint64_t>(pointer) | kMostAlignment;
  return address & (~address + 1);
}

// cublasLtMatmulAlgo_t::data.
enum AlgorithmWord { kProblem, kAlignments, kBiasAlignment = kAlignments + 4, kBytes };

cublasLtMatmulHeuristicResult_t find(const Problem& p,
                                     const cublasLtMatmulPreferenceOpaque_t& preference) {
  cublasLtMatmulHeuristicResult_t result = {};
  result.algo.data[kProblem] = fingerprint(p);
  for (std::size_t i = 0; i < 4; ++i) {
    result.algo.data[kAlignments + i] = preference.alignments[i];
  }
  result.algo.data[kBiasAlignment] = p.op.bias != nullptr ? alignment(p.op.bias) : 1;
  result.workspaceSize = preference.workspace >= kWorkspace ? kWorkspace : 0;
  result.algo.data[kBytes] = result.workspaceSize;
  result.state = CUBLAS_STATUS_SUCCESS;
  result.wavesCount = 1;
  return result;
}

struct Pointers {
  const void *a, *b, *c;
  void* d;
};

cublasStatus_t check_algorithm(const Problem& p, const cublasLtMatmulAlgo_t& algo,
                               const Pointers& at, const void* workspace, std::size_t bytes) {
  if (algo.data[kProblem] != fingerprint(p)) return CUBLAS_STATUS_INVALID_VALUE;
  const void* matrices[] = {at.a, at.b, at.c, at.d};
  for (std::size_t i = 0; i < 4; ++i) {
    if (alignment(matrices[i]) < algo.data[kAlignments + i]) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (p.op.epilogue == CUBLASLT_EPILOGUE_BIAS && alignment(p.op.bias) < algo.data[kBiasAlignment]) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const bool needs = algo.data[kBytes] > 0;
  const bool given = workspace != nullptr && bytes >= algo.data[kBytes] &&
                     alignment(workspace) >= kWorkspaceAlignment;
  return needs && !given ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

void check_matrix(const void* data, const cublasLtMatrixLayoutOpaque_t& x,
                  const std::string& name) {
  const std::int64_t elements = (x.batch - 1) * x.step + extent(x);
  check_device_range(data, static_cast<std::size_t>(elements) * size_of(x.type),
                     "matrix " + name + " of cublasLtMatmul");
}

template <class T>
T scalar(const void* pointer) {
  if (is_device(pointer)) {
    throw Finding("posetape emulation: a scalar of cublasLtMatmul is device memory");
  }
  T value;
  std::memcpy(&value, pointer, sizeof value);
  return value;
}

template <class T>
ColumnMajor<T> matrix(void* data, const cublasLtMatrixLayoutOpaque_t& x) {
  return {static_cast<T*>(data), x.ld, x.step};
}
template <class T>
ColumnMajor<const T> matrix(const void* data, const cublasLtMatrixLayoutOpaque_t& x) {
  return {static_cast<const T*>(data), x.ld, x.step};
}

// Everything is taken now, so that descriptions may change before the work runs.
template <class T>
cublasStatus_t enqueue_product(const Problem& p, const void* alpha, const void* beta,
                               const Pointers& at, void* workspace, std::size_t workspace_bytes,
                               cudaStream_t stream) {
  ProductArgs<T> product{static_cast<Index>(p.d.rows),
                         static_cast<Index>(p.d.columns),
                         static_cast<Index>(p.inner()),
                         p.d.batch,
                         matrix<T>(at.a, p.a),
                         matrix<T>(at.b, p.b),
                         matrix<T>(at.c, p.c),
                         matrix<T>(at.d, p.d),
                         p.transposes_a(),
                         p.transposes_b(),
                         nullptr,
                         nullptr,
                         scalar<Accumulator<T>>(alpha),
                         scalar<Accumulator<T>>(beta)};
  T* const vector = const_cast<T*>(static_cast<const T*>(p.op.bias));
  if (p.op.epilogue == CUBLASLT_EPILOGUE_BIAS) product.bias = vector;
  if (p.op.epilogue == CUBLASLT_EPILOGUE_BGRADB) product.b_sums = vector;
  const auto run = [product, workspace, workspace_bytes, a = p.a, b = p.b, c = p.c, d = p.d] {
    check_matrix(product.a.data, a, "A");
    check_matrix(product.b.data, b, "B");
    if (product.beta != 0) check_matrix(product.c.data, c, "C");
    check_matrix(product.d.data, d, "D");
    if (product.bias != nullptr) {
      check_device_range(product.bias, static_cast<std::size_t>(product.m) * sizeof(T),
                         "the bias of cublasLtMatmul");
    }
    if (product.b_sums != nullptr) {
      check_device_range(product.b_sums, static_cast<std::size_t>(product.n) * sizeof(T),
                         "the bias's gradient of cublasLtMatmul");
    }
    const DeviceAccess access;
    if (workspace_bytes > 0) {
      check_device_range(workspace, workspace_bytes, "the workspace of cublasLtMatmul");
      std::memset(workspace, 0xFF, workspace_bytes);
    }
    multiply(product);
  };
  return enqueue(stream, run) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                             : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

std::string blas_leaks() {
  return handles.leaks("handle") + descriptions.leaks("description") +
         layouts.leaks("matrix layout") + preferences.leaks("preference");
}

void reset_blas() {
  handles.reset();
  descriptions.reset();
  layouts.reset();
  preferences.reset();
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unrecognized status";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return blas_call("cublasLtCreate", [&] { return handles.make(handle, {}); });
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return blas_call("cublasLtDestroy", [&] {
    return handles.has(handle) ? handles.destroy(handle) : CUBLAS_STATUS_NOT_INITIALIZED;
  });
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  return blas_call("cublasLtMatmulDescCreate", [&] {
    return descriptions.make(description, {compute_type, scale_type});
  });
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return blas_call("cublasLtMatmulDescDestroy", [&] { return descriptions.destroy(description); });
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  return blas_call("cublasLtMatmulDescSetAttribute", [&] {
    if (!descriptions.has(description)) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
      case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(description->transpose_a, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(description->transpose_b, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(description->epilogue, value, bytes);
      case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(description->bias, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  return blas_call("cublasLtMatrixLayoutCreate", [&] {
    return layouts.make(layout, {type, rows, columns, ld});
  });
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return blas_call("cublasLtMatrixLayoutDestroy", [&] { return layouts.destroy(layout); });
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t bytes) {
  return blas_call("cublasLtMatrixLayoutSetAttribute", [&] {
    if (!layouts.has(layout)) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
      case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return set(layout->batch, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return set(layout->step, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return blas_call("cublasLtMatmulPreferenceCreate",
                   [&] { return preferences.make(preference, {}); });
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return blas_call("cublasLtMatmulPreferenceDestroy",
                   [&] { return preferences.destroy(preference); });
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  return blas_call("cublasLtMatmulPreferenceSetAttribute", [&] {
    if (!preferences.has(preference)) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
      case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(preference->workspace, value, bytes);
      case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(preference->reductions, value, bytes);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return set(preference->alignments[0], value, bytes);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return set(preference->alignments[1], value, bytes);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return set(preference->alignments[2], value, bytes);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(preference->alignments[3], value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  return blas_call("cublasLtMatmulAlgoGetHeuristic", [&] {
    if (!handles.has(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!descriptions.has(description) || !layouts.has(a) || !layouts.has(b) || !layouts.has(c) ||
        !layouts.has(d) || !preferences.has(preference) || wanted <= 0 || results == nullptr ||
        found == nullptr) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    *found = 0;
    const Problem problem{*description, *a, *b, *c, *d};
    if (const cublasStatus_t status = check_problem(problem)) return status;
    results[0] = find(problem, *preference);
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  return blas_call("cublasLtMatmul", [&] {
    if (!handles.has(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!descriptions.has(description) || !layouts.has(a_layout) || !layouts.has(b_layout) ||
        !layouts.has(c_layout) || !layouts.has(d_layout)) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    for (const void* pointer : {alpha, beta, a, b, c, static_cast<const void*>(d)}) {
      if (pointer == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    }
    const Problem p{*description, *a_layout, *b_layout, *c_layout, *d_layout};
    if (const cublasStatus_t status = check_problem(p)) return status;
    if (p.has_vector() && p.op.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    // In place, C has D's layout.
    if (c == d && (p.c.ld != p.d.ld || p.c.step != p.d.step)) return CUBLAS_STATUS_INVALID_VALUE;
    if (algo == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    const Pointers at{a, b, c, d};
    if (const auto status = check_algorithm(p, *algo, at, workspace, workspace_bytes)) {
      return status;
    }
    const std::size_t used = algo->data[kBytes];
    switch (p.d.type) {
      case CUDA_R_64F:
        return enqueue_product<double>(p, alpha, beta, at, workspace, used, stream);
      case CUDA_R_32F:
        return enqueue_product<float>(p, alpha, beta, at, workspace, used, stream);
      case CUDA_R_16BF:
        return enqueue_product<posetape::bf16>(p, alpha, beta, at, workspace, used, stream);
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
  });
}
