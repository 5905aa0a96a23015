// The ranks' transport by MPI (4.0's chapters on collective communication and on environments).
// Built once for each MPI that is there, as posetape_openmpi.so and posetape_mpich.so.
#define OMPI_SKIP_MPICXX 1  // the bindings of C++ that MPI has dropped
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <climits>
#include <cstdio>
#include <vector>

#include "engine/ranks/transport.hpp"

namespace {

posetape_transport transport;
MPI_Request pending = MPI_REQUEST_NULL;

// Sizes and places as MPI counts them. They have to stay until an exchange has ended.
struct Counts {
  std::vector<int> bytes, places;

  void set(const std::uint64_t* list) {
    bytes.clear();
    places.clear();
    std::uint64_t at = 0;
    for (int r = 0; r < transport.size; ++r) {
      if (at > INT_MAX || list[r] > INT_MAX) {
        std::fprintf(stderr, "posetape: MPI counts to %d, and %llu bytes go in one message\n",
                     INT_MAX, static_cast<unsigned long long>(at + list[r]));
        MPI_Abort(MPI_COMM_WORLD, 1);
      }
      bytes.push_back(static_cast<int>(list[r]));
      places.push_back(static_cast<int>(at));
      at += list[r];
    }
  }
};
Counts sent, received;

void start_exchange(const void* send, const std::uint64_t* send_bytes, void* receive,
                    const std::uint64_t* receive_bytes) {
  sent.set(send_bytes);
  received.set(receive_bytes);
  MPI_Ialltoallv(send, sent.bytes.data(), sent.places.data(), MPI_BYTE, receive,
                 received.bytes.data(), received.places.data(), MPI_BYTE, MPI_COMM_WORLD, &pending);
}

void finish_exchange() {
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
}

void gather(void* all, const std::uint64_t* bytes) {
  Counts counts;
  counts.set(bytes);
  MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, counts.bytes.data(), counts.places.data(),
                 MPI_BYTE, MPI_COMM_WORLD);
}

void finish() {
  MPI_Finalize();
}

void abort_all(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] const posetape_transport* posetape_open_transport() {
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &transport.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &transport.size);
  MPI_Comm host;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
  MPI_Comm_rank(host, &transport.local_rank);
  MPI_Comm_size(host, &transport.local_size);
  MPI_Comm_free(&host);
  transport.start_exchange = start_exchange;
  transport.finish_exchange = finish_exchange;
  transport.gather = gather;
  transport.finish = finish;
  transport.abort = abort_all;
  return &transport;
}
