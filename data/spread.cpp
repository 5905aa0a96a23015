#include "data/spread.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/ranks/ranks.hpp"

namespace posetape::data {
namespace {

int owner_of(int sequence) {
  return sequence % ranks().size();
}

// Gives whole pages back to the system: their place stays, and they read as zeros.
void give_back(std::vector<float>& values) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(values.data());
  const std::uintptr_t begin = (address + page - 1) / page * page;
  const std::uintptr_t end = (address + values.size() * sizeof(float)) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

void spread(Dataset& dataset, std::span<const int> whole) {
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    const int number = static_cast<int>(i);
    if (owner_of(number) == ranks().rank() || std::ranges::count(whole, number) > 0) continue;
    Sequence& s = dataset.sequences[i];
    give_back(s.pose_2d.values);
    for (auto* poses : {&s.pose_3d, &s.noisy_3d, &s.refined_3d, &s.refined_std}) {
      if (*poses) give_back((*poses)->values);
    }
    if (s.confidence) give_back(*s.confidence);
  }
}

Tensor gather_spread(const Dataset& dataset, std::span<const Window> windows,
                     std::span<const std::uint8_t> flips, int frames, Field field) {
  std::vector<std::size_t> order(windows.size());  // rank by rank, in that of the batch
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto owner = [&](std::size_t i) { return owner_of(windows[i].sequence); };
  std::ranges::stable_sort(order, {}, owner);
  const auto own = std::ranges::equal_range(order, ranks().rank(), {}, owner);
  std::vector<Window> own_windows;
  std::vector<std::uint8_t> own_flips;
  for (const std::size_t i : own) {
    own_windows.push_back(windows[i]);
    if (!flips.empty()) own_flips.push_back(flips[i]);
  }
  const Tensor here = gather(dataset, own_windows, own_flips, frames, field);
  const Tensor all =
      Tensor::empty(here.shape().with(0, static_cast<Index>(windows.size())), here.dtype());
  const std::size_t each = all.values<float>().size() / windows.size();
  const auto row = [each](const Tensor& t, std::size_t i) {
    return t.values<float>().subspan(i * each, each);
  };
  const auto first = static_cast<std::size_t>(own.begin() - order.begin());
  std::ranges::copy(here.values<float>(), all.values<float>().subspan(first * each).begin());
  std::vector<std::uint64_t> bytes;
  for (int r = 0; r < ranks().size(); ++r) {
    const auto count = static_cast<std::uint64_t>(std::ranges::count(order, r, owner));
    bytes.push_back(count * each * sizeof(float));
  }
  ranks().gather(std::as_writable_bytes(all.values<float>()), bytes);
  const Tensor batch = Tensor::empty(all.shape(), all.dtype());
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::ranges::copy(row(all, i), row(batch, order[i]).begin());
  }
  return batch;
}

}  // namespace posetape::data
