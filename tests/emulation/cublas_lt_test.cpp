// cuBLASLt's stand-in: what it computes, and what it refuses.
#include "kernels/emulation/cublas_lt.hpp"

#include <functional>
#include <map>
#include <set>

#include "kernels/emulation/product.hpp"
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

// Right calls for D = A B, 2 x 2 and column-major, with every part to be changed.
struct Product {
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr, d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulHeuristicResult_t result = {};
  DeviceArray<float> a_data{std::vector<float>{1, 2, 3, 4}};
  DeviceArray<float> b_data{std::vector<float>{5, 6, 7, 8}};
  DeviceArray<float> d_data{4};
  DeviceArray<float> bias{std::vector<float>{100, 200}};
  DeviceArray<char> workspace{1 << 16};
  std::size_t workspace_bytes = 1 << 16;
  float alpha = 1;
  float beta = 0;
  const void* a_pointer = a_data.data();
  const void* alpha_pointer = &alpha;
  cudaStream_t stream = nullptr;

  explicit Product(cublasComputeType_t compute = CUBLAS_COMPUTE_32F,
                   cudaDataType_t type = CUDA_R_32F, cudaDataType_t scale = CUDA_R_32F) {
    CHECK(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatmulDescCreate(&description, compute, scale) == CUBLAS_STATUS_SUCCESS);
    for (auto* layout : {&a, &b, &c, &d}) {
      CHECK(cublasLtMatrixLayoutCreate(layout, type, 2, 2, 2) == CUBLAS_STATUS_SUCCESS);
    }
    CHECK(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
    CHECK(prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{1 << 16}) ==
          CUBLAS_STATUS_SUCCESS);
  }
  ~Product() {
    cublasLtMatmulPreferenceDestroy(preference);
    for (const auto layout : {a, b, c, d}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulDescDestroy(description);
    cublasLtDestroy(handle);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  template <class V>
  cublasStatus_t describe(cublasLtMatmulDescAttributes_t attribute, V value) {
    return cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value);
  }
  template <class V>
  cublasStatus_t prefer(cublasLtMatmulPreferenceAttributes_t attribute, V value) {
    return cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
  }
  void batch(cublasLtMatrixLayout_t layout, std::int32_t count, std::int64_t step) {
    CHECK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                           sizeof count) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                           &step, sizeof step) == CUBLAS_STATUS_SUCCESS);
  }
  void replace(cublasLtMatrixLayout_t& layout, std::uint64_t rows, std::uint64_t columns,
               std::int64_t ld, cudaDataType_t type = CUDA_R_32F) {
    cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatrixLayoutCreate(&layout, type, rows, columns, ld);
  }

  cublasStatus_t search() {
    int found = -1;
    return cublasLtMatmulAlgoGetHeuristic(handle, description, a, b, c, d, preference, 1, &result,
                                          &found);
  }
  cublasStatus_t multiply() {
    return cublasLtMatmul(handle, description, alpha_pointer, a_pointer, a, b_data.data(), b, &beta,
                          d_data.data(), c, d_data.data(), d, &result.algo, workspace.data(),
                          workspace_bytes, stream);
  }
  cublasStatus_t run() {
    const cublasStatus_t status = search();
    return status == CUBLAS_STATUS_SUCCESS ? multiply() : status;
  }
};

}  // namespace

TEST_CASE("a product is work of its stream") {
  reset();
  Product p;
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.d_data.values() == std::vector<float>{23, 34, 31, 46});
  p.alpha = 2;
  p.beta = -1;
  CHECK(p.multiply() == CUBLAS_STATUS_SUCCESS);
  p.alpha = p.beta = 0;  // it has read them
  CHECK(p.d_data.values() == std::vector<float>{23, 34, 31, 46});

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK(cudaStreamCreate(&p.stream) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(p.stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  p.alpha = p.beta = 1;
  CHECK(p.multiply() == CUBLAS_STATUS_SUCCESS);
  CHECK(cudaStreamEndCapture(p.stream, &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&executable, graph) == cudaSuccess);
  for (int i = 0; i < 2; ++i) CHECK(cudaGraphLaunch(executable, p.stream) == cudaSuccess);
  CHECK(p.d_data.values() == std::vector<float>{69, 102, 93, 138});
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);
  CHECK(cudaStreamDestroy(p.stream) == cudaSuccess);
}

TEST_CASE("transpositions and the bias of a product") {
  reset();
  Product p;
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_TRANSA, std::int32_t{CUBLAS_OP_T}) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.d_data.values() == std::vector<float>{17, 39, 23, 53});
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_TRANSB, std::int32_t{CUBLAS_OP_T}) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BIAS}) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_INVALID_VALUE);  // where is it?
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data()) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.d_data.values() == std::vector<float>{119, 243, 122, 250});
}

TEST_CASE("the gradient of a bias, beside a product") {
  reset();
  Product p;
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BGRADB}) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_INVALID_VALUE);  // where to?
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data()) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.d_data.values() == std::vector<float>{23, 34, 31, 46});
  CHECK(p.bias.values() == std::vector<float>{11, 15});
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_TRANSB, std::int32_t{CUBLAS_OP_T}) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.bias.values() == std::vector<float>{12, 14});
  for (const auto layout : {p.a, p.b, p.c, p.d}) p.batch(layout, 2, 4);
  CHECK(p.search() == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("batches may share a matrix") {
  reset();
  Product p;
  p.replace(p.b, 2, 1, 2);
  p.replace(p.c, 2, 1, 2);
  p.replace(p.d, 2, 1, 2);
  p.batch(p.a, 2, 0);
  for (const auto layout : {p.b, p.c, p.d}) p.batch(layout, 2, 2);
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(p.d_data.values() == std::vector<float>{23, 34, 31, 46});
  p.batch(p.d, 2, 1);
  CHECK(p.run() == CUBLAS_STATUS_INVALID_VALUE);  // it overlaps itself
  p.batch(p.d, 1, 2);
  CHECK(p.run() == CUBLAS_STATUS_INVALID_VALUE);  // another count
}

// Whole numbers, so that every order of additions gives the same.
TEST_CASE("products of sizes beside the tiles") {
  for (const Index m : {1, 7, 8, 9, 20}) {
    for (const Index n : {1, 3, 4, 5, 11}) {
      for (const Index k : {1, 2, 33}) {
        std::vector<double> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(k * n));
        for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<double>(i % 7) - 3;
        for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>(i % 5) - 1;
        std::vector<double> d(static_cast<std::size_t>(m * n));
        multiply<double>({m,
                          n,
                          k,
                          1,
                          {a.data(), m, 0},
                          {b.data(), n, 0},
                          {d.data(), m, 0},
                          {d.data(), m, 0},
                          false,
                          true,
                          nullptr,
                          nullptr,
                          1,
                          0});
        int wrong = 0;
        for (Index j = 0; j < n; ++j) {
          for (Index i = 0; i < m; ++i) {
            double sum = 0;
            for (Index l = 0; l < k; ++l) {
              sum +=
                  a[static_cast<std::size_t>(l * m + i)] * b[static_cast<std::size_t>(l * n + j)];
            }
            wrong += d[static_cast<std::size_t>(j * m + i)] != sum;
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("types that cuBLASLt has no product for") {
  reset();
  CHECK(Product(CUBLAS_COMPUTE_64F).run() == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(Product(CUBLAS_COMPUTE_32F, CUDA_R_64F, CUDA_R_64F).run() == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(Product(CUBLAS_COMPUTE_32F, CUDA_R_16BF, CUDA_R_16BF).run() == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(Product(CUBLAS_COMPUTE_32F, CUDA_R_16BF).search() == CUBLAS_STATUS_SUCCESS);
  Product f64(CUBLAS_COMPUTE_64F, CUDA_R_64F, CUDA_R_64F);
  CHECK(f64.search() == CUBLAS_STATUS_SUCCESS);
  f64.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BIAS});
  CHECK(f64.search() == CUBLAS_STATUS_NOT_SUPPORTED);
  Product p;
  p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{32});  // CUBLASLT_EPILOGUE_GELU
  CHECK(p.search() == CUBLAS_STATUS_NOT_SUPPORTED);
  p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_DEFAULT});
  p.describe(CUBLASLT_MATMUL_DESC_TRANSA, std::int32_t{2});  // CUBLAS_OP_C
  CHECK(p.search() == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("matrices that do not fit") {
  reset();
  struct Shape {
    std::uint64_t rows, columns;
    std::int64_t ld;
  };
  for (const auto& [rows, columns, ld] :
       {Shape{3, 2, 3}, {2, 3, 2}, {2, 2, 1}, {2, 2, 0}, {0, 2, 2}, {2, 0, 2}}) {
    Product p;
    p.replace(p.a, rows, columns, ld);
    CHECK(p.search() == CUBLAS_STATUS_INVALID_VALUE);
  }
  Product p;
  p.replace(p.c, 2, 2, 3);
  CHECK(p.run() == CUBLAS_STATUS_INVALID_VALUE);  // in place, but another layout
  Product large;
  large.replace(large.a, 2, std::uint64_t{1} << 31, 2);
  large.replace(large.b, std::uint64_t{1} << 31, 2, std::int64_t{1} << 31);
  CHECK(large.search() == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("pointers that cuBLASLt refuses") {
  reset();
  Product p;
  CHECK(p.search() == CUBLAS_STATUS_SUCCESS);
  p.a_pointer = nullptr;
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  p.a_pointer = p.bias.data() + 1;  // less aligned than promised
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  p.a_pointer = p.a_data.data();
  p.alpha_pointer = nullptr;
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  p.alpha_pointer = &p.alpha;
  p.workspace_bytes = 16;
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  p.workspace_bytes = 1 << 16;
  p.result.algo.data[0] ^= 1;  // an algorithm for something else
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{0}) ==
        CUBLAS_STATUS_SUCCESS);
  p.workspace_bytes = 0;
  CHECK(p.run() == CUBLAS_STATUS_SUCCESS);  // none is needed
}

TEST_CASE("matrices outside of their memory are found") {
  const auto found = [](const std::function<void(Product&)>& change) {
    reset();
    return finding([&] {
      auto p = std::make_unique<Product>();
      change(*p);
      const cublasStatus_t status = p->run();
      cudaDeviceSynchronize();
      CHECK(status == CUBLAS_STATUS_SUCCESS);
    });
  };
  CHECK(found([](Product&) {}) == "");
  static float host[4] __attribute__((aligned(256)));
  CHECK(contains(found([](Product& p) { p.a_pointer = host; }),
                 "matrix A of cublasLtMatmul is no device memory"));
  CHECK(contains(found([](Product& p) { p.replace(p.a, 2, 2, 3); }),
                 "matrix A of cublasLtMatmul (bytes 0 to 20) is not all inside of"));
  CHECK(contains(found([](Product& p) { p.alpha_pointer = p.bias.data(); }),
                 "a scalar of cublasLtMatmul is device memory"));
  CHECK(contains(found([](Product& p) {
                   p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BIAS});
                   p.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data() + 1);
                 }),
                 "the bias of cublasLtMatmul (bytes 4 to 12) is not all inside of"));
  CHECK(contains(found([](Product& p) {
                   p.describe(CUBLASLT_MATMUL_DESC_EPILOGUE,
                              std::uint32_t{CUBLASLT_EPILOGUE_BGRADB});
                   p.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data() + 1);
                 }),
                 "the bias's gradient of cublasLtMatmul (bytes 4 to 12) is not all inside of"));
}

TEST_CASE("attributes that are unknown or of another size") {
  reset();
  Product p;
  CHECK(p.describe(static_cast<cublasLtMatmulDescAttributes_t>(2), std::int32_t{0}) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.describe(CUBLASLT_MATMUL_DESC_TRANSA, std::int64_t{0}) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.prefer(static_cast<cublasLtMatmulPreferenceAttributes_t>(0), std::uint32_t{0}) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint32_t{0}) ==
        CUBLAS_STATUS_INVALID_VALUE);
  const std::int32_t order = 1;
  CHECK(cublasLtMatrixLayoutSetAttribute(p.a, static_cast<cublasLtMatrixLayoutAttribute_t>(1),
                                         &order, sizeof order) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatrixLayoutSetAttribute(p.a, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, nullptr,
                                         sizeof order) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("handles that do not exist") {
  reset();
  Product p;
  CHECK(p.search() == CUBLAS_STATUS_SUCCESS);
  const auto handle = std::exchange(p.handle, nullptr);
  CHECK(p.search() == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(p.multiply() == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(cublasLtDestroy(p.handle) == CUBLAS_STATUS_NOT_INITIALIZED);
  p.handle = handle;
  const auto a = p.a;
  cublasLtMatrixLayoutDestroy(a);
  CHECK(p.search() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(p.multiply() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasLtMatrixLayoutDestroy(a) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("what cuBLASLt made and nobody gave back is a leak") {
  reset();
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  CHECK(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
  CHECK(leaks() == "a handle of cuBLASLt\na preference of cuBLASLt\n");
  CHECK(cublasLtDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(cublasLtMatmulPreferenceDestroy(preference) == CUBLAS_STATUS_SUCCESS);
  CHECK(leaks() == "");
}

TEST_CASE("every function of cuBLASLt fails when it is told to") {
  reset();
  Product p;
  CHECK(p.search() == CUBLAS_STATUS_SUCCESS);
  static cublasLtHandle_t handle;
  static cublasLtMatmulDesc_t description;
  static cublasLtMatrixLayout_t layout;
  static cublasLtMatmulPreference_t preference;
  const std::int32_t one = 1;
  const std::map<std::string_view, std::function<cublasStatus_t()>> right_calls = {
      {"cublasLtCreate", [] { return cublasLtCreate(&handle); }},
      {"cublasLtDestroy",
       [] {
         cublasLtCreate(&handle);
         return cublasLtDestroy(handle);
       }},
      {"cublasLtMatmul", [&] { return p.multiply(); }},
      {"cublasLtMatmulAlgoGetHeuristic", [&] { return p.search(); }},
      {"cublasLtMatmulDescCreate",
       [] { return cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F); }},
      {"cublasLtMatmulDescDestroy",
       [] {
         cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
         return cublasLtMatmulDescDestroy(description);
       }},
      {"cublasLtMatmulDescSetAttribute",
       [&] { return p.describe(CUBLASLT_MATMUL_DESC_TRANSA, std::int32_t{0}); }},
      {"cublasLtMatmulPreferenceCreate",
       [] { return cublasLtMatmulPreferenceCreate(&preference); }},
      {"cublasLtMatmulPreferenceDestroy",
       [] {
         cublasLtMatmulPreferenceCreate(&preference);
         return cublasLtMatmulPreferenceDestroy(preference);
       }},
      {"cublasLtMatmulPreferenceSetAttribute",
       [&] { return p.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{16}); }},
      {"cublasLtMatrixLayoutCreate",
       [] { return cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 2, 2, 2); }},
      {"cublasLtMatrixLayoutDestroy",
       [] {
         cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 2, 2, 2);
         return cublasLtMatrixLayoutDestroy(layout);
       }},
      {"cublasLtMatrixLayoutSetAttribute",
       [&] {
         return cublasLtMatrixLayoutSetAttribute(p.a, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &one,
                                                 sizeof one);
       }},
  };
  std::set<std::string_view> names;
  for (const auto& [name, run] : right_calls) names.insert(name);
  CHECK(names == std::set<std::string_view>(blas_functions().begin(), blas_functions().end()));
  for (const auto& [name, run] : right_calls) {
    CAPTURE(name);
    const auto before = calls(name);
    fail_call(name, 2, CUBLAS_STATUS_INTERNAL_ERROR);
    CHECK(run() == CUBLAS_STATUS_SUCCESS);
    CHECK(run() == CUBLAS_STATUS_INTERNAL_ERROR);
    CHECK(calls(name) == before + 2);
  }
  CHECK(std::string(cublasLtGetStatusName(CUBLAS_STATUS_INTERNAL_ERROR)) ==
        "CUBLAS_STATUS_INTERNAL_ERROR");
  CHECK_THROWS_AS(fail_call("cublasLtMatmul", 1, cudaErrorUnknown), std::invalid_argument);
  CHECK_THROWS_AS(fail_call("cudaMalloc", 1, CUBLAS_STATUS_INTERNAL_ERROR), std::invalid_argument);
}
