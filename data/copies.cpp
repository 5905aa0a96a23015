#include "data/copies.hpp"

#include <unordered_map>

#include "engine/crc32.hpp"

namespace posetape::data {

std::vector<Copy> copies(const Dataset& dataset, std::span<const int> train) {
  const auto poses = [&](int i) -> const std::vector<float>& {
    return dataset.sequences[static_cast<std::size_t>(i)].pose_2d.values;
  };
  const auto sum = [&](int i) { return crc32(std::as_bytes(std::span(poses(i)))); };
  std::unordered_multimap<std::uint32_t, int> trained;
  std::vector<bool> trains(dataset.sequences.size());
  for (const int i : train) {
    trained.emplace(sum(i), i);
    trains[static_cast<std::size_t>(i)] = true;
  }
  std::vector<Copy> found;
  for (int i = 0; i < static_cast<int>(dataset.sequences.size()); ++i) {
    if (trains[static_cast<std::size_t>(i)] || poses(i).empty()) continue;
    const auto [first, last] = trained.equal_range(sum(i));
    for (auto at = first; at != last; ++at) {
      if (poses(at->second) != poses(i)) continue;
      found.push_back({i, at->second});
      break;
    }
  }
  return found;
}

}  // namespace posetape::data
