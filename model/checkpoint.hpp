// The files of trained networks: lifters and smoothers whole, and what the refiner's file shares
// with them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/safetensors.hpp"
#include "model/network.hpp"

namespace posetape::model {

// A role's networks of one kind and size: one trained on all training subjects, and for
// cross-fitting one for each fold of them, which never saw the fold's subjects.
struct NetworkSet {
  struct Member {
    std::string name;                   // "full", "fold1", ...
    std::vector<std::string> held_out;  // training subjects that it never saw; none for "full"
    Network network;
  };

  NetworkConfig config;
  int step = 1;                 // frames from one frame of a window to the next
  std::vector<Member> members;  // "full" first

  int frames() const { return static_cast<int>(config.frames); }
  // The member for a subject: that of the fold which holds it out, else the full one.
  const Member& for_subject(std::string_view subject) const;
};

// The configuration as JSON text, as the file has it.
std::string config_text(const NetworkSet& set);
// Of a smoother, a set has one network.
void save(const NetworkSet& set, TensorFile& file);
// Throws Error where the file has none of this role and version, or its tensors do not fit.
NetworkSet load_networks(const TensorFile& file, const std::string& path, Role role,
                         DType dtype = DType::f32, Device device = Device::cpu);
// Whether the file says that it has networks of this role, in whatever version.
bool holds(const TensorFile& file, Role role);

// The format of `posetape train KIND`'s files; what is of another kind or version throws Error.
std::string format_of(std::string_view kind);
void check_format(const TensorFile& file, const std::string& path, std::string_view kind);
// Throws Error where sizes are out of range, or claim what the file has no weights for: before
// memory is taken for them.
void check_claims(const NetworkConfig& config, const TensorFile& file);
// The weights as tensors "<prefix><name>". load throws Error where one is missing or does not fit.
void save_parameters(const ParameterList& parameters, const std::string& prefix, TensorFile& file);
void load_parameters(ParameterList& parameters, const std::string& prefix, const TensorFile& file,
                     const std::string& path);

}  // namespace posetape::model
