#include "data/synthetic_actions.hpp"

#include <Eigen/Geometry>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr double kPi = std::numbers::pi;

// 0 before 0, 1 after 1, with two continuous derivatives (the minimum-jerk profile of Flash and
// Hogan 1985, which describes human reaching).
double ease(double t) {
  t = std::clamp(t, 0.0, 1.0);
  return t * t * t * (10 + t * (6 * t - 15));
}

double mix(double a, double b, double t) {
  return a + (b - a) * t;
}

// Right and ahead of a heading.
Vec3 right_of(double heading) {
  return {std::cos(heading), std::sin(heading), 0};
}
Vec3 ahead_of(double heading) {
  return {-std::sin(heading), std::cos(heading), 0};
}

// Rises from 0 to 1, holds, and falls back.
struct Pulse {
  double start, rise, hold, fall;
  double end() const { return start + rise + hold + fall; }
  double at(double t) const {
    return ease((t - start) / rise) - ease((t - start - rise - hold) / fall);
  }
};

// Pulses one after the other until the end of the clip, with pauses. Durations vary by a quarter.
std::vector<Pulse> pulse_train(double seconds, const Body& body, double rise, double hold,
                               double fall, double pause, Random& random) {
  std::vector<Pulse> pulses;
  const auto vary = [&](double d) { return d / body.tempo * random.uniform(0.75, 1.25); };
  double start = vary(pause) * random.uniform(0.2, 1.0);
  while (start < seconds) {
    const double r = vary(rise);
    const double h = vary(hold);
    pulses.push_back({start, r, h, vary(fall)});
    start = pulses.back().end() + vary(pause);
  }
  return pulses;
}

// The unrest of a standing body: slow sines of random pitch and phase for each channel.
class Sway {
 public:
  static constexpr int kChannels = 16;

  explicit Sway(Random& random) {
    for (auto& channel : waves_) {
      for (auto& wave : channel) {
        wave = {2 * kPi * random.uniform(0.1, 0.7), random.uniform(0, 2 * kPi)};
      }
    }
  }

  double at(int channel, double t) const {
    double sum = 0;
    for (const auto& wave : waves_[channel]) sum += std::sin(wave.speed * t + wave.phase) / 3;
    return sum;
  }

 private:
  struct Wave {
    double speed, phase;
  };
  std::array<std::array<Wave, 3>, kChannels> waves_{};
};

// Adds the unrest to a pose; `amount` 1 is a person at ease.
void add_sway(Controls& c, const Sway& sway, double t, double amount) {
  c.hip += amount * Vec3(0.012 * sway.at(0, t), 0.012 * sway.at(1, t), 0);
  c.pelvis.yaw += amount * 0.05 * sway.at(2, t);
  c.spine.pitch += amount * 0.04 * sway.at(3, t);
  c.spine.roll += amount * 0.04 * sway.at(4, t);
  c.chest.pitch += amount * 0.04 * sway.at(5, t);
  c.chest.yaw += amount * 0.08 * sway.at(6, t);
  c.neck.pitch += amount * 0.08 * sway.at(7, t);
  c.head.yaw += amount * 0.20 * sway.at(8, t);
  c.head.roll += amount * 0.08 * sway.at(9, t);
  for (int s = 0; s < 2; ++s) {
    c.arms[s].flexion += amount * 0.08 * sway.at(10 + 3 * s, t);
    c.arms[s].elbow += amount * 0.10 * (1 + sway.at(11 + 3 * s, t));
    c.arms[s].twist += amount * 0.15 * sway.at(12 + 3 * s, t);
  }
}

// Standing at the origin with the feet on the floor.
Controls stand(const Body& body, double heading) {
  Controls c;
  c.heading = heading;
  c.hip = {0, 0, body.standing_height()};
  c.spine.pitch = 0.5 * body.lean;
  c.chest.pitch = 0.5 * body.lean;
  for (int s = 0; s < 2; ++s) {
    const double side = s == 0 ? 1 : -1;
    c.ankles[s] = side * body.stance * right_of(heading) + Vec3(0, 0, body.ankle_height);
    c.arms[s].abduction = 0.10;
    c.arms[s].elbow = body.elbow_bend;
  }
  return c;
}

// --- on the move -------------------------------------------------------------------------------

// A path for the hips over the floor, and how the body steps along it.
struct Gait {
  std::function<Vec3(double)> place;  // hips over the floor, z 0
  std::function<double(double)> heading;
  double stride_seconds;    // of two steps
  double duty;              // share of a stride that a foot is on the floor
  double lift;              // metres, of a foot in swing
  double height;            // metres, of the hips
  double bob;               // metres, amplitude of the hips
  double arm, elbow, lean;  // radians
};

// Where the ankle is: planted under the hips' place at mid-stance, then carried on to the next.
Vec3 stepping_ankle(const Gait& gait, const Body& body, double t, int s) {
  const double phase = t / gait.stride_seconds + 0.5 * s;
  const double stride = std::floor(phase);
  const double u = phase - stride;
  const auto planted = [&](double n) {
    const double middle = (n + 0.5 * gait.duty - 0.5 * s) * gait.stride_seconds;
    const double side = (s == 0 ? 1 : -1) * body.stance * 0.8;
    return Vec3(gait.place(middle) + side * right_of(gait.heading(middle)));
  };
  const double v = std::clamp((u - gait.duty) / (1 - gait.duty), 0.0, 1.0);
  const double swing = v * v * (3 - 2 * v);
  Vec3 ankle = (1 - swing) * planted(stride) + swing * planted(stride + 1);
  // The heel leaves the floor before the toes: the lift begins in the last third of the stance.
  const double off = 0.7 * gait.duty;
  const double w = std::clamp((u - off) / (1 - off), 0.0, 1.0);
  const double bump = std::sin(kPi * std::pow(w, 0.8));
  ankle.z() = body.ankle_height + gait.lift * bump * bump;
  return ankle;
}

Action move_along(const Gait& gait, const Body& body, Random& random) {
  return [gait, body, sway = Sway(random)](double t) {
    Controls c = stand(body, gait.heading(t));
    const double phase = 2 * kPi * (t / gait.stride_seconds - 0.5 * gait.duty);  // right mid-stance
    c.hip = gait.place(t);
    // Walkers are highest in mid-stance, runners (duty below one half) in flight.
    c.hip.z() = gait.height + (gait.duty > 0.5 ? 1 : -1) * gait.bob * std::cos(2 * phase);
    c.hip += 0.02 * std::cos(phase) * right_of(c.heading);
    c.pelvis.roll = -0.04 * std::cos(phase);
    c.pelvis.yaw = -0.10 * std::sin(phase) * gait.arm / 0.4;
    c.spine.pitch += 0.5 * gait.lean;
    c.chest.pitch += 0.5 * gait.lean;
    c.chest.yaw = 0.18 * std::sin(phase) * gait.arm / 0.4;
    c.neck.pitch = -0.6 * gait.lean;
    for (int s = 0; s < 2; ++s) {
      const double side = s == 0 ? 1 : -1;
      c.ankles[s] = stepping_ankle(gait, body, t, s);
      // An arm swings against the leg of its side: the foot is ahead before its mid-stance.
      const double swing = side * std::sin(phase);
      c.arms[s].flexion = gait.arm * (swing + 0.1);
      c.arms[s].elbow = gait.elbow + 0.3 * gait.arm * (1 + swing);
    }
    c.knees_out = 0.05;
    add_sway(c, sway, t, 0.5);
    return c;
  };
}

// Around an ellipse. Its curvature is gentle enough to call the speed constant.
Gait around(const Body& body, double speed, double width, double depth, Random& random) {
  Gait gait{};
  const double start = random.uniform(0, 2 * kPi);
  const double way = random.below(2) == 0 ? 1 : -1;
  const double rate = way * speed / (0.5 * (width + depth));
  const double tilt = random.uniform(0, kPi);
  gait.place = [=](double t) {
    const double a = start + rate * t;
    const double x = width * std::cos(a);
    const double y = depth * std::sin(a);
    return Vec3(std::cos(tilt) * x - std::sin(tilt) * y, std::sin(tilt) * x + std::cos(tilt) * y,
                0);
  };
  gait.heading = [=](double t) {
    // The direction of travel, unwrapped: atan2 is taken against the circle's own angle.
    const double a = start + rate * t;
    const double dx = -width * std::sin(a);
    const double dy = depth * std::cos(a);
    const double tangent = a + kPi / 2;
    const double off = std::atan2(std::cos(tangent) * dy - std::sin(tangent) * dx,
                                  std::cos(tangent) * dx + std::sin(tangent) * dy);
    return tangent + off + tilt - kPi / 2 + (way > 0 ? 0.0 : kPi);
  };
  gait.arm = body.arm_swing;
  return gait;
}

Action walk(const Body& body, double, Random& random) {
  const double speed = 1.1 * body.tempo * body.stride * random.uniform(0.9, 1.1);
  Gait gait = around(body, speed, random.uniform(1.1, 1.5), random.uniform(0.8, 1.2), random);
  gait.stride_seconds = 1.1 / body.tempo;
  gait.duty = 0.62;
  gait.lift = 0.10 * random.uniform(0.8, 1.2);
  gait.height = body.ankle_height + 0.925 * body.leg();
  gait.bob = 0.016 * body.bounce;
  gait.arm *= 0.40;
  gait.elbow = body.elbow_bend;
  gait.lean = 0.04;
  return move_along(gait, body, random);
}

Action run(const Body& body, double, Random& random) {
  const double speed = 2.5 * body.tempo * body.stride * random.uniform(0.9, 1.1);
  Gait gait = around(body, speed, random.uniform(1.4, 1.7), random.uniform(1.2, 1.5), random);
  gait.stride_seconds = 0.76 / body.tempo;
  gait.duty = 0.38;
  gait.lift = 0.28 * random.uniform(0.8, 1.2);
  gait.height = body.ankle_height + 0.90 * body.leg();
  gait.bob = 0.035 * body.bounce;
  gait.arm *= 0.55;
  gait.elbow = 1.3;
  gait.lean = 0.22;
  return move_along(gait, body, random);
}

// On the spot, to one heading after the other in small steps.
Action turn(const Body& body, double seconds, Random& random) {
  struct Swing {
    Pulse pulse;
    double angle;
  };
  std::vector<Swing> swings;
  for (const Pulse& p : pulse_train(seconds, body, 1.5, 0.6, 1.5, 0.5, random)) {
    swings.push_back({p, (random.below(2) == 0 ? 1 : -1) * random.uniform(1.2, 2.8)});
  }
  Gait gait{};
  const double start = random.uniform(0, 2 * kPi);
  gait.place = [](double) { return Vec3(0, 0, 0); };
  gait.heading = [=](double t) {
    double heading = start;
    for (const Swing& s : swings) heading += s.angle * s.pulse.at(t);
    return heading;
  };
  gait.stride_seconds = 0.9 / body.tempo;
  gait.duty = 0.6;
  gait.lift = 0.07;
  gait.height = body.standing_height();
  gait.bob = 0.008 * body.bounce;
  gait.arm = 0.12 * body.arm_swing;
  gait.elbow = body.elbow_bend;
  gait.lean = 0.03;
  return move_along(gait, body, random);
}

// --- on the spot -------------------------------------------------------------------------------

Action sit(const Body& body, double seconds, Random& random) {
  const auto pulses = pulse_train(seconds, body, 1.2, 1.4, 1.1, 0.7, random);
  const double heading = random.uniform(0, 2 * kPi);
  const double seat = random.uniform(0.46, 0.58);
  const double hands = random.uniform(0.4, 0.9);
  const double slouch = random.uniform(0.0, 0.25);
  return [=, sway = Sway(random)](double t) {
    Controls c = stand(body, heading);
    for (const Pulse& p : pulses) {
      const double down = p.at(t);
      // The trunk leans forward on the way, most at half way.
      const double way = 4 * down * (1 - down);
      c.hip.z() += (seat - body.standing_height()) * down;
      c.hip -= 0.85 * body.thigh * down * ahead_of(heading);
      c.pelvis.pitch += 0.45 * way - 0.15 * down;
      c.spine.pitch += 0.25 * way + slouch * down;
      c.chest.pitch += 0.15 * way + 0.5 * slouch * down;
      c.neck.pitch -= 0.3 * way;
      for (Arm& arm : c.arms) {
        arm.flexion += hands * down + 0.3 * way;
        arm.elbow += 0.9 * down;
      }
    }
    add_sway(c, sway, t, 1);
    return c;
  };
}

Action reach(const Body& body, double seconds, Random& random) {
  struct Grasp {
    Pulse pulse;
    int side;
    Vec3 target;  // from the point below the hips: right, ahead, up
  };
  std::vector<Grasp> grasps;
  const double arm = body.upper_arm + body.forearm;
  const double shoulder = body.standing_height() + body.lower_spine + body.upper_spine;
  for (const Pulse& p : pulse_train(seconds, body, 0.8, 0.5, 0.8, 0.3, random)) {
    const int side = static_cast<int>(random.below(2));
    const double across = random.uniform(-0.5, 1.2);
    const double up = random.uniform(-0.6, 0.7);
    const Vec3 way = Vec3((side == 0 ? 1 : -1) * across, 1, up).normalized();
    grasps.push_back({p, side, Vec3(0, 0.05, shoulder) + random.uniform(0.85, 1.1) * arm * way});
  }
  const double heading = random.uniform(0, 2 * kPi);
  return [=, sway = Sway(random)](double t) {
    Controls c = stand(body, heading);
    for (const Grasp& g : grasps) {
      const double s = g.pulse.at(t);
      if (s == 0) continue;
      const double up = (g.target.z() - shoulder) / arm;
      const double side = g.target.x() / arm;
      c.arms[g.side].reach = s;
      c.arms[g.side].target = g.target.x() * right_of(heading) + g.target.y() * ahead_of(heading) +
                              Vec3(0, 0, g.target.z());
      c.spine.pitch += s * (0.12 - 0.15 * up);
      c.chest.pitch += s * (0.10 - 0.12 * up);
      c.spine.roll += s * 0.10 * side;
      c.chest.yaw += s * (g.side == 0 ? 0.25 : -0.25);
      c.neck.pitch -= s * 0.3 * up;
      c.head.yaw -= s * 0.3 * side;
      c.hip += s * 0.06 * side * right_of(heading) + s * 0.04 * ahead_of(heading);
    }
    add_sway(c, sway, t, 1);
    return c;
  };
}

Action wave(const Body& body, double seconds, Random& random) {
  struct Greeting {
    Pulse pulse;
    int side;
    double abduction, elbow, amplitude, rate;
  };
  std::vector<Greeting> greetings;
  for (const Pulse& p : pulse_train(seconds, body, 0.8, 1.8, 0.8, 0.4, random)) {
    greetings.push_back({p, static_cast<int>(random.below(2)), random.uniform(1.2, 2.1),
                         random.uniform(1.2, 1.8), random.uniform(0.3, 0.6),
                         2 * kPi * random.uniform(1.2, 2.0) * body.tempo});
  }
  const double heading = random.uniform(0, 2 * kPi);
  return [=, sway = Sway(random)](double t) {
    Controls c = stand(body, heading);
    for (const Greeting& g : greetings) {
      const double s = g.pulse.at(t);
      const double beat = s * g.amplitude * std::sin(g.rate * (t - g.pulse.start));
      Arm& arm = c.arms[g.side];
      arm.abduction += s * g.abduction;
      arm.twist += s * 1.5;  // the forearm points up
      arm.elbow += s * g.elbow + beat;
      c.spine.roll += s * (g.side == 0 ? -0.06 : 0.06);
      c.head.yaw += s * (g.side == 0 ? -0.15 : 0.15);
    }
    add_sway(c, sway, t, 1);
    return c;
  };
}

Action bend(const Body& body, double seconds, Random& random) {
  struct Bow {
    Pulse pulse;
    double depth, knees, twist;
  };
  std::vector<Bow> bows;
  for (const Pulse& p : pulse_train(seconds, body, 1.1, 0.6, 1.1, 0.5, random)) {
    bows.push_back(
        {p, random.uniform(0.6, 1.1), random.uniform(0.05, 0.35), random.uniform(-0.4, 0.4)});
  }
  const double heading = random.uniform(0, 2 * kPi);
  return [=, sway = Sway(random)](double t) {
    Controls c = stand(body, heading);
    for (const Bow& b : bows) {
      const double s = b.pulse.at(t);
      c.pelvis.pitch += s * 0.75 * b.depth;
      c.spine.pitch += s * 0.55 * b.depth;
      c.chest.pitch += s * 0.40 * b.depth;
      c.chest.yaw += s * b.twist;
      c.neck.pitch += s * 0.2 * b.depth;
      // The hips go back and down so that the weight stays over the feet.
      c.hip -= s * (0.18 * b.depth) * ahead_of(heading);
      c.hip.z() -= s * b.knees * 0.45 * body.leg();
      for (Arm& arm : c.arms) arm.flexion += s * 1.4 * b.depth;
    }
    add_sway(c, sway, t, 1);
    return c;
  };
}

// Height and vertical speed of the hips from stand to stand, by cubic pieces around a free fall.
class Leap {
 public:
  Leap(const Body& body, double start, double speed, double crouch, Random& random)
      : start_(start) {
    const double tempo = body.tempo * random.uniform(0.9, 1.1);
    const double stand = body.standing_height();
    const double off = stand + 0.01;  // legs stretched
    fly_ = 2 * speed / kGravity;
    times_ = {0, 0.50 / tempo, 0.32 / tempo, fly_, 0.30, 0.55 / tempo};
    for (std::size_t i = 1; i < times_.size(); ++i) times_[i] += times_[i - 1];
    heights_ = {stand, stand - crouch, off, off, stand - 0.7 * crouch, stand};
    speeds_ = {0, 0, speed, -speed, 0, 0};
  }

  double end() const { return start_ + times_.back(); }
  double take_off() const { return start_ + times_[2]; }
  double flight() const { return fly_; }

  double height(double t) const {
    t -= start_;
    if (t <= 0 || t >= times_.back()) return heights_[0];
    std::size_t i = 0;
    while (t > times_[i + 1]) ++i;
    const double d = times_[i + 1] - times_[i];
    const double u = (t - times_[i]) / d;
    if (i == 2) return heights_[2] + speeds_[2] * u * d - 0.5 * kGravity * u * u * d * d;
    const double h = u * u * (3 - 2 * u);
    return mix(heights_[i], heights_[i + 1], h) +
           d * u * (1 - u) * ((1 - u) * speeds_[i] - u * speeds_[i + 1]);
  }

  // 0 standing, 1 at the bottom of the first crouch, and so for the landing.
  double crouch(double t) const {
    const double low = heights_[0] - heights_[1];
    const double c = std::clamp((heights_[0] - height(t)) / low, 0.0, 1.0);
    return c * c * (3 - 2 * c);
  }

 private:
  static constexpr double kGravity = 9.81;
  double start_, fly_ = 0;
  std::array<double, 6> times_{}, heights_{}, speeds_{};
};

// Arms go back in the crouch and up in the flight; the feet leave the floor once the legs are
// long, and come up a little.
Action jump(const Body& body, double seconds, Random& random) {
  struct Jump {
    Leap leap;
    Vec3 from, to;  // over the floor
    double turn, tuck;
  };
  const double heading = random.uniform(0, 2 * kPi);
  std::vector<Jump> jumps;
  Vec3 place = Vec3::Zero();
  double start = random.uniform(0.1, 0.6);
  double sense = 1;
  while (start < seconds) {
    const double crouch = random.uniform(0.16, 0.28) * body.leg();
    Leap leap(body, start, random.uniform(1.5, 2.3), crouch, random);
    // Forward and back in turns, so that the clip stays in place.
    const Vec3 to = place + sense * random.uniform(0.0, 0.5) * ahead_of(heading);
    sense = -sense;
    jumps.push_back({leap, place, to, random.uniform(-0.3, 0.3), random.uniform(0.02, 0.15)});
    place = to;
    start = leap.end() + random.uniform(0.2, 0.8) / body.tempo;
  }
  return [=, sway = Sway(random)](double t) {
    Controls c = stand(body, heading);
    Vec3 at = Vec3::Zero();
    double tuck = 0;
    for (const Jump& j : jumps) {
      const double crouch = j.leap.crouch(t);
      const double off = j.leap.take_off();
      const double fly = j.leap.flight();
      at += ease((t - off + 0.05) / (fly + 0.1)) * (j.to - j.from);
      c.hip.z() += j.leap.height(t) - body.standing_height();
      c.pelvis.pitch += 0.40 * crouch;
      c.spine.pitch += 0.25 * crouch;
      c.chest.pitch += 0.15 * crouch;
      c.neck.pitch -= 0.4 * crouch;
      const Pulse up{off - 0.35, 0.50, 0.3 * fly, 0.7};
      const Pulse back{off - 0.75, 0.40, 0.0, 0.45};
      for (Arm& arm : c.arms) {
        arm.flexion += 1.7 * up.at(t) - 0.6 * back.at(t);
        arm.elbow += 0.3 * up.at(t);
      }
      c.chest.yaw += j.turn * up.at(t);
      const double air = std::clamp((t - off) / fly, 0.0, 1.0);
      tuck += j.tuck * std::pow(std::sin(kPi * air), 2);
    }
    c.hip += at;
    // A smooth maximum of 0 and what the hips are above the reach of the legs.
    const double width = 0.03;
    const double above = c.hip.z() - body.standing_height() - 0.07;
    const double lift = width * std::log1p(std::exp(above / width));
    for (Vec3& ankle : c.ankles) ankle += at + Vec3(0, 0, lift + tuck);
    add_sway(c, sway, t, 0.5);
    return c;
  };
}

}  // namespace

Action make_action(std::string_view action, const Body& body, double seconds, Random& random) {
  if (action == "walk") return walk(body, seconds, random);
  if (action == "run") return run(body, seconds, random);
  if (action == "turn") return turn(body, seconds, random);
  if (action == "sit") return sit(body, seconds, random);
  if (action == "reach") return reach(body, seconds, random);
  if (action == "wave") return wave(body, seconds, random);
  if (action == "bend") return bend(body, seconds, random);
  if (action == "jump") return jump(body, seconds, random);
  fail("no synthetic action '{}'", action);
}

}  // namespace posetape::data
