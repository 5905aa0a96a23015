#include "engine/tape.hpp"

#include <algorithm>
#include <atomic>

#include "engine/profile.hpp"
#include "engine/recompute.hpp"
#include "engine/taps.hpp"

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

constexpr const char* kWrites =
    "by fill(), copy(), accumulate(), an optimiser's step, or as a gradient's destination";

void check_saved(const Node& node) {
  for (const SavedTensor& t : node.saved) {
    if (t.version() == t.saved_version) continue;
    fail(
        "backward: {} needs the tensor {} as it was, which was changed in place since ({}); change "
        "it after backward(), or give the op a clone()",
        name(node.op), kind_of(t), kWrites);
  }
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

Tape::Tape(int recompute_level) : recompute_level_(recompute_level), number_(next_number()) {}

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
        "and neither has a gradient: there are no second derivatives",
        kind_of(loss), watched_.size());
  }
  if (found->second.made && found->second.version != loss.version()) {
    fail("backward: the loss {} was changed in place since it was recorded ({})", kind_of(loss),
         kWrites);
  }
}

// The gradient table of a pass, with the destinations in their places.
std::vector<Backward::Slot> Tape::open_slots(const Options& options,
                                             const std::vector<bool>& watched) const {
  std::vector<Backward::Slot> slots(slots_.size());
  for (const auto& [tensor, gradient] : options.destinations) {
    if (!tensor.defined() || !gradient.defined()) {
      fail("backward: a destination or its tensor is undefined");
    }
    const int slot = slot_of(tensor);
    if (slot < 0 || !watched[static_cast<std::size_t>(slot)]) {
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
  // From here on they count as changed: a rule that has saved one of them must not run.
  for (const auto& destination : options.destinations) destination.second.mark_written();
  return slots;
}

// True where what a tape tracks, also this one, is a part of what this one has recorded.
bool Tape::had_part_in(const Tape& other, const Tensor& cotangent) const {
  const auto tracked = [&](const Value& v) { return other.slots_.contains(v.id); };
  return (cotangent.defined() && other.tracks(cotangent)) ||
         std::ranges::any_of(
             nodes_, [&](const Node& node) { return std::ranges::any_of(node.inputs, tracked); });
}

Gradients Tape::backward(const Tensor& loss, const Options& options) {
  if (released_) fail("backward: this tape was released by an earlier backward; record again");
  check_loss(loss);
  std::vector<const Tape*> hidden;  // tapes that record now and have a part in the gradients
  RecordingScope::each_outside(RecordingScope::innermost(), [&](const Tape& tape) {
    if (had_part_in(tape, options.cotangent)) hidden.push_back(&tape);
  });
  const NoRecording off;
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

  std::vector<bool> watched(slots_.size());
  for (const Tensor& t : watched_) watched[static_cast<std::size_t>(slot_of(t))] = true;
  std::vector<Backward::Slot> slots = open_slots(options, watched);
  Backward::Slot& start = slots[static_cast<std::size_t>(slot_of(loss))];
  start.tensor = start.destination.defined() ? start.destination : seed;
  if (start.destination.defined()) copy(seed, start.destination);

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
      check_saved(*node);
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
    for (const Tape* tape : hidden) slot.tensor.storage().hidden_from(tape->number_);
    gradients.by_id_.emplace(tensor.id(), slot.tensor);
  }
  for (const auto& destination : options.destinations) {
    destination.second.storage().gradient_written();
  }
  return gradients;
}

void Tape::run_again(const Recomputed& segment) {
  struct Restore {
    Tape* tape;
    std::unordered_map<std::uint64_t, Known> slots;
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
  if (again_->versions != segment.versions) {
    fail(
        "recompute: a constant that the function reads was changed in place since the forward pass "
        "({}); change it after backward()",
        kWrites);
  }
}

void Tape::refill(Node&& second, std::span<const Tensor> outputs, std::span<const Tensor> saved) {
  const bool more = again_->next < again_->last;
  if (!more || nodes_[again_->next].op != second.op) {
    fail("recompute: the function ran {} where it {} the first time; it must do the same each time",
         name(second.op),
         more ? fmt::format("ran {}", name(nodes_[again_->next].op)) : "had ended");
  }
  Node& node = nodes_[again_->next++];
  for (std::size_t i = 0; i < std::min(node.inputs.size(), second.inputs.size()); ++i) {
    const Value& input = node.inputs[i];
    if (input.version == second.inputs[i].version) continue;
    fail(
        "recompute: input {} of {}, {} {}, was changed in place since the forward pass ({}); "
        "change it after backward()",
        i, name(node.op), name(input.dtype), input.shape.text(), kWrites);
  }
  node.saved.assign(saved.begin(), saved.end());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) continue;
    slots_.emplace(outputs[i].id(), Known{node.outputs[i].slot, true, outputs[i].version()});
  }
}

Segment::Segment(int level) {
  Tape* tape = RecordingScope::tape();
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
  tape->segment_versions_ = 0;
}

Segment::~Segment() {
  if (tape_ != nullptr) tape_->segment_open_ = false;
}

void Segment::close(std::function<void()> function) {
  tape_->segments_.push_back(
      {first_, tape_->nodes_.size(), std::move(function), tape_->segment_versions_});
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
  if (!recording(inputs) || !RecordingScope::tape()->again_) return false;
  auto& again = *RecordingScope::tape()->again_;
  again.skipped = again.next + 1 == again.last;
  return again.skipped;
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
        "tracks: no gradient would reach it, for there are no second derivatives; take it as a "
        "constant by clone() under a NoRecording",
        name(op), input, kind_of(tensor));
  }
  return -1;
}

// Of an op that is not recorded, but runs again with its segment.
void Tape::count_versions(const Node& node) {
  if (!segment_open_ && !again_) return;
  for (const Value& v : node.inputs) (again_ ? again_->versions : segment_versions_) += v.version;
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
  Profile* profile = Profile::current();
  if (tape == nullptr && profile == nullptr) return;
  Node node{op, {}, {}, {}, attributes};
  bool tracked = false;
  for (const Tensor& t : inputs) {
    int slot = -1;
    if (tape != nullptr && t.defined()) slot = tape->checked_slot(op, node.inputs.size(), t);
    node.inputs.push_back(value_of(t, slot));
    tracked = tracked || slot >= 0;
  }
  if (tape != nullptr) RecordingScope::hide_from_outer(inputs, outputs);
  const bool skipped = tape != nullptr && tape->again_ && tape->again_->skipped;
  if (profile != nullptr && !skipped) {
    for (const Tensor& t : outputs) node.outputs.push_back(value_of(t, -1));
    profile->end(node, /*backward=*/false);
    node.outputs.clear();
  }
  if (!tracked) return tape != nullptr ? tape->count_versions(node) : void();
  if (tape->again_) return tape->refill(std::move(node), outputs, saved);
  for (const Tensor& t : outputs) {
    node.outputs.push_back(value_of(t, static_cast<int>(tape->slots_.size())));
    if (!t.defined()) continue;
    tape->slots_.emplace(t.id(), Tape::Known{node.outputs.back().slot, true, t.version()});
    t.storage().tracked_by(tape->number_);
  }
  node.saved.assign(saved.begin(), saved.end());
  tape->nodes_.push_back(std::move(node));
}

}  // namespace posetape
