// What the stand-in for cuBLASLt and the library have to have in common. Compiled for both: the
// library needs a GPU for its handle alone.
#include <doctest/doctest.h>

#include <string>

#include "kernels/base/error.hpp"
#include "kernels/cuda/blas_port.hpp"

namespace posetape::cuda {
namespace {

constexpr auto kRight = CUBLAS_STATUS_SUCCESS;
constexpr auto kWrong = CUBLAS_STATUS_INVALID_VALUE;

// Every attribute that is used, and its type by a value.
template <class Set>
void check_size(const Set& set, std::size_t right) {
  const std::int64_t value = 0;
  CHECK(set(&value, right) == kRight);
  CHECK(set(&value, 12 - right) == kWrong);  // 4 for 8, 8 for 4
  CHECK(set(nullptr, right) == kWrong);
}

}  // namespace

static_assert(CUBLAS_STATUS_NOT_INITIALIZED == 1 && CUBLAS_STATUS_ALLOC_FAILED == 3 &&
              CUBLAS_STATUS_INVALID_VALUE == 7 && CUBLAS_STATUS_ARCH_MISMATCH == 8 &&
              CUBLAS_STATUS_MAPPING_ERROR == 11 && CUBLAS_STATUS_EXECUTION_FAILED == 13 &&
              CUBLAS_STATUS_INTERNAL_ERROR == 14 && CUBLAS_STATUS_NOT_SUPPORTED == 15 &&
              CUBLAS_STATUS_LICENSE_ERROR == 16);
static_assert(CUDA_R_32F == 0 && CUDA_R_64F == 1 && CUDA_R_16BF == 14 && CUBLAS_COMPUTE_32F == 68 &&
              CUBLAS_COMPUTE_64F == 70 && CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1 &&
              CUBLASLT_EPILOGUE_DEFAULT == 1 && CUBLASLT_EPILOGUE_BIAS == 4 &&
              CUBLASLT_EPILOGUE_BGRADB == 512 && CUBLASLT_REDUCTION_SCHEME_NONE == 0 &&
              CUBLASLT_REDUCTION_SCHEME_INPLACE == 1 &&
              CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE == 2 &&
              CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE == 4 && CUBLASLT_REDUCTION_SCHEME_MASK == 7);
static_assert(CUBLASLT_MATMUL_DESC_TRANSA == 3 && CUBLASLT_MATMUL_DESC_TRANSB == 4 &&
              CUBLASLT_MATMUL_DESC_EPILOGUE == 7 && CUBLASLT_MATMUL_DESC_BIAS_POINTER == 8 &&
              CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT == 5 &&
              CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET == 6 &&
              CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES == 1 &&
              CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK == 3 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES == 5 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES == 6 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES == 7 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES == 8);
static_assert(sizeof(cublasLtMatmulAlgo_t) == 64 && sizeof(cublasLtMatmulHeuristicResult_t) == 96);

TEST_CASE("attributes of products are as wide as cuBLASLt's") {
  cublasLtMatmulDesc_t description = nullptr;
  CHECK(cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F) == kRight);
  const auto describe = [&](cublasLtMatmulDescAttributes_t attribute) {
    return [=](const void* value, std::size_t bytes) {
      return cublasLtMatmulDescSetAttribute(description, attribute, value, bytes);
    };
  };
  check_size(describe(CUBLASLT_MATMUL_DESC_TRANSA), 4);
  check_size(describe(CUBLASLT_MATMUL_DESC_TRANSB), 4);
  check_size(describe(CUBLASLT_MATMUL_DESC_EPILOGUE), 4);
  check_size(describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER), 8);
  CHECK(cublasLtMatmulDescDestroy(description) == kRight);

  cublasLtMatrixLayout_t layout = nullptr;
  CHECK(cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, 3, 4, 3) == kRight);
  const auto lay_out = [&](cublasLtMatrixLayoutAttribute_t attribute) {
    return [=](const void* value, std::size_t bytes) {
      return cublasLtMatrixLayoutSetAttribute(layout, attribute, value, bytes);
    };
  };
  check_size(lay_out(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT), 4);
  check_size(lay_out(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), 8);
  CHECK(cublasLtMatrixLayoutDestroy(layout) == kRight);

  cublasLtMatmulPreference_t preference = nullptr;
  CHECK(cublasLtMatmulPreferenceCreate(&preference) == kRight);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute) {
    return [=](const void* value, std::size_t bytes) {
      return cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes);
    };
  };
  check_size(prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES), 8);
  check_size(prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK), 4);
  check_size(prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES), 4);
  check_size(prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES), 4);
  check_size(prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES), 4);
  check_size(prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES), 4);
  CHECK(cublasLtMatmulPreferenceDestroy(preference) == kRight);
}

TEST_CASE("what cuBLASLt calls its statuses") {
  const auto name = [](int status) {
    return std::string(cublasLtGetStatusName(static_cast<cublasStatus_t>(status)));
  };
  CHECK(name(0) == "CUBLAS_STATUS_SUCCESS");
  CHECK(name(1) == "CUBLAS_STATUS_NOT_INITIALIZED");
  CHECK(name(3) == "CUBLAS_STATUS_ALLOC_FAILED");
  CHECK(name(7) == "CUBLAS_STATUS_INVALID_VALUE");
  CHECK(name(8) == "CUBLAS_STATUS_ARCH_MISMATCH");
  CHECK(name(11) == "CUBLAS_STATUS_MAPPING_ERROR");
  CHECK(name(13) == "CUBLAS_STATUS_EXECUTION_FAILED");
  CHECK(name(14) == "CUBLAS_STATUS_INTERNAL_ERROR");
  CHECK(name(15) == "CUBLAS_STATUS_NOT_SUPPORTED");
  CHECK(name(16) == "CUBLAS_STATUS_LICENSE_ERROR");
  CHECK(name(5) == "unrecognized status");
}

#ifndef POSETAPE_CUDA_EMULATED
TEST_CASE("what is missing of cuBLASLt is an error that says what to install") {
  std::string message;
  try {
    blas_function("cublasLtWhatever");
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find("undefined symbol: cublasLtWhatever") != std::string::npos);
  CHECK(message.find("install cuBLAS") != std::string::npos);
  CHECK(message.find("--device cpu") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}
#endif

}  // namespace posetape::cuda
