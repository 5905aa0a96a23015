#include "engine/tape.hpp"

#include <algorithm>
#include <atomic>

#include "engine/observer.hpp"

namespace posetape {
namespace {

thread_local const RecordingScope* innermost_scope = nullptr;

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

Value value_of(const Tensor& tensor, int slot) {
  if (!tensor.defined()) return {};
  return {tensor.id(),     slot, tensor.shape(),  tensor.dtype(),
          tensor.device(), true, tensor.version()};
}

std::string kind_of(const Tensor& t) {
  return fmt::format("{} {}", name(t.dtype()), t.shape().text());
}

void check_saved(const Node& node) {
  for (const SavedTensor& t : node.saved) {
    if (t.version() == t.saved_version) continue;
    fail(
        "backward: {} needs the tensor {} as it was, which was changed in place since ({}); change "
        "it after backward(), or give the op a clone()",
        name(node.op), kind_of(t), kWrites);
  }
}

// What a pass begins with.
Tensor seed_of(const Tensor& loss, const Tensor& cotangent) {
  if (!cotangent.defined()) {
    if (loss.size() != 1) {
      fail("backward: loss has shape {}; give a cotangent or reduce it to one element",
           loss.shape().text());
    }
    return Tensor::full(loss.shape(), 1.0, loss.dtype(), loss.device());
  }
  if (cotangent.shape() != loss.shape() || cotangent.dtype() != loss.dtype()) {
    fail("backward: cotangent is {} {}, loss {} {}", name(cotangent.dtype()),
         cotangent.shape().text(), name(loss.dtype()), loss.shape().text());
  }
  return cotangent;
}

}  // namespace

Cost cost(const Node& node) {
  Cost total{rule(node.op).flops(node), 0, rule(node.op).products};
  for (const auto* values : {&node.inputs, &node.outputs}) {
    for (const Value& v : *values) {
      if (v.given)
        total.bytes += static_cast<double>(v.shape.size()) * static_cast<double>(size_of(v.dtype));
    }
  }
  return total;
}

std::string form(const Node& node) {
  const Rule& r = rule(node.op);
  return r.mode != nullptr ? fmt::format("{}.{}", name(node.op), r.mode(node)) : name(node.op);
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

const Tensor& Backward::so_far(int input) const {
  static const Tensor none;
  return wants(input) ? slot_of(input).tensor : none;
}

const Tensor& Backward::Slot::make(const Value& value) {
  return tensor = destination.defined() ? destination
                                        : Tensor::empty(value.shape, value.dtype, value.device);
}

void Backward::Slot::unshare() {
  if (!destination.defined() && !tensor.sole_owner()) tensor = tensor.clone();
}

void Backward::Slot::put(const Tensor& gradient, Into into) {
  if (into == Into::add) {
    unshare();
    accumulate(gradient, tensor);
  } else if (destination.defined()) {
    tensor = destination;
    copy(gradient, tensor);
  } else {
    tensor = gradient;
  }
}

std::pair<Tensor, Into> Backward::target(int input) {
  if (!wants(input)) return {};
  const Value& value = node_->inputs[static_cast<std::size_t>(input)];
  const bool again = std::find(asked_.begin(), asked_.end(), value.slot) != asked_.end();
  if (again || held_) {
    later_.emplace_back(input, Tensor::empty(value.shape, value.dtype, value.device));
    return {later_.back().second, Into::write};
  }
  asked_.push_back(value.slot);
  Slot& slot = slot_of(input);
  if (!slot.tensor.defined()) return {slot.make(value), Into::write};
  slot.unshare();
  return {slot.tensor, Into::add};
}

void Backward::pass(int input, const Tensor& value) {
  if (!wants(input)) return;
  const Value& in = node_->inputs[static_cast<std::size_t>(input)];
  Slot& slot = slot_of(input);
  if (!held_ && !slot.tensor.defined() && !slot.destination.defined()) {
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
    if (held_) Observer::each([&](Observer& o) { o.gradient(*node_, input, gradient, into); });
    slot.put(gradient, into);
  }
}

Tape::Tape(int recompute_level) : number_(next_number()), segments_(recompute_level) {}

void Tape::watch(const Tensor& tensor) {
  if (!tensor.defined()) {
    fail("watch: the tensor is undefined; assign it one before the call");
  }
  const bool known = std::any_of(watched_.begin(), watched_.end(),
                                 [&](const Tensor& t) { return t.id() == tensor.id(); });
  if (known) return;
  slots_.try_emplace(tensor.id(), Known{static_cast<int>(slots_.size())});
  tensor.storage().tracked_by(number_);
  watched_.push_back(tensor);
}

int Tape::slot_of(const Tensor& tensor) const {
  const auto found = slots_.find(tensor.id());
  return found == slots_.end() ? -1 : found->second.slot;
}

void Tape::clear() {
  nodes_.clear();
  watched_.clear();
  slots_.clear();
  segments_.clear();
  released_ = false;
  number_ = next_number();
}

void Tape::check_loss(const Tensor& loss) const {
  if (!loss.defined()) fail("backward: the loss is an undefined tensor");
  const auto found = slots_.find(loss.id());
  if (found == slots_.end()) {
    if (watched_.empty()) {
      fail(
          "backward: this tape watches nothing, so that every gradient would be zero; watch() the "
          "parameters before the loss is computed");
    }
    fail(
        "backward: the tape has not recorded the loss {}: compute it from what the tape watches "
        "({} tensors) while a Recording of it lives; a constant has no gradient (tracks() tells), "
        "and neither has a gradient: second derivatives are hvp()'s (engine/hvp.hpp)",
        kind_of(loss), watched_.size());
  }
  if (found->second.made && found->second.version != loss.version()) {
    fail("backward: the loss {} was changed in place since it was recorded ({})", kind_of(loss),
         kWrites);
  }
}

// The gradient table of a pass, with the destinations in their places.
Tape::Slots Tape::open_slots(const Options& options) const {
  Slots slots(slots_.size());
  for (const Tensor& t : watched_) slots[static_cast<std::size_t>(slot_of(t))].watched = true;
  for (const auto& [tensor, gradient] : options.destinations) {
    place_destination(tensor, gradient, slots);
  }
  // From here on they count as changed: a rule that has saved one of them must not run.
  for (const auto& destination : options.destinations) destination.second.mark_written();
  return slots;
}

void Tape::place_destination(const Tensor& tensor, const Tensor& gradient, Slots& slots) const {
  if (!tensor.defined() || !gradient.defined()) {
    fail("backward: a destination or its tensor is undefined");
  }
  const int slot = slot_of(tensor);
  if (slot < 0 || !slots[static_cast<std::size_t>(slot)].watched) {
    fail(
        "backward: destination for a tensor {} that the tape does not watch; watch() it before "
        "the loss is computed (parameters.watch(tape) does so for all)",
        kind_of(tensor));
  }
  if (gradient.shape() != tensor.shape() || gradient.dtype() != tensor.dtype()) {
    fail("backward: destination is {} {}, tensor {} {}", name(gradient.dtype()),
         gradient.shape().text(), name(tensor.dtype()), tensor.shape().text());
  }
  if (gradient.storage().holds_unread_gradient()) {
    fail(
        "backward: the destination for {} holds the gradient of an earlier pass that nobody has "
        "read; gradients are not added up, so it would be lost. Let the optimiser take its step "
        "first, add the losses, accumulate() each pass into memory of your own, or fill() the "
        "destination with 0 to throw it away",
        kind_of(tensor));
  }
  slots[static_cast<std::size_t>(slot)].destination = gradient;
}

// True where what a tape tracks, also this one, is a part of what this one has recorded.
bool Tape::had_part_in(const Tape& other, const Tensor& cotangent) const {
  const auto tracked = [&](const Value& v) { return other.slots_.contains(v.id); };
  return (cotangent.defined() && other.tracks(cotangent)) ||
         std::ranges::any_of(
             nodes_, [&](const Node& node) { return std::ranges::any_of(node.inputs, tracked); });
}

// The tapes that record now and have a part in the gradients.
std::vector<const Tape*> Tape::hidden_from(const Tensor& cotangent) const {
  std::vector<const Tape*> hidden;
  RecordingScope::each_outside(RecordingScope::innermost(), [&](const Tape& tape) {
    if (had_part_in(tape, cotangent)) hidden.push_back(&tape);
  });
  return hidden;
}

Gradients Tape::backward(const Tensor& loss, const Options& options) {
  if (released_) fail("backward: this tape was released by an earlier backward; record again");
  check_loss(loss);
  const std::vector<const Tape*> hidden = hidden_from(options.cotangent);
  const NoRecording off;
  const Tensor cotangent = seed_of(loss, options.cotangent);
  Slots slots = open_slots(options);
  slots[static_cast<std::size_t>(slot_of(loss))].put(cotangent, Into::write);
  walk(slots, options.release);
  Gradients gradients = collect(slots, hidden);
  for (const auto& destination : options.destinations) {
    destination.second.storage().gradient_written();
  }
  return gradients;
}

void Tape::walk(Slots& slots, bool release) {
  const auto slot_at = [&](const Value& v) { return slots.begin() + v.slot; };
  const auto has_gradient = [&](const Value& v) {
    return v.slot >= 0 && slot_at(v)->tensor.defined();
  };
  Segments::Rewind segments(*this, release);
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    const bool reached = std::ranges::any_of(node.outputs, has_gradient);
    segments.at(i, reached);
    if (reached) visit(node, slots);
    // An output's gradient is complete once its own node is reached, and used up after it.
    for (const Value& out : node.outputs) {
      if (has_gradient(out) && !slot_at(out)->watched) slot_at(out)->tensor = Tensor();
    }
    if (release || segments.made()) node.saved.clear();
  }
  released_ = release;
  if (released_) segments_.clear();
}

void Tape::visit(const Node& node, Slots& slots) {
  check_saved(node);
  Backward context(node, slots);
  Observer::each([&](Observer& o) { o.before_rule(node, context); });
  rule(node.op).backward(node, context);
  context.finish();
  Observer::each([&](Observer& o) { o.after_rule(node, context); });
}

Gradients Tape::collect(Slots& slots, std::span<const Tape* const> hidden) const {
  Gradients gradients;
  for (const Tensor& tensor : watched_) {
    Backward::Slot& slot = slots[static_cast<std::size_t>(slot_of(tensor))];
    if (!slot.tensor.defined()) fill(slot.make(value_of(tensor, -1)), 0.0);
    Observer::each([&](Observer& o) { o.result(tensor, slot.tensor); });
    for (const Tape* tape : hidden) slot.tensor.storage().hidden_from(tape->number_);
    gradients.by_id_.emplace(tensor.id(), slot.tensor);
  }
  return gradients;
}

// A recorded node runs again, and gives back what it saved.
void Tape::restore_saved(const Node& second, std::span<const Tensor> outputs,
                         std::span<const Tensor> saved) {
  Node& node = segments_.recorded(nodes_, second);
  node.saved.assign(saved.begin(), saved.end());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) continue;
    slots_.emplace(outputs[i].id(), Known{node.outputs[i].slot, true, outputs[i].version()});
  }
}

RecordingScope::RecordingScope(Tape* tape)
    : tape_(tape), outer_(std::exchange(innermost_scope, this)) {}
RecordingScope::~RecordingScope() {
  innermost_scope = outer_;
}

const RecordingScope* RecordingScope::innermost() {
  return innermost_scope;
}

Tape* RecordingScope::tape() {
  return innermost_scope != nullptr ? innermost_scope->tape_ : nullptr;
}

bool NoRecording::active() {
  return innermost() != nullptr && tape() == nullptr;
}

bool recording() {
  return RecordingScope::tape() != nullptr;
}

bool recording(std::initializer_list<Tensor> inputs) {
  const Tape* tape = RecordingScope::tape();
  return tape != nullptr && std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& t) {
           return t.defined() && tape->tracks(t);
         });
}

bool skip_result(std::initializer_list<Tensor> inputs) {
  return recording(inputs) && RecordingScope::tape()->segments_.skip();
}

void refuse_tracked(const char* what, const Tensor& source, const char* advice) {
  const Tape* tape = RecordingScope::tape();
  if (tape == nullptr || !tape->sees(source)) return;
  fail(
      "{}: the tape that records tracks the source {}, and would not see where its values go; {} "
      "(a constant is made under a NoRecording)",
      what, kind_of(source), advice);
}

// True for a tracked value, and for what lies in the memory of one and is no constant.
bool Tape::sees(const Tensor& tensor) const {
  return tracks(tensor) || (!tensor.is_constant_alias() && tensor.storage().is_tracked_by(number_));
}

// The slot of an op's input, -1 where it has none. Throws where its gradient would be wrong.
int Tape::checked_slot(Op op, std::size_t input, const Tensor& tensor) const {
  if (const auto found = slots_.find(tensor.id()); found != slots_.end()) {
    const Known& known = found->second;
    if (!known.made || known.version == tensor.version()) return known.slot;
    fail(
        "{}: input {}, {}, was changed in place since it was recorded ({}), so that its gradient "
        "would be that of the old values; use ops, which make new tensors",
        name(op), input, kind_of(tensor), kWrites);
  }
  if (sees(tensor)) {
    fail(
        "{}: input {}, {}, shares memory with a tensor that the tape tracks, but was not made by "
        "an op while it recorded, so that no gradient would reach it; use reshape() or slice() "
        "under the Recording, watch() it, or make the alias under a NoRecording if it is a "
        "constant",
        name(op), input, kind_of(tensor));
  }
  if (tensor.storage().is_hidden_from(number_)) {
    fail(
        "{}: input {}, {}, is a gradient or was recorded by another tape, from what this one "
        "tracks: no gradient would reach it; second derivatives are hvp()'s (engine/hvp.hpp), and "
        "a "
        "constant is made by clone() under a NoRecording",
        name(op), input, kind_of(tensor));
  }
  return -1;
}

// Tapes further out do not see what the innermost records: outputs of what they track are marked.
void RecordingScope::hide_from_outer(std::span<const Tensor> inputs,
                                     std::span<const Tensor> outputs) {
  each_outside(innermost_scope->outer_, [&](const Tape& outer) {
    if (&outer == innermost_scope->tape_) return;
    const bool part = std::ranges::any_of(inputs, [&](const Tensor& t) {
      return t.defined() && (outer.sees(t) || t.storage().is_hidden_from(outer.number_));
    });
    if (!part) return;
    for (const Tensor& t : outputs) {
      if (t.defined()) t.storage().hidden_from(outer.number_);
    }
  });
}

void record(Op op, std::initializer_list<Tensor> inputs, std::initializer_list<Tensor> outputs,
            std::initializer_list<Tensor> saved, const Attributes& attributes) {
  record(op, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
         std::span(saved.begin(), saved.size()), attributes);
}

void record(Op op, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
            std::span<const Tensor> saved, const Attributes& attributes) {
  Tape* tape = RecordingScope::tape();
  const bool observed = Observer::innermost() != nullptr;
  if (tape == nullptr && !observed) return;
  Node node{op, {}, {}, {}, attributes};
  for (const Tensor& t : inputs) {
    int slot = -1;
    if (tape != nullptr && t.defined()) slot = tape->checked_slot(op, node.inputs.size(), t);
    node.inputs.push_back(value_of(t, slot));
  }
  if (observed && (tape == nullptr || !tape->segments_.skipped())) {
    for (const Tensor& t : outputs) node.outputs.push_back(value_of(t, -1));
    Observer::each([&](Observer& o) { o.after_forward(node, inputs, outputs); });
    node.outputs.clear();
  }
  if (tape == nullptr) return;
  RecordingScope::hide_from_outer(inputs, outputs);
  tape->append(std::move(node), outputs, saved);
}

void Tape::append(Node&& node, std::span<const Tensor> outputs, std::span<const Tensor> saved) {
  const bool tracked = std::ranges::any_of(node.inputs, [](const Value& v) { return v.slot >= 0; });
  if (!tracked) return segments_.read(node);
  if (segments_.recomputing()) return restore_saved(node, outputs, saved);
  for (const Tensor& t : outputs) {
    node.outputs.push_back(value_of(t, static_cast<int>(slots_.size())));
    if (!t.defined()) continue;
    slots_.emplace(t.id(), Known{node.outputs.back().slot, true, t.version()});
    t.storage().tracked_by(number_);
  }
  node.saved.assign(saved.begin(), saved.end());
  nodes_.push_back(std::move(node));
}

}  // namespace posetape
