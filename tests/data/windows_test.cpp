#include "data/windows.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "data/skeleton.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

Dataset dataset_of(const std::vector<int>& frames) {
  Dataset dataset;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    dataset.sequences.push_back(random_sequence(fmt::format("S{}/Walk/0", i), frames[i], 10 * i));
  }
  return dataset;
}

}  // namespace

namespace posetape::data {
bool operator==(const Window& a, const Window& b) {
  return a.sequence == b.sequence && a.start == b.start && a.length == b.length &&
         a.first_valid == b.first_valid && a.step == b.step;
}
}  // namespace posetape::data

TEST_CASE("windows own every frame exactly once, for any length, window and stride") {
  for (int total = 1; total <= 40; ++total) {
    const Dataset dataset = dataset_of({total});
    for (int n = 1; n <= 13; ++n) {
      for (int stride = 1; stride <= n; ++stride) {
        CAPTURE(total);
        CAPTURE(n);
        CAPTURE(stride);
        const auto windows = make_windows(dataset, std::vector<int>{0}, n, stride);
        std::vector<int> owners(static_cast<std::size_t>(total));
        bool inside = true;
        for (const Window& w : windows) {
          inside = inside && w.start >= 0 && w.start + w.length <= total &&
                   w.length == std::min(n, total) && w.first_valid >= 0 && w.first_valid < w.length;
          for (int k = w.first_valid; k < w.length; ++k) {
            ++owners.at(static_cast<std::size_t>(w.start + k));
          }
        }
        CHECK(inside);
        CHECK(std::ranges::all_of(owners, [](int count) { return count == 1; }));
        CHECK(windows.back().start + windows.back().length == total);
        const int expected = total <= n ? 1 : (total - n + stride - 1) / stride + 1;
        CHECK(static_cast<int>(windows.size()) == expected);
      }
    }
  }
}

TEST_CASE("the last disjoint window is shifted back, and counts only its new frames") {
  const Dataset dataset = dataset_of({10, 3, 8});
  const auto windows = make_windows(dataset, std::vector<int>{2, 0, 1}, 4);
  const std::vector<Window> expected{{2, 0, 4, 0}, {2, 4, 4, 0}, {0, 0, 4, 0},
                                     {0, 4, 4, 0}, {0, 6, 4, 2}, {1, 0, 3, 0}};
  CHECK(windows == expected);
}

TEST_CASE("a stride that would leave frames out is refused") {
  const Dataset dataset = dataset_of({10});
  CHECK_MESSAGE_PARTS(make_windows(dataset, std::vector<int>{0}, 4, 5), "windows of 4 frames",
                      "stride of 5", "choose a stride from 1");
  CHECK_MESSAGE_PARTS(make_windows(dataset, std::vector<int>{0}, 4, 0), "stride of 0");
  CHECK_MESSAGE_PARTS(make_windows(dataset, std::vector<int>{0}, 0), "windows of 0 frames");
}

TEST_CASE("a window around each frame, with both ends repeated, gives its middle frame") {
  const Dataset dataset = dataset_of({7, 1});
  for (const int step : {1, 2, 3}) {
    CAPTURE(step);
    const WindowCut cut{WindowRule::centre_frame, 5, 1, step};
    const auto windows = make_windows(dataset, all_sequences(dataset), cut);
    REQUIRE(windows.size() == 8);
    WindowMerger merger(dataset, merge_of(cut));
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const PoseArray& noisy = *dataset.sequences[i / 7].noisy_3d;
      std::vector<float> values(5 * 51);
      gather_noisy(dataset, windows[i], false, values);
      for (int k = 0; k < 5; ++k) {
        const int frame =
            std::clamp(static_cast<int>(i % 7) + (k - 2) * step, 0, noisy.frames() - 1);
        CHECK(values[std::size_t(51 * k + 5)] == noisy.frame(frame)[5]);
      }
      merger.add(windows[i], values);
    }
    for (const int s : {0, 1}) {
      CHECK(merger.take(s).values == dataset.sequences[std::size_t(s)].noisy_3d->values);
    }
  }
}

TEST_CASE("an even window's centre is the earlier of its two middle frames") {
  const Dataset dataset = dataset_of({2});
  const auto windows_of = [&](int frames) {
    return make_windows(dataset, std::vector<int>{0}, {WindowRule::centre_frame, frames, 1, 1});
  };
  CHECK(windows_of(4) == std::vector<Window>{{0, -1, 2, 1}, {0, 0, 2, 1}});
  CHECK(windows_of(3) == std::vector<Window>{{0, -1, 2, 1}, {0, 0, 2, 1}});
  CHECK(windows_of(1) == std::vector<Window>{{0, 0, 1, 0}, {0, 1, 1, 0}});
  CHECK_MESSAGE_PARTS(windows_of(0), "windows of 0 frames have no centre frame");
}

TEST_CASE("overlaps are averaged where a stride makes them, and nowhere else") {
  CHECK(merge_of({.frames = 4, .stride = 3}) == Merge::average);
  CHECK(merge_of({.frames = 4, .stride = 3, .overlap = Overlap::smooth}) == Merge::smooth);
  CHECK(merge_of({.frames = 4, .stride = 4}) == Merge::owned);
  CHECK(merge_of({.frames = 4, .stride = 4, .overlap = Overlap::smooth}) == Merge::owned);
  CHECK(merge_of({WindowRule::centre_frame, 4, 1, 1}) == Merge::owned);
  CHECK(merge_of({WindowRule::centre_frame, 4, 4, 1}) == Merge::owned);
}

TEST_CASE("windows that skip frames own every frame exactly once, and stay inside") {
  for (int total = 1; total <= 30; ++total) {
    const Dataset dataset = dataset_of({total});
    for (const int n : {1, 3, 4, 7}) {
      for (const int stride : {1, 2, n}) {
        for (const int step : {2, 3, 5}) {
          if (stride > n) continue;
          CAPTURE(total);
          CAPTURE(n);
          CAPTURE(stride);
          CAPTURE(step);
          const WindowCut cut{.frames = n, .stride = stride, .step = step};
          std::vector<int> owners(static_cast<std::size_t>(total));
          bool inside = true;
          for (const Window& w : make_windows(dataset, std::vector<int>{0}, cut)) {
            inside = inside && w.step == step && w.start >= 0 && w.end() <= total;
            // Padded only where there are no more frames that far apart.
            inside = inside && (w.length == n || w.start < step);
            for (int k = w.first_valid; k < w.length; ++k) {
              ++owners.at(static_cast<std::size_t>(frame_at(w, k, total)));
            }
          }
          CHECK(inside);
          CHECK(std::ranges::all_of(owners, [](int count) { return count == 1; }));
        }
      }
    }
  }
  const Dataset dataset = dataset_of({3});
  const WindowCut none{.step = 0};
  CHECK_MESSAGE_PARTS(make_windows(dataset, std::vector<int>{0}, none), "0 apart", "1 apart");
}

TEST_CASE("sequences are chosen by the split of the file") {
  Dataset dataset = dataset_of({1, 1, 1});
  dataset.test_subjects = {"S1"};
  CHECK(all_sequences(dataset) == std::vector<int>{0, 1, 2});
  CHECK(train_sequences(dataset) == std::vector<int>{0, 2});
  CHECK(test_sequences(dataset) == std::vector<int>{1});
  dataset = dataset_of({3, 10, 200});
  CHECK(count_frames(dataset, std::vector{2, 0}) == 203);
  CHECK(count_frames(dataset, {}) == 0);
}

TEST_CASE("the order of an epoch is random, complete and repeatable") {
  const Dataset dataset = dataset_of({100, 50});
  const auto windows = make_windows(dataset, all_sequences(dataset), 4, 2);
  const auto first = shuffled(windows, 1, 0);
  CHECK(first == shuffled(windows, 1, 0));
  CHECK(first != shuffled(windows, 1, 1));
  CHECK(first != shuffled(windows, 2, 0));
  CHECK(first != windows);
  auto sorted = first;
  std::ranges::sort(sorted, [](const Window& a, const Window& b) {
    return std::pair(a.sequence, a.start) < std::pair(b.sequence, b.start);
  });
  CHECK(sorted == windows);
}

TEST_CASE("2D is normalised by the width, in both coordinates") {
  Dataset dataset = dataset_of({2});
  dataset.sequences[0].image_size = {1000, 500};
  float* pose = dataset.sequences[0].pose_2d.frame(1);
  pose[0] = 0, pose[1] = 0, pose[2] = 1000, pose[3] = 500, pose[4] = 500, pose[5] = 250;
  std::vector<float> out(34);
  gather_2d(dataset, {0, 1, 1, 0}, false, out);
  CHECK(std::vector<float>(out.begin(), out.begin() + 6) ==
        std::vector<float>{-1, -0.5f, 1, 0.5f, 0, 0});
  dataset.sequences[0].image_size = {1, 1};
  gather_2d(dataset, {0, 1, 1, 0}, false, out);
  CHECK(out[2] == 1999);
  for (const auto& size : {std::array{0, 100}, std::array{100, 0}}) {
    dataset.sequences[0].image_size = size;
    CHECK_MESSAGE_PARTS(gather_2d(dataset, {0, 1, 1, 0}, false, out), "'S0/Walk/0'",
                        "no image size", "set width and height");
  }
}

TEST_CASE("the confidence is a third coordinate, 1 where nothing is known") {
  Dataset dataset = dataset_of({3});
  std::vector<float> plain(std::size_t(3 * 17 * 2));
  std::vector<float> with(std::size_t(3 * 17 * 3));
  const Window window{0, 0, 3, 0};
  gather_2d(dataset, window, false, plain);
  for (const bool known : {false, true}) {
    if (known) dataset.sequences[0].confidence = std::vector<float>(3 * 17, 0.25F);
    if (known) (*dataset.sequences[0].confidence)[17 + 4] = 0;
    gather_2d_confidence(dataset, window, false, with);
    for (std::size_t i = 0; i < 3 * 17; ++i) {
      CHECK(with[3 * i] == plain[2 * i]);
      CHECK(with[3 * i + 1] == plain[2 * i + 1]);
      CHECK(with[3 * i + 2] == (!known ? 1.0F : i == 17 + 4 ? 0.0F : 0.25F));
    }
  }
}

TEST_CASE("truth is relative to the root, and the base estimate's root is zero") {
  Dataset dataset = dataset_of({3});
  Sequence& sequence = dataset.sequences[0];
  for (PoseArray* pose : {&*sequence.pose_3d, &*sequence.noisy_3d}) {
    for (int c = 0; c < 3; ++c) pose->frame(2)[c] = 0.125f * static_cast<float>(c + 1);
  }
  // What was there before is gone, and what lies behind stays.
  std::vector<float> truth(52, 7);
  std::vector<float> noisy(52, 7);
  gather_truth(dataset, {0, 2, 1, 0}, false, std::span(truth).first(51));
  gather_noisy(dataset, {0, 2, 1, 0}, false, std::span(noisy).first(51));
  CHECK(truth[51] == 7);
  CHECK(noisy[51] == 7);
  for (int i = 0; i < 51; ++i) {
    const float* t = sequence.pose_3d->frame(2);
    CHECK(truth[std::size_t(i)] == t[i] - t[i % 3]);
    CHECK(noisy[std::size_t(i)] == (i < 3 ? 0 : sequence.noisy_3d->frame(2)[i]));
  }
}

TEST_CASE("a short clip is filled with its last frame") {
  const Dataset dataset = dataset_of({3});
  const auto windows = make_windows(dataset, all_sequences(dataset), 5);
  REQUIRE(windows.size() == 1);
  std::vector<float> out(5 * 51);
  gather_noisy(dataset, windows[0], false, out);
  const auto frame = [&](int k) {
    return std::vector<float>(out.begin() + k * 51, out.begin() + (k + 1) * 51);
  };
  CHECK(frame(1) != frame(2));
  CHECK(frame(3) == frame(2));
  CHECK(frame(4) == frame(2));
}

TEST_CASE("a flipped window is the mirrored person in 2D and 3D") {
  Dataset dataset = dataset_of({4});
  std::vector<float>& sure = dataset.sequences[0].confidence.emplace(4 * 17);
  for (std::size_t i = 0; i < sure.size(); ++i) sure[i] = 0.01F * static_cast<float>(i);
  const Window window{0, 1, 3, 0};
  const auto check = [&](auto gather, int channels) {
    std::vector<float> plain(std::size_t(3 * 17 * channels));
    std::vector<float> flipped(plain.size());
    gather(dataset, window, false, plain);
    gather(dataset, window, true, flipped);
    const auto at = [&](const std::vector<float>& v, int joint, int c) {
      return v[std::size_t(2 * 17 * channels + joint * channels + c)];
    };
    // Left knee 5 and right knee 2, left wrist 13 and right wrist 16, head 10.
    for (const auto& [a, b] : {std::pair{5, 2}, {2, 5}, {13, 16}, {16, 13}, {10, 10}, {0, 0}}) {
      CHECK(at(flipped, a, 0) == -at(plain, b, 0));
      for (int c = 1; c < channels; ++c) CHECK(at(flipped, a, c) == at(plain, b, c));
    }
    mirror(flipped, channels);
    CHECK(flipped == plain);
  };
  check(gather_2d, 2);
  check(gather_2d_confidence, 3);
  check(gather_truth, 3);
  check(gather_noisy, 3);
}

TEST_CASE("gathering and merging give the sequences back") {
  const Dataset dataset = dataset_of({10, 3, 8, 1});
  for (const Merge merge : {Merge::owned, Merge::average}) {
    for (const auto& [stride, step] : {std::pair(1, 1), {2, 1}, {4, 1}, {2, 2}, {4, 3}}) {
      CAPTURE(stride);
      CAPTURE(step);
      WindowMerger merger(dataset, merge);
      const WindowCut cut{.frames = 4, .stride = stride, .step = step};
      const auto windows = make_windows(dataset, all_sequences(dataset), cut);
      for (const Window& window : shuffled(windows, 1, 0)) {
        std::vector<float> values(4 * 51);
        gather_noisy(dataset, window, false, values);
        merger.add(window, values);
      }
      for (int i = 0; i < 4; ++i) {
        const PoseArray pose = merger.take(i);
        CHECK(pose.channels == 3);
        CHECK(pose.values == dataset.sequences[std::size_t(i)].noisy_3d->values);
      }
    }
  }
}

TEST_CASE("overlapping windows are averaged, or the owner counts") {
  const Dataset dataset = dataset_of({3});
  const auto windows = make_windows(dataset, all_sequences(dataset), 2, 1);
  REQUIRE(windows.size() == 2);  // frames 0 1 and 1 2
  const auto middle = [&](Merge merge) {
    WindowMerger merger(dataset, merge);
    merger.add(windows[0], std::vector<float>(2 * 51, 1.0f));
    merger.add(windows[1], std::vector<float>(2 * 51, 4.0f));
    const PoseArray pose = merger.take(0);
    for (int k = 0; k < 3; ++k) {
      CHECK(std::ranges::count(std::span(pose.frame(k), 51), pose.frame(k)[5]) == 51);
    }
    return std::vector<float>{pose.frame(0)[5], pose.frame(1)[5], pose.frame(2)[5]};
  };
  CHECK(middle(Merge::owned) == std::vector<float>{1, 1, 4});
  CHECK(middle(Merge::average) == std::vector<float>{1, 2.5f, 4});
}

TEST_CASE("the smooth weight is a raised cosine, above 0 and the same from both ends") {
  for (const int n : {1, 2, 3, 9, 27, 81}) {
    CAPTURE(n);
    for (int k = 0; k < n; ++k) {
      CHECK(window_weight(k, n) > 0);
      CHECK(window_weight(k, n) == doctest::Approx(window_weight(n - 1 - k, n)));
    }
  }
  CHECK(window_weight(0, 1) == doctest::Approx(1));
  CHECK(window_weight(0, 2) == doctest::Approx(0.5));
  CHECK(window_weight(0, 3) == doctest::Approx(0.25));
  CHECK(window_weight(1, 3) == doctest::Approx(1));
}

TEST_CASE("at half of a window the weights sum to the same everywhere") {
  for (const int n : {8, 26, 80}) {
    const WindowCut cut = seamless(n);
    CHECK(cut.frames == n);
    CHECK(cut.stride == n / 2);
    CHECK(merge_of(cut) == Merge::smooth);
    for (int at = 0; at < cut.stride; ++at)
      CHECK(window_weight(at, n) + window_weight(at + cut.stride, n) == doctest::Approx(1));
  }
  CHECK(seamless_stride(1) == 1);
  CHECK(seamless_stride(2) == 1);
  CHECK(seamless_stride(27) == 13);
}

// Windows that disagree as much as they can: every other one is 1 higher. How much a frame's second
// difference stands out by its phase modulo the stride.
double seam(const WindowCut& cut) {
  const Dataset dataset = dataset_of({20 * cut.frames});
  const auto windows = make_windows(dataset, all_sequences(dataset), cut);
  WindowMerger merger(dataset, merge_of(cut));
  double high = 0;
  for (const Window& window : windows) {
    merger.add(window, std::vector<float>(std::size_t(cut.frames) * 51, static_cast<float>(high)));
    high = 1 - high;
  }
  const PoseArray pose = merger.take(0);
  double largest = 0;
  for (int f = 1; f + 1 < pose.frames(); ++f) {
    const double second = pose.frame(f - 1)[5] - 2.0 * pose.frame(f)[5] + pose.frame(f + 1)[5];
    largest = std::max(largest, std::abs(second));
  }
  return largest;
}

TEST_CASE("smooth overlaps have no jump where a window begins or ends") {
  CHECK(seam({.frames = 27, .stride = 27}) == doctest::Approx(1));
  CHECK(seam({.frames = 27, .stride = 9}) > 0.3);
  CHECK(seam({.frames = 27, .stride = 9, .overlap = Overlap::smooth}) < 0.03);
  CHECK(seam({.frames = 27, .stride = 13, .overlap = Overlap::smooth}) < 0.05);
}

TEST_CASE("smooth overlaps give back what all windows agree on") {
  const Dataset dataset = dataset_of({1, 3, 10, 31});
  for (const auto& [stride, step] : {std::pair(1, 1), {3, 1}, {8, 1}, {3, 2}}) {
    WindowMerger merger(dataset, Merge::smooth);
    const WindowCut cut{.frames = 9, .stride = stride, .step = step, .overlap = Overlap::smooth};
    for (const Window& window : make_windows(dataset, all_sequences(dataset), cut)) {
      std::vector<float> values(9 * 51);
      gather_noisy(dataset, window, false, values);
      merger.add(window, values);
    }
    for (const int i : all_sequences(dataset)) {
      const PoseArray pose = merger.take(i);
      const PoseArray& noisy = *dataset.sequences[std::size_t(i)].noisy_3d;
      for (std::size_t v = 0; v < noisy.values.size(); ++v)
        CHECK(pose.values[v] == doctest::Approx(noisy.values[v]).epsilon(1e-6));
    }
  }
}

TEST_CASE("wrong use is refused with the sequence and a hint") {
  Dataset dataset = dataset_of({10});
  const Window window{0, 0, 4, 0};
  std::vector<float> out(4 * 51);
  WindowMerger merger(dataset, Merge::owned);
  CHECK_MESSAGE_PARTS(merger.take(0), "'S0/Walk/0'", "frame 0", "add every window");
  merger.add(window, out);
  CHECK_MESSAGE_PARTS(merger.take(0), "'S0/Walk/0'", "frame 4", "add every window");
  CHECK_MESSAGE_PARTS(merger.add(window, std::vector<float>(3 * 51)), "[0, 4)", "153 values");
  std::vector<float> small(3 * 51);
  CHECK_MESSAGE_PARTS(gather_truth(dataset, window, false, small), "[0, 4)", "153 values");
  // Each reason alone: half a pose too much, nothing to give, beyond the end.
  std::vector<float> half(4 * 51 + 25);
  const Window nothing{0, 4, 0, 0};
  const Window beyond{0, 7, 4, 0};
  CHECK_MESSAGE_PARTS(gather_truth(dataset, window, false, half), "[0, 4)", "229 values");
  CHECK_MESSAGE_PARTS(gather_truth(dataset, nothing, false, out), "[4, 4)", "204 values");
  CHECK_MESSAGE_PARTS(gather_truth(dataset, nothing, false, {}), "[4, 4)", "0 values");
  CHECK_MESSAGE_PARTS(gather_truth(dataset, beyond, false, out), "[7, 11) of 10 frames");
  CHECK_MESSAGE_PARTS(merger.add(window, half), "[0, 4)", "229 values");
  CHECK_MESSAGE_PARTS(merger.add(beyond, out), "[7, 11) of 10 frames");
  dataset.sequences[0].pose_3d.reset();
  dataset.sequences[0].noisy_3d.reset();
  CHECK_MESSAGE_PARTS(gather_truth(dataset, window, false, out), "'S0/Walk/0'", "no 'pose_3d'");
  CHECK_MESSAGE_PARTS(gather_noisy(dataset, window, false, out), "'S0/Walk/0'", "no 'noisy_3d'",
                      "posetape lift");
}
