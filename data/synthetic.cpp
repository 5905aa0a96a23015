#include "data/synthetic.hpp"

#include <cmath>
#include <string>

#include "data/synthetic_actions.hpp"
#include "data/synthetic_body.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::data {
namespace {

// The step of Stream::motion for one take, and for the body with action 0: bodies and takes do not
// depend on how many others are made.
std::uint64_t draw_step(int subject, std::size_t action, int take) {
  return (static_cast<std::uint64_t>(subject) << 24) | (static_cast<std::uint64_t>(action) << 16) |
         static_cast<std::uint64_t>(take);
}

}  // namespace

std::vector<Motion> synthetic_motions(const SyntheticOptions& options) {
  constexpr int kMost = 1 << 16;
  if (options.subjects < 1 || options.takes < 1 || options.subjects > kMost ||
      options.takes >= kMost) {
    fail("synthetic motion: subjects and takes must be 1 to {}, not {} and {}", kMost - 1,
         options.subjects, options.takes);
  }
  if (!(options.fps > 0) || !(options.seconds * options.fps >= 1)) {
    fail("synthetic motion: {} s at {} frames per second are no frames", options.seconds,
         options.fps);
  }
  const int frames = static_cast<int>(std::lround(options.seconds * options.fps));
  std::vector<Motion> motions;
  for (int subject = 1; subject <= options.subjects; ++subject) {
    Random body_draw(options.seed, Stream::motion, draw_step(subject, 0, 0));
    const Body body = random_body(body_draw);
    for (std::size_t a = 0; a < kSyntheticActions.size(); ++a) {
      for (int take = 1; take <= options.takes; ++take) {
        Random draw(options.seed, Stream::motion, draw_step(subject, a + 1, take));
        const Action action = make_action(kSyntheticActions[a], body, options.seconds, draw);
        Motion motion;
        motion.subject = fmt::format("P{}", subject);
        motion.name = fmt::format("{}_{}", kSyntheticActions[a], take);
        motion.fps = options.fps;
        motion.frames.reserve(static_cast<std::size_t>(frames));
        for (int f = 0; f < frames; ++f) {
          motion.frames.push_back(pose_body(body, action(f / options.fps)));
        }
        motions.push_back(std::move(motion));
      }
    }
  }
  return motions;
}

}  // namespace posetape::data
