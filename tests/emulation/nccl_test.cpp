// The stand-in for NCCL between two processes, and what it refuses.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "kernels/emulation/nccl.hpp"
#include "tests/emulation/support.hpp"

using namespace posetape::emulation;
using namespace posetape::test;
using posetape::Parcels;

namespace {

void write_all(int to, const void* data, std::size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = write(to, at, bytes);
    if (n <= 0) _exit(9);
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void read_all(int from, void* data, std::size_t bytes) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = read(from, at, bytes);
    if (n <= 0) _exit(9);
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

struct Rank {
  int rank;
  ncclUniqueId id;
  ncclComm_t communicator = nullptr;

  int peer() const { return 1 - rank; }
  ncclResult_t join(int size = 2) { return ncclCommInitRank(&communicator, size, id, rank); }
};

// Runs f as both of two ranks, each a process with a device of its own, or both with the first one;
// what rank 0 returns. Rank 1 is a child.
std::string as_two(const std::function<std::string(Rank&)>& f, bool own_devices = true) {
  std::array<int, 2> ends;
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  Rank rank{0, {}};
  REQUIRE(ncclGetUniqueId(&rank.id) == ncclSuccess);
  const pid_t child = fork();
  rank.rank = child == 0 ? 1 : 0;
  const int other = ends[static_cast<std::size_t>(rank.rank)];
  close(ends[static_cast<std::size_t>(rank.peer())]);
  reset();
  cudaSetDevice(own_devices ? rank.rank : 0);
  posetape::cuda::set_nccl_wire([&](const Parcels& sent) {
    Parcels received = sent;  // the own one
    const auto& parcel = sent[static_cast<std::size_t>(rank.peer())];
    const std::uint64_t bytes = parcel.size();
    write_all(other, &bytes, sizeof bytes);
    write_all(other, parcel.data(), bytes);
    std::uint64_t coming = 0;
    read_all(other, &coming, sizeof coming);
    auto& there = received[static_cast<std::size_t>(rank.peer())];
    there.resize(coming);
    read_all(other, there.data(), coming);
    return received;
  });
  std::string result;
  try {
    result = f(rank);
  } catch (const Finding& found) {
    result = found.what();
  }
  reset();
  if (child == 0) _exit(0);
  int status = 0;
  waitpid(child, &status, 0);
  close(other);
  CHECK(status == 0);
  return result;
}

}  // namespace

TEST_CASE("NCCL's stand-in: messages of a group reach each other, in the order of the stream") {
  const std::string text = as_two([](Rank& rank) {
    if (rank.join() != ncclSuccess) return std::string("no communicator");
    cudaStream_t stream = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    DeviceArray<float> sent(4, 0.0F), received(2, 0.0F), own(2, 0.0F);
    const std::array<float, 4> values{1, 2, 3, static_cast<float>(4 + rank.rank)};
    cudaMemcpyAsync(sent.data(), values.data(), sizeof values, cudaMemcpyHostToDevice, stream);
    ncclGroupStart();
    ncclSend(sent.data() + 2, 2, ncclFloat32, rank.peer(), rank.communicator, stream);
    ncclRecv(received.data(), 2, ncclFloat32, rank.peer(), rank.communicator, stream);
    ncclSend(sent.data(), 2, ncclFloat32, rank.rank, rank.communicator, stream);
    ncclRecv(own.data(), 2, ncclFloat32, rank.rank, rank.communicator, stream);
    if (ncclGroupEnd() != ncclSuccess) return std::string("a group failed");
    if (received.values() != std::vector<float>{3, static_cast<float>(4 + rank.peer())}) {
      return std::string("received what was not sent");
    }
    if (own.values() != std::vector<float>{1, 2}) return std::string("not the own ones");
    if (leaks().find("communicator of NCCL") == std::string::npos) return std::string("no leak");
    if (ncclCommDestroy(rank.communicator) != ncclSuccess) return std::string("not destroyed");
    if (ncclCommDestroy(rank.communicator) == ncclSuccess) return std::string("destroyed twice");
    return std::string("right");
  });
  CHECK(text == "right");
}

TEST_CASE("NCCL's stand-in refuses what would hang or be wrong in silence") {
  const auto group = [](std::size_t sent, ncclDataType_t as, std::size_t received,
                        std::size_t room) {
    return as_two([=](Rank& rank) {
      rank.join();
      DeviceArray<float> x(room, 1.0F), y(room, 0.0F);
      ncclGroupStart();
      if (sent > 0) ncclSend(x.data(), sent, as, rank.peer(), rank.communicator, nullptr);
      if (received > 0) {
        ncclRecv(y.data(), received, ncclFloat32, rank.peer(), rank.communicator, nullptr);
      }
      ncclGroupEnd();
      cudaDeviceSynchronize();
      return std::string("right");
    });
  };
  CHECK(group(4, ncclFloat32, 4, 4) == "right");
  CHECK(
      contains(group(4, ncclFloat32, 3, 4),
               "rank 0 sends rank 1 4 of type 7, which receives 3 of type 7: NCCL wants the same"));
  CHECK(contains(group(2, ncclFloat64, 4, 4), "2 of type 8, which receives 4 of type 7"));
  CHECK(contains(group(0, ncclFloat32, 4, 4),
                 "sends rank 1 0 messages, which receives 1 in this "
                 "group: NCCL would wait for ever"));
  CHECK(contains(group(4, ncclFloat32, 4, 3), "the memory of ncclSend"));
  // One after the other instead of in one group: each would wait for the other to receive.
  CHECK(contains(as_two([](Rank& rank) {
                   rank.join();
                   DeviceArray<float> x(1, 1.0F), y(1, 0.0F);
                   ncclSend(x.data(), 1, ncclFloat32, rank.peer(), rank.communicator, nullptr);
                   ncclRecv(y.data(), 1, ncclFloat32, rank.peer(), rank.communicator, nullptr);
                   return std::string("right");
                 }),
                 "have to be between one ncclGroupStart() and ncclGroupEnd()"));
}

TEST_CASE("NCCL's stand-in: communicators that can't be") {
  const auto joins = [](const std::function<int(Rank&)>& f, bool own_devices = true) {
    return as_two([&](Rank& rank) { return std::to_string(f(rank)); }, own_devices);
  };
  CHECK(joins([](Rank& rank) { return rank.join(); }) == "0");
  // Two ranks on one device.
  CHECK(joins([](Rank& rank) { return rank.join(); }, false) == std::to_string(ncclInvalidUsage));
  const std::string wrong = std::to_string(ncclInvalidArgument);
  CHECK(joins([](Rank& rank) {
          rank.id.internal[0] = static_cast<char>('a' + rank.rank);  // not the one that was sent
          return rank.join();
        }) == wrong);
  CHECK(joins([](Rank& rank) {
          rank.rank = 2;
          return rank.join();
        }) == wrong);
  CHECK(joins([](Rank& rank) {
          rank.join();
          return ncclSend(nullptr, 1, ncclUint8, rank.peer(), rank.communicator, nullptr);
        }) == wrong);
  CHECK(joins([](Rank& rank) {
          rank.join();
          return ncclSend(nullptr, 0, ncclUint8, 2, rank.communicator, nullptr);
        }) == wrong);
  CHECK(joins([](Rank& rank) {
          ncclGroupStart();
          return rank.join();
        }) == std::to_string(ncclInvalidUsage));
}
