#include "kernels/cuda/gemm.hpp"

#include <array>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "kernels/base/error.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/handles.hpp"

namespace posetape::cuda {
namespace {

template <class T>
struct TypeOf;
template <>
struct TypeOf<double> {
  static constexpr const char* kName = "f64";
  static constexpr cudaDataType_t kType = CUDA_R_64F;
  static constexpr cudaDataType_t kScale = CUDA_R_64F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_64F;
  static constexpr bool kEpilogues = false;
};
template <>
struct TypeOf<float> {
  static constexpr const char* kName = "f32";
  static constexpr cudaDataType_t kType = CUDA_R_32F;
  static constexpr cudaDataType_t kScale = CUDA_R_32F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_32F;
  static constexpr bool kEpilogues = true;
};
template <>
struct TypeOf<bf16> {
  static constexpr const char* kName = "bf16";
  static constexpr cudaDataType_t kType = CUDA_R_16BF;
  static constexpr cudaDataType_t kScale = CUDA_R_32F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_32F;
  static constexpr bool kEpilogues = true;
};

// Objects of cuBLASLt that destroy themselves.
template <auto& destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
template <class Handle, auto& destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// The largest alignment that cuBLASLt asks about.
constexpr std::uintptr_t kMostAlignment = 256;
std::uint32_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer) | kMostAlignment;
  return static_cast<std::uint32_t>(address & (~address + 1));
}

template <class T>
std::string text(const Gemm<T>& g) {
  const auto size = [](Index rows, Index columns) {
    return "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]";
  };
  return std::string(TypeOf<T>::kName) + " product of " + size(g.m, g.k) +
         (g.a.transpose ? " (transposed)" : "") + " and " + size(g.k, g.n) +
         (g.b.transpose ? " (transposed)" : "") +
         (g.batch > 1 ? ", batch of " + std::to_string(g.batch) : "") +
         (g.bias != nullptr ? ", with bias" : "") + (g.a_sums != nullptr ? ", with sums" : "");
}

// Completes the name of a failed call.
template <class T>
std::string in(const char* call, const Gemm<T>& g) {
  return std::string(call) + " for the " + text(g);
}

// What a product needs that does not change while its shape does not.
struct Plan {
  Description description;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm;
  bool found = false;
};

// What the library does beside the product, and with which vector.
template <class T>
std::uint32_t epilogue(const Gemm<T>& g) {
  if (g.bias != nullptr) return CUBLASLT_EPILOGUE_BIAS;
  return g.a_sums != nullptr ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_DEFAULT;
}
template <class T>
const void* vector(const Gemm<T>& g) {
  return g.bias != nullptr ? g.bias : g.a_sums;
}

// All of a product but its addresses, of which the alignment matters.
using Key = std::array<Index, 16>;
template <class T>
Key key(const Gemm<T>& g) {
  return {TypeOf<T>::kType,
          g.m,
          g.n,
          g.k,
          g.batch,
          g.a.stride,
          g.a.transpose,
          g.a.step,
          g.b.stride,
          g.b.transpose,
          g.b.step,
          alignment(g.a.data),
          alignment(g.b.data),
          alignment(g.c.data),
          epilogue(g),
          alignment(vector(g))};
}

// Not destroyed when the process ends: the driver may be gone by then.
std::map<Key, Plan>& plans() {
  static auto& all = *new std::map<Key, Plan>;
  return all;
}

template <class V>
void set(const Description& description, cublasLtMatmulDescAttributes_t attribute, V value) {
  check(cublasLtMatmulDescSetAttribute(description.get(), attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}

template <class V>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, V value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

// cuBLASLt counts columns where we count rows: to it, each matrix is its transpose.
template <class T>
Layout layout(Index rows, Index columns, Index stride, Index step, Index batch) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, TypeOf<T>::kType, static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), stride),
        "cublasLtMatrixLayoutCreate");
  Layout owned(made);
  const auto set = [&](cublasLtMatrixLayoutAttribute_t attribute, auto value) {
    check(cublasLtMatrixLayoutSetAttribute(made, attribute, &value, sizeof value),
          "cublasLtMatrixLayoutSetAttribute");
  };
  set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batch));
  set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, std::int64_t{step});
  return owned;
}
template <class T>
Layout layout(const Matrix<T>& x, Index rows, Index columns, Index batch) {
  return x.transpose ? layout<T>(columns, rows, x.stride, x.step, batch)
                     : layout<T>(rows, columns, x.stride, x.step, batch);
}

// C^T = B^T A^T, so that operands change places and transpositions stay: the library's A is our B.
template <class T>
Description describe(const Gemm<T>& g) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, TypeOf<T>::kCompute, TypeOf<T>::kScale),
        "cublasLtMatmulDescCreate");
  Description description(made);
  const auto operation = [](const Matrix<T>& x) {
    return static_cast<std::int32_t>(x.transpose ? CUBLAS_OP_T : CUBLAS_OP_N);
  };
  set(description, CUBLASLT_MATMUL_DESC_TRANSA, operation(g.b));
  set(description, CUBLASLT_MATMUL_DESC_TRANSB, operation(g.a));
  set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(g));
  // The search looks at its alignment.
  set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector(g));
  return description;
}

template <class T>
Preference preference(const Gemm<T>& g) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kBlasWorkspace});
  // Parts of a sum meet in the type it is computed in, in the workspace: in the output they would
  // be rounded to its type in between.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(g.b.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(g.a.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(g.c.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(g.c.data));
  return preference;
}

template <class T>
Plan make_plan(const Gemm<T>& g) {
  Plan plan{describe(g),
            layout(g.b, g.k, g.n, g.batch),
            layout(g.a, g.m, g.k, g.batch),
            layout<T>(g.m, g.n, g.n, g.m * g.n, g.batch),
            {}};
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      blas_handle(), plan.description.get(), plan.a.get(), plan.b.get(), plan.c.get(), plan.c.get(),
      preference(g).get(), 1, &result, &found);
  plan.found =
      status == CUBLAS_STATUS_SUCCESS && found > 0 && result.state == CUBLAS_STATUS_SUCCESS;
  // Without the epilogue there may be one.
  if (!plan.found && vector(g) == nullptr) {
    check(status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status,
          in("cublasLtMatmulAlgoGetHeuristic", g));
  }
  plan.algorithm = result.algo;
  return plan;
}

template <class T>
const Plan& plan_of(const Gemm<T>& g) {
  const Key k = key(g);
  const auto found = plans().find(k);
  return found != plans().end() ? found->second : plans().emplace(k, make_plan(g)).first->second;
}

template <class T>
void check_sizes(const Gemm<T>& g) {
  for (const Index size : {g.m, g.n, g.k, g.batch}) {
    if (size <= std::numeric_limits<std::int32_t>::max()) continue;
    throw Error("cuda: cuBLASLt takes sizes below 2^31, and not the " + text(g) +
                "; make the batch smaller or use --device cpu");
  }
}

}  // namespace

template <class T>
bool gemm(const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return false;
  if (g.k == 0) {
    const auto elements = static_cast<std::size_t>(g.batch * g.m * g.n);
    if (g.c.into == Into::write) fill_bytes(g.c.data, 0, elements * sizeof(T));
    return false;
  }
  Gemm<T> asked = g;
  const auto drop_epilogue = [&] {
    asked.bias = nullptr;
    asked.a_sums = nullptr;
  };
  if (!TypeOf<T>::kEpilogues) drop_epilogue();
  check_sizes(asked);
  const Plan* plan = &plan_of(asked);
  if (!plan->found) {
    drop_epilogue();
    plan = &plan_of(asked);
  }
  const bool has_epilogue = vector(asked) != nullptr;
  if (has_epilogue) {
    set(plan->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector(asked));
  }
  const Accumulator<T> alpha = 1;
  const Accumulator<T> beta = g.c.into == Into::add ? 1 : 0;
  check(cublasLtMatmul(blas_handle(), plan->description.get(), &alpha, g.b.data, plan->a.get(),
                       g.a.data, plan->b.get(), &beta, g.c.data, plan->c.get(), g.c.data,
                       plan->c.get(), &plan->algorithm, blas_workspace(), kBlasWorkspace, stream()),
        in("cublasLtMatmul", asked));
  check_library_call("cublasLtMatmul");
  return has_epilogue;
}

template bool gemm(const Gemm<double>&);
template bool gemm(const Gemm<float>&);
template bool gemm(const Gemm<bf16>&);

Index most_own_work() {
  static const Index most = [] {
    const char* wish = std::getenv("POSETAPE_CUDA_PRODUCTS");
    const std::string_view choice = wish != nullptr ? wish : "";
    if (choice.empty()) return Index{3} << 29;
    if (choice == "own") return std::numeric_limits<Index>::max();
    if (choice == "library") return Index{0};
    throw Error("POSETAPE_CUDA_PRODUCTS=" + std::string(choice) + ": expected own or library");
  }();
  return most;
}

void forget_gemms() {
  plans().clear();
}

}  // namespace posetape::cuda
