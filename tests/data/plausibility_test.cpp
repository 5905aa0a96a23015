#include "data/plausibility.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <numbers>

#include "data/domain.hpp"
#include "data/figures.hpp"
#include "data/joint_orders.hpp"
#include "data/prepare.hpp"
#include "data/protocol.hpp"
#include "data/skeleton.hpp"
#include "engine/rng.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

// Generated people before two cameras, with an estimate beside the truth: turned by a few degrees,
// 5 % too small, and with errors of some 3 cm that change slowly.
Dataset good_clips() {
  SyntheticOptions motion;
  motion.subjects = 2;
  motion.takes = 1;
  motion.seconds = 2;
  PrepareOptions options;
  options.cameras = {0, 3};
  Dataset dataset = prepare_synthetic(options, motion);
  std::uint64_t seed = 0;
  for (Sequence& s : dataset.sequences) {
    Random random(++seed, Stream::test);
    PoseArray noisy = *s.pose_3d;
    std::array<double, 3 * kJoints> error{};
    for (int f = 0; f < noisy.frames(); ++f) {
      float* p = noisy.frame(f);
      const std::array<float, 3> root{p[0], p[1], p[2]};
      for (std::size_t i = 0; i < error.size(); ++i) {
        error[i] = i < 3 ? 0 : 0.95 * error[i] + 0.009 * random.normal();
        p[i] = 0.95f * (p[i] - root[i % 3]) + static_cast<float>(error[i]);
      }
    }
    s.noisy_3d = std::move(noisy);
  }
  return dataset;
}

const Dataset& good() {
  static const Dataset dataset = good_clips();
  return dataset;
}

void scale(PoseArray& poses, double x, double y, double z) {
  const std::array<double, 3> factor{x, y, z};
  const auto channels = static_cast<std::size_t>(poses.channels);
  for (std::size_t i = 0; i < poses.values.size(); ++i) {
    poses.values[i] *= static_cast<float>(factor[i % channels]);
  }
}

void shift(PoseArray& poses, std::array<float, 3> by) {
  const auto channels = static_cast<std::size_t>(poses.channels);
  for (std::size_t i = 0; i < poses.values.size(); ++i) poses.values[i] += by[i % channels];
}

// By `degrees` about axis 0, 1 or 2.
void turn(PoseArray& poses, int axis, double degrees) {
  const double c = std::cos(degrees * std::numbers::pi / 180);
  const double s = std::sin(degrees * std::numbers::pi / 180);
  const int a = (axis + 1) % 3;
  const int b = (axis + 2) % 3;
  for (std::size_t i = 0; i < poses.values.size(); i += 3) {
    float* p = poses.values.data() + i;
    const double u = p[a];
    const double v = p[b];
    p[a] = static_cast<float>(c * u - s * v);
    p[b] = static_cast<float>(s * u + c * v);
  }
}

void reorder(PoseArray& poses, const JointOrder& order) {
  const PoseArray old = poses;
  for (int f = 0; f < poses.frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      std::copy_n(old.frame(f) + order[std::size_t(j)] * poses.channels, poses.channels,
                  poses.frame(f) + j * poses.channels);
    }
  }
}

// As a detector of COCO's joints writes them, eyes and ears beside the nose.
void to_coco(PoseArray& poses) {
  reorder(poses, {9, 10, 10, 9, 9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3});
}

void delay(PoseArray& poses, int frames) {
  std::rotate(poses.values.begin(), poses.values.begin() + frames * kJoints * poses.channels,
              poses.values.end());
}

void to_screen(Sequence& s, double scale_to, double from_x, double from_y) {
  scale(s.pose_2d, scale_to, scale_to, 1);
  shift(s.pose_2d, {static_cast<float>(from_x), static_cast<float>(from_y), 0});
}

struct Planted {
  const char* name;
  std::function<void(Sequence&)> plant;
  Check check;
  Severity severity;
  const char* field;
  const char* mend;  // a part of it
};

constexpr auto refusal = Severity::refusal;
constexpr auto warning = Severity::warning;
const JointOrder kKneeForElbow{0, 1, 15, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 2, 16};

const std::vector<Planted>& planted() {
  static const std::vector<Planted> list{
      {"millimetres", [](Sequence& s) { scale(*s.noisy_3d, 1e3, 1e3, 1e3); }, Check::unit, refusal,
       "noisy_3d", "multiply noisy_3d by 0.001"},
      {"centimetres", [](Sequence& s) { scale(*s.noisy_3d, 100, 100, 100); }, Check::unit, refusal,
       "noisy_3d", "by 0.01"},
      {"inches", [](Sequence& s) { scale(*s.noisy_3d, 39.37, 39.37, 39.37); }, Check::unit, refusal,
       "noisy_3d", "by 0.0254"},
      {"feet", [](Sequence& s) { scale(*s.noisy_3d, 3.281, 3.281, 3.281); }, Check::unit, refusal,
       "noisy_3d", "by 0.305"},
      {"centimetres divided by 1000", [](Sequence& s) { scale(*s.noisy_3d, .1, .1, .1); },
       Check::unit, refusal, "noisy_3d", "multiply noisy_3d by"},
      {"truth in millimetres", [](Sequence& s) { scale(*s.pose_3d, 1e3, 1e3, 1e3); }, Check::unit,
       refusal, "pose_3d", "by 0.001"},
      {"scaled to an image", [](Sequence& s) { scale(*s.noisy_3d, .35, .35, .35); }, Check::scale,
       refusal, "noisy_3d", "multiply noisy_3d by"},
      {"half of the truth's size", [](Sequence& s) { scale(*s.noisy_3d, .5, .5, .5); },
       Check::scale, refusal, "noisy_3d", "multiply noisy_3d by"},
      {"y up", [](Sequence& s) { scale(*s.noisy_3d, 1, -1, 1); }, Check::axes, refusal, "noisy_3d",
       "* [1, -1, 1]"},
      {"y up, z towards the camera", [](Sequence& s) { scale(*s.noisy_3d, 1, -1, -1); },
       Check::axes, refusal, "noisy_3d", "* [1, -1, -1]"},
      {"z towards the camera", [](Sequence& s) { scale(*s.noisy_3d, 1, 1, -1); }, Check::axes,
       refusal, "noisy_3d", "* [1, 1, -1]"},
      {"z up", [](Sequence& s) { turn(*s.noisy_3d, 0, 90); }, Check::axes, refusal, "noisy_3d",
       "[..., [0, 2, 1]] * [1, 1, -1]"},
      {"lying on the side", [](Sequence& s) { turn(*s.noisy_3d, 2, 90); }, Check::axes, refusal,
       "noisy_3d", "[..., [1, 0, 2]]"},
      {"turned by 50 degrees", [](Sequence& s) { turn(*s.noisy_3d, 0, 50); }, Check::axes, warning,
       "noisy_3d", "noisy_3d @ [["},
      {"a camera that rolls", [](Sequence& s) { turn(*s.noisy_3d, 2, 25); }, Check::axes, warning,
       "noisy_3d", "noisy_3d @ [["},
      {"truth with y up", [](Sequence& s) { scale(*s.pose_3d, 1, -1, 1); }, Check::axes, refusal,
       "pose_3d", "* [1, -1, 1]"},
      {"sides of the 2D poses", [](Sequence& s) { reorder(s.pose_2d, kMirror); }, Check::sides,
       refusal, "pose_2d", "pose_2d[:, [0, 4, 5, 6, 1,"},
      {"sides of the estimate", [](Sequence& s) { reorder(*s.noisy_3d, kMirror); }, Check::sides,
       refusal, "noisy_3d", "noisy_3d[:, [0, 4, 5, 6, 1,"},
      {"2D with y up",
       [](Sequence& s) {
         scale(s.pose_2d, 1, -1, 1);
         shift(s.pose_2d, {0, 1002, 0});
       },
       Check::axes, refusal, "pose_2d", "[0, 100"},
      {"COCO's order in 2D", [](Sequence& s) { to_coco(s.pose_2d); }, Check::order, refusal,
       "pose_2d", "--layout coco"},
      {"two joints for each other", [](Sequence& s) { reorder(*s.noisy_3d, kKneeForElbow); },
       Check::order, refusal, "noisy_3d", "noisy_3d[:, [0, 1, 15, 3,"},
      {"absolute poses",
       [](Sequence& s) {
         shift(*s.noisy_3d, {0, 0.1f, 4});
       },
       Check::root, refusal, "noisy_3d", "noisy_3d - noisy_3d[:, :1]"},
      {"2D in 0..1", [](Sequence& s) { to_screen(s, 0.001, 0, 0); }, Check::image, refusal,
       "pose_2d", "pose_2d * [1000, 1002]"},
      {"2D in -1..1", [](Sequence& s) { to_screen(s, 0.002, -1, -1.002); }, Check::image, refusal,
       "pose_2d", "pose_2d * 500 + [500, 501]"},
      {"2D of a larger image", [](Sequence& s) { to_screen(s, 2.5, 0, 0); }, Check::image, refusal,
       "image_size", "store the size"},
      {"2D of a smaller image", [](Sequence& s) { to_screen(s, 0.5, 0, 0); }, Check::image, warning,
       "image_size", "store the size"},
      {"1 frame a second for 50", [](Sequence& s) { s.fps = 1; }, Check::rate, warning, "fps",
       "store the camera's rate"},
      {"milliseconds for a rate", [](Sequence& s) { s.fps = 20000; }, Check::rate, refusal, "fps",
       "store the camera's rate"}};
  return list;
}

// The doubts that most clips have first.
template <class F>
int clips_with(const F& plant, const std::function<bool(const Doubt&)>& wanted) {
  int found = 0;
  for (Sequence s : good().sequences) {
    plant(s);
    const std::vector<Doubt> doubts = examine(s);
    found += !doubts.empty() && wanted(doubts[0]) ? 1 : 0;
  }
  return found;
}

}  // namespace

TEST_CASE("nothing is doubted of good clips, whole or in part") {
  for (const SharedDoubt& shared : examine(good())) {
    FAIL_CHECK(doubt_text(shared));
  }
  for (Sequence s : good().sequences) {
    for (const int frames : {60, 20, 5, 1}) {
      s.pose_2d.values.resize(std::size_t(frames) * kJoints * 2);
      s.pose_3d->values.resize(std::size_t(frames) * kJoints * 3);
      s.noisy_3d->values.resize(std::size_t(frames) * kJoints * 3);
      for (const Doubt& doubt : examine(s)) {
        FAIL_CHECK(s.name << ", " << frames << " frames: " << doubt.found);
      }
    }
  }
}

TEST_CASE("planted mistakes are noticed, with what mends them") {
  const int clips = static_cast<int>(good().sequences.size());
  for (const Planted& p : planted()) {
    CAPTURE(std::string(p.name));
    const int noticed =
        clips_with(p.plant, [&](const Doubt& d) { return d.severity == p.severity; });
    const int named = clips_with(p.plant, [&](const Doubt& d) {
      return d.check == p.check && d.field == p.field && d.mend.find(p.mend) != std::string::npos;
    });
    // A body that stands straight looks the same with its sides swapped and from behind.
    CHECK(noticed >= clips * 9 / 10);
    CHECK(named >= clips * 8 / 10);
  }
}

TEST_CASE("what is mended as the message says is doubted no longer") {
  for (Sequence s : good().sequences) {
    turn(*s.noisy_3d, 0, 90);
    REQUIRE(examine(s).at(0).mend == "numpy: noisy_3d[..., [0, 2, 1]] * [1, 1, -1]");
    for (std::size_t i = 0; i < s.noisy_3d->values.size(); i += 3) {
      float* p = s.noisy_3d->values.data() + i;
      std::swap(p[1], p[2]);
      p[2] = -p[2];
    }
    CHECK(examine(s).empty());
  }
}

TEST_CASE("knees that bend backwards more often than not are a doubt, and mostly a mistake") {
  int warnings = 0;
  for (const Sequence& clip : good().sequences) {
    for (const double part : {0.55, 0.6, 0.65, 0.7, 0.75, 0.9}) {
      Sequence s = clip;
      const auto mirrored = static_cast<int>(part * s.frames());
      for (int i = 2; i < 3 * kJoints * mirrored; i += 3) s.noisy_3d->values[std::size_t(i)] *= -1;
      for (const Doubt& doubt : examine(s)) {
        if (doubt.mend != "numpy: noisy_3d * [1, 1, -1]") continue;
        CHECK(doubt.figure < -0.15);
        CHECK((doubt.severity == refusal) == (doubt.figure < -0.4));
        warnings += doubt.severity == warning ? 1 : 0;
      }
    }
  }
  CHECK(warnings > 4);
}

TEST_CASE("frames that do not belong together are told with how far they are off") {
  int found = 0;
  for (Sequence s : good().sequences) {
    if (s.name.find("run") == std::string::npos && s.name.find("walk") == std::string::npos)
      continue;
    delay(s.pose_2d, 10);
    for (const Doubt& doubt : examine(s)) {
      if (doubt.check == Check::match && std::fabs(doubt.figure) == 10) ++found;
    }
  }
  CHECK(found >= 4);
}

TEST_CASE(
    "both arrays in another order are noticed by the bones, before a root that is not there") {
  for (const JointOrderRule& rule : other_joint_orders()) {
    if (rule.name == "COCO") continue;
    JointOrder theirs{};
    for (int j = 0; j < kJoints; ++j) {
      theirs[std::size_t(rule.sources[std::size_t(j)].joints[0])] = j;
    }
    CAPTURE(rule.name);
    const auto plant = [&](Sequence& s) {
      reorder(s.pose_2d, theirs);
      reorder(*s.noisy_3d, theirs);
      s.pose_3d.reset();
    };
    CHECK(clips_with(plant, [&](const Doubt& doubt) {
            return doubt.check == Check::order && doubt.severity == refusal &&
                   doubt.found.find(rule.name) != std::string::npos;
          }) == static_cast<int>(good().sequences.size()));
  }
  const auto coco = [](Sequence& s) {
    to_coco(s.pose_2d);
    to_coco(*s.noisy_3d);
    s.pose_3d.reset();
  };
  CHECK(clips_with(coco, [](const Doubt& doubt) {
          return doubt.check == Check::order && doubt.severity == refusal;
        }) == static_cast<int>(good().sequences.size()));
}

TEST_CASE("an estimate of a network of ours is not examined") {
  Dataset dataset = good();
  for (Sequence& s : dataset.sequences) scale(*s.noisy_3d, 0.1, -0.1, 0.1);
  CHECK_FALSE(examine(dataset).empty());
  set_provenance(dataset, "noisy_3d", provenance(protocol_of(ProtocolName::sequence), {}, false));
  CHECK(examine(dataset).empty());
}

TEST_CASE("doubts that sequences share stand once") {
  Dataset dataset = good();
  for (Sequence& s : dataset.sequences) scale(*s.noisy_3d, 1000, 1000, 1000);
  const std::vector<SharedDoubt> doubts = examine(dataset);
  REQUIRE(doubts.size() == 1);
  CHECK(doubts[0].sequences.size() == dataset.sequences.size());
  CHECK(doubt_text(doubts[0]).starts_with(
      fmt::format("array '{}/noisy_3d' (and {} more): expected metres, found",
                  dataset.sequences[0].name, dataset.sequences.size() - 1)));
}

TEST_CASE("joints that a detector has not seen say nothing of the image") {
  Sequence s = good().sequences[0];
  s.confidence.emplace(s.pose_2d.values.size() / 2, 1.0f);
  for (int f = 0; f < s.frames(); ++f) {
    for (int j = 0; j < 10; ++j) {
      s.pose_2d.frame(f)[2 * j] = 5000;
      (*s.confidence)[std::size_t(f * kJoints + j)] = 0;
    }
  }
  CHECK(image_figures(s).outside == 0);
  s.confidence.reset();
  CHECK(image_figures(s).outside > 0.5);
}

TEST_CASE("a root a little off the origin is subtracted from every joint") {
  Sequence s = good().sequences[0];
  const std::vector<float> before = s.noisy_3d->values;
  CHECK(subtract_root(s) == 0);
  CHECK(s.noisy_3d->values == before);
  shift(*s.noisy_3d, {0, 0.1f, 0.3f});
  CHECK(subtract_root(s) == doctest::Approx(std::hypot(0.1, 0.3)));
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(s.noisy_3d->values[i] == doctest::Approx(before[i]).epsilon(1e-4).scale(1));
  }
  shift(*s.noisy_3d, {0, 0, 0.6f});
  CHECK(subtract_root(s) == 0);  // refused, not mended
  CHECK(examine(s).at(0).check == Check::root);
  shift(*s.noisy_3d, {0, 0, -0.5f});
  CHECK(subtract_root(s, {.noisy_3d = true}) == 0);  // a network's estimate of the root
}

TEST_CASE("an estimate of nothing has no sides, and a joint that is far off turns nothing") {
  Sequence s = good().sequences[0];
  std::ranges::fill(s.noisy_3d->values, 0.0f);
  CHECK(fit_figures(s, *s.noisy_3d).sides == 1);
  for (const double degrees : {-20.0, 30.0}) {
    s = good().sequences[0];
    turn(*s.noisy_3d, 1, degrees);
    const double whole = fit_figures(s, *s.noisy_3d).angle;
    CHECK(whole == doctest::Approx(std::abs(degrees)).epsilon(0.2));
    for (int f = 0; f < s.noisy_3d->frames(); ++f) {
      s.noisy_3d->frame(f)[3 * joint::left_wrist] += 1;
    }
    // By least squares it would be 38 and 17.
    CHECK(std::abs(fit_figures(s, *s.noisy_3d).angle - whole) < 15);
  }
}

TEST_CASE("a person on the hands is no mistake of the estimate's") {
  for (Sequence s : good().sequences) {
    for (int f = 0; f < s.frames(); ++f) {
      for (int j = 0; j < kJoints; ++j) {
        float* p = s.pose_2d.frame(f) + 2 * j;
        p[0] = 1000 - p[0], p[1] = 1002 - p[1];
      }
    }
    turn(*s.noisy_3d, 2, 180);
    s.pose_3d.reset();
    const std::vector<Doubt> doubts = examine(s);
    REQUIRE(doubts.size() == 1);
    CHECK(doubts[0].severity == warning);
    CHECK(doubts[0].found == "shows a person whose head is below the feet");
  }
}

TEST_CASE("a network's domain says which clips lie outside of it, and old checkpoints nothing") {
  const std::vector<int> all = [] {
    std::vector<int> numbers;
    for (std::size_t i = 0; i < good().sequences.size(); ++i) numbers.push_back(int(i));
    return numbers;
  }();
  for (const bool estimate : {false, true}) {
    const nlohmann::ordered_json domain = fit_domain(good(), all, estimate);
    CHECK(outside_domain(good(), domain, estimate) == "");
    CHECK(outside_domain(good(), {}, estimate) == "");
    CHECK(outside_domain(good(), {{"person", "large"}, {"fps", {1, 2}}}, estimate) == "");
    Dataset other = good();
    Sequence& s = other.sequences[3];
    s.image_size = {1080, 1920};
    s.fps = 25;
    scale(*s.noisy_3d, 0.8, 0.8, 0.8);
    CHECK(outside_domain(other, domain, estimate) == "");  // one of many
    // One of ten is at a border, one of nine a doubt.
    const Sequence outside = s;
    other.sequences.assign(10, good().sequences[0]);
    other.sequences[0] = outside;
    CHECK(outside_domain(other, domain, estimate) == "");
    other.sequences.pop_back();
    CHECK(outside_domain(other, domain, estimate).starts_with("1 of 9 sequences lie outside"));
    other.sequences = {outside};
    const std::string text = outside_domain(other, domain, estimate);
    CAPTURE(text);
    CHECK(text.starts_with("1 of 1 sequences lie outside"));
    CHECK(text.find("); " + other.sequences[0].name + ": ") != std::string::npos);
    CHECK((text.find("1.3 to 2.8 times") != std::string::npos) == !estimate);
    CHECK(text.find("width / height 0.562 (trained on 0.998 to ") != std::string::npos);
    CHECK(text.find("frames a second 25 (trained on 50 to 50)") != std::string::npos);
    CHECK((text.find("thighs and shins of noisy_3d") != std::string::npos) == estimate);
  }
}
