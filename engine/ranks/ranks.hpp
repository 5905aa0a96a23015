// The processes that work on one task: started together by mpirun, mpiexec or srun, on one host or
// several, each with its threads (and its GPU). Where nobody started others there is one rank, and
// everything below costs nothing.
//
// All ranks run the same program on the same input, and make the calls below in the same order.
// What they compute is equal to the bit whatever their number; rank 0 alone writes files and says
// what happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/dtype.hpp"
#include "kernels/base/links.hpp"

struct posetape_transport;

namespace posetape {

class Ranks {
 public:
  int rank() const;
  int size() const;
  // Of those on this host.
  int local_rank() const;
  int local_size() const;
  bool alone() const { return size() == 1; }
  // Whether this one writes files.
  bool writes() const { return rank() == 0; }
  const std::string& library() const { return library_; }  // "openmpi"; empty where there is none

  // Lets the ranks' CUDA devices exchange memory without their hosts, from the first call on. False
  // where they can't: no NCCL on a host, or two ranks on one device.
  bool link_devices();

  // Rank r is given the bytes send_bytes[r] of `send`, which lie after those of the ranks before
  // it; `receive` likewise. Both, and what they lie in, belong to the exchange until
  // finish_exchange(). With Device::cuda the memory is that of devices that are linked: then the
  // exchange is work of the device in its order, and nobody waits for it.
  void start_exchange(std::span<const std::byte> send, std::span<const std::uint64_t> send_bytes,
                      std::span<std::byte> receive, std::span<const std::uint64_t> receive_bytes,
                      Device where = Device::cpu);
  void finish_exchange();
  // `all` holds bytes[0] of rank 0, then bytes[1] of rank 1, ...; each brings its own part.
  void gather(std::span<std::byte> all, std::span<const std::uint64_t> bytes,
              Device where = Device::cpu);
  // Gives all ranks the bytes that one of them has.
  void broadcast(std::span<std::byte> bytes, int from);
  // The texts of all ranks.
  std::vector<std::string> gather(const std::string& text);
  // One value of each rank.
  template <class T>
  std::vector<T> gather(const T& value) {
    std::vector<T> all(static_cast<std::size_t>(size()));
    all[static_cast<std::size_t>(rank())] = value;
    const std::vector<std::uint64_t> bytes(all.size(), sizeof(T));
    gather(std::as_writable_bytes(std::span(all)), bytes);
    return all;
  }
  // As many numbers of each rank.
  std::vector<std::vector<double>> gather(const std::vector<double>& numbers);
  // What was handed over for other ranks, and how long was waited for them, since the program
  // began.
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  double seconds_waited() const { return seconds_waited_; }

  // Leaves the others, at the end of the program.
  void finish();
  // Ends all ranks at once.
  [[noreturn]] void abort(int code);

 private:
  friend void join_ranks(const std::vector<std::string>& folders);
  Parcels exchange_parcels(const Parcels& sent);
  void gather_on_devices(std::span<std::byte> all, std::span<const std::uint64_t> bytes);

  const posetape_transport* transport_ = nullptr;
  std::optional<bool> linked_;
  bool pending_ = false;  // an exchange of the hosts
  std::string library_;
  std::uint64_t bytes_sent_ = 0;
  double seconds_waited_ = 0;
};

// Those of this process.
Ranks& ranks();

// The name of this host.
std::string host_name();

// To be called first in a program that may be started as several ranks: looks in the environment
// whether it was, and by which MPI, whose module it loads from the first of these folders that has
// it. Throws Error where there is none. The threads of this process are then its share of the
// host's cores.
void join_ranks(const std::vector<std::string>& folders);

}  // namespace posetape
