// What a library of processes has to do for posetape: the calls of a module that is loaded by name
// (engine/ranks/mpi.cpp), so that one program runs under any of them, and without.
#pragma once

#include <cstdint>

extern "C" {

// Calls come from one thread. All but abort() are collective: every rank makes them in one order.
struct posetape_transport {
  int rank, size;
  // Of the ranks on this host.
  int local_rank, local_size;

  // Rank r is given send_bytes[r] of `send`, which lie after those of the ranks before it, and
  // gives receive_bytes[r], which go to `receive` likewise. All four have to stay until
  // finish_exchange(). One exchange at a time.
  void (*start_exchange)(const void* send, const std::uint64_t* send_bytes, void* receive,
                         const std::uint64_t* receive_bytes);
  void (*finish_exchange)();
  // `all` holds bytes[0] of rank 0, then bytes[1] of rank 1, ...: each brings its own.
  void (*gather)(void* all, const std::uint64_t* bytes);
  // Leaves the others; nothing is called afterwards.
  void (*finish)();
  // Ends all ranks, with this exit code.
  void (*abort)(int code);
};

// What a module exports, as "posetape_open_transport". Joins the others.
using posetape_open_transport_function = const posetape_transport*();
}
