#include "engine/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/safetensors.hpp"

namespace posetape {
namespace {

// Keys of the metadata, beside "counter.<name>".
constexpr const char* kOptimiser = "optimiser";
constexpr const char* kSteps = "optimiser.steps";
constexpr const char* kFrozen = "frozen";

std::string key_of(const Checkpoint::Counter& counter) {
  return "counter." + counter.name;
}

std::string text_of(const Checkpoint::Counter& counter) {
  return std::visit([](const auto* value) { return fmt::format("{}", *value); }, counter.value);
}

template <class N>
N number_of(const std::string& path, const std::string& key, const std::string& text) {
  N value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    fail("{}: '{}' is '{}', which is no number of this program's kind", path, key, text);
  }
  return value;
}

std::string description(const Tensor& t) {
  return fmt::format("{} {}", name(t.dtype()), t.shape().text());
}

}  // namespace

Checkpoint::Checkpoint(std::string path, const ParameterList& parameters, Optimiser& optimiser,
                       std::vector<Counter> counters,
                       std::vector<std::pair<std::string, Tensor>> more)
    : path_(std::move(path)),
      parameters_(&parameters),
      optimiser_(&optimiser),
      counters_(std::move(counters)),
      more_(std::move(more)) {}

std::vector<std::pair<std::string, Tensor>> Checkpoint::tensors() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const ParameterList::Entry& e : parameters_->entries()) all.emplace_back(e.name, e.master);
  for (const Optimiser::State& s : optimiser_->state()) {
    all.emplace_back(fmt::format("trainer.{}", s.name), s.tensor);
  }
  all.insert(all.end(), more_.begin(), more_.end());
  return all;
}

std::string Checkpoint::frozen() const {
  std::vector<std::string> names;
  for (const ParameterList::Entry& e : parameters_->entries()) {
    if (e.frozen) names.push_back(e.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

void Checkpoint::save() const {
  TensorFile file;
  file.tensors = tensors();
  for (const auto& [name, tensor] : file.tensors) {
    if (const auto bad = first_not_finite(tensor)) {
      fail("{}: {} holds {}, and a run could not go on from it; the file stays as it was", path_,
           name, bad->value);
    }
  }
  file.metadata[kOptimiser] = fmt::format("{}: {}", optimiser_->name(), optimiser_->settings());
  file.metadata[kSteps] = fmt::format("{}", optimiser_->steps);
  file.metadata[kFrozen] = frozen();
  for (const Counter& c : counters_) file.metadata[key_of(c)] = text_of(c);
  write_safetensors(path_, file);
}

bool Checkpoint::resume() const {
  if (!std::filesystem::exists(path_)) return false;
  const TensorFile file = read_safetensors(path_);
  const auto differs = [&](const std::string& what, const std::string& there,
                           const std::string& here) {
    fail(
        "{}: {} is {} there, and {} in this program; go on with the program that wrote it, or give "
        "another file",
        path_, what, there, here);
  };
  const auto said = [&](const std::string& key) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) differs("'" + key + "'", "missing", "expected");
    return found->second;
  };
  const auto here = tensors();
  for (const auto& [name, tensor] : here) {
    if (!file.contains(name)) differs("tensor " + name, "missing", description(tensor));
    const std::string there = description(file.at(name));
    if (there != description(tensor)) differs("tensor " + name, there, description(tensor));
  }
  for (const auto& [name, tensor] : file.tensors) {
    const bool known =
        std::ranges::any_of(here, [&n = name](const auto& mine) { return mine.first == n; });
    if (!known) differs("tensor " + name, description(tensor), "missing");
  }
  const std::string mine = fmt::format("{}: {}", optimiser_->name(), optimiser_->settings());
  if (said(kOptimiser) != mine) {
    differs("the optimiser", "'" + said(kOptimiser) + "'", "'" + mine + "'");
  }
  if (said(kFrozen) != frozen()) {
    differs("what is frozen", "[" + said(kFrozen) + "]", "[" + frozen() + "]");
  }
  const auto steps = number_of<std::int64_t>(path_, kSteps, said(kSteps));
  std::vector<std::variant<std::int64_t, double>> numbers;
  for (const Counter& c : counters_) {
    std::visit(
        [&]<class N>(const N*) {
          numbers.emplace_back(number_of<N>(path_, key_of(c), said(key_of(c))));
        },
        c.value);
  }
  for (const auto& [key, text] : file.metadata) {
    const bool known =
        !key.starts_with("counter.") ||
        std::ranges::any_of(counters_, [&k = key](const Counter& c) { return key_of(c) == k; });
    if (!known) differs("'" + key + "'", text, "missing");
  }
  // Nothing differs, and from here on nothing fails.
  for (const auto& [name, tensor] : here) copy(file.at(name), tensor);
  parameters_->masters_changed();
  optimiser_->steps = steps;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    std::visit([&]<class N>(N* value) { *value = std::get<N>(numbers[i]); }, counters_[i].value);
  }
  return true;
}

}  // namespace posetape
