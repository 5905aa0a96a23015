// The base estimator's file: one lifter trained on all training subjects, and for cross-fitting one
// for each fold of them, which never saw the fold's subjects.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/safetensors.hpp"
#include "model/lifter.hpp"

namespace posetape::tools {

struct Lifter {
  std::string name;                   // "full", "fold1", ...
  std::vector<std::string> held_out;  // training subjects that it never saw; none for "full"
  model::LifterNetwork network;
};

struct LifterSet {
  model::LifterConfig config;
  int frames = 27;
  int step = 1;                 // frames from one frame of a window to the next
  std::vector<Lifter> lifters;  // "full" first

  // The lifter for a subject: that of the fold which holds it out, else the full one.
  const Lifter& for_subject(std::string_view subject) const;
};

// A set of untrained lifters: the full one and `folds` more (0: none), the training subjects dealt
// out such that the folds hold about equally many frames. At most one fold a subject.
LifterSet make_lifters(const model::LifterConfig& config, int frames, int step, int folds,
                       const data::Dataset& dataset, const std::vector<int>& train,
                       std::uint64_t seed);

void save(const LifterSet& set, TensorFile& file);
// Throws where the file is no lifter of this version, or its tensors do not fit.
LifterSet load_lifters(const TensorFile& file, const std::string& path, Device device = Device::cpu,
                       DType dtype = DType::f32);

}  // namespace posetape::tools
