#include "engine/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/finite_watch.hpp"
#include "engine/module.hpp"

namespace posetape {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(const ParameterList& parameters, TrainOptions options)
    : parameters_(&parameters),
      options_(options),
      adam_(parameters, {.weight_decay = options.weight_decay}) {}

double Trainer::lr() const {
  return options_.lr * std::pow(options_.decay, state_.epoch);
}

double Trainer::train_step(const Hooks& hooks, Replay& replay) {
  const Batch batch = hooks.batch(state_.epoch, state_.step);
  adam_.prepare(lr());
  const double loss = options_.check_finite ? watched_step(hooks, batch)
                                            : replay(batch.inputs, batch.variant).item();
  if (std::isfinite(loss)) return loss;
  if (!options_.check_finite) watched_step(hooks, batch);  // nothing has moved: it says why
  diverged(loss, "");
}

// On a GPU op by op, instead of one graph.
double Trainer::watched_step(const Hooks& hooks, const Batch& batch) {
  const FiniteWatch watch(*parameters_);
  std::vector<Tensor> inputs;
  for (const Tensor& x : batch.inputs) inputs.push_back(x.to(parameters_->device()));
  const auto checked = [&](const Tensor& loss) {
    if (!watch.found().empty()) diverged(loss.item(), ": " + watch.found());
    return loss;
  };
  const Tensor loss = checked(gradients(
      *parameters_, [&] { return checked(hooks.loss(inputs, batch.variant)); },
      options_.recompute));
  adam_.update(loss);
  return loss.item();
}

void Trainer::diverged(double loss, const std::string& found) {
  --adam_.steps;                      // prepared, and not taken
  fill(parameters_->gradients(), 0);  // of no use to anybody
  fail("training diverged: loss is {} at epoch {}, step {}{}; lower the learning rate (now {:g})",
       loss, state_.epoch + 1, state_.step + 1, found, lr());
}

// Throws where a checkpoint of now would be of no use.
void Trainer::check_weights() const {
  const auto check = [&](const std::string& name, const Tensor& t) {
    const auto bad = first_not_finite(t);
    if (!bad) return;
    fail("training diverged: {} holds {} in epoch {}; lower the learning rate (now {:g})", name,
         bad->value, state_.epoch + 1, lr());
  };
  for (const ParameterList::Entry& e : parameters_->entries()) check(e.name, e.master);
  check("Adam's first moment", adam_.m);
  check("Adam's second moment", adam_.v);
}

TrainOutcome Trainer::run(const Hooks& hooks) {
  Replay replay(parameters_->device(), [&](std::span<const Tensor> inputs, int variant) {
    const Tensor loss = gradients(
        *parameters_, [&] { return hooks.loss(inputs, variant); }, options_.recompute);
    adam_.update(loss);
    return loss;
  });
  while (state_.epoch < options_.epochs) {
    if (options_.patience > 0 && state_.best_epoch >= 0 &&
        state_.epoch - state_.best_epoch > options_.patience) {
      break;
    }
    const auto start = Clock::now();
    while (state_.step < options_.steps_per_epoch) {
      const double loss = train_step(hooks, replay);
      state_.loss_sum += loss;
      ++state_.step;
      if (hooks.on_step) hooks.on_step(state_, loss);
      if (hooks.stop && hooks.stop()) {
        check_weights();
        return TrainOutcome::interrupted;
      }
    }
    check_weights();
    EpochResult result;
    result.epoch = state_.epoch;
    result.lr = lr();
    result.loss = state_.loss_sum / options_.steps_per_epoch;
    result.validation = hooks.validate();
    if (!std::isfinite(result.validation)) {
      fail(
          "training diverged: the validation of epoch {} is {}, with losses of {:g}; lower the "
          "learning rate (now {:g})",
          state_.epoch + 1, result.validation, result.loss, lr());
    }
    result.best = result.validation < state_.best_validation;
    if (result.best) {
      state_.best_validation = result.validation;
      state_.best_epoch = state_.epoch;
    }
    ++state_.epoch;
    state_.step = 0;
    state_.loss_sum = 0;
    result.seconds = seconds_since(start);
    if (hooks.on_epoch) hooks.on_epoch(result);
  }
  return TrainOutcome::finished;
}

void Trainer::save(TensorFile& file) const {
  file.tensors.emplace_back("trainer.m", adam_.m);
  file.tensors.emplace_back("trainer.v", adam_.v);
  const std::vector<double> counters{
      static_cast<double>(adam_.steps), static_cast<double>(state_.epoch),
      static_cast<double>(state_.step), state_.loss_sum,
      state_.best_validation,           static_cast<double>(state_.best_epoch)};
  file.tensors.emplace_back("trainer.counters", Tensor::of<double>({6}, counters));
}

void Trainer::load(const TensorFile& file, const std::string& path) {
  const Tensor& m = file.at("trainer.m");
  const Tensor& v = file.at("trainer.v");
  const Tensor& counters = file.at("trainer.counters");
  if (m.shape() != adam_.m.shape() || v.shape() != adam_.v.shape() || counters.size() != 6) {
    fail(
        "{}: the optimiser's state is {}, this model needs {}; resume with the options it was "
        "started with",
        path, m.shape().text(), adam_.m.shape().text());
  }
  const double* c = counters.data<double>();
  const auto counts = [](double x) { return x >= 0 && x < 1e9 && x == std::floor(x); };
  if (!std::all_of(c, c + 3, counts) || !std::isfinite(c[3]) || !(c[5] == -1 || counts(c[5]))) {
    fail("{}: tensor 'trainer.counters' counts no steps and epochs; start again without it", path);
  }
  copy(m, adam_.m);
  copy(v, adam_.v);
  adam_.steps = static_cast<std::int64_t>(c[0]);
  state_ = {static_cast<int>(c[1]), static_cast<int>(c[2]), c[3], c[4], static_cast<int>(c[5])};
}

}  // namespace posetape
