#include "kernels/emulation/report.hpp"

#include <cstdio>

#include "kernels/emulation/block.hpp"

namespace posetape::emulation {
namespace {

const char* name(Primitive primitive) {
  static const char* const names[] = {"nothing",
                                      "__syncthreads",
                                      "__syncthreads_count",
                                      "__syncthreads_and",
                                      "__syncthreads_or",
                                      "__syncwarp",
                                      "__shfl_sync",
                                      "__shfl_up_sync",
                                      "__shfl_down_sync",
                                      "__shfl_xor_sync",
                                      "__ballot_sync",
                                      "__any_sync",
                                      "__all_sync",
                                      "__reduce_add_sync",
                                      "__reduce_min_sync",
                                      "__reduce_min_sync",
                                      "__reduce_max_sync",
                                      "__reduce_max_sync",
                                      "__reduce_and_sync",
                                      "__reduce_or_sync",
                                      "__reduce_xor_sync",
                                      "mma"};
  return names[static_cast<int>(primitive)];
}

std::string hex(std::uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

std::string where(const Thread& thread) {
  switch (thread.at) {
    case At::running:
      return thread.primitive == Primitive::none
                 ? "runnable, at no primitive yet"
                 : std::string("runnable, last at ") + name(thread.primitive) + ", " +
                       to_string(thread.site);
    case At::barrier:
      return std::string("in ") + name(thread.primitive) + ", " + to_string(thread.site);
    case At::warp:
      return std::string("in ") + name(thread.primitive) + "(" + hex(thread.mask, 8) + "), " +
             to_string(thread.site);
    case At::exited:
      break;
  }
  return "exited";
}

// Lanes that stand at one place are one line: "lanes 0-15,17  in __syncthreads, file:line".
std::string table_of_warp(int warp) {
  std::string table;
  const int lanes = block.size - warp * 32 < 32 ? block.size - warp * 32 : 32;
  std::string places[32];
  bool done[32] = {};
  for (int i = 0; i < lanes; ++i) places[i] = where(block.threads[warp * 32 + i]);
  for (int i = 0; i < lanes; ++i) {
    if (done[i]) continue;
    std::string group;
    for (int j = i; j < lanes; ++j) {
      if (done[j] || places[j] != places[i]) continue;
      int end = j;
      while (end + 1 < lanes && places[end + 1] == places[i]) ++end;
      group += (group.empty() ? "" : ",") + std::to_string(j);
      if (end > j) group += "-" + std::to_string(end);
      for (int k = j; k <= end; ++k) done[k] = true;
    }
    table += "    lanes " + group + ": " + places[i] + "\n";
  }
  return table;
}

std::string table_of_threads() {
  std::string text;
  const int warps = (block.size + 31) / 32;
  for (int begin = 0; begin < warps;) {
    const std::string table = table_of_warp(begin);
    int end = begin + 1;
    while (end < warps && table_of_warp(end) == table) ++end;
    text += "  warp " + std::to_string(begin);
    if (end - begin > 1) text += " to " + std::to_string(end - 1);
    text += "\n" + table;
    begin = end;
  }
  return text;
}

std::string thread_name(int thread) {
  return "thread " + std::to_string(thread) + " (warp " + std::to_string(thread / 32) + ", lane " +
         std::to_string(thread % 32) + ")";
}

std::string mask_of(int thread) {
  return hex(block.threads[thread].mask, 8);
}

std::string disagreement(int a, int b) {
  return "wrong mask: " + thread_name(a) + " and " + thread_name(b) +
         " name each other and are at different calls or give different masks";
}

// In a deadlock: two lanes that wait for each other with different masks, where there are any.
std::string deadlock() {
  for (int a = 0; a < block.size; ++a) {
    for (int b = a + 1; b < block.size && b / 32 == a / 32; ++b) {
      const Thread& x = block.threads[a];
      const Thread& y = block.threads[b];
      if (x.at != At::warp || y.at != At::warp) continue;
      if (x.mask >> (b % 32) & y.mask >> (a % 32) & 1 && where(x) != where(y)) {
        return disagreement(a, b);
      }
    }
  }
  return "deadlock: every thread waits for another";
}

std::string headline() {
  const std::string who = block.culprit < 0 ? "" : thread_name(block.culprit);
  const std::string other = block.other < 0 ? "" : thread_name(block.other);
  switch (block.failure) {
    case Failure::barrier_sites:
      return "divergent barrier: threads of one block wait at different barriers";
    case Failure::barrier_exited:
      return "divergent barrier: some threads exited while others wait at a barrier";
    case Failure::deadlock:
      return deadlock();
    case Failure::caller_not_named:
      return "wrong mask: " + who + " is not in its own mask " + mask_of(block.culprit);
    case Failure::exited_named:
      return block.other < 0 ? "exited lane: the mask " + mask_of(block.culprit) + " of " + who +
                                   " names a lane that has exited"
                             : "exited lane: the mask " + mask_of(block.other) + " of " + other +
                                   " names " + who + ", which has exited";
    case Failure::absent_named:
      return "wrong mask: the mask " + mask_of(block.culprit) + " of " + who +
             " names lanes that the block does not have";
    case Failure::source_not_named:
      return "wrong mask: " + other + " reads lane " +
             std::to_string(block.threads[block.other].source) + ", which is not in the mask " +
             mask_of(block.other);
    case Failure::no_tensor_cores:
      return "mma: this GPU has no tensor cores for bf16, which came with sm_80";
    case Failure::misaligned:
      return block.detail[1] == 0
                 ? "shared memory is aligned to 128 bytes, dynamic shared memory to 16, and no more"
                 : "misaligned address: " + who + " uses " + hex(block.detail[0], 1) +
                       ", which is no multiple of " + std::to_string(block.detail[1]);
    case Failure::shared_limit:
      return "too much shared memory: with '" + std::string(block.text) + "' the block needs " +
             std::to_string(block.detail[0]) + " bytes and may have " +
             std::to_string(block.detail[1]);
    case Failure::shared_count:
      return "more than 64 shared arrays";
    case Failure::shared_mismatch:
      return "one declaration of shared memory has two sizes";
    case Failure::shared_overrun:
      return "shared memory was written past the end of '" + std::string(block.text) + "'";
    case Failure::none:
      break;
  }
  return "nothing";
}

}  // namespace

std::string to_string(const Site& site) {
  return std::string(site.file) + ":" + std::to_string(site.line);
}

std::string to_string(const dim3& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

std::string describe_failure() {
  return headline() + "\n  at " + to_string(block.site) + ", in block " +
         to_string(dim3(blockIdx.x, blockIdx.y, blockIdx.z)) + "\n" + table_of_threads();
}

}  // namespace posetape::emulation
