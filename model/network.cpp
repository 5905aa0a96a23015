#include "model/network.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace posetape::model {

std::span<const NetworkRule* const> networks() {
  static constexpr std::array kRules{
#define POSETAPE_NETWORK(net) &net##_network,
#include "model/networks.def"
#undef POSETAPE_NETWORK
  };
  return kRules;
}

std::vector<Index> input_channels(const NetworkConfig& config) {
  const NetworkRule& rule = *config.rule;
  if (rule.role == Role::smoother) return {3};
  const auto has = [&](const Size& size) {
    const auto found = std::ranges::find(rule.sizes, std::string_view(size.key), &Size::key);
    return found != rule.sizes.end() && config.sizes[std::size_t(found - rule.sizes.begin())] == 1;
  };
  const Index screen = has(kConfidence) ? 3 : 2;
  if (rule.role == Role::denoiser) return {3, screen};
  return has(kEstimate) ? std::vector<Index>{screen, 3} : std::vector{screen};
}

std::pair<Index, Index> inputs_of(Index numbers) {
  const bool estimate = numbers >= 5;
  const bool confidence = numbers - (estimate ? 3 : 0) == 3;
  return {confidence, estimate && numbers <= 6};
}

std::vector<const NetworkRule*> networks_of(Role role) {
  std::vector<const NetworkRule*> rules;
  std::ranges::copy_if(networks(), std::back_inserter(rules),
                       [&](const NetworkRule* rule) { return rule->role == role; });
  return rules;
}

std::vector<Choice<const NetworkRule*>> choices_of(std::span<const NetworkRule* const> rules) {
  std::vector<Choice<const NetworkRule*>> choices;
  for (const NetworkRule* rule : rules) choices.push_back({rule, rule->name, rule->title});
  return choices;
}

NetworkConfig released_config(const NetworkRule& rule) {
  NetworkConfig config{&rule, rule.frames.value, {}};
  for (const Size& size : rule.sizes) config.sizes.push_back(size.value);
  return config;
}

std::string sizes_text(const NetworkConfig& config) {
  std::string text;
  for (std::size_t i = 0; i < config.sizes.size(); ++i) {
    const char* unit = config.rule->sizes[i].unit;
    if (*unit == '\0') continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", config.sizes[i], unit);
  }
  return text;
}

void check_sizes(const NetworkConfig& config) {
  const auto check = [](const Size& size, Index value) {
    if (value >= size.least && value <= size.most) return;
    fail("a size of {}: {} is from {} to {}", value, size.key, size.least, size.most);
  };
  for (std::size_t i = 0; i < config.sizes.size(); ++i) {
    check(config.rule->sizes[i], config.sizes[i]);
  }
  check(config.rule->frames, config.frames);
}

Network make_network(const NetworkConfig& config, DType dtype, std::uint64_t seed, Device device) {
  if (config.sizes.size() != config.rule->sizes.size()) {
    fail("{} has {} sizes, {} are given", config.rule->title, config.rule->sizes.size(),
         config.sizes.size());
  }
  return config.rule->make(config, dtype, seed, device);
}

}  // namespace posetape::model
