// The training loop: epochs of an optimiser's steps on a loss, validation after each, exact resume.
// On a GPU a step is one graph: forward, backward and update.
//
// Everything random is drawn by (seed, epoch, step) in the caller's `batch`, so the state of a run
// is the parameters, the optimiser's vectors and the counters below. A run that was stopped
// anywhere, saved, loaded and continued gives the same losses, bit for bit, as one that was not.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "engine/ema.hpp"
#include "engine/gradients.hpp"
#include "engine/optimiser.hpp"
#include "engine/ranks/gradient_shards.hpp"
#include "engine/replay.hpp"
#include "engine/safetensors.hpp"

namespace posetape {

enum class OptimiserKind { adam, sgd, muon };

struct TrainOptions {
  int epochs = 1;
  int steps_per_epoch = 1;
  double lr = 1e-3;
  double decay = 0.96;  // of the learning rate, after every epoch
  // Stop after this many epochs in a row without a better validation; 0: never.
  int patience = 0;
  double weight_decay = 0;  // of Adam and Muon, decoupled; of SGD an L2 penalty
  int recompute = 0;        // level of the tape (engine/recompute.hpp)
  // Look at every result and gradient of every step (engine/finite_watch.hpp): slow, and on a GPU
  // op by op. It finds a gradient that is not finite where the loss is, before the weights move.
  bool check_finite = false;
  OptimiserKind optimiser = OptimiserKind::adam;
  double momentum = 0.9;  // of SGD and Muon
  // Patterns of names of matrices that Muon leaves to Adam: {"embedding", "out.*"}.
  std::vector<std::string> adam = {};
  // Patterns of names of parameters without weight decay: {"*.bias", "*.gamma"}.
  std::vector<std::string> undecayed = {};
  int warm_up = 0;  // steps in which the rate rises (engine/learning_rate.hpp)
  // Instead of `decay`: half a cosine over all steps of all epochs, from lr to lr_floor.
  bool cosine = false;
  double lr_floor = 0;
  double clip_norm = 0;  // largest global norm of the gradients (engine/gradients.hpp); 0: any
  // Batches of a step, whose losses and gradients are averaged. `batch` is asked for each, with
  // numbers that count them: micro_batches times step, and so on.
  int micro_batches = 1;
  // Decay of the weights' moving averages (engine/ema.hpp), with which `validate` is called; 0: no
  // averages.
  double ema = 0;
  // S, of which the gradient of a batch is the sum (engine/ranks/gradient_shards.hpp); several
  // ranks need one each. With 1 a batch is differentiated at once, by every rank.
  int shards = 1;
  // Every rank is to have the gradients of all parameters after a step, and not of its part alone:
  // so it is where they are clipped, and with Muon, which moves whole matrices on every rank.
  bool whole_gradients = false;
};

// Where a run is. `step` counts inside the epoch.
struct TrainState {
  int epoch = 0;
  int step = 0;
  double loss_sum = 0;  // of the epoch's steps so far
  double best_validation = std::numeric_limits<double>::infinity();
  int best_epoch = -1;  // none yet
};

struct EpochResult {
  int epoch = 0;          // counts from 0
  double lr = 0;          // of its last step
  double loss = 0;        // mean over the epoch's steps
  double validation = 0;  // lower is better
  bool best = false;
  double seconds = 0;  // steps and validation, of this process
  // Parameters that are not frozen, and of which no step of this process has changed a bit.
  std::vector<std::string> unmoved = {};
};

enum class TrainOutcome { finished, interrupted };

class Trainer {
 public:
  // A step's data, on the host, and which kind of work it is (see Replay).
  struct Batch {
    std::vector<Tensor> inputs;
    int variant = 0;
    // How many there are in the batch. An input with so many rows is cut into shards, others go to
    // each as they are; what a row holds must not depend on the rows that are beside it.
    Index sequences = 0;
  };

  struct Hooks {
    // The batch of a step, with everything random in it already drawn.
    std::function<Batch(int epoch, int step)> batch;
    // Its loss, one element, from the batch's inputs on the parameters' device; called under a
    // recording of the tape, and as Replay::Function says.
    Replay::Function loss;
    // The figure that decides which epoch is best, finite: the first epoch always is.
    std::function<double()> validate;
    // After each step, with the step's loss.
    std::function<void(const TrainState& state, double loss)> on_step;
    // After each epoch: the place to log, and to save the best and the last checkpoint. Weights and
    // moments are finite here, and where stop() has ended a run.
    std::function<void(const EpochResult& result)> on_epoch;
    // Asked after each step, or by one of several ranks before the step's update; true on any rank
    // leaves the loop on all after the step, with everything in a state that can be saved.
    std::function<bool()> stop;
    // Asked likewise: true on any rank calls on_pause on all after a step that ends no epoch, the
    // place to save the last checkpoint.
    std::function<bool()> pause;
    std::function<void()> on_pause;
  };

  Trainer(const ParameterList& parameters, TrainOptions options);

  // Runs until the last epoch, until patience is used up, or until stop() says so. Throws where a
  // loss, a weight, a number of the optimiser's or a validation is not finite, or where a frozen
  // parameter has changed, naming the epoch. Of a loss it says which op gave the first such value,
  // for which the step runs again under a FiniteWatch; the weights and the optimiser are those
  // before it, to the bit.
  TrainOutcome run(const Hooks& hooks);

  const ParameterList& parameters() const { return *parameters_; }
  double lr() const;  // of the step that comes next
  const TrainState& state() const { return state_; }
  // How batches are cut, or null where they are not.
  const GradientShards* shards() const { return shards_ ? &*shards_ : nullptr; }
  // What this rank sends to the others in a step of which no shard is empty.
  std::uint64_t bytes_a_step() const;
  // The weights' averages, or null: who saves the best does so while an Averaged lives.
  const Ema* ema() const { return ema_ ? &*ema_ : nullptr; }

  // The optimiser's vectors, the averages and the counters, under "trainer."; load() throws where
  // they do not fit. All ranks save together.
  void save(TensorFile& file) const;
  void load(const TensorFile& file, const std::string& path);

 private:
  double train_step(const Hooks& hooks, Replay& pass, Replay& update_with_mean);
  double sharded_step(const Hooks& hooks, Replay& pass, Replay& update_with_mean);
  void pass_shards(const Hooks& hooks, const std::vector<Batch>& batches, Replay& pass,
                   std::vector<double>& losses);
  void take_back_step();
  [[noreturn]] void diverged_on(const Hooks& hooks, const std::vector<Batch>& batches, double loss,
                                std::size_t at);
  bool several_ranks() const { return shards_ && !ranks().alone(); }
  bool gathers_gradients() const;
  bool gathers_weights() const;
  double watched_pass(const Hooks& hooks, const Batch& batch);
  void finish_pass(const Tensor& loss);
  void update(const Tensor& loss);
  double validated(const Hooks& hooks) const;
  bool one_pass() const { return options_.micro_batches == 1; }
  double lr_of(int epoch, int step) const;
  [[noreturn]] void diverged(double loss, const std::string& found);
  void check_weights() const;
  std::vector<std::string> unmoved() const;
  std::vector<Optimiser::State> vectors() const;

  const ParameterList* parameters_;
  TrainOptions options_;
  std::unique_ptr<Optimiser> optimiser_;
  std::optional<GradientSum> sum_;        // where a step has several batches
  std::optional<GradientShards> shards_;  // instead, where a batch has several shards
  std::optional<Ema> ema_;
  TrainState state_;
  std::vector<std::uint32_t> at_start_;  // of the epoch: a checksum of each parameter
  // Whether any of several ranks wants to leave, or to pause.
  bool stop_ = false;
  bool pause_ = false;
};

}  // namespace posetape
