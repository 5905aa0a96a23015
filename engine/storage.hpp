// The memory of tensors, and what is remembered about it so that a mistake with it can be told: a
// write between a forward and a backward pass, a value that no tape sees, a gradient that is lost.
// Handles, aliases and tapes share it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace posetape {

class Storage {
 public:
  Storage(std::byte* memory, std::size_t size) : data(memory), bytes(size) {}
  // A part of `whole`, which it keeps alive, that counts as a memory of its own: a write to another
  // part is none to this one, a write to the whole is one to all.
  Storage(std::shared_ptr<Storage> whole, std::size_t offset, std::size_t size)
      : data(whole->data + offset), bytes(size), whole_(std::move(whole)) {}
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* const data;
  const std::size_t bytes;

  // Called by who reads the memory, and by who may write to it as well.
  void read() {
    auto& gradient = block().gradient_;
    if (gradient.load(kRelaxed) == Gradient::fresh) gradient.store(Gradient::unknown, kRelaxed);
  }
  void touched() {
    auto& gradient = block().gradient_;
    if (gradient.load(kRelaxed) != Gradient::unknown) gradient.store(Gradient::unknown, kRelaxed);
  }

  // How often the engine's functions have written to it. Where it is the same as before, nothing
  // but a write through a bare pointer can have changed a value.
  std::uint64_t version() const {
    return writes_.load(kRelaxed) + (whole_ ? whole_->writes_ : writes_to_parts_).load(kRelaxed);
  }
  void written() {
    writes_.fetch_add(1, kRelaxed);
    if (whole_) whole_->writes_to_parts_.fetch_add(1, kRelaxed);
  }

  // The tape that last took a value in this memory to its record, by its number.
  void tracked_by(std::uint64_t tape) {
    tape_.store(tape, kRelaxed);
    if (whole_) whole_->tape_of_part_.store(tape, kRelaxed);
  }
  bool is_tracked_by(std::uint64_t tape) const {
    return tape_.load(kRelaxed) == tape || tape_of_part_.load(kRelaxed) == tape;
  }
  // The tape that does not see how its values came into this memory.
  void hidden_from(std::uint64_t tape) { hidden_from_.store(tape, kRelaxed); }
  bool is_hidden_from(std::uint64_t tape) const { return hidden_from_.load(kRelaxed) == tape; }

  // A backward pass has put a gradient here.
  void gradient_written() {
    block().set(Gradient::fresh);
    pass_.store(block().passes_.load(kRelaxed), kRelaxed);
  }
  // True where a gradient is here, and nobody has looked at any of the block since.
  bool holds_unread_gradient() const {
    return block().is(Gradient::fresh) && pass_.load(kRelaxed) == block().passes_.load(kRelaxed);
  }
  // An optimiser has used the gradients of this block; and whether nobody has touched it since.
  void gradient_used() { block().set(Gradient::used); }
  bool gradient_is_used() const { return block().is(Gradient::used); }

  // A recorded graph has run, and may have read and written any memory.
  static void graph_launched() { graphs_.fetch_add(1, kRelaxed); }

 private:
  enum class Gradient : std::uint8_t { unknown, fresh, used };
  static constexpr auto kRelaxed = std::memory_order_relaxed;

  Storage& block() { return whole_ ? *whole_ : *this; }
  const Storage& block() const { return whole_ ? *whole_ : *this; }
  void set(Gradient state) {
    // A gradient beside others that are unread is of the same pass, as far as one can tell.
    if (!is(Gradient::fresh)) passes_.fetch_add(1, kRelaxed);
    gradient_.store(state, kRelaxed);
    graphs_then_.store(graphs_.load(kRelaxed), kRelaxed);
  }
  bool is(Gradient state) const {
    return gradient_.load(kRelaxed) == state &&
           graphs_then_.load(kRelaxed) == graphs_.load(kRelaxed);
  }

  static inline std::atomic<std::uint64_t> graphs_{0};

  std::shared_ptr<Storage> whole_;
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> writes_to_parts_{0};
  std::atomic<std::uint64_t> tape_{0};
  std::atomic<std::uint64_t> tape_of_part_{0};
  std::atomic<std::uint64_t> hidden_from_{0};
  std::atomic<std::uint64_t> pass_{0};    // that wrote the gradient here
  std::atomic<std::uint64_t> passes_{0};  // over the block; before each its gradients were unread
  std::atomic<std::uint64_t> graphs_then_{0};
  std::atomic<Gradient> gradient_{Gradient::unknown};
};

}  // namespace posetape
