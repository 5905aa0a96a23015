#include "engine/optimiser.hpp"

#include <algorithm>

#include "engine/observer.hpp"
#include "engine/taps.hpp"

namespace posetape {
namespace {

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const auto& p) { return tap_matches(p, name); });
}

}  // namespace

Optimiser::Optimiser(const char* name, const ParameterList& parameters, double weight_decay,
                     const std::vector<std::string>& undecayed, std::optional<BlockPart> part,
                     const Alone& alone)
    : rates_(Tensor::zeros({kLoss + 1}, DType::f64, parameters.values().device())),
      masters_(parameters.masters()),
      values_(parameters.values()),
      gradients_(parameters.gradients()),
      name_(name),
      part_(part.value_or(BlockPart{0, masters_.size()})),
      freezes_(parameters.freezes()),
      freezes_then_(*freezes_) {
  const auto entries = parameters.entries();
  for (const std::string& pattern : undecayed) {
    const bool known =
        std::ranges::any_of(entries, [&](const auto& e) { return tap_matches(pattern, e.name); });
    if (!known) fail("{}: no parameter is called '{}', which is not to decay", name, pattern);
  }
  // One kernel for the whole block, but where parts of it are treated in another way.
  const bool alike = undecayed.empty() && !alone &&
                     std::ranges::none_of(entries, [](const auto& e) { return e.frozen; });
  if (alike) {
    runs_.push_back({0, masters_.size(), weight_decay});
  }
  for (const ParameterList::Entry& e : entries) {
    if (alike || e.frozen) continue;
    const double decay = matches_any(undecayed, e.name) ? 0 : weight_decay;
    const Index size = e.value.size();
    const Index rows = alone && alone(e) ? e.value.shape()[0] : 0;
    const bool joins = !runs_.empty() && runs_.back().weight_decay == decay && rows == 0 &&
                       runs_.back().rows == 0 &&
                       e.begin - (runs_.back().begin + runs_.back().size) < ParameterList::kAlign;
    if (joins) {
      runs_.back().size = e.begin + size - runs_.back().begin;
    } else {
      runs_.push_back({e.begin, size, decay, e.begin, rows});
    }
  }
  keep_part();
}

// Of the runs what lies in the part.
void Optimiser::keep_part() {
  for (Run& run : runs_) {
    const Index end = std::min(run.begin + run.size, part_.begin + part_.size);
    run.begin = std::max(run.begin, part_.begin);
    run.size = end - run.begin;
    run.state = run.begin - part_.begin;
  }
  std::erase_if(runs_, [](const Run& run) { return run.size <= 0; });
}

Tensor Optimiser::zeros_of_part() const {
  return Tensor::zeros({part_.size}, masters_.dtype(), masters_.device());
}

void Optimiser::step(double lr) {
  check_gradients();
  prepare(lr);
  update();
}

void Optimiser::prepare(double lr) {
  if (*freezes_ != freezes_then_) {
    fail(
        "{}: parameters were frozen after it was made, and it would still move them; freeze() "
        "first",
        name_);
  }
  ++steps;
  std::vector<double> now = rates(lr);
  now.resize(kLoss + 1);
  copy(Tensor::of<double>({kLoss + 1}, now), rates_);
}

void Optimiser::check_gradients() const {
  if (!gradients_.storage().gradient_is_used()) return;
  fail(
      "{}: no gradient was written since the last step (or ever); give backward() the places of "
      "the list that is optimised: options.destinations = parameters.destinations()",
      name_);
}

void Optimiser::update(const Tensor& loss) {
  check_gradients();
  Observer::each([](Observer& o) { o.before_update(); });
  if (loss.defined()) copy(loss, rates_.part({1}, kLoss));
  for (const Run& run : runs_) launch_update(run);
  masters_.mark_written();
  values_.mark_written();
  gradients_.storage().gradient_used();
  Observer::each([&](Observer& o) { o.after_update(name_, cost()); });
}

}  // namespace posetape
