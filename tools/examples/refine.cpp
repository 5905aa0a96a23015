// Refines a dataset from C++, as `posetape refine` does: refine REFINER INPUT.npz OUTPUT.npz
//
//   g++ -std=c++20 refine.cpp $(pkg-config --cflags --libs posetape) -o refine
#include <cstdio>
#include <exception>

#include "data/bone_lengths.hpp"
#include "data/plausibility.hpp"
#include "data/smoothing.hpp"
#include "diffusion/sequences.hpp"

using namespace posetape;

int main(int count, char** arguments) try {
  if (count != 4) fail("usage: refine REFINER INPUT.npz OUTPUT.npz");
  const std::string path = arguments[1];
  const auto refiner = diffusion::Refiner::load(read_safetensors(path), path);
  data::Dataset dataset = data::read_dataset(arguments[2]);  // or fill in its sequences
  for (const data::SharedDoubt& shared : data::examine(dataset)) {
    std::fprintf(stderr, "refine: %s\n", data::doubt_text(shared).c_str());
    if (shared.doubt.severity == data::Severity::refusal) return 1;
  }

  const std::vector<int> all = data::all_sequences(dataset);
  diffusion::Inference refine = diffusion::refining(refiner, /*steps=*/2);
  auto result = refine(dataset, all, {.windows = data::seamless(refiner.config().frames)});
  diffusion::check_finite(dataset, all, result.poses, path);

  const data::Filter filter;  // over time
  for (std::size_t i = 0; i < all.size(); ++i) {
    data::Sequence& sequence = dataset.sequences[i];
    sequence.refined_3d = data::with_constant_bones(filter(result.poses[i], sequence.fps));
  }
  data::write_dataset(arguments[3], dataset);
} catch (const std::exception& error) {
  std::fprintf(stderr, "refine: %s\n", error.what());
  return 1;
}
