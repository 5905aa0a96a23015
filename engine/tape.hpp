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
// another tape or a gradient as input (there are no second derivatives), and a gradient that would
// be overwritten before anybody has read it.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/op.hpp"
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

// The gradients of one backward call.
class Gradients {
 public:
  // The gradient of a watched tensor; zeros where the loss does not depend on it.
  Tensor of(const Tensor& watched) const;

 private:
  friend class Tape;
  std::unordered_map<std::uint64_t, Tensor> by_id_;
};

// Sees each gradient that a backward rule gives, before it goes where it belongs, and may change
// it, and whether it is added there. For planting errors in tests and for looking inside.
using Intercept =
    std::function<void(const Node& node, int input, const Tensor& gradient, Into& into)>;

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

 private:
  friend class Tape;
  struct Slot {
    Tensor tensor;       // undefined: nothing has flowed here yet
    Tensor destination;  // the caller's memory for it, where given
    // Before something is added: memory that pass() shared is still read by others.
    void unshare() {
      if (!destination.defined() && !tensor.sole_owner()) tensor = tensor.clone();
    }
  };
  Backward(const Node& node, std::vector<Slot>& slots, const Intercept& intercept)
      : node_(&node), slots_(&slots), intercept_(&intercept) {}
  Slot& slot_of(int input) const;
  void finish();

  const Node* node_;
  std::vector<Slot>* slots_;
  const Intercept* intercept_;
  std::vector<int> asked_;
  // Gradients that wait until the rule is done, by input: the second one of an input that occurs
  // twice in one node, since a rule may fill both in one pass; and all that are intercepted.
  std::vector<std::pair<int, Tensor>> later_;
};

class Tape {
 public:
  // Lets go of what recompute() computes up to this level (engine/recompute.hpp).
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
    Intercept intercept = {};
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
  struct Recomputed {
    std::size_t first, last;  // its nodes: [first, last)
    std::function<void()> function;
    // Of the inputs of its ops that are not tracked, added up: versions only grow.
    std::uint64_t versions = 0;
    bool emptied = false;  // its nodes have let go of what they saved
  };
  // The segment whose function runs again, and how far it is.
  struct Again {
    std::size_t next, last;
    bool skipped = false;
    std::uint64_t versions = 0;
  };
  // A value that is tracked.
  struct Known {
    int slot = -1;
    bool made = false;          // by an op, and not watched as it was
    std::uint64_t version = 0;  // of its memory then
  };
  int slot_of(const Tensor& tensor) const;
  void check_loss(const Tensor& loss) const;
  std::vector<Backward::Slot> open_slots(const Options& options,
                                         const std::vector<bool>& watched) const;
  int checked_slot(Op op, std::size_t input, const Tensor& tensor) const;
  bool sees(const Tensor& tensor) const;
  void count_versions(const Node& node);
  bool had_part_in(const Tape& other, const Tensor& cotangent) const;
  void run_again(const Recomputed& segment);
  void refill(Node&& node, std::span<const Tensor> outputs, std::span<const Tensor> saved);

  int recompute_level_ = 0;
  std::vector<Node> nodes_;
  std::vector<Tensor> watched_;
  std::uint64_t number_;  // since the last clear(), by which memory knows the tape
  std::unordered_map<std::uint64_t, Known> slots_;
  bool released_ = false;
  std::vector<Recomputed> segments_;  // in the order of their nodes, apart from each other
  bool segment_open_ = false;
  std::uint64_t segment_versions_ = 0;
  std::optional<Again> again_;
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
