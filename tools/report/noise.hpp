// The report's section on the conditional noise: what was fitted, and whether real errors are so.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>

#include "data/dataset.hpp"
#include "diffusion/conditional_noise.hpp"

namespace posetape::tools::report {

// In the page's units: millimetres for lengths, the joints in their order. Of the distribution
// alone:
//
//   rank, frames, rho, kind        as fitted; how the checkpoint draws over time
//   spread                         roots of the eigenvalues of Sigma, falling
//   mean [17][3]                   mu_a, and covariance [17][6]: xx xy xz yy yz zz of Sigma's
//   blocks
//
// and, over the frames of `sequences` that have ground truth (none: without these):
//
//   scored                         frames
//   correlation                    of the whitened residuals L^+ (e - mu(b)) at lag 0, 1, ...
//   frames bin_mm, real, drawn [17][bins] how many errors |e_j| are in each bin, the last one open;
//   drawn
//                                  ones once for each frame, under its own condition
//   inside [17][20]                shares of the residuals inside the regions that should hold 5,
//   10,
//                                  ... 100 %; null for a joint without spread
//   examples                       a few frames: name, frame, truth, base, expected = base - mu(b)
nlohmann::ordered_json noise_json(const diffusion::ConditionalNoise& noise,
                                  diffusion::NoiseKind kind, const data::Dataset& dataset,
                                  std::span<const int> sequences, std::uint64_t seed);

}  // namespace posetape::tools::report
