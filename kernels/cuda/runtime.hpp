// The device as the engine sees it: memory, copies, order, graphs. No type of CUDA's own, so that
// this header serves a build without CUDA as well, where open() says that there is none.
//
// There is one device and one stream: work runs in the order in which it was asked for, and the
// host goes on meanwhile. Errors are posetape::Error, one line that says what to do.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace posetape::cuda {

struct DeviceInfo {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int multiprocessors = 0;
  std::size_t memory = 0;  // bytes
  int driver = 0;          // CUDA versions as 1000 major + 10 minor
  int runtime = 0;
  bool emulated = false;  // on the CPU (kernels/emulation)
};

// Whether this build has CUDA kernels, and whether they run in the emulation.
bool built();

// The device, opened at the first call. Throws where there is none, where the driver is too old and
// where the GPU is older than what kernels are built for.
const DeviceInfo& open();
// Waits, and gives back everything but memory. The next open() starts anew.
void close();

// Memory of the device, aligned to 256 bytes; null where there is no more.
void* allocate(std::size_t bytes);
void release(void* memory);

// In the stream's order. upload() may return before its source has been read only where that is
// pinned memory; download() waits for everything.
void upload(void* device, const void* host, std::size_t bytes);
void download(void* host, const void* device, std::size_t bytes);
void copy(void* to, const void* from, std::size_t bytes);
void fill_bytes(void* device, int value, std::size_t bytes);
void synchronize();

// Where kernels get memory for the time of one call: it throws where there is none.
using ScratchSource = std::shared_ptr<void> (*)(std::size_t bytes);
void set_scratch(ScratchSource source);

// Work that is recorded once and launched as a whole.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph();

  // What is asked of the stream between begin() and end() is recorded and does not run. Waiting for
  // the device in between is an error.
  void begin();
  void end();
  // Leaves the recording after an error, with nothing recorded.
  void abandon() noexcept;
  bool recorded() const { return executable_ != nullptr; }
  void launch();

 private:
  void* executable_ = nullptr;
  bool recording_ = false;
};

// Kernels and products launched since the device was opened; those of a graph count when they are
// recorded.
long long launches();

}  // namespace posetape::cuda
