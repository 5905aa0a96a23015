#include "kernels/emulation/nccl.hpp"

#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "kernels/emulation/call.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/stream.hpp"

struct ncclComm {
  int rank;
  int size;
};

namespace posetape::emulation {
namespace {

using Bytes = std::vector<std::byte>;

// One side of a message.
struct Message {
  bool sent = false;
  std::uint64_t count = 0;
  ncclDataType_t type = ncclUint8;
  int peer = 0;
  void* memory = nullptr;

  std::size_t bytes() const;
};

Wire wire;
std::unique_ptr<ncclComm> communicator;
int depth = 0;  // of groups
std::vector<Message> group;
cudaStream_t group_stream = nullptr;

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
  }
  return 0;  // no type
}

std::size_t Message::bytes() const {
  return static_cast<std::size_t>(count) * size_of(type);
}

template <class F>
ncclResult_t call(const F& f) {
  const std::lock_guard lock(runtime_lock());
  return f();
}

// What a rank says of itself when a communicator is made.
struct Introduction {
  ncclUniqueId id;
  int rank;
  int size;
  char device[32];
  char host[64];
};

Introduction introduction(const ncclUniqueId& id, int rank, int size) {
  Introduction here{};
  here.id = id;
  here.rank = rank;
  here.size = size;
  int device = 0;
  cudaGetDevice(&device);
  cudaDeviceGetPCIBusId(here.device, sizeof here.device, device);
  gethostname(here.host, sizeof here.host - 1);
  return here;
}

ncclResult_t introduce(const ncclUniqueId& id, int rank, int size) {
  const Introduction here = introduction(id, rank, size);
  Bytes bytes(sizeof here);
  std::memcpy(bytes.data(), &here, sizeof here);
  std::set<std::pair<std::string, std::string>> devices;
  int number = 0;
  for (const Bytes& parcel : wire(Parcels(static_cast<std::size_t>(size), bytes))) {
    Introduction other{};
    if (parcel.size() != sizeof other) return ncclInvalidUsage;
    std::memcpy(&other, parcel.data(), sizeof other);
    const bool same = std::memcmp(&other.id, &id, sizeof id) == 0 && other.size == size;
    if (!same || other.rank != number++) return ncclInvalidArgument;
    if (!devices.emplace(other.host, other.device).second) return ncclInvalidUsage;
  }
  return ncclSuccess;
}

// A parcel: the number of messages, both sides of each as they were asked for, and what is sent.
Bytes pack(int peer) {
  std::uint64_t number = 0;
  Bytes heads, contents;
  const DeviceAccess access;
  for (const Message& m : group) {
    if (m.peer != peer) continue;
    ++number;
    const auto* const head = reinterpret_cast<const std::byte*>(&m);
    heads.insert(heads.end(), head, head + sizeof m);
    if (!m.sent) continue;
    check_device_range(m.memory, m.bytes(), "the memory of ncclSend");
    const auto* const memory = static_cast<const std::byte*>(m.memory);
    contents.insert(contents.end(), memory, memory + m.bytes());
  }
  Bytes parcel(sizeof number);
  std::memcpy(parcel.data(), &number, sizeof number);
  parcel.insert(parcel.end(), heads.begin(), heads.end());
  parcel.insert(parcel.end(), contents.begin(), contents.end());
  return parcel;
}

std::vector<Message> unpack(const Bytes& parcel) {
  std::uint64_t number = 0;
  std::memcpy(&number, parcel.data(), sizeof number);
  std::vector<Message> messages(number);
  std::memcpy(messages.data(), parcel.data() + sizeof number, number * sizeof(Message));
  return messages;
}

std::vector<Message> of_side(const std::vector<Message>& messages, int peer, bool sent) {
  std::vector<Message> some;
  for (const Message& m : messages) {
    if (m.peer == peer && m.sent == sent) some.push_back(m);
  }
  return some;
}

std::string text(const Message& m) {
  return std::to_string(m.count) + " of type " + std::to_string(m.type);
}

// Throws Finding unless both sides say the same of each message from one rank to another.
void check_pairs(int from, const std::vector<Message>& sent, int to,
                 const std::vector<Message>& received) {
  const std::string who = "posetape emulation: rank " + std::to_string(from) + " sends rank " +
                          std::to_string(to) + " ";
  if (sent.size() != received.size()) {
    throw Finding(who + std::to_string(sent.size()) + " messages, which receives " +
                  std::to_string(received.size()) +
                  " in this group: NCCL would wait for ever. Calls that need each other have to be "
                  "between one ncclGroupStart() and ncclGroupEnd()");
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (sent[i].count == received[i].count && sent[i].type == received[i].type) continue;
    throw Finding(who + text(sent[i]) + ", which receives " + text(received[i]) +
                  ": NCCL wants the same count and type");
  }
}

// What has come is copied when the stream comes to it.
void receive(int peer, const std::vector<Message>& expected, const Bytes& parcel,
             std::size_t begin) {
  for (const Message& m : expected) {
    Bytes contents(parcel.begin() + static_cast<std::ptrdiff_t>(begin),
                   parcel.begin() + static_cast<std::ptrdiff_t>(begin + m.bytes()));
    begin += m.bytes();
    enqueue(group_stream, [m, peer, contents = std::move(contents)] {
      check_device_range(m.memory, m.bytes(), "what is received of rank " + std::to_string(peer));
      const DeviceAccess access;
      std::memcpy(m.memory, contents.data(), contents.size());
    });
  }
}

ncclResult_t close_group() {
  if (!communicator) return ncclSuccess;
  CUstream_st& stream = *find_stream(group_stream);
  if (stream.capture != nullptr) {
    throw Finding("posetape emulation: NCCL is called on a stream that records a graph");
  }
  run_stream(stream);
  const int here = communicator->rank;
  Parcels sent;
  for (int r = 0; r < communicator->size; ++r) sent.push_back(pack(r));
  const Parcels received = wire(sent);
  for (int r = 0; r < communicator->size; ++r) {
    const Bytes& parcel = received[static_cast<std::size_t>(r)];
    const std::vector<Message> there = unpack(parcel);
    const std::vector<Message> expected = of_side(group, r, /*sent=*/false);
    check_pairs(here, of_side(group, r, /*sent=*/true), r, of_side(there, here, false));
    check_pairs(r, of_side(there, here, /*sent=*/true), here, expected);
    receive(r, expected, parcel, sizeof(std::uint64_t) + there.size() * sizeof(Message));
  }
  return ncclSuccess;
}

ncclResult_t end_group() {
  if (depth == 0) return ncclInvalidUsage;
  if (--depth > 0) return ncclSuccess;
  const ncclResult_t result = close_group();
  group.clear();
  group_stream = nullptr;
  return result;
}

// Outside of a group it is one of its own.
ncclResult_t add(const Message& message, ncclComm_t of, cudaStream_t stream) {
  const bool right = communicator != nullptr && of == communicator.get() && message.peer >= 0 &&
                     message.peer < of->size && size_of(message.type) > 0 &&
                     (message.memory != nullptr || message.count == 0) &&
                     find_stream(stream) != nullptr;
  if (!right) return ncclInvalidArgument;
  if (!group.empty() && stream != group_stream) {
    throw Finding("posetape emulation: a group of NCCL's calls works on two streams");
  }
  group_stream = stream;
  group.push_back(message);
  if (depth > 0) return ncclSuccess;
  ++depth;
  return end_group();
}

}  // namespace

std::string nccl_leaks() {
  return communicator ? "a communicator of NCCL\n" : "";
}

void reset_nccl() {
  communicator.reset();
  group.clear();
  group_stream = nullptr;
  depth = 0;
}

}  // namespace posetape::emulation

namespace posetape::cuda {

void set_nccl_wire(const Wire& wire) {
  emulation::wire = wire;
}

}  // namespace posetape::cuda

using namespace posetape::emulation;

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
      return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
      return "invalid usage (run with NCCL_DEBUG=WARN for details)";
  }
  return "unknown result code";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  return call([&] {
    if (id == nullptr) return ncclInvalidArgument;
    *id = {};
    static int made = 0;
    const std::string text = std::to_string(getpid()) + "." + std::to_string(++made);
    text.copy(id->internal, sizeof id->internal - 1);
    return ncclSuccess;
  });
}

ncclResult_t ncclCommInitRank(ncclComm_t* made, int ranks, ncclUniqueId id, int rank) {
  return call([&] {
    if (made == nullptr || ranks < 1 || rank < 0 || rank >= ranks) return ncclInvalidArgument;
    if (depth > 0 || communicator || !wire) return ncclInvalidUsage;
    const ncclResult_t result = introduce(id, rank, ranks);
    if (result != ncclSuccess) return result;
    communicator = std::make_unique<ncclComm>(ncclComm{rank, ranks});
    *made = communicator.get();
    return ncclSuccess;
  });
}

ncclResult_t ncclCommDestroy(ncclComm_t of) {
  return call([&] {
    if (!communicator || of != communicator.get()) return ncclInvalidArgument;
    if (depth > 0) return ncclInvalidUsage;
    communicator.reset();
    return ncclSuccess;
  });
}

ncclResult_t ncclGroupStart() {
  return call([] {
    ++depth;
    return ncclSuccess;
  });
}

ncclResult_t ncclGroupEnd() {
  return call(end_group);
}

ncclResult_t ncclSend(const void* memory, std::size_t count, ncclDataType_t type, int rank,
                      ncclComm_t of, cudaStream_t stream) {
  return call([&] {
    return add({true, count, type, rank, const_cast<void*>(memory)}, of, stream);
  });
}

ncclResult_t ncclRecv(void* memory, std::size_t count, ncclDataType_t type, int rank, ncclComm_t of,
                      cudaStream_t stream) {
  return call([&] { return add({false, count, type, rank, memory}, of, stream); });
}
