#include "engine/parameters.hpp"

#include <algorithm>

#include "engine/rng.hpp"
#include "engine/taps.hpp"

namespace posetape {

ParameterList::ParameterList(Index size, DType dtype, std::uint64_t seed, Device device)
    : measuring_(false),
      seed_(seed),
      capacity_(size),
      device_(device),
      values_(Tensor::zeros({size}, dtype, device)),
      masters_(dtype == DType::bf16 ? Tensor::zeros({size}, DType::f32, device) : values_),
      gradients_(Tensor::zeros({size}, dtype, device)) {
  gradients_.storage().gradient_used();  // there is none yet for an optimiser
}

Tensor ParameterList::add(const std::string& name, const Shape& shape, Init init) {
  const Index offset = size_;
  size_ += (shape.size() + kAlign - 1) / kAlign * kAlign;
  if (measuring_) return {};
  if (size_ > capacity_) fail("parameter {}: the block of {} elements is full", name, capacity_);
  const bool known =
      std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
  if (known) fail("parameter {} exists already", name);
  const Tensor value = values_.part(shape, offset);
  const Tensor gradient = gradients_.part(shape, offset);
  const bool same = values_.dtype() == masters_.dtype();
  const Tensor master = same ? value.alias(shape) : masters_.part(shape, offset);
  std::vector<double> start(static_cast<std::size_t>(shape.size()), init.amount);
  if (init.kind != Init::constant) {
    Random random(seed_, Stream::init, entries_.size());
    for (double& v : start) {
      v = init.kind == Init::normal ? init.amount * random.normal()
                                    : random.uniform(-init.amount, init.amount);
    }
  }
  const Tensor initial = Tensor::of(shape, std::span<const double>(start), masters_.dtype());
  copy(initial, master);
  copy(initial, value);
  entries_.push_back({name, value, gradient, master, offset});
  destinations_.emplace_back(value, gradient);
  return value;
}

void ParameterList::masters_changed() const {
  if (values_.dtype() != masters_.dtype()) copy(masters_, values_);
}

void ParameterList::freeze(std::string_view pattern) {
  const bool waits = !gradients_.storage().gradient_is_used();
  bool known = false;
  for (Entry& e : entries_) {
    if (!tap_matches(pattern, e.name)) continue;
    known = true;
    e.frozen = true;
    fill(e.gradient, 0);
    std::erase_if(destinations_, [&](const auto& d) { return d.first.id() == e.value.id(); });
  }
  if (!known) fail("freeze: no parameter is called '{}'", pattern);
  ++*freezes_;
  if (!waits) gradients_.storage().gradient_used();  // zeros are no gradients for an optimiser
}

void ParameterList::watch(Tape& tape) const {
  for (const Entry& e : entries_) {
    if (!e.frozen) tape.watch(e.value);
  }
}

void ParameterList::tap() const {
  if (Observer::innermost() == nullptr) return;
  for (const Entry& e : entries_) show(e.name, e.value);
}

}  // namespace posetape
