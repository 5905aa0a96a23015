// Every function fails when it is told to.
#include <functional>
#include <map>
#include <set>

#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void nothing() {}

// A right call of each function.
std::map<std::string_view, std::function<cudaError_t()>> right_calls() {
  static int device, value;
  static std::size_t size;
  static float milliseconds;
  static void *pointer, *pinned;
  static char* memory;
  static char host[16], place[16];
  static cudaDeviceProp properties;
  static cudaStream_t stream, made_stream;
  static cudaEvent_t event, made_event;
  static cudaGraph_t graph;
  static cudaGraphExec_t executable;
  static cudaStreamCaptureStatus status;
  reset();
  cudaMalloc(&memory, 16);
  cudaStreamCreate(&stream);
  cudaEventCreate(&event);
  cudaEventRecord(event, stream);
  cudaStreamSynchronize(stream);
  const auto capture = [] {
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    return cudaStreamEndCapture(stream, &graph);
  };
  const auto instantiate = [capture] {
    capture();
    return cudaGraphInstantiate(&executable, graph);
  };
  return {
      {"cudaDeviceGetAttribute",
       [] { return cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0); }},
      {"cudaDeviceGetPCIBusId", [] { return cudaDeviceGetPCIBusId(place, sizeof place, 0); }},
      {"cudaDeviceSynchronize", [] { return cudaDeviceSynchronize(); }},
      {"cudaDriverGetVersion", [] { return cudaDriverGetVersion(&value); }},
      {"cudaEventCreate", [] { return cudaEventCreate(&made_event); }},
      {"cudaEventCreateWithFlags",
       [] { return cudaEventCreateWithFlags(&made_event, cudaEventDisableTiming); }},
      {"cudaEventDestroy",
       [] {
         cudaEventCreate(&made_event);
         return cudaEventDestroy(made_event);
       }},
      {"cudaEventElapsedTime", [] { return cudaEventElapsedTime(&milliseconds, event, event); }},
      {"cudaEventQuery", [] { return cudaEventQuery(event); }},
      {"cudaEventRecord",
       [] {
         const cudaError_t error = cudaEventRecord(event, stream);
         cudaStreamSynchronize(stream);
         return error;
       }},
      {"cudaEventSynchronize", [] { return cudaEventSynchronize(event); }},
      {"cudaFree",
       [] {
         cudaMalloc(&pointer, 4);
         return cudaFree(pointer);
       }},
      {"cudaFreeHost",
       [] {
         cudaMallocHost(&pinned, 4);
         return cudaFreeHost(pinned);
       }},
      {"cudaFuncSetAttribute",
       [] {
         return cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 1024);
       }},
      {"cudaGetDevice", [] { return cudaGetDevice(&device); }},
      {"cudaGetDeviceCount", [] { return cudaGetDeviceCount(&value); }},
      {"cudaGetDeviceProperties", [] { return cudaGetDeviceProperties(&properties, 0); }},
      {"cudaGetLastError", [] { return cudaGetLastError(); }},
      {"cudaGraphDestroy",
       [capture] {
         capture();
         return cudaGraphDestroy(graph);
       }},
      {"cudaGraphExecDestroy",
       [instantiate] {
         instantiate();
         return cudaGraphExecDestroy(executable);
       }},
      {"cudaGraphGetNodes",
       [capture] {
         capture();
         return cudaGraphGetNodes(graph, nullptr, &size);
       }},
      {"cudaGraphInstantiate", instantiate},
      {"cudaGraphLaunch",
       [instantiate] {
         instantiate();
         return cudaGraphLaunch(executable, stream);
       }},
      {"cudaLaunchKernel", [] { return POSETAPE_LAUNCH(nothing, 1, 1, 0, nullptr); }},
      {"cudaMalloc", [] { return cudaMalloc(&pointer, 4); }},
      {"cudaMallocHost", [] { return cudaMallocHost(&pinned, 4); }},
      {"cudaMemGetInfo", [] { return cudaMemGetInfo(&size, &size); }},
      {"cudaMemcpy", [] { return cudaMemcpy(host, memory, 4, cudaMemcpyDeviceToHost); }},
      {"cudaMemcpyAsync",
       [] { return cudaMemcpyAsync(memory, host, 4, cudaMemcpyHostToDevice, stream); }},
      {"cudaMemset", [] { return cudaMemset(memory, 0, 4); }},
      {"cudaMemsetAsync", [] { return cudaMemsetAsync(memory, 0, 4, stream); }},
      {"cudaPeekAtLastError",
       [] {
         cudaGetLastError();
         return cudaPeekAtLastError();
       }},
      {"cudaRuntimeGetVersion", [] { return cudaRuntimeGetVersion(&value); }},
      {"cudaSetDevice", [] { return cudaSetDevice(0); }},
      {"cudaStreamBeginCapture",
       [] {
         cudaStreamCreate(&made_stream);
         return cudaStreamBeginCapture(made_stream, cudaStreamCaptureModeRelaxed);
       }},
      {"cudaStreamCreate", [] { return cudaStreamCreate(&made_stream); }},
      {"cudaStreamCreateWithFlags",
       [] { return cudaStreamCreateWithFlags(&made_stream, cudaStreamNonBlocking); }},
      {"cudaStreamDestroy",
       [] {
         cudaStreamCreate(&made_stream);
         return cudaStreamDestroy(made_stream);
       }},
      {"cudaStreamEndCapture", capture},
      {"cudaStreamIsCapturing", [] { return cudaStreamIsCapturing(stream, &status); }},
      {"cudaStreamQuery", [] { return cudaStreamQuery(stream); }},
      {"cudaStreamSynchronize", [] { return cudaStreamSynchronize(stream); }},
      {"cudaStreamWaitEvent", [] { return cudaStreamWaitEvent(stream, event); }},
  };
}

}  // namespace

TEST_CASE("every function has a right call here") {
  std::set<std::string_view> names;
  for (const auto& [name, run] : right_calls()) names.insert(name);
  CHECK(names ==
        std::set<std::string_view>(runtime_functions().begin(), runtime_functions().end()));
}

TEST_CASE("the call that is told to fail does, and no other") {
  for (const std::string_view name : runtime_functions()) {
    CAPTURE(name);
    const auto run = right_calls().at(name);
    CHECK(run() == cudaSuccess);
  }
  for (const std::string_view name : runtime_functions()) {
    CAPTURE(name);
    const auto run = right_calls().at(name);
    const auto before = calls(name);
    fail_call(name, 2, cudaErrorIllegalAddress);
    CHECK(run() == cudaSuccess);
    CHECK(calls(name) == before + 1);
    CHECK(run() == cudaErrorIllegalAddress);
    CHECK(calls(name) == before + 2);
    const bool asks = name == "cudaGetLastError" || name == "cudaPeekAtLastError";
    if (!asks) CHECK(cudaPeekAtLastError() == cudaErrorIllegalAddress);
    cudaGetLastError();
  }
  reset();
}

TEST_CASE("a call that fails does nothing") {
  reset();
  void* pointer = nullptr;
  fail_call("cudaMalloc", 1, cudaErrorMemoryAllocation);
  CHECK(cudaMalloc(&pointer, 4) == cudaErrorMemoryAllocation);
  CHECK(pointer == nullptr);
  CHECK(leaks() == "");
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  fail_call("cudaLaunchKernel", 1, cudaErrorNoKernelImageForDevice);
  CHECK(POSETAPE_LAUNCH(nothing, 1, 1, 0, nullptr) == cudaErrorNoKernelImageForDevice);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(kernels_run() == 0);
  CHECK_THROWS_AS(fail_call("cudaNothing", 1, cudaErrorUnknown), std::invalid_argument);
}
