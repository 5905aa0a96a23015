// Where a person was: the way of joint 0 in camera space, of poses that are relative to it. It
// needs the lens, and a camera that stands still.
#pragma once

#include <array>
#include <vector>

#include "data/camera.hpp"
#include "data/dataset.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {

// A place a frame, metres.
using Trajectory = std::vector<Vec3>;

inline constexpr std::array<int, 2> kFeet{joint::right_foot, joint::left_foot};
// Whether a foot stands on the ground, by foot and frame.
using FeetDown = std::array<std::vector<bool>, 2>;

// The places t from which the lens sees the poses p where pose_2d has them. The ray (u, v) of a
// joint (data::ray) makes two equations that are linear in t, (p + t).x = u (p + t).z and
// (p + t).y = v (p + t).z, weighted by the detector's confidence; the least squares of all joints
// in each frame are the direct linear transformation with a known rotation (Hartley and Zisserman,
// Multiple View Geometry, 2004, section 7.1). Across the rays good to some centimetres, along
// them to some decimetres. Throws Error where the sequence has no lens, or its 2D poses fit only
// behind the camera.
Trajectory fit_trajectory(const Sequence& sequence, const PoseArray& poses);

// The most likely way t for these places f, if their errors, accelerations and the speeds of feet q
// on the ground are independent and normal:
//
//   argmin sum_f |t - f|^2_across / (1 cm)^2 + |t - f|^2_along / (20 cm)^2
//        + sum_f |t''|^2 / (5 m/s^2)^2 + sum over feet that are down in f and f + 1
//          |(t + q)'|^2 / (5 cm/s)^2,
//
// across and along the ray of t, derivatives by differences between frames. It is a linear system
// with a sparse matrix.
Trajectory smooth_trajectory(const Trajectory& places, const PoseArray& poses, const FeetDown& down,
                             double fps);

}  // namespace posetape::data
