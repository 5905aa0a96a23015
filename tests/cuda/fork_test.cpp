// Two lines of work that are forked and joined.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/base/error.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/emulation/control.hpp"
#include "tests/cuda/device_array.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

constexpr std::size_t kBytes = sizeof(int);

// Either line reads what is written before the fork, and what comes after the join reads both.
struct Lines {
  DeviceArray<int> before{{1}};
  DeviceArray<int> first{{2}};
  DeviceArray<int> second{{3}};
  DeviceArray<int> after{{4, 5}};

  void run(int value) {
    cuda::fill_bytes(before.data(), value, kBytes);
    cuda::Fork fork;
    fork.aside([&] { cuda::copy(first.data(), before.data(), kBytes); });
    cuda::copy(second.data(), before.data(), kBytes);
    fork.join();
    cuda::copy(after.data(), first.data(), kBytes);
    cuda::copy(after.data() + 1, second.data(), kBytes);
    cuda::fill_bytes(first.data(), 0, kBytes);
    cuda::fill_bytes(second.data(), 0, kBytes);
  }
};

}  // namespace

TEST_CASE("cuda: both lines of a fork run after it and before the join") {
  Lines lines;
  const auto after = emulation::same_under_all_stream_orders([&] {
    lines.run(1);
    return lines.after.values();
  });
  CHECK(after == std::vector<int>{0x01010101, 0x01010101});
}

TEST_CASE("cuda: a fork is recorded in a graph") {
  Lines lines;
  cuda_runtime.begin_recording();
  lines.run(2);
  const auto graph = cuda_runtime.end_recording();
  CHECK(lines.after.values() == std::vector<int>{4, 5});
  const auto after = emulation::same_under_all_stream_orders([&] {
    cuda_runtime.launch_recorded(graph.get());
    return lines.after.values();
  });
  CHECK(after == std::vector<int>{0x02020202, 0x02020202});
}

TEST_CASE("cuda: an error in either line joins them") {
  Lines lines;
  for (const int copy : {1, 2}) {
    emulation::fail_call("cudaMemcpyAsync", copy, cudaErrorUnknown);
    CHECK_THROWS_AS(lines.run(3), Error);
  }
  const auto after = emulation::same_under_all_stream_orders([&] {
    lines.run(4);
    return lines.after.values();
  });
  CHECK(after == std::vector<int>{0x04040404, 0x04040404});
}

TEST_CASE("cuda: opening goes on where it failed, and closing leaves nothing") {
  for (const char* function : {"cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"}) {
    cuda::close();
    emulation::fail_call(function, 2, cudaErrorUnknown);
    CHECK_THROWS_AS(cuda::open(), Error);
    cuda::open();
    cuda::close();
    CHECK(emulation::leaks().find("stream") == std::string::npos);
    CHECK(emulation::leaks().find("event") == std::string::npos);
  }
  cuda::open();
}
