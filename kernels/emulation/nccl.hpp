// The part of NCCL that this project uses, under its own names and with its codes, between
// processes that each have an emulated device. What the library documents as wrong is refused with
// its code, and what it leaves to hang or to be wrong in silence throws
// posetape::emulation::Finding: messages of which one side has another count or type, that nobody
// receives or sends, or that lie outside of their memory. Stricter than NCCL:
//
// - a process has one communicator, of whose ranks all close a group together, also without a
//   message: a message and its other side are in groups of the same number,
// - a group works on one stream, which records no graph.
//
// ncclGroupEnd() waits for what the stream has to do before, and what is received is there when the
// stream comes to it.
#pragma once

#include <string>

#include "kernels/base/links.hpp"
#include "kernels/emulation/runtime_api.hpp"
// After cudaStream_t.
#include "kernels/cuda/nccl_calls.hpp"

namespace posetape::cuda {

// Before the first communicator: what goes between the processes.
void set_nccl_wire(const Wire& wire);
inline bool nccl_found() {
  return true;
}

}  // namespace posetape::cuda

namespace posetape::emulation {

// For the emulation's own files.
std::string nccl_leaks();
void reset_nccl();

}  // namespace posetape::emulation
