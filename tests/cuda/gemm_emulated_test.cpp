// What the host does around products: searches, memory, graphs, and what is said where the library
// fails.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/base/error.hpp"
#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/emulation/control.hpp"
#include "tests/cuda/device_array.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

struct Data {
  DeviceArray<float> x{{1, 2, 3, 4, 5, 6}};  // [2, 3]
  DeviceArray<float> w{{1, 0, 2, 0, 1, 1}};  // [2, 3]
  DeviceArray<float> b{{10, 20}};
  DeviceArray<float> y{{0, 0, 0, 0}};

  bool multiply(bool bias = false, Into into = Into::write) {
    return cuda::gemm<float>({2,
                              2,
                              3,
                              {x.data(), 3},
                              {w.data(), 3, true},
                              {y.data(), into},
                              1,
                              bias ? b.data() : nullptr});
  }
};

std::int64_t searches() {
  return emulation::calls("cublasLtMatmulAlgoGetHeuristic");
}

// Everything of cuBLASLt is made anew.
void start_anew() {
  cuda::close();
  cuda::open();
}

std::string error_of(Data& data) {
  try {
    data.multiply();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("cuda: an algorithm is searched once for a shape") {
  start_anew();
  Data data;
  const auto before = searches();
  CHECK_FALSE(data.multiply());
  CHECK(data.multiply(true));
  CHECK(searches() == before + 2);
  data.multiply();
  data.multiply(false, Into::add);
  CHECK(searches() == before + 2);
  CHECK(data.y.values() == std::vector<float>{14, 10, 32, 22});
  data.multiply(true);
  CHECK(searches() == before + 2);
  CHECK(data.y.values() == std::vector<float>{17, 25, 26, 31});
}

TEST_CASE("cuda: a bias that cuBLASLt has no algorithm for is left to the caller") {
  start_anew();
  Data data;
  emulation::fail_call("cublasLtMatmulAlgoGetHeuristic", 1, CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_FALSE(data.multiply(true));
  CHECK_FALSE(data.multiply(true));
  CHECK(data.y.values() == std::vector<float>{7, 5, 16, 11});
  start_anew();
  CHECK(data.multiply(true));
}

TEST_CASE("cuda: products are recorded in a graph") {
  start_anew();
  Data data;
  cuda_runtime.begin_recording();
  data.multiply(true);
  data.multiply(false, Into::add);
  const auto graph = cuda_runtime.end_recording();
  CHECK(data.y.values() == std::vector<float>{0, 0, 0, 0});
  for (int i = 0; i < 2; ++i) {
    cuda_runtime.launch_recorded(graph.get());
    CHECK(data.y.values() == std::vector<float>{24, 30, 42, 42});
  }
}

TEST_CASE("cuda: a product counts as a launch") {
  Data data;
  const auto before = cuda::launches();
  data.multiply();
  CHECK(cuda::launches() == before + 1);
}

TEST_CASE("cuda: every failure of cuBLASLt is an error that names the call") {
  Data data;
  for (const std::string_view function : emulation::blas_functions()) {
    if (function.ends_with("Destroy")) continue;
    CAPTURE(function);
    start_anew();
    emulation::fail_call(function, 1, CUBLAS_STATUS_NOT_SUPPORTED);
    const std::string text = error_of(data);
    const bool named = text.find(function) != std::string::npos ||
                       text.find("making a cuBLASLt handle") != std::string::npos;
    CHECK_MESSAGE(named, text);
    CHECK(text.find("CUBLAS_STATUS_NOT_SUPPORTED; use --device cpu") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    CHECK(error_of(data) == "");  // and the next one is right
    CHECK(data.y.values() == std::vector<float>{7, 5, 16, 11});
  }
  start_anew();
  emulation::fail_call("cublasLtMatmul", 1, CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(error_of(data) ==
        "cuda: cublasLtMatmul for the f32 product of [2, 3] and [3, 2] (transposed) failed: "
        "CUBLAS_STATUS_EXECUTION_FAILED; a kernel before it may be the cause, run again with "
        "POSETAPE_CUDA_SYNC=1 to find it");
}

TEST_CASE("cuda: no memory for the workspace of products") {
  start_anew();
  Data data;
  emulation::fail_call("cudaMalloc", 1, cudaErrorMemoryAllocation);
  CHECK(error_of(data) ==
        "cuda: no memory for cuBLASLt's workspace of 64 KiB; make the batch smaller or use "
        "--device cpu");
  CHECK(error_of(data) == "");
}

TEST_CASE("cuda: products too large for cuBLASLt") {
  cuda::open();
  try {
    cuda::gemm<float>({Index{1} << 31, 1, 1, {}, {}, {}});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "cuda: cuBLASLt takes sizes below 2^31, and not the f32 product of [2147483648, 1] and "
          "[1, 1]; make the batch smaller or use --device cpu");
  }
}

TEST_CASE("cuda: nothing of cuBLASLt is left after close()") {
  start_anew();
  {
    Data data;
    data.multiply(true);
    CHECK(emulation::leaks().find("cuBLASLt") != std::string::npos);
  }
  cuda::close();
  CHECK(emulation::leaks().find("cuBLASLt") == std::string::npos);
}
