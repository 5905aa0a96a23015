#include "engine/recompute.hpp"

#include "engine/observer.hpp"

namespace posetape {
namespace {

// Names were heard when the values were made first. What was replaced then is replaced again, by
// the same names, and what ran in parts does so again, whoever looks on now.
struct Unnamed : Observer {
  Unnamed(std::string_view scope, bool parts_then) : Observer(scope), parts(parts_then) {}
  bool named(const Named&) override { return true; }
  std::optional<bool> wants_parts() const override { return parts; }
  bool parts;
};

}  // namespace

bool Segments::open(std::vector<Node>& nodes, int level) {
  if (level > level_ || open_ || recomputation_) return false;
  if (!all_.empty()) {
    Segment& last = all_.back();
    for (std::size_t i = last.first; i < last.last; ++i) nodes[i].saved.clear();
    last.emptied = true;
  }
  open_ = true;
  first_ = nodes.size();
  versions_ = 0;
  return true;
}

void Segments::close(const std::vector<Node>& nodes, std::function<void()> function) {
  all_.push_back({first_, nodes.size(), std::move(function), versions_,
                  std::string(Observer::scope()), Observer::parts_wanted()});
}

void Segments::read(const Node& node) {
  if (!open_ && !recomputation_) return;
  std::uint64_t& versions = recomputation_ ? recomputation_->versions : versions_;
  for (const Value& v : node.inputs) versions += v.version;
}

bool Segments::skip() {
  if (!recomputation_) return false;
  recomputation_->skipped = recomputation_->next + 1 == recomputation_->last;
  return recomputation_->skipped;
}

Node& Segments::recorded(std::vector<Node>& nodes, const Node& second) {
  const bool more = recomputation_->next < recomputation_->last;
  if (!more || nodes[recomputation_->next].op != second.op) {
    fail("recompute: the function ran {} where it {} the first time; it must do the same each time",
         name(second.op),
         more ? fmt::format("ran {}", name(nodes[recomputation_->next].op)) : "had ended");
  }
  Node& node = nodes[recomputation_->next++];
  if (node.inputs.size() != second.inputs.size()) {
    fail(
        "recompute: {} has {} inputs where it had {} the first time; it must do the same each time",
        name(node.op), second.inputs.size(), node.inputs.size());
  }
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Value& input = node.inputs[i];
    if (input.version == second.inputs[i].version) continue;
    fail(
        "recompute: input {} of {}, {} {}, was changed in place since the forward pass ({}); "
        "change it after backward()",
        i, name(node.op), name(input.dtype), input.shape.text(), kWrites);
  }
  return node;
}

void Segments::recompute(Tape& tape, const Segment& segment) {
  // What is made again is forgotten afterwards, also where the function throws.
  struct Restore {
    Tape* tape;
    std::unordered_map<std::uint64_t, Tape::Known> slots;
    ~Restore() {
      tape->slots_ = std::move(slots);
      tape->segments_.recomputation_.reset();
    }
  } const restore{&tape, tape.slots_};
  const Recording on(tape);
  std::optional<Unnamed> unnamed;
  if (Observer::innermost() != nullptr || segment.parts) {
    unnamed.emplace(segment.scope, segment.parts);
  }
  std::optional<Recomputation>& at = tape.segments_.recomputation_;
  at = {segment.first, segment.last};
  segment.function();
  if (at->next != at->last) {
    fail("recompute: the function ran {} ops, {} the second time; it must do the same each time",
         segment.last - segment.first, at->next - segment.first);
  }
  if (at->versions != segment.versions) {
    fail(
        "recompute: a constant that the function reads was changed in place since the forward pass "
        "({}); change it after backward()",
        kWrites);
  }
}

Segments::Rewind::Rewind(Tape& tape, bool release)
    : tape_(&tape), release_(release), left_(tape.segments_.all_.size()) {}

void Segments::Rewind::at(std::size_t node, bool runs_rule) {
  std::vector<Segment>& all = tape_->segments_.all_;
  for (; left_ > 0 && node < all[left_ - 1].first; --left_) made_ = false;
  if (!runs_rule || left_ == 0 || node >= all[left_ - 1].last) return;
  Segment& segment = all[left_ - 1];
  if (segment.emptied && !made_) {
    recompute(*tape_, segment);
    made_ = true;
  }
  if (release_) segment.function = nullptr;  // and so of its inputs
}

Segment::Segment(int level) {
  Tape* tape = RecordingScope::tape();
  if (tape != nullptr && tape->segments_.open(tape->nodes_, level)) tape_ = tape;
}

Segment::~Segment() {
  if (tape_ != nullptr) tape_->segments_.leave();
}

void Segment::close(std::function<void()> function) {
  tape_->segments_.close(tape_->nodes_, std::move(function));
}

}  // namespace posetape
