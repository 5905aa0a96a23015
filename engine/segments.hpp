// The parts of a tape that run again in its backward pass: what engine/recompute.hpp keeps on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace posetape {

struct Node;
class Tape;

class Segments {
 public:
  // Computes again what recompute() has up to this level.
  explicit Segments(int level) : level_(level) {}

  // While the forward pass records. open() begins one with the next node and lets go of what the
  // last one saved; false where there is to be none. close() ends it, with what records its nodes
  // again, and leave() after it or without.
  bool open(std::vector<Node>& nodes, int level);
  void close(const std::vector<Node>& nodes, std::function<void()> function);
  void leave() { open_ = false; }
  void clear() { all_.clear(); }

  // An op that is not recorded, but runs again with its segment: its inputs must be what they were.
  void read(const Node& node);

  // While a segment runs again: whether the next op ends it, so that its result may be skipped;
  // whether it was; and the node that comes again as `second`. Throws where that is another one.
  bool recomputing() const { return recomputation_.has_value(); }
  bool skip();
  bool skipped() const { return recomputation_ && recomputation_->skipped; }
  Node& recorded(std::vector<Node>& nodes, const Node& second);

  // Follows a backward pass from the last node to the first. Where it releases, segments let go of
  // their inputs once they have run.
  class Rewind {
   public:
    Rewind(Tape& tape, bool release);
    // The pass is at node number `node`; makes what its rule needs of a segment that let go of it.
    void at(std::size_t node, bool runs_rule);
    // What the node holds was made for this pass.
    bool made() const { return made_; }

   private:
    Tape* tape_;
    bool release_;
    std::size_t left_;  // segments up to the one at the node
    bool made_ = false;
  };

 private:
  struct Segment {
    std::size_t first, last;  // its nodes: [first, last)
    std::function<void()> function;
    // Of the inputs of its ops that are not tracked, added up: versions only grow.
    std::uint64_t versions = 0;
    std::string scope;     // of the names that its values went by
    bool parts = false;    // Observer::parts_wanted() then
    bool emptied = false;  // its nodes have let go of what they saved
  };
  // The segment whose function runs again, and how far it is.
  struct Recomputation {
    std::size_t next, last;
    bool skipped = false;
    std::uint64_t versions = 0;
  };
  static void recompute(Tape& tape, const Segment& segment);

  int level_;
  std::vector<Segment> all_;  // in the order of their nodes, apart from each other
  bool open_ = false;
  std::size_t first_ = 0;  // of the open one
  std::uint64_t versions_ = 0;
  std::optional<Recomputation> recomputation_;
};

}  // namespace posetape
