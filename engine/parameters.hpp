// A model's parameters: named tensors that lie one after the other in one block of memory, so that
// the optimiser is one kernel over it, and their gradients in another.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tape.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// How a parameter starts. `uniform` is U(-amount, amount), `normal` N(0, amount^2), `constant` all
// `amount`.
struct Init {
  enum Kind { constant, uniform, normal } kind = constant;
  double amount = 0;
};

// Neighbours in the block of all parameters.
struct BlockPart {
  Index begin = 0;
  Index size = 0;
};

class ParameterList {
 public:
  // Every parameter begins at a multiple of this many elements: 64 bytes in f32, for vector loads.
  static constexpr Index kAlign = 16;

  // A list that only counts: add() returns undefined tensors. A model's constructor runs on one of
  // these first, to learn the size of the block.
  ParameterList() = default;
  // A list with memory for `size` elements; parameter number i draws from (seed, init, i). Where
  // dtype is bf16, the optimiser works on f32 masters and the network on their rounded copies.
  ParameterList(Index size, DType dtype, std::uint64_t seed, Device device = Device::cpu);

  // The next parameter, initialised. The name is unique.
  Tensor add(const std::string& name, const Shape& shape, Init init);

  // Parameters whose names match the pattern ("encoder.*", see engine/taps.hpp) stay what they are:
  // no tape watches them from now on, their gradients are zero, and optimisers made afterwards
  // leave them out; those made before refuse to go on. An Error where none matches. Copies of this
  // list that were made before know nothing of it.
  void freeze(std::string_view pattern);
  // How often that was called, of all copies.
  std::shared_ptr<const int> freezes() const { return freezes_; }

  struct Entry {
    std::string name;
    Tensor value;     // what the network computes with
    Tensor gradient;  // of the value's type
    Tensor master;    // what the optimiser moves and checkpoints hold
    Index begin = 0;  // in the block
    bool frozen = false;
  };
  std::span<const Entry> entries() const { return entries_; }
  Index size() const { return size_; }
  Device device() const { return device_; }
  // All values, masters and gradients, as one vector each (with the gaps of alignment, always
  // zero). Values and masters are the same memory but for bf16.
  const Tensor& values() const { return values_; }
  const Tensor& masters() const { return masters_; }
  const Tensor& gradients() const { return gradients_; }

  // Brings the values into line after something else than the optimiser has written to masters.
  void masters_changed() const;

  void watch(Tape& tape) const;
  // Gives every value its name for a Taps, and so its gradient (engine/taps.hpp).
  void tap() const;
  // For Tape::Options: every gradient goes to its place in gradients(), but those of frozen ones.
  std::span<const std::pair<Tensor, Tensor>> destinations() const { return destinations_; }

  // Copies values by name from `find`, which returns an undefined tensor for an unknown name;
  // throws where one is missing or of another shape. `source` is named in the error.
  template <class Find>
  void load(const Find& find, std::string_view source) {
    for (const Entry& e : entries_) {
      const Tensor from = find(e.name);
      if (!from.defined()) fail("{}: tensor {} is missing", source, e.name);
      if (from.shape() != e.value.shape()) {
        fail("{}: tensor {} is {}, this model needs {}", source, e.name, from.shape().text(),
             e.value.shape().text());
      }
      copy(from, e.master);
    }
    masters_changed();
  }

 private:
  bool measuring_ = true;
  std::uint64_t seed_ = 0;
  Index size_ = 0;
  Index capacity_ = 0;
  Device device_ = Device::cpu;
  Tensor values_;
  Tensor masters_;
  Tensor gradients_;
  std::vector<Entry> entries_;
  std::vector<std::pair<Tensor, Tensor>> destinations_;
  std::shared_ptr<int> freezes_ = std::make_shared<int>(0);
};

// Layers are built from (list, config): first on a counting list, then on the real one.
template <class Layers, class Config>
ParameterList make_parameters(const Config& config, DType dtype, std::uint64_t seed,
                              Device device = Device::cpu) {
  ParameterList counting;
  Layers(counting, config);
  return ParameterList(counting.size(), dtype, seed, device);
}

}  // namespace posetape
