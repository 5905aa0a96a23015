// Checkpoints of PyTorch, read without it and without running what is in them. Source: PyTorch's
// torch/serialization.py (zip format since 1.6, and the older one), torch/_utils.py, storage.py.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/foreign_safetensors.hpp"

namespace posetape::data {

// Whether the file starts as one of PyTorch's two formats does.
bool is_torch_file(const std::string& path);

// An open checkpoint: every dict in it whose values are tensors under names, however deep it lies
// in dicts, lists and objects of whatever class, and whatever lies beside it. Optimisers' states,
// gradients and whole pickled modules are not looked into.
class TorchFile {
 public:
  // Throws Error on a file of another kind, cut off or damaged, and on one that would run commands
  // in Python.
  explicit TorchFile(const std::string& path);
  ~TorchFile();

  struct Dict {
    std::string path;                // keys to it, joined by dots; "" is the file's own value
    std::vector<std::string> names;  // of its tensors, in order, as the file has them
  };
  // In the order of their depth.
  const std::vector<Dict>& dicts() const;

  // For messages: what the file holds at its top, "epoch (an integer), optimizer (a dict)".
  const std::string& contents() const;
  // The class of the first whole module in it, as torch.save(model) writes it; "" if none.
  const std::string& module() const;

  // Those of a dict's tensors that are named. f32, f64 and bf16 stay what they are; f16 and f8
  // become f32. Tensors of integers, of complex numbers, sparse, quantised and the like are added
  // to `passed_over`. Throws Error on tensors that do not fit their storage, and on more than a few
  // times the file's size.
  TensorFile read(std::size_t dict, std::span<const std::string> names,
                  std::vector<PassedOver>& passed_over) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace posetape::data
