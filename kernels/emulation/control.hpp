// What a test can ask of the emulated device, beside CUDA's own functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/emulation/cublas_lt.hpp"
#include "kernels/emulation/runtime_api.hpp"
#include "kernels/emulation/same_results.hpp"

namespace posetape::emulation {

// Every function of runtime_api.hpp that returns an error, and "cudaLaunchKernel" for launches.
const std::vector<std::string_view>& runtime_functions();

// Every function of cublas_lt.hpp that returns a status.
const std::vector<std::string_view>& blas_functions();

// Makes call number `number` of `function`, the next one being number 1, fail with `code` and do
// nothing else. Throws std::invalid_argument for a name that runtime_functions() (blas_functions())
// does not have.
void fail_call(std::string_view function, int number, cudaError_t code);
void fail_call(std::string_view function, int number, cublasStatus_t code);

// Calls of `function` since the last reset(), failed ones among them.
std::int64_t calls(std::string_view function);

// Kernels that ran since the last reset(), replayed ones among them.
std::int64_t kernels_run();

// The largest block that can run; 1024 but for some compilers' ThreadSanitizer, which goes blind
// before.
int watched_threads();

// In which order waiting work runs.
struct StreamOrder {
  enum class Kind {
    submission,  // as it was submitted
    minimal,     // nothing but what the caller waits for
    random,      // any that the streams and events allow, drawn from `seed`
  };
  Kind kind = Kind::random;
  std::uint64_t seed = 0;
};
void set_stream_order(const StreamOrder& order);
StreamOrder stream_order();
std::string to_string(const StreamOrder& order);
std::vector<StreamOrder> all_stream_orders(int random = 4);

// Like same_under and same_under_all_schedules (schedule.hpp), for the order of streams.
Bytes same_under(std::span<const StreamOrder> orders, const std::function<Bytes()>& run,
                 std::size_t element_bytes = 1);
template <class F>
auto same_under_all_stream_orders(F&& run) {
  return with_values(run, [](const auto& bytes_of_run, std::size_t element_bytes) {
    return same_under(all_stream_orders(), bytes_of_run, element_bytes);
  });
}

// Checks the red zones around all allocations. Throws Finding; so do cudaFree, every
// synchronisation and every kernel's end.
void check_device_memory();

// Allocations, streams, events, graphs and what cuBLASLt made that nobody gave back, one a line;
// empty where there are none.
std::string leaks();

// Device memory as cudaMemGetInfo shows it; the default is 8 GiB. Throws std::logic_error while
// anything is allocated.
void set_device_memory(std::size_t bytes);

// Forgets everything: waiting work, allocations, handles, errors, failures to come, counts. A test
// that caught a Finding calls it before it goes on.
void reset();

}  // namespace posetape::emulation
