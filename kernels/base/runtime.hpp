// A device as the engine sees it beside its kernels: memory, copies, order, recorded work. One
// table of functions a device.
//
// Work of a device runs in the order in which it was asked for; the host may go on meanwhile.
// Errors are posetape::Error, one line that says what to do.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace posetape {

// Memory for the time of one call: throws where there is none.
using ScratchSource = std::function<std::shared_ptr<void>(std::size_t bytes)>;

struct Runtime {
  std::size_t alignment;  // of memory, in bytes

  // Null where there is no more.
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* memory);
  // Where kernels are to get memory for the time of one call, on devices whose kernels ask.
  void (*set_scratch)(ScratchSource source);

  // upload() may return before its source has been read only where that is pinned memory;
  // download() waits for everything.
  void (*upload)(void* to, const void* host, std::size_t bytes);
  void (*download)(void* host, const void* from, std::size_t bytes);
  void (*copy)(void* to, const void* from, std::size_t bytes);
  void (*fill_bytes)(void* memory, int value, std::size_t bytes);
  void (*synchronize)();

  // Work that is recorded once and launched as a whole, while what end_recording() gives lives.
  // What is asked of the device between begin_recording() and end_recording() is recorded and does
  // not run; to wait for the device in between is an error. abandon_recording() leaves it after an
  // error, if it has begun. Null where a device does not record.
  void (*begin_recording)() = nullptr;
  std::shared_ptr<void> (*end_recording)() = nullptr;
  void (*abandon_recording)() = nullptr;
  void (*launch_recorded)(void* recorded) = nullptr;
};

extern const Runtime cpu_runtime;
// In a build without CUDA its functions say that there is none.
extern const Runtime cuda_runtime;

}  // namespace posetape
