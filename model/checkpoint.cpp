#include "model/checkpoint.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace posetape::model {
namespace {

using Json = nlohmann::ordered_json;

// By which command's name a role's files go.
std::string_view kind_of(Role role) {
  return role == Role::lifter ? "lifter" : "smoothnet";
}

std::string_view found_format(const TensorFile& file) {
  const auto format = file.metadata.find("format");
  return format == file.metadata.end() ? "none" : std::string_view(format->second);
}

std::string prefix_of(Role role, const NetworkSet::Member& member) {
  return role == Role::lifter ? member.name + "." : "";
}

}  // namespace

const NetworkSet::Member& NetworkSet::for_subject(std::string_view subject) const {
  const auto held_out = std::ranges::find_if(members, [&](const Member& member) {
    return std::ranges::find(member.held_out, subject) != member.held_out.end();
  });
  return held_out == members.end() ? members.front() : *held_out;
}

// A lifter's has the network's name and every member, a smoother's the frames first, and a name
// where its network is not the first of that role.
std::string config_text(const NetworkSet& set) {
  const NetworkRule& rule = *set.config.rule;
  const bool lifter = rule.role == Role::lifter;
  Json config = Json::object();
  if (lifter || &rule != networks_of(rule.role)[0]) config["model"] = rule.name;
  if (!lifter) config["frames"] = set.config.frames;
  for (std::size_t i = 0; i < rule.sizes.size(); ++i) {
    const Size& size = rule.sizes[i];
    if (!size.later || set.config.sizes[i] != size.value) config[size.key] = set.config.sizes[i];
  }
  if (!lifter) return config.dump();
  config["frames"] = set.config.frames;
  config["step"] = set.step;
  for (const NetworkSet::Member& member : set.members) {
    config["lifters"].push_back({{"name", member.name}, {"held_out", member.held_out}});
  }
  return config.dump();
}

void save(const NetworkSet& set, TensorFile& file) {
  const Role role = set.config.rule->role;
  for (const NetworkSet::Member& member : set.members) {
    save_parameters(*member.network.parameters, prefix_of(role, member), file);
  }
  file.metadata["format"] = format_of(kind_of(role));
  file.metadata["config"] = config_text(set);
}

NetworkSet load_networks(const TensorFile& file, const std::string& path, Role role, DType dtype,
                         Device device) {
  const std::string_view kind = kind_of(role);
  check_format(file, path, kind);
  NetworkSet set;
  try {
    const Json json = Json::parse(file.metadata.at("config"));
    const std::vector<const NetworkRule*> rules = networks_of(role);
    const auto known = choices_of(rules);
    const NetworkRule& rule =
        role == Role::lifter || json.contains("model")
            ? *parse<const NetworkRule*>(json.at("model").get<std::string>(), "network", known)
            : *rules[0];
    set.config = {&rule, json.at("frames").get<Index>(), {}};
    for (const Size& size : rule.sizes) {
      const bool absent = size.later && !json.contains(size.key);
      set.config.sizes.push_back(absent ? size.value : json.at(size.key).get<Index>());
    }
    set.step = json.value("step", 1);
    if (set.step < 1 || set.step > 100'000)
      fail("a size of {}: step is from 1 to 100000", set.step);
    check_claims(set.config, file);
    const Json one = Json::array({Json{{"name", "full"}, {"held_out", Json::array()}}});
    for (const Json& member : role == Role::lifter ? json.at("lifters") : one) {
      set.members.push_back({member.at("name").get<std::string>(),
                             member.at("held_out").get<std::vector<std::string>>(),
                             make_network(set.config, dtype, 0, device)});
    }
  } catch (const std::exception& error) {
    fail("{}: the {}'s configuration is not readable ({}); was it written by another version?",
         path, kind, error.what());
  }
  if (set.members.empty()) fail("{}: holds no {}", path, kind);
  file.check_finite(path);
  for (const NetworkSet::Member& member : set.members) {
    load_parameters(*member.network.parameters, prefix_of(role, member), file, path);
  }
  return set;
}

bool holds(const TensorFile& file, Role role) {
  return found_format(file).starts_with(fmt::format("posetape {}", kind_of(role)));
}

std::string format_of(std::string_view kind) {
  return fmt::format("posetape {} 1", kind);
}

void check_format(const TensorFile& file, const std::string& path, std::string_view kind) {
  const std::string_view found = found_format(file);
  if (!found.starts_with(fmt::format("posetape {}", kind))) {
    fail("{}: not a {} checkpoint (its format is \"{}\"); make one with `posetape train {}`", path,
         kind, found, kind);
  }
  if (found != format_of(kind)) {
    fail("{}: written by another version ({}); this one reads \"{}\"", path, found,
         format_of(kind));
  }
}

void check_claims(const NetworkConfig& config, const TensorFile& file) {
  check_sizes(config);
  Index held = 0;
  // A parameter list pads each tensor to 16 elements.
  for (const auto& [name, tensor] : file.tensors) held += tensor.size() + 16;
  // What fits in twice the memory gets the message that names the first tensor of another shape.
  if (const Index claimed = config.rule->count(config); claimed > 2 * held) {
    fail("{} weights of {} in windows of {} frames, where the file has {}", claimed,
         sizes_text(config), config.frames, held);
  }
}

void save_parameters(const ParameterList& parameters, const std::string& prefix, TensorFile& file) {
  for (const auto& entry : parameters.entries()) {
    file.tensors.emplace_back(prefix + entry.name, entry.master);
  }
}

void load_parameters(ParameterList& parameters, const std::string& prefix, const TensorFile& file,
                     const std::string& path) {
  parameters.load(
      [&](const std::string& name) {
        return file.contains(prefix + name) ? file.at(prefix + name) : Tensor();
      },
      path);
}

}  // namespace posetape::model
