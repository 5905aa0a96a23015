// What optimisers share: the parameters' block, which parts of it move, and the order of a step.
// Adam (engine/adam.hpp), Sgd (engine/sgd.hpp) and Muon (engine/muon.hpp) are the three.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/op.hpp"
#include "engine/parameters.hpp"

namespace posetape {

class Optimiser {
 public:
  virtual ~Optimiser() = default;

  // One update of all parameters from their gradients at learning rate `lr`: prepare(lr) and
  // update(). Throws where nobody has written to parameters.gradients() since the update before. A
  // gradient of NaN makes the weights NaN: look at the loss before.
  void step(double lr);
  // What depends on the number of the step, and the update itself, whose work is the same each time
  // and can be recorded (engine/replay.hpp). Where a loss is given, one element, and it is not
  // finite, weights and state stay as they are.
  void prepare(double lr);
  void update(const Tensor& loss = {});

  // A vector of the size of the part that is moved, which a checkpoint keeps, beside the steps
  // taken.
  struct State {
    const char* name;  // in a file
    const char* text;  // in messages
    Tensor tensor;
  };
  virtual std::vector<State> state() const = 0;
  std::int64_t steps = 0;

  const char* name() const { return name_; }
  // Everything that it was made with but for the parameters, to be compared and read.
  virtual std::string settings() const = 0;

 protected:
  // `undecayed` are patterns of names (engine/taps.hpp); one that matches no parameter is an Error.
  // Parameters that are frozen now are left out; where others are frozen later, prepare() throws.
  // It moves and has state of `part` alone, where that is given: others move the rest. Matrices of
  // which `alone` is true are not treated elementwise, and have to be in the part as a whole.
  using Alone = std::function<bool(const ParameterList::Entry&)>;
  Optimiser(const char* name, const ParameterList& parameters, double weight_decay,
            const std::vector<std::string>& undecayed, std::optional<BlockPart> part = {},
            const Alone& alone = {});

  // Neighbours in the block that are treated alike, or one matrix that is alone.
  struct Run {
    Index begin = 0;  // in the block
    Index size = 0;
    double weight_decay = 0;
    Index state = 0;  // where it begins in a vector of state
    Index rows = 0;   // of the matrix; 0 for neighbours
  };
  // What prepare() writes: numbers of this step, and in the last place the loss.
  static constexpr Index kLoss = 3;
  virtual std::vector<double> rates(double lr) const = 0;
  virtual void launch_update(const Run& run) = 0;
  virtual Cost cost() const = 0;  // of an update

  Tensor zeros_of_part() const;  // of the masters' type

  Tensor rates_;  // f64 [4]
  Tensor masters_;
  Tensor values_;
  Tensor gradients_;

 private:
  void check_gradients() const;
  void keep_part();

  const char* name_;
  BlockPart part_;
  std::vector<Run> runs_;
  std::shared_ptr<const int> freezes_;
  int freezes_then_;
};

}  // namespace posetape
