// How the devices of several processes exchange memory, without that of their hosts: one table of
// functions a device. Like a device's runtime (kernels/base/runtime.hpp), it works in the order in
// which it is asked.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace posetape {

// Bytes for each process, or of each.
using Parcels = std::vector<std::vector<std::byte>>;
// Gives every process its parcel, and returns what all have for this one. All call it together.
using Wire = std::function<Parcels(const Parcels&)>;

// A part of the device's memory that goes to another process, or comes from it.
struct LinkPiece {
  int rank;
  void* memory;
  std::size_t bytes;
};

// Errors are posetape::Error, one line that says what to do.
struct Links {
  const char* name;  // "NCCL"
  // Which of a host's devices this process computes on. Empty where no library can link it.
  std::string (*device)();
  // Makes what join() of all processes needs, in one of them.
  std::string (*make_id)();
  // All processes together, each with a device of its own. Devices that are emulated have `wire`
  // between them.
  void (*join)(const std::string& id, int rank, int size, const Wire& wire);
  // Bytes that are sent are received, as many of them; of two processes that have several for each
  // other, in this order. All processes call it together.
  void (*exchange)(std::span<const LinkPiece> sent, std::span<const LinkPiece> received);
  void (*leave)();
};

// In a build without CUDA, and where there is no NCCL, its device() is empty.
extern const Links cuda_links;

}  // namespace posetape
