// The tape: a linear record of the ops that ran, walked backwards for gradients.
//
//   Tape tape;
//   tape.watch(w);
//   { Recording on(tape); loss = ...; }
//   Tensor dw = tape.backward(loss).of(w);
//
// Nodes stand in the order in which they ran, which is a topological order by construction: no
// sort, no recursion. Gradients live in the result of the call and not in the nodes, so a second
// backward starts from nothing and is right. Where no tape records, the same ops run and save
// nothing.
//
// What would give a wrong gradient in silence is an Error: a loss that the tape has not recorded, a
// saved tensor or a recorded value that was changed in place (Tensor::version), an input that
// shares memory with a tracked tensor but is not recorded itself (Tensor::alias), a result of
// another tape or a gradient as input (second derivatives are engine/hvp.hpp's), and a gradient
// that would be overwritten before anybody has read it.
#pragma once

#include <array>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/op.hpp"
#include "engine/segments.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// An op's parameters beside its tensors (an epsilon, an axis): any trivially copyable struct.
class Attributes {
 public:
  Attributes() = default;
  template <class T>
  Attributes(const T& value) {  // NOLINT: a call passes its struct as it is
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(bytes_));
    std::memcpy(bytes_.data(), &value, sizeof(T));
  }
  template <class T>
  T as() const {
    T value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    return value;
  }

 private:
  std::array<std::byte, 96> bytes_{};
};

// What changes a tensor in place so that its version tells, for messages.
inline constexpr const char* kWrites =
    "by fill(), copy(), accumulate(), an optimiser's step, or as a gradient's destination";

// An input or output of a node: what is left of a tensor once its memory is released.
struct Value {
  std::uint64_t id = 0;
  int slot = -1;  // its place in the gradient table; -1: no gradient flows here
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  bool given = false;         // false: an optional input that was left out
  std::uint64_t version = 0;  // of the tensor, when the op ran
};

// A tensor that a backward rule asked to keep, and its version then.
struct SavedTensor : Tensor {
  SavedTensor(const Tensor& tensor) : Tensor(tensor), saved_version(tensor.version()) {}  // NOLINT
  std::uint64_t saved_version;
};

struct Node {
  Op op{};
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  std::vector<SavedTensor> saved;  // what the backward rule asked to keep, and nothing else
  Attributes attributes;
};

Cost cost(const Node& node);
// The op and which of its forms the node uses: "linear.gelu", "exp".
std::string form(const Node& node);

// The gradients of one backward call.
class Gradients {
 public:
  // The gradient of a watched tensor; zeros where the loss does not depend on it.
  Tensor of(const Tensor& watched) const;

 private:
  friend class Tape;
  std::unordered_map<std::uint64_t, Tensor> by_id_;
};

// What a backward rule sees of one node.
class Backward {
 public:
  // The cotangent of an output; undefined where nothing downstream depends on it.
  const Tensor& cotangent(int output = 0) const;
  bool wants(int input) const;
  // Where input's gradient goes: null `data` where it is not wanted. The kernel that gets it must
  // obey `into`. Ask once for each input.
  template <class T>
  GradientOut<T> gradient(int input) {
    if (!wants(input)) return {};
    const auto [tensor, into] = target(input);
    return {tensor.data<T>(), into};
  }
  // The same as a tensor, for rules made of tensor functions. Undefined where it is not wanted.
  std::pair<Tensor, Into> target(int input);
  // Input's gradient is `value` itself, which the rule must not write to afterwards: shares memory
  // where it can. Does nothing where it is not wanted.
  void pass(int input, const Tensor& value);

  // For observers (engine/observer.hpp). Before the rule runs: its gradients are to have memory of
  // their own, and to be shown by Observer::gradient(). After it: what has come together of an
  // input's gradient so far; undefined where none is wanted.
  void hold() { held_ = true; }
  const Tensor& so_far(int input) const;

 private:
  friend class Tape;
  struct Slot {
    Tensor tensor;         // undefined: nothing has flowed here yet
    Tensor destination;    // the caller's memory for it, where given
    bool watched = false;  // stays when its node is done
    // Memory for a tensor that is written or added to.
    const Tensor& make(const Value& value);
    // Before something is added: memory that pass() shared is still read by others.
    void unshare();
    void put(const Tensor& gradient, Into into);
  };
  Backward(const Node& node, std::vector<Slot>& slots) : node_(&node), slots_(&slots) {}
  Slot& slot_of(int input) const;
  void finish();

  const Node* node_;
  std::vector<Slot>* slots_;
  bool held_ = false;
  std::vector<int> asked_;
  // Gradients that wait until the rule is done, by input: the second one of an input that occurs
  // twice in one node, since a rule may fill both in one pass; and all that are held.
  std::vector<std::pair<int, Tensor>> later_;
};

class Tape {
 public:
  // Lets go of what recompute() computes up to this level.
  explicit Tape(int recompute_level = 0);

  // From now on values computed from `tensor` under a Recording of this tape are recorded.
  void watch(const Tensor& tensor);
  // True for what is watched, and for what was computed from it while this tape recorded.
  bool tracks(const Tensor& tensor) const { return slot_of(tensor) >= 0; }

  struct Options {
    // d(result)/d(loss); default 1 for a loss of one element.
    Tensor cotangent;
    // Memory for the gradients of some watched tensors, written in place: (tensor, gradient). What
    // it held is overwritten, and must not be a gradient of an earlier pass that nobody has read.
    std::span<const std::pair<Tensor, Tensor>> destinations;
    // Let go of each node's saved tensors as soon as its rule has run: a second backward over this
    // tape is then an error.
    bool release = false;
  };
  Gradients backward(const Tensor& loss, const Options& options);
  Gradients backward(const Tensor& loss) { return backward(loss, Options()); }

  std::span<const Node> nodes() const { return nodes_; }
  void clear();

 private:
  friend void record(Op, std::span<const Tensor>, std::span<const Tensor>, std::span<const Tensor>,
                     const Attributes&);
  friend class RecordingScope;
  friend void refuse_tracked(const char* what, const Tensor& source, const char* advice);
  friend bool recording(std::initializer_list<Tensor> inputs);
  friend bool skip_result(std::initializer_list<Tensor> inputs);
  friend class Segment;
  friend class Segments;
  // A value that is tracked.
  struct Known {
    int slot = -1;
    bool made = false;          // by an op, and not watched as it was
    std::uint64_t version = 0;  // of its memory then
  };
  using Slots = std::vector<Backward::Slot>;
  int slot_of(const Tensor& tensor) const;
  // While it records.
  int checked_slot(Op op, std::size_t input, const Tensor& tensor) const;
  bool sees(const Tensor& tensor) const;
  void append(Node&& node, std::span<const Tensor> outputs, std::span<const Tensor> saved);
  void restore_saved(const Node& second, std::span<const Tensor> outputs,
                     std::span<const Tensor> saved);
  // Of a backward pass: its beginning, each node, its end.
  void check_loss(const Tensor& loss) const;
  std::vector<const Tape*> hidden_from(const Tensor& cotangent) const;
  bool had_part_in(const Tape& other, const Tensor& cotangent) const;
  Slots open_slots(const Options& options) const;
  void place_destination(const Tensor& tensor, const Tensor& gradient, Slots& slots) const;
  void walk(Slots& slots, bool release);
  static void visit(const Node& node, Slots& slots);
  Gradients collect(Slots& slots, std::span<const Tape* const> hidden) const;

  std::vector<Node> nodes_;
  std::vector<Tensor> watched_;
  std::uint64_t number_;  // since the last clear(), by which memory knows the tape
  std::unordered_map<std::uint64_t, Known> slots_;
  bool released_ = false;
  Segments segments_;
};

// What records on this thread, innermost first.
class RecordingScope {
 public:
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

  static const RecordingScope* innermost();
  // The tape that records now, or null.
  static Tape* tape();
  // Calls f(tape) for those that record further out, up to a NoRecording.
  template <class F>
  static void each_outside(const RecordingScope* from, const F& f) {
    for (; from != nullptr && from->tape_ != nullptr; from = from->outer_) f(*from->tape_);
  }

 protected:
  explicit RecordingScope(Tape* tape);
  ~RecordingScope();

 private:
  friend void record(Op, std::span<const Tensor>, std::span<const Tensor>, std::span<const Tensor>,
                     const Attributes&);
  static void hide_from_outer(std::span<const Tensor> inputs, std::span<const Tensor> outputs);

  Tape* tape_;
  const RecordingScope* outer_;
};

// While it lives, ops of this thread are recorded on `tape`. Nests: the innermost counts, and what
// it records is a constant to the others, which refuse it as an input where they track a part of
// it.
class Recording : public RecordingScope {
 public:
  explicit Recording(Tape& tape) : RecordingScope(&tape) {}
};

// While it lives, nothing of this thread is recorded: what is computed is a constant to every tape.
class NoRecording : public RecordingScope {
 public:
  NoRecording() : RecordingScope(nullptr) {}
  // True where the innermost scope of this thread is one.
  static bool active();
};

// Called by every op after its forward pass. Optional inputs that were left out are undefined
// tensors. Does nothing where no tape records or no input is tracked.
void record(Op op, std::initializer_list<Tensor> inputs, std::initializer_list<Tensor> outputs,
            std::initializer_list<Tensor> saved, const Attributes& attributes = {});
void record(Op op, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
            std::span<const Tensor> saved, const Attributes& attributes = {});

// True where a call with these inputs would be recorded, so that an op may skip what only its
// backward rule needs; without inputs: where a tape records.
bool recording(std::initializer_list<Tensor> inputs);
bool recording();

// Throws where the tape that records tracks `source`, or a value in its memory: `what` takes it
// where no tape sees it. The advice names an op that is recorded.
void refuse_tracked(const char* what, const Tensor& source, const char* advice);

// True where the call with these inputs ends a segment that runs again (engine/recompute.hpp):
// nobody reads its result, so an op whose backward rule doesn't either need not compute it. It is
// recorded as ever.
bool skip_result(std::initializer_list<Tensor> inputs);

}  // namespace posetape
