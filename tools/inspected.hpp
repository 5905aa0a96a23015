// How the tensors of passes over windows lie in an inspection file (data/README.md), and back.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/windows.hpp"
#include "diffusion/refiner.hpp"

namespace posetape::tools {

// The part of the input that is looked at: a dataset of one sequence, and its windows.
struct Subject {
  data::Dataset dataset;
  std::vector<data::Window> windows;
  int first_frame = 0;

  data::Sequence& sequence() { return dataset.sequences[0]; }
  const data::Sequence& sequence() const { return dataset.sequences[0]; }
  int frames() const { return dataset.sequences[0].frames(); }
};

// Tensors of several batches of windows put together, by name.
class Inspected {
 public:
  Inspected(const diffusion::Refiner& refiner, const Subject& subject, bool whole_attention);

  // A tensor of one pass over these windows.
  void add(const std::string& name, const Shape& shape, const std::vector<double>& values,
           std::span<const data::Window> windows);

  // The shape that a tensor of one pass has in the file.
  Shape file_shape(const std::string& name, const Shape& shape) const;
  // The other way round: a tensor of a pass over these windows from values as a file has them.
  // Where frames pad a short window, the last one stands in them.
  Tensor from_file(const std::string& name, const Shape& shape, std::span<const double> values,
                   std::span<const data::Window> windows) const;

  struct Array {
    std::string name;
    Shape shape;
    std::vector<float> values;
    std::ptrdiff_t filled = 0;
  };
  std::span<const Array> arrays() const { return arrays_; }

 private:
  enum class Kind {
    frames,   // [B, N, ...] -> [F, ...]
    windows,  // [B, ...] -> [W, ...]
    mean,     // over windows
    norm,     // over windows: their squares add up
    once,     // the same for all windows
  };

  Kind kind_of(const std::string& name, const Shape& shape) const;
  void add_frames(Array& array, const std::vector<double>& values,
                  std::span<const data::Window> windows) const;

  const Subject& subject_;
  int frames_;
  bool whole_attention_;
  std::set<std::string> parameters_;
  std::vector<Array> arrays_;
  std::map<std::string, std::size_t> places_;
};

}  // namespace posetape::tools
