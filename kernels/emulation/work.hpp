// Work that was submitted and has not run yet: a graph of dependencies, from streams and events
// (for the emulation's own files).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace posetape::emulation {

// A piece of work by number, from 1 in the order of submission; 0 is work that is done.
using WorkId = std::uint64_t;

// Runs after all of `after`.
WorkId add_work(std::vector<WorkId> after, std::function<void()> run);

bool is_pending(WorkId id);

// Runs waiting work in the order that set_stream_order asks for until this piece is done. What the
// work throws gets through; that piece counts as done.
void run_until(WorkId id);
void run_everything();

// Runs one piece, where any waits.
void run_one();

// Microseconds of a clock that counts pieces of work.
double work_clock();

void drop_work();

}  // namespace posetape::emulation
