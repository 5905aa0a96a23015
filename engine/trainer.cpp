#include "engine/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/adam.hpp"
#include "engine/crc32.hpp"
#include "engine/finite_watch.hpp"
#include "engine/learning_rate.hpp"
#include "engine/module.hpp"
#include "engine/muon.hpp"
#include "engine/sgd.hpp"

namespace posetape {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const TrainOptions& o) {
  if (o.micro_batches < 1) fail("micro_batches is {}; a step has at least one", o.micro_batches);
  if (o.shards < 1) fail("shards is {}; a batch has at least one", o.shards);
  if (o.warm_up < 0) fail("warm_up is {} steps; it must not be negative", o.warm_up);
  if (!(o.clip_norm >= 0)) fail("clip_norm is {}; it must not be negative", o.clip_norm);
  if (!(o.ema >= 0 && o.ema < 1)) fail("ema is {}; it must be in [0, 1)", o.ema);
  if (!(o.decay > 0 && o.decay <= 1)) {
    fail("decay is {}; it must be in (0, 1], or the learning rate grows", o.decay);
  }
  if (o.cosine && !(o.lr_floor <= o.lr)) {
    fail("lr_floor is {:g}, above the learning rate {:g}, which is to fall to it", o.lr_floor,
         o.lr);
  }
}

std::unique_ptr<Optimiser> make_optimiser(const ParameterList& parameters, const TrainOptions& o,
                                          std::optional<BlockPart> part) {
  if (o.optimiser == OptimiserKind::sgd) {
    return std::make_unique<Sgd>(parameters, SgdOptions{o.momentum, o.weight_decay, o.undecayed},
                                 part);
  }
  const AdamOptions adam{.weight_decay = o.weight_decay, .undecayed = o.undecayed};
  if (o.optimiser == OptimiserKind::muon) {
    return std::make_unique<Muon>(parameters, MuonOptions{o.momentum, o.adam, adam});
  }
  return std::make_unique<Adam>(parameters, adam, part);
}

std::uint32_t checksum(const ParameterList::Entry& e) {
  const Tensor here = e.master.to(Device::cpu);
  return crc32({static_cast<const std::byte*>(here.raw()), here.bytes()});
}

std::vector<std::uint32_t> checksums(const ParameterList& parameters) {
  std::vector<std::uint32_t> sums;
  std::ranges::transform(parameters.entries(), std::back_inserter(sums), checksum);
  return sums;
}

// The rows of a batch that are a shard's.
std::vector<Tensor> rows_of(const Trainer::Batch& batch, const ShardSequences& shard) {
  std::vector<Tensor> inputs;
  for (const Tensor& x : batch.inputs) {
    const bool whole = !x.defined() || x.shape().rank() == 0 || x.shape()[0] != batch.sequences;
    if (whole) {
      inputs.push_back(x);
      continue;
    }
    const Index row = x.size() / std::max<Index>(1, batch.sequences);
    inputs.push_back(x.alias(x.shape().with(0, shard.count), shard.first * row));
  }
  return inputs;
}

}  // namespace

Trainer::Trainer(const ParameterList& parameters, TrainOptions options)
    : parameters_(&parameters), options_(std::move(options)) {
  check(options_);
  if (options_.shards > 1) shards_.emplace(parameters, options_.shards);
  optimiser_ =
      make_optimiser(parameters, options_, shards_ ? std::optional(shards_->part()) : std::nullopt);
  if (!one_pass() && !shards_) sum_.emplace(parameters);
  if (options_.ema > 0) ema_.emplace(parameters);
}

double Trainer::lr() const {
  return lr_of(state_.epoch, state_.step);
}

double Trainer::lr_of(int epoch, int step) const {
  const TrainOptions& o = options_;
  const std::int64_t number = std::int64_t{epoch} * o.steps_per_epoch + step;
  if (o.cosine) {
    return cosine_rate(number, std::int64_t{o.epochs} * o.steps_per_epoch, o.warm_up, o.lr,
                       o.lr_floor);
  }
  return o.lr * std::pow(o.decay, epoch) * warm_up_part(number, o.warm_up);
}

double Trainer::train_step(const Hooks& hooks, Replay& pass, Replay& update_with_mean) {
  const int count = options_.micro_batches;
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) {
    batches.push_back(hooks.batch(state_.epoch, state_.step * count + i));
  }
  optimiser_->prepare(lr());
  if (sum_) sum_->clear();
  double total = 0;
  for (const Batch& batch : batches) {
    const double loss = options_.check_finite ? watched_pass(hooks, batch)
                                              : pass(batch.inputs, batch.variant).item();
    if (!std::isfinite(loss)) {
      if (!options_.check_finite) watched_pass(hooks, batch);  // nothing has moved: it says why
      diverged(loss, "");
    }
    total += loss;
  }
  const double loss = total / count;
  if (!one_pass()) update_with_mean(std::vector{Tensor::full({}, loss, DType::f64)});
  if (ema_) ema_->update(options_.ema);
  return loss;
}

double Trainer::sharded_step(const Hooks& hooks, Replay& pass, Replay& update_with_mean) {
  const int count = options_.micro_batches;
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) {
    batches.push_back(hooks.batch(state_.epoch, state_.step * count + i));
    if (batches.back().sequences < 1) fail("trainer: a batch that is cut into shards has none");
  }
  optimiser_->prepare(lr());
  shards_->clear();
  std::vector<double> losses;
  pass_shards(hooks, batches, pass, losses);
  double total = 0;
  for (std::size_t at = 0; at < losses.size(); ++at) {
    if (!std::isfinite(losses[at])) diverged_on(hooks, batches, losses[at], at);
    total += losses[at];
  }
  const double loss = total / count;
  shards_->complete();
  if (gathers_gradients()) {
    shards_->mean(count);
    shards_->gather_gradients();
  }
  update_with_mean(std::vector{Tensor::full({}, loss, DType::f64)});
  if (gathers_weights()) shards_->gather_weights();
  if (ema_) ema_->update(options_.ema);
  return loss;
}

// Differentiates this rank's shards of all batches. `losses` are those of all shards, times their
// weights, on all ranks; with them goes whether a rank wants to stop or to pause.
void Trainer::pass_shards(const Hooks& hooks, const std::vector<Batch>& batches, Replay& pass,
                          std::vector<double>& losses) {
  const int count = shards_->shards();
  std::vector<double> here(batches.size() * static_cast<std::size_t>(count));
  for (std::size_t b = 0; b < batches.size(); ++b) {
    for (int round = 0; round < shards_->rounds(); ++round) {
      const std::optional<int> shard = shards_->shard_of(round);
      const Index whole = batches[b].sequences;
      const ShardSequences rows = shard ? shard_sequences(whole, count, *shard) : ShardSequences{};
      if (rows.count > 0) {
        const Batch part{rows_of(batches[b], rows), batches[b].variant, rows.count};
        const double loss = options_.check_finite ? watched_pass(hooks, part)
                                                  : pass(part.inputs, part.variant).item();
        here[b * static_cast<std::size_t>(count) + static_cast<std::size_t>(*shard)] =
            loss * (static_cast<double>(rows.count) / static_cast<double>(whole));
      }
      shards_->add(round, whole);
    }
  }
  losses.resize(here.size());
  here.push_back(several_ranks() && hooks.stop && hooks.stop() ? 1 : 0);
  here.push_back(several_ranks() && hooks.pause && hooks.pause() ? 1 : 0);
  const std::vector<std::vector<double>> all = ranks().gather(here);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const int shard = static_cast<int>(i) % count;
    losses[i] = all[static_cast<std::size_t>(shards_->rank_of(shard))][i];
  }
  const auto any = [&](std::size_t at) {
    return std::ranges::any_of(all, [at](const auto& rank) { return rank[at] != 0; });
  };
  stop_ = any(losses.size());
  pause_ = any(losses.size() + 1);
}

// The rank that has the shard looks for the reason, and all say the same.
void Trainer::diverged_on(const Hooks& hooks, const std::vector<Batch>& batches, double loss,
                          std::size_t at) {
  shards_->complete();
  const auto count = static_cast<std::size_t>(shards_->shards());
  const int shard = static_cast<int>(at % count);
  const Batch& batch = batches[at / count];
  std::string reason;
  if (shards_->rank_of(shard) == ranks().rank()) {
    const ShardSequences rows = shard_sequences(batch.sequences, shards_->shards(), shard);
    try {
      watched_pass(hooks, {rows_of(batch, rows), batch.variant, rows.count});
    } catch (const Error& error) {
      reason = error.what();
    }
  }
  const std::vector<std::string> reasons = ranks().gather(reason);
  const std::string& found = reasons[static_cast<std::size_t>(shards_->rank_of(shard))];
  if (found.empty()) diverged(loss, "");
  if (reason.empty()) take_back_step();
  throw Error(found);
}

bool Trainer::gathers_gradients() const {
  return several_ranks() && (options_.clip_norm > 0 || options_.whole_gradients ||
                             options_.optimiser == OptimiserKind::muon);
}

bool Trainer::gathers_weights() const {
  return several_ranks() && options_.optimiser != OptimiserKind::muon;
}

std::uint64_t Trainer::bytes_a_step() const {
  if (!several_ranks()) return 0;
  return static_cast<std::uint64_t>(options_.micro_batches) * shards_->bytes_of_batch() +
         (gathers_gradients() ? shards_->bytes_of_block(parameters_->gradients()) : 0) +
         (gathers_weights() ? shards_->bytes_of_block(parameters_->masters()) : 0);
}

// On a GPU op by op, instead of one graph.
double Trainer::watched_pass(const Hooks& hooks, const Batch& batch) {
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
  finish_pass(loss);
  return loss.item();
}

// The gradients of a batch are there.
void Trainer::finish_pass(const Tensor& loss) {
  if (shards_) return;
  one_pass() ? update(loss) : sum_->add();
}

// Those of a step are.
void Trainer::update(const Tensor& loss) {
  if (options_.clip_norm > 0) clip_gradients(*parameters_, options_.clip_norm);
  optimiser_->update(loss);
}

// It was prepared, and not taken.
void Trainer::take_back_step() {
  --optimiser_->steps;
  fill(parameters_->gradients(), 0);  // of no use to anybody
}

void Trainer::diverged(double loss, const std::string& found) {
  take_back_step();
  fail("training diverged: loss is {} at epoch {}, step {}{}; lower the learning rate (now {:g})",
       loss, state_.epoch + 1, state_.step + 1, found, lr());
}

// What a checkpoint keeps beside the weights.
std::vector<Optimiser::State> Trainer::vectors() const {
  std::vector<Optimiser::State> list = optimiser_->state();
  if (ema_) list.push_back({"average", "the weights' average", ema_->average});
  return list;
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
  for (const Optimiser::State& s : vectors()) check(s.text, s.tensor);
  for (std::size_t i = 0; i < at_start_.size(); ++i) {
    const ParameterList::Entry& e = parameters_->entries()[i];
    if (!e.frozen || checksum(e) == at_start_[i]) continue;
    fail("parameter {} is frozen, and has changed in epoch {}; let nothing write to it", e.name,
         state_.epoch + 1);
  }
}

std::vector<std::string> Trainer::unmoved() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < at_start_.size(); ++i) {
    const ParameterList::Entry& e = parameters_->entries()[i];
    if (!e.frozen && e.master.size() > 0 && checksum(e) == at_start_[i]) names.push_back(e.name);
  }
  return names;
}

TrainOutcome Trainer::run(const Hooks& hooks) {
  Replay pass(parameters_->device(), [&](std::span<const Tensor> inputs, int variant) {
    const Tensor loss = gradients(
        *parameters_, [&] { return hooks.loss(inputs, variant); }, options_.recompute);
    finish_pass(loss);
    return loss;
  });
  Replay update_with_mean(parameters_->device(), [&](std::span<const Tensor> loss, int) {
    if (sum_) sum_->mean(options_.micro_batches);
    if (shards_ && !gathers_gradients()) shards_->mean(options_.micro_batches);
    update(loss[0]);
    return loss[0];
  });
  while (state_.epoch < options_.epochs) {
    if (options_.patience > 0 && state_.best_epoch >= 0 &&
        state_.epoch - state_.best_epoch > options_.patience) {
      break;
    }
    const auto start = Clock::now();
    const bool moves = state_.step < options_.steps_per_epoch;
    at_start_ = checksums(*parameters_);
    while (state_.step < options_.steps_per_epoch) {
      const double loss = shards_ ? sharded_step(hooks, pass, update_with_mean)
                                  : train_step(hooks, pass, update_with_mean);
      state_.loss_sum += loss;
      ++state_.step;
      if (hooks.on_step) hooks.on_step(state_, loss);
      if (several_ranks() ? stop_ : hooks.stop && hooks.stop()) {
        check_weights();
        return TrainOutcome::interrupted;
      }
      const bool inside = state_.step < options_.steps_per_epoch;
      if (inside && (several_ranks() ? pause_ : hooks.pause && hooks.pause())) {
        check_weights();
        hooks.on_pause();
      }
    }
    check_weights();
    EpochResult result;
    result.epoch = state_.epoch;
    result.lr = lr_of(state_.epoch, options_.steps_per_epoch - 1);
    if (moves) result.unmoved = unmoved();
    result.loss = state_.loss_sum / options_.steps_per_epoch;
    result.validation = validated(hooks);
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

double Trainer::validated(const Hooks& hooks) const {
  if (!ema_) return hooks.validate();
  const Averaged averaged(*parameters_, *ema_);
  return hooks.validate();
}

void Trainer::save(TensorFile& file) const {
  for (const Optimiser::State& s : optimiser_->state()) {
    file.tensors.emplace_back(fmt::format("trainer.{}", s.name),
                              gathers_weights() ? shards_->whole(s.tensor) : s.tensor);
  }
  if (ema_) file.tensors.emplace_back("trainer.average", ema_->average);
  const std::vector<double> counters{static_cast<double>(optimiser_->steps),
                                     static_cast<double>(state_.epoch),
                                     static_cast<double>(state_.step),
                                     state_.loss_sum,
                                     state_.best_validation,
                                     static_cast<double>(state_.best_epoch)};
  file.tensors.emplace_back("trainer.counters", Tensor::of<double>({6}, counters));
}

void Trainer::load(const TensorFile& file, const std::string& path) {
  const std::vector<Optimiser::State> here = vectors();
  std::vector<Tensor> there;
  for (const Optimiser::State& s : here)
    there.push_back(file.at(fmt::format("trainer.{}", s.name)));
  const Tensor& counters = file.at("trainer.counters");
  for (std::size_t i = 0; i < here.size(); ++i) {
    const Shape& all = parameters_->masters().shape();
    if (there[i].shape() == all && counters.size() == 6) continue;
    fail(
        "{}: the optimiser's state is {}, this model needs {}; resume with the options it was "
        "started with",
        path, there[i].shape().text(), all.text());
  }
  const double* c = counters.data<double>();
  const auto counts = [](double x) { return x >= 0 && x < 1e9 && x == std::floor(x); };
  if (!std::all_of(c, c + 3, counts) || !std::isfinite(c[3]) || !(c[5] == -1 || counts(c[5]))) {
    fail("{}: tensor 'trainer.counters' counts no steps and epochs; start again without it", path);
  }
  for (std::size_t i = 0; i < here.size(); ++i) {
    const Index size = here[i].tensor.size();
    if (size == 0) continue;
    const bool part = size < there[i].size();
    copy(part ? there[i].alias({size}, shards_->part().begin) : there[i], here[i].tensor);
  }
  optimiser_->steps = static_cast<std::int64_t>(c[0]);
  state_ = {static_cast<int>(c[1]), static_cast<int>(c[2]), c[3], c[4], static_cast<int>(c[5])};
}

}  // namespace posetape
