// The report's sections on what happens inside a refiner: the path of the diffusion, and attention.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/view.hpp"
#include "diffusion/refiner.hpp"

namespace posetape::tools::report {

// A tensor by the name that a tap gave it (data/README.md lists them).
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<double> values;  // row-major
};

// Frames of one sequence as a refiner sees them: the tensors that were tapped while it worked.
struct Inspection {
  const data::Sequence* sequence = nullptr;
  int first_frame = 0;
  int frames = 0;
  std::map<std::string, Array> arrays;
};

// A look by running the refiner with K = `steps` on one window of a sequence, the one where
// refining changed the error most (the middle one where that is not known). With `attention`, who
// looks at whom: in space frame by frame, in time on average.
Inspection inspect_window(const diffusion::Refiner& refiner, const data::Convention& convention,
                          const data::Dataset& dataset, int sequence, int steps, bool attention);

// A look from a file of `posetape inspect`, which holds the dataset of its one sequence, too.
// Throws Error, with the array, where a shape or a number cannot be.
bool is_inspection(const std::string& path);
Inspection read_inspection(const std::string& path, const data::Dataset& dataset);
std::vector<double> inspected_schedule(const std::string& path);

// The sequence's "name", "first_frame", "frames", "fps", "truth" where it is known and "states",
// one for each step: t, and x (x_k) and x0 (the estimate of the truth) as encoding.hpp writes
// poses.
nlohmann::ordered_json path_json(const Inspection& inspection);

// "name", "shown" (frames of the window), "poses" (of the middle, then of those frames), and
// "maps": {step, t, block, axis, heads, size, pool, max, mean} for each attention, probabilities as
// bytes (255: max) in base64, [heads][size][size]; rows are queries. In space, where it was tapped
// frame by frame, "each" has [shown][heads][size][size]. In time, windows of more than 64 frames
// are summed up to `pool` frames a cell. Null where the look has no attention.
nlohmann::ordered_json attention_json(const Inspection& inspection);

// Of a file of `posetape inspect --lens, --ablate, --saliency`, those that it has, each with the
// sequence's "name". Throws Error, with the array, where something is missing or of another shape.
//
//   lens      timesteps [K], streams [S], state [K][17], error [K][S][17]: mm
//   ablation  substitute, parts [P], whole [17], error [P][17]: mm
//   saliency  joint, frame, first_frame, frames, noisy and screen [17 * frames]: the norm of the
//             derivatives of the refined joint by a joint's input in a frame, mm for a centimetre
//             of the estimate and for a hundredth of a unit of the 2D input
nlohmann::ordered_json studies_json(const std::string& path, const data::Dataset& dataset);

}  // namespace posetape::tools::report
