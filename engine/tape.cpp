#include "engine/tape.hpp"

#include <algorithm>

#include "engine/profile.hpp"
#include "engine/recompute.hpp"
#include "engine/taps.hpp"

namespace posetape {
namespace {

thread_local Tape* current_tape = nullptr;

Value value_of(const Tensor& tensor, int slot) {
  if (!tensor.defined()) return {};
  return {tensor.id(), slot, tensor.shape(), tensor.dtype(), tensor.device(), true};
}

}  // namespace

Cost cost(const Node& node) {
  Cost total{rule(node.op).flops(node), 0};
  for (const auto* values : {&node.inputs, &node.outputs}) {
    for (const Value& v : *values) {
      if (v.given)
        total.bytes += static_cast<double>(v.shape.size()) * static_cast<double>(size_of(v.dtype));
    }
  }
  return total;
}

Tensor Gradients::of(const Tensor& watched) const {
  const auto found = by_id_.find(watched.id());
  if (found == by_id_.end()) {
    fail("gradient of a tensor of shape {} that the tape does not watch; call watch() first",
         watched.shape().text());
  }
  return found->second;
}

const Tensor& Backward::cotangent(int output) const {
  static const Tensor none;
  const int slot = node_->outputs[static_cast<std::size_t>(output)].slot;
  return slot < 0 ? none : (*slots_)[static_cast<std::size_t>(slot)].tensor;
}

bool Backward::wants(int input) const {
  return node_->inputs[static_cast<std::size_t>(input)].slot >= 0;
}

Backward::Slot& Backward::slot_of(int input) const {
  return (*slots_)[static_cast<std::size_t>(node_->inputs[static_cast<std::size_t>(input)].slot)];
}

std::pair<Tensor, Into> Backward::target(int input) {
  if (!wants(input)) return {};
  const Value& value = node_->inputs[static_cast<std::size_t>(input)];
  const bool again = std::find(asked_.begin(), asked_.end(), value.slot) != asked_.end();
  if (again || *intercept_) {
    later_.emplace_back(input, Tensor::empty(value.shape, value.dtype, value.device));
    return {later_.back().second, Into::write};
  }
  asked_.push_back(value.slot);
  Slot& slot = slot_of(input);
  if (!slot.tensor.defined()) {
    slot.tensor = slot.destination.defined()
                      ? slot.destination
                      : Tensor::empty(value.shape, value.dtype, value.device);
    return {slot.tensor, Into::write};
  }
  slot.unshare();
  return {slot.tensor, Into::add};
}

void Backward::pass(int input, const Tensor& value) {
  if (!wants(input)) return;
  const Value& in = node_->inputs[static_cast<std::size_t>(input)];
  Slot& slot = slot_of(input);
  if (!*intercept_ && !slot.tensor.defined() && !slot.destination.defined()) {
    slot.tensor = value.shape() == in.shape ? value : value.alias(in.shape);
    return;
  }
  const auto [tensor, into] = target(input);
  into == Into::add ? accumulate(value, tensor) : copy(value, tensor);
}

void Backward::finish() {
  for (const auto& [input, gradient] : later_) {
    Slot& slot = slot_of(input);
    Into into = slot.tensor.defined() ? Into::add : Into::write;
    if (*intercept_) (*intercept_)(*node_, input, gradient, into);
    if (into == Into::add) {
      slot.unshare();
      accumulate(gradient, slot.tensor);
    } else if (slot.destination.defined()) {
      slot.tensor = slot.destination;
      copy(gradient, slot.tensor);
    } else {
      slot.tensor = gradient;
    }
  }
}

void Tape::watch(const Tensor& tensor) {
  const bool known = std::any_of(watched_.begin(), watched_.end(),
                                 [&](const Tensor& t) { return t.id() == tensor.id(); });
  if (known) return;
  slots_.try_emplace(tensor.id(), static_cast<int>(slots_.size()));
  watched_.push_back(tensor);
}

int Tape::slot_of(const Tensor& tensor) const {
  const auto found = slots_.find(tensor.id());
  return found == slots_.end() ? -1 : found->second;
}

void Tape::clear() {
  nodes_.clear();
  watched_.clear();
  slots_.clear();
  segments_.clear();
  released_ = false;
}

Gradients Tape::backward(const Tensor& loss, const Options& options) {
  if (released_) fail("backward: this tape was released by an earlier backward; record again");
  Tensor seed = options.cotangent;
  if (!seed.defined()) {
    if (loss.size() != 1) {
      fail("backward: loss has shape {}; give a cotangent or reduce it to one element",
           loss.shape().text());
    }
    seed = Tensor::full(loss.shape(), 1.0, loss.dtype(), loss.device());
  }
  if (seed.shape() != loss.shape() || seed.dtype() != loss.dtype()) {
    fail("backward: cotangent is {} {}, loss {} {}", name(seed.dtype()), seed.shape().text(),
         name(loss.dtype()), loss.shape().text());
  }

  std::vector<Backward::Slot> slots(slots_.size());
  for (const auto& [tensor, gradient] : options.destinations) {
    const int slot = slot_of(tensor);
    if (slot < 0) fail("backward: destination for a tensor that the tape does not watch");
    if (gradient.shape() != tensor.shape() || gradient.dtype() != tensor.dtype()) {
      fail("backward: destination is {} {}, tensor {} {}", name(gradient.dtype()),
           gradient.shape().text(), name(tensor.dtype()), tensor.shape().text());
    }
    slots[static_cast<std::size_t>(slot)].destination = gradient;
  }
  if (const int slot = slot_of(loss); slot >= 0) {
    Backward::Slot& start = slots[static_cast<std::size_t>(slot)];
    start.tensor = start.destination.defined() ? start.destination : seed;
    if (start.destination.defined()) copy(seed, start.destination);
  }

  std::vector<bool> watched(slots_.size());
  for (const Tensor& t : watched_) watched[static_cast<std::size_t>(slot_of(t))] = true;
  auto segment = segments_.rbegin();
  bool again = false;  // what this segment's nodes hold was made for this pass
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    const auto number = static_cast<std::size_t>(nodes_.rend() - node) - 1;
    for (; segment != segments_.rend() && number < segment->first; ++segment) again = false;
    const bool reached =
        std::any_of(node->outputs.begin(), node->outputs.end(), [&](const Value& out) {
          return out.slot >= 0 && slots[static_cast<std::size_t>(out.slot)].tensor.defined();
        });
    if (reached) {
      if (segment != segments_.rend() && number < segment->last) {
        if (segment->emptied && !again) {
          run_again(*segment);
          again = true;
        }
        if (options.release) segment->function = nullptr;  // and so of its inputs
      }
      if (Taps* taps = Taps::current()) {
        // Complete: everything that uses an output stands behind its node.
        for (const Value& out : node->outputs) {
          if (out.slot < 0) continue;
          const Tensor& gradient = slots[static_cast<std::size_t>(out.slot)].tensor;
          if (gradient.defined()) taps->see_gradient(out.id, gradient);
        }
      }
      Profile* profile = Profile::current();
      if (profile != nullptr) profile->begin();
      Backward context(*node, slots, options.intercept);
      rule(node->op).backward(*node, context);
      context.finish();
      if (profile != nullptr) profile->end(*node, /*backward=*/true);
    }
    // An output's gradient is complete once its own node is reached, and used up after it.
    for (const Value& out : node->outputs) {
      if (out.slot < 0) continue;
      const auto slot = static_cast<std::size_t>(out.slot);
      if (!watched[slot]) slots[slot].tensor = Tensor();
    }
    if (options.release || again) node->saved.clear();
  }
  released_ = options.release;
  if (released_) segments_.clear();

  Gradients gradients;
  for (const Tensor& tensor : watched_) {
    Backward::Slot& slot = slots[static_cast<std::size_t>(slot_of(tensor))];
    if (!slot.tensor.defined()) {
      slot.tensor = slot.destination.defined()
                        ? slot.destination
                        : Tensor::empty(tensor.shape(), tensor.dtype(), tensor.device());
      fill(slot.tensor, 0.0);
    }
    if (Taps* taps = Taps::current()) taps->see_gradient(tensor.id(), slot.tensor);
    gradients.by_id_.emplace(tensor.id(), slot.tensor);
  }
  return gradients;
}

void Tape::run_again(const Recomputed& segment) {
  struct Restore {
    Tape* tape;
    std::unordered_map<std::uint64_t, int> slots;
    ~Restore() {
      tape->slots_ = std::move(slots);
      tape->again_.reset();
    }
  } const restore{this, slots_};
  const Recording on(*this);
  const NoTaps unseen;
  again_ = {segment.first, segment.last};
  segment.function();
  if (again_->next != again_->last) {
    fail("recompute: the function ran {} ops, {} the second time; it must do the same each time",
         segment.last - segment.first, again_->next - segment.first);
  }
}

void Tape::refill(Op op, std::span<const Tensor> outputs, std::span<const Tensor> saved) {
  const bool more = again_->next < again_->last;
  if (!more || nodes_[again_->next].op != op) {
    fail("recompute: the function ran {} where it {} the first time; it must do the same each time",
         name(op), more ? fmt::format("ran {}", name(nodes_[again_->next].op)) : "had ended");
  }
  Node& node = nodes_[again_->next++];
  node.saved.assign(saved.begin(), saved.end());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].defined()) slots_.emplace(outputs[i].id(), node.outputs[i].slot);
  }
}

Segment::Segment(int level) {
  Tape* tape = current_tape;
  if (tape == nullptr || level > tape->recompute_level_) return;
  if (tape->segment_open_ || tape->again_) return;
  if (!tape->segments_.empty()) {
    Tape::Recomputed& last = tape->segments_.back();
    for (std::size_t i = last.first; i < last.last; ++i) tape->nodes_[i].saved.clear();
    last.emptied = true;
  }
  tape_ = tape;
  first_ = tape->nodes_.size();
  tape->segment_open_ = true;
}

Segment::~Segment() {
  if (tape_ != nullptr) tape_->segment_open_ = false;
}

void Segment::close(std::function<void()> function) {
  tape_->segments_.push_back({first_, tape_->nodes_.size(), std::move(function)});
}

Recording::Recording(Tape& tape) : outer_(std::exchange(current_tape, &tape)) {}
Recording::~Recording() {
  current_tape = outer_;
}

NoRecording::NoRecording() : outer_(std::exchange(current_tape, nullptr)) {}
NoRecording::~NoRecording() {
  current_tape = outer_;
}

bool recording(std::initializer_list<Tensor> inputs) {
  return current_tape != nullptr && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) {
           return t.defined() && current_tape->slot_of(t) >= 0;
         });
}

bool skip_result(std::initializer_list<Tensor> inputs) {
  if (!recording(inputs) || !current_tape->again_) return false;
  auto& again = *current_tape->again_;
  again.skipped = again.next + 1 == again.last;
  return again.skipped;
}

void record(Op op, std::initializer_list<Tensor> inputs, std::initializer_list<Tensor> outputs,
            std::initializer_list<Tensor> saved, const Attributes& attributes) {
  record(op, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
         std::span(saved.begin(), saved.size()), attributes);
}

void record(Op op, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
            std::span<const Tensor> saved, const Attributes& attributes) {
  Tape* tape = current_tape;
  Profile* profile = Profile::current();
  if (tape == nullptr && profile == nullptr) return;
  Node node{op, {}, {}, {}, attributes};
  bool tracked = false;
  for (const Tensor& t : inputs) {
    node.inputs.push_back(value_of(t, tape != nullptr && t.defined() ? tape->slot_of(t) : -1));
    tracked = tracked || node.inputs.back().slot >= 0;
  }
  const bool skipped = tape != nullptr && tape->again_ && tape->again_->skipped;
  if (profile != nullptr && !skipped) {
    for (const Tensor& t : outputs) node.outputs.push_back(value_of(t, -1));
    profile->end(node, /*backward=*/false);
    node.outputs.clear();
  }
  if (!tracked) return;
  if (tape->again_) return tape->refill(op, outputs, saved);
  for (const Tensor& t : outputs) {
    node.outputs.push_back(value_of(t, static_cast<int>(tape->slots_.size())));
    if (t.defined()) tape->slots_.emplace(t.id(), node.outputs.back().slot);
  }
  node.saved.assign(saved.begin(), saved.end());
  tape->nodes_.push_back(std::move(node));
}

}  // namespace posetape
