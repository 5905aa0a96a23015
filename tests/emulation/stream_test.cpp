// Streams, events and graphs.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void set(int* x, int value) {
  *x = value;
}
__global__ void add(const int* a, const int* b, int* c) {
  *c = *a + *b;
}
__global__ void twice(int* x) {
  *x *= 2;
}

struct Streams {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr, other = nullptr;
  explicit Streams(unsigned flags = cudaStreamNonBlocking) {
    REQUIRE(cudaStreamCreateWithFlags(&a, flags) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&b, flags) == cudaSuccess);
    REQUIRE(cudaEventCreate(&event) == cudaSuccess);
    REQUIRE(cudaEventCreate(&other) == cudaSuccess);
  }
  ~Streams() {
    cudaEventDestroy(event);
    cudaEventDestroy(other);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
};

// x = 3 in one branch and y = 4 in the other, then z = 2 (x + y), from stream a and back to it.
void fork_and_join(const Streams& s, int* x, int* y, int* z) {
  CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(s.b, s.event) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x, 3) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, s.b, y, 4) == cudaSuccess);
  CHECK(cudaEventRecord(s.other, s.b) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(s.a, s.other) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(add, 1, 1, 0, s.a, x, y, z) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(twice, 1, 1, 0, s.a, z) == cudaSuccess);
}

}  // namespace

TEST_CASE("work waits until somebody waits for it") {
  reset();
  const Streams s;
  DeviceArray<int> x(1);
  POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x.data(), 5);
  CHECK(kernels_run() == 0);
  CHECK(cudaStreamSynchronize(s.b) == cudaSuccess);
  CHECK(kernels_run() == 0);
  CHECK(cudaStreamQuery(s.a) == cudaErrorNotReady);
  CHECK(cudaStreamQuery(s.a) == cudaSuccess);
  CHECK(kernels_run() == 1);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a fork and a join in every order") {
  reset();
  const auto z = same_under_all_stream_orders([] {
    DeviceArray<int> x(1), y(1), out(1);
    const Streams s;
    fork_and_join(s, x.data(), y.data(), out.data());
    CHECK(cudaStreamSynchronize(s.a) == cudaSuccess);
    return out.values();
  });
  CHECK(z[0] == 14);
}

TEST_CASE("the null stream and blocking streams wait for each other") {
  for (const unsigned flags : {cudaStreamDefault, cudaStreamNonBlocking}) {
    reset();
    const auto text = finding([flags] {
      const auto z = same_under_all_stream_orders([flags] {
        DeviceArray<int> x(1), y(1), out(1);
        const Streams s(flags);
        POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x.data(), 1);
        POSETAPE_LAUNCH(set, 1, 1, 0, s.b, y.data(), 2);
        POSETAPE_LAUNCH(add, 1, 1, 0, nullptr, x.data(), y.data(), out.data());
        POSETAPE_LAUNCH(twice, 1, 1, 0, s.a, out.data());
        return out.values();
      });
      CHECK(z[0] == 6);
    });
    CHECK((text == "") == (flags == cudaStreamDefault));
  }
}

TEST_CASE("events") {
  reset();
  const Streams s;
  DeviceArray<int> x(1);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, s.event, s.other) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventQuery(s.event) == cudaSuccess);  // never recorded
  set_stream_order({StreamOrder::Kind::minimal});
  CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
  POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x.data(), 5);
  CHECK(cudaEventRecord(s.other, s.a) == cudaSuccess);
  POSETAPE_LAUNCH(twice, 1, 1, 0, s.a, x.data());
  CHECK(cudaEventElapsedTime(&milliseconds, s.event, s.other) == cudaErrorNotReady);
  CHECK(cudaEventSynchronize(s.other) == cudaSuccess);
  CHECK(kernels_run() == 1);
  CHECK(cudaEventElapsedTime(&milliseconds, s.event, s.other) == cudaSuccess);
  CHECK(milliseconds == doctest::Approx(2e-3));
  CHECK(x.values()[0] == 10);
  set_stream_order({});
}

TEST_CASE("handles that do not exist") {
  reset();
  cudaStream_t stream;
  cudaEvent_t event;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  CHECK(cudaEventCreate(&event) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(event, nullptr) == cudaErrorInvalidResourceHandle);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, stream, nullptr, 1) == cudaErrorInvalidResourceHandle);
  CHECK(cudaStreamDestroy(nullptr) == cudaErrorInvalidResourceHandle);
}

TEST_CASE("a graph is captured once and replayed") {
  reset();
  for (const StreamOrder& order : all_stream_orders()) {
    reset();
    set_stream_order(order);
    const Streams s;
    DeviceArray<int> x(1), y(1), z(1);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cudaStreamCaptureStatus status;
    CHECK(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    fork_and_join(s, x.data(), y.data(), z.data());
    CHECK(cudaStreamIsCapturing(s.b, &status) == cudaSuccess);
    CHECK(status == cudaStreamCaptureStatusActive);
    CHECK(cudaMemsetAsync(x.data(), 0, 4, s.a) == cudaSuccess);
    CHECK(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
    CHECK(cudaStreamIsCapturing(s.b, &status) == cudaSuccess);
    CHECK(status == cudaStreamCaptureStatusNone);
    CHECK(kernels_run() == 0);
    std::size_t nodes = 0;
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
    CHECK(nodes == 5);
    CHECK(cudaGraphInstantiate(&executable, graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    for (int i = 1; i <= 3; ++i) {
      CHECK(cudaGraphLaunch(executable, s.a) == cudaSuccess);
      POSETAPE_LAUNCH(twice, 1, 1, 0, s.a, z.data());
      CHECK(cudaStreamSynchronize(s.a) == cudaSuccess);
      CHECK(kernels_run() == 5 * i);
      CHECK(z.values()[0] == 28);
      CHECK(x.values()[0] == 0);
    }
    CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);
    CHECK(cudaGraphExecDestroy(executable) == cudaErrorInvalidValue);
  }
  set_stream_order({});
}

TEST_CASE("what a capture forbids") {
  reset();
  const Streams s;
  cudaGraph_t graph = nullptr;
  void* data = nullptr;
  DeviceArray<int> x(1);
  const auto begin = [&] {
    CHECK(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeGlobal) == cudaSuccess);
  };
  const auto end = [&](cudaError_t error) {
    CHECK(cudaStreamEndCapture(s.a, &graph) == error);
    CHECK(graph == nullptr);
  };
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) ==
        cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorInvalidValue);

  begin();
  CHECK(cudaMalloc(&data, 16) == cudaErrorStreamCaptureUnsupported);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x.data(), 1) == cudaErrorStreamCaptureInvalidated);
  end(cudaErrorStreamCaptureInvalidated);

  begin();
  CHECK(cudaStreamSynchronize(s.a) == cudaErrorStreamCaptureUnsupported);
  end(cudaErrorStreamCaptureInvalidated);

  // Work that the capture does not know.
  CHECK(cudaEventRecord(s.event, s.b) == cudaSuccess);
  begin();
  CHECK(cudaStreamWaitEvent(s.a, s.event) == cudaErrorStreamCaptureIsolation);
  end(cudaErrorStreamCaptureInvalidated);

  // A branch that nobody waits for.
  begin();
  CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(s.b, s.event) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, s.b, x.data(), 1) == cudaSuccess);
  CHECK(cudaEventSynchronize(s.event) == cudaErrorCapturedEvent);
  CHECK(cudaStreamEndCapture(s.b, &graph) == cudaErrorStreamCaptureUnmatched);
  end(cudaErrorStreamCaptureUnjoined);

  // The null stream waits for blocking streams, so it cannot be used while one captures.
  cudaStream_t blocking;
  CHECK(cudaStreamCreate(&blocking) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(set, 1, 1, 0, nullptr, x.data(), 1) == cudaErrorStreamCaptureImplicit);
  CHECK(cudaStreamEndCapture(blocking, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamDestroy(blocking) == cudaSuccess);
}

TEST_CASE("a graph that outlives its memory") {
  reset();
  const Streams s;
  int* x = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK(cudaMalloc(&x, 4) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeGlobal) == cudaSuccess);
  POSETAPE_LAUNCH(set, 1, 1, 0, s.a, x, 1);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&executable, graph) == cudaSuccess);
  CHECK(cudaFree(x) == cudaSuccess);
  CHECK(contains(finding([&] { cudaGraphLaunch(executable, s.a); }), " has been freed"));
}
