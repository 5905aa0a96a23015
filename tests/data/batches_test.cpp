// Batches of windows: what is in one, and which windows an epoch has.
#include "data/batches.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

Dataset dataset_of(const std::vector<int>& frames) {
  Dataset dataset;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    dataset.sequences.push_back(
        test::random_sequence(fmt::format("S{}/Walk/0", i), frames[i], 10 * i));
  }
  return dataset;
}

std::vector<float> one(const Dataset& dataset, const Window& window, bool flip, int frames,
                       Field field) {
  std::vector<float> values(
      static_cast<std::size_t>(frames * 17 * (field == Field::screen_2d ? 2 : 3)));
  const auto gather_one = field == Field::screen_2d              ? gather_2d
                          : field == Field::screen_2d_confidence ? gather_2d_confidence
                          : field == Field::truth                ? gather_truth
                                                                 : gather_noisy;
  gather_one(dataset, window, flip, values);
  return values;
}

}  // namespace

TEST_CASE("a batch has its windows one after the other, those mirrored that say so") {
  const Dataset dataset = dataset_of({9, 3});
  const auto windows = make_windows(dataset, all_sequences(dataset), 4);
  const std::vector<std::uint8_t> flips{0, 1, 1, 0};
  REQUIRE(windows.size() == flips.size());
  for (const Field field :
       {Field::screen_2d, Field::screen_2d_confidence, Field::truth, Field::noisy}) {
    const Tensor batch = gather(dataset, windows, flips, 4, field);
    CHECK(batch.shape() == Shape{4, 4, 17, field == Field::screen_2d ? 2 : 3});
    std::vector<float> expected;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const auto values = one(dataset, windows[i], flips[i] != 0, 4, field);
      expected.insert(expected.end(), values.begin(), values.end());
    }
    CHECK(std::ranges::equal(batch.values<float>(), expected));
    const Tensor plain = gather(dataset, std::span(windows).first(1), {}, 4, field);
    CHECK(std::ranges::equal(plain.values<float>(), one(dataset, windows[0], false, 4, field)));
  }
}

TEST_CASE("an epoch has windows of its own, within their sequences, in batches of one size") {
  const Dataset dataset = dataset_of({60, 45, 30});
  const std::vector<int> some{0, 2};
  const int step = 2;
  EpochBatches batches(dataset, some, 5, 4, true, 3, step);
  const auto plain = make_windows(dataset, some, disjoint(5, step));
  REQUIRE(plain.size() == 18);
  CHECK(batches.steps() == 4);
  std::set<std::vector<std::pair<int, int>>> epochs;
  int flipped = 0;
  for (int epoch = 0; epoch < 8; ++epoch) {
    std::vector<std::pair<int, int>> all;
    for (int s = 0; s < batches.steps(); ++s) {
      const auto [windows, flips] = batches.at(epoch, s);
      CHECK(windows.size() == 4);
      CHECK(flips.size() == 4);
      flipped += static_cast<int>(std::ranges::count(flips, 1));
      for (const Window& w : windows) {
        CHECK(w.sequence != 1);
        CHECK(w.start >= 0);
        CHECK(w.end() <= dataset.sequences[static_cast<std::size_t>(w.sequence)].frames());
        all.emplace_back(w.sequence, w.start);
      }
    }
    epochs.insert(all);
  }
  CHECK(epochs.size() == 8);
  CHECK(flipped > 40);
  CHECK(flipped < 90);

  // The same again, from any epoch.
  EpochBatches others(dataset, some, 5, 4, true, 3, step);
  const auto [windows, flips] = others.at(7, 2);
  const auto [same, same_flips] = batches.at(7, 2);
  CHECK(std::ranges::equal(windows, same, [](const Window& a, const Window& b) {
    return a.sequence == b.sequence && a.start == b.start;
  }));
  CHECK(std::ranges::equal(flips, same_flips));
  EpochBatches unflipped(dataset, some, 5, 4, false, 3, step);
  CHECK(std::ranges::count(unflipped.at(7, 2).flips, 1) == 0);
}

TEST_CASE("a batch larger than the data is all of it, and a short sequence stays where it is") {
  const Dataset dataset = dataset_of({3, 10});
  EpochBatches batches(dataset, all_sequences(dataset), 5, 32, true, 1);
  CHECK(batches.steps() == 1);
  for (int epoch = 0; epoch < 5; ++epoch) {
    const auto [windows, flips] = batches.at(epoch, 0);
    REQUIRE(windows.size() == 3);
    for (const Window& w : windows) {
      if (w.sequence == 0) CHECK(w.start == 0);
    }
  }
}
