// Work in two streams, with and without the event that orders it.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void fill(int* x, int value) {
  x[threadIdx.x] = value;
}
__global__ void increment(const int* x, int* y) {
  y[threadIdx.x] = x[threadIdx.x] + 1;
}

// The second stream reads what the first one writes; or the first one overwrites what the second
// one reads.
std::vector<int> produce_and_consume(bool wait_to_read, bool wait_to_write) {
  DeviceArray<int> x(4, 10), y(4);
  cudaStream_t producer, consumer;
  cudaEvent_t event;
  cudaStreamCreateWithFlags(&producer, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&consumer, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  POSETAPE_LAUNCH(fill, 1, 4, 0, producer, x.data(), 20);
  if (wait_to_read) {
    cudaEventRecord(event, producer);
    cudaStreamWaitEvent(consumer, event);
  }
  POSETAPE_LAUNCH(increment, 1, 4, 0, consumer, x.data(), y.data());
  if (wait_to_write) {
    cudaEventRecord(event, consumer);
    cudaStreamWaitEvent(producer, event);
  }
  POSETAPE_LAUNCH(fill, 1, 4, 0, producer, x.data(), 30);
  cudaStreamSynchronize(consumer);
  auto result = y.values();
  cudaEventDestroy(event);
  cudaStreamDestroy(producer);
  cudaStreamDestroy(consumer);
  return result;
}

std::string compare(bool wait_to_read, bool wait_to_write) {
  reset();
  return finding([&] {
    const auto y = same_under_all_stream_orders(
        [&] { return produce_and_consume(wait_to_read, wait_to_write); });
    CHECK(y == std::vector<int>(4, 21));
  });
}

}  // namespace

TEST_CASE("streams with and without an event between them") {
  CHECK(compare(true, true) == "");
  for (const bool wait_to_read : {false, true}) {
    const auto text = compare(wait_to_read, !wait_to_read);
    CAPTURE(text);
    CHECK(contains(text, "the result depends on the order\n  submission order and "));
  }
}
