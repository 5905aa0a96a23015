#include "tests/cases/models.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "diffusion/refiner.hpp"
#include "engine/gradcheck.hpp"
#include "engine/hvp.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/ridders.hpp"
#include "engine/rng.hpp"
#include "model/mixste.hpp"
#include "model/network.hpp"
#include "model/pose_denoiser.hpp"
#include "model/smoothnet.hpp"
#include "model/stcformer.hpp"
#include "tests/cases/coverage.hpp"

namespace posetape {
namespace {

using diffusion::ConditionalNoise;
using diffusion::Refiner;
using diffusion::RefinerConfig;

constexpr Index kJoints = 17;

struct Sizes {
  Index batch, frames, width, depth, heads, mlp_ratio;
};

Sizes sizes(ModelSize size) {
  if (size == ModelSize::tiny) return {2, 4, 16, 1, 2, 2};
  return {4, 27, 256, 1, 8, 4};
}

// Networks take poses in the type that theirs computes in.
Tensor input(const Shape& shape, std::uint64_t seed, double scale, DType dtype) {
  return Tensor::of(shape, random_normal(shape, seed, scale).values<double>(),
                    accumulator_of(dtype));
}

Tensor poses(const Sizes& s, Index channels, std::uint64_t seed, DType dtype) {
  return input({s.batch, s.frames, kJoints, channels}, seed, 0.4, dtype);
}

ModelCase refiner(std::string name, const std::function<void(RefinerConfig&)>& change) {
  return {
      "model:refiner", std::move(name), [change](DType dtype, ModelSize size, Device device) {
        const Sizes s = sizes(size);
        RefinerConfig config;
        config.network = {s.width, s.depth, s.heads, s.mlp_ratio, true, 2};
        config.frames = static_cast<int>(s.frames);
        change(config);
        const diffusion::ErrorScale scale{std::vector<double>(51, 0.0),
                                          std::vector<double>(51, 0.04)};
        const auto model =
            std::make_shared<Refiner>(config, some_noise(), scale, dtype, 11, device);
        const diffusion::RefinerBatch batch{poses(s, 3, 1, dtype), poses(s, 3, 2, dtype),
                                            poses(s, config.network.screen, 3, dtype)};
        return ModelStep{model, &model->parameters(), [=] { return model->loss(batch, 5, 17); }};
      }};
}

ModelCase stcformer(std::string name, Index depth) {
  return {"model:stcformer", std::move(name), [depth](DType dtype, ModelSize size, Device device) {
            const Sizes s = sizes(size);
            const auto model = std::make_shared<model::Stcformer>(
                model::StcformerConfig{s.width, depth, s.heads, s.mlp_ratio}, dtype, 3, device);
            const Tensor y = poses(s, 2, 1, dtype).to(device);
            const Tensor truth = poses(s, 3, 2, dtype).to(device);
            return ModelStep{model, &model->parameters(),
                             [=] { return model->loss((*model)(y), truth); }};
          }};
}

ModelCase smoothnet(std::string name, Index depth) {
  return {"model:smoothnet", std::move(name),
          [depth](DType dtype, ModelSize size, Device device) {
            const Sizes s = sizes(size);
            const auto model = std::make_shared<model::Smoothnet>(
                model::SmoothnetConfig{s.frames, 2 * s.width, s.width / 2, depth}, dtype, 3,
                device);
            const Tensor noisy = poses(s, 3, 1, dtype).to(device);
            const Tensor truth = poses(s, 3, 2, dtype).to(device);
            return ModelStep{model, &model->parameters(),
                             [=] { return model::smoothnet_loss((*model)(noisy), truth); }};
          },
          1e-6};
}

ModelCase mixste(std::string name, Index depth, Index frames, double drop_path) {
  return {"model:mixste", std::move(name),
          [depth, frames, drop_path](DType dtype, ModelSize size, Device device) {
            Sizes s = sizes(size);
            if (size == ModelSize::tiny) s.frames = frames;
            const model::MixsteConfig config{s.width, depth, s.heads, s.mlp_ratio, s.frames};
            const auto model = std::make_shared<model::Mixste>(config, dtype, 3, device);
            const Tensor y = poses(s, 2, 1, dtype).to(device);
            const Tensor truth = poses(s, 3, 2, dtype).to(device);
            std::vector<Tensor> drops = mixste_drops(config, drop_path, s.batch, dtype, 4, 0);
            for (Tensor& drop : drops) {
              if (drop.defined()) drop = drop.to(device);
            }
            return ModelStep{model, &model->parameters(),
                             [=] { return model->loss((*model)(y, drops), truth); }};
          }};
}

// A base network that has no case of its own below, as its rule makes it.
ModelCase plain(const model::NetworkRule& rule) {
  return {"model:" + std::string(rule.name), "plain",
          [&rule](DType dtype, ModelSize size, Device device) {
            Sizes s = sizes(size);
            model::NetworkConfig config = released_config(rule);
            config.frames = std::max(rule.frames.least, s.frames);
            for (std::size_t i = 0; size == ModelSize::tiny && i < config.sizes.size(); ++i) {
              const model::Size& known = rule.sizes[i];
              const Index most = known.key == std::string_view("width") ? s.width : 2;
              config.sizes[i] = std::max(known.least, std::min(known.value, most));
            }
            s.frames = config.frames;
            const auto network =
                std::make_shared<model::Network>(model::make_network(config, dtype, 3, device));
            std::vector<Tensor> in;
            for (const Index channels : model::input_channels(config)) {
              in.push_back(poses(s, channels, 1, dtype).to(device));
            }
            const Tensor truth = poses(s, 3, 2, dtype).to(device);
            return ModelStep{network, network->parameters.get(),
                             [=] { return network->loss(network->forward(in), truth); }};
          }};
}

// Every way through the networks that their branches make. The denoiser is the refiner's.
std::vector<ModelCase> chosen_cases() {
  using diffusion::ErrorSource;
  using diffusion::LossKind;
  using diffusion::NoiseKind;
  using diffusion::Objective;
  using diffusion::States;
  return {
      refiner("plain", [](RefinerConfig&) {}),
      refiner("ar1_mse",
              [](RefinerConfig& c) {
                c.noise = NoiseKind::ar1;
                c.loss = LossKind::mse;
              }),
      refiner("real_errors", [](RefinerConfig& c) { c.source = ErrorSource::real; }),
      refiner("mixed_errors", [](RefinerConfig& c) { c.source = ErrorSource::mixed; }),
      refiner("rollout_first_state",
              [](RefinerConfig& c) {
                c.states = States::rollout;
                c.rollout_steps = 1;
              }),
      refiner("regression",
              [](RefinerConfig& c) {
                c.objective = Objective::regression;
                c.network.timestep = false;
              }),
      refiner("confidence", [](RefinerConfig& c) { c.network.screen = 3; }),
      refiner("accelerations", [](RefinerConfig& c) { c.acceleration_weight = 0.5; }),
      refiner("no_blocks", [](RefinerConfig& c) { c.network.depth = 0; }),
      stcformer("plain", 2),
      stcformer("one_block", 1),
      smoothnet("plain", 2),
      smoothnet("no_pairs", 0),
      mixste("plain", 2, 4, 0),
      mixste("one_frame", 1, 1, 0),
      mixste("drop_path", 2, 4, 0.4),
  };
}

Tensor recorded(const ModelStep& step, Tape& tape) {
  step.parameters->watch(tape);
  const Recording on(tape);
  return step.loss();
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

class ModelCheck {
 public:
  ModelCheck(const ModelCase& c, const SuiteOptions& options) : case_(c), options_(options) {}

  std::vector<SuiteRow> run() {
    const ModelStep step = case_.make(DType::f64, ModelSize::tiny, options_.device);
    Tape tape;
    const Tensor loss = recorded(step, tape);
    Tape::Options backward;
    backward.destinations = step.parameters->destinations();
    tape.backward(loss, backward);
    gradient_ = step.parameters->gradients().clone().to(Device::cpu);
    scale_ = std::sqrt(dot(gradient_, gradient_));
    start_ = step.parameters->values().clone().to(Device::cpu);

    const ModelStep dual = case_.make(DType::dual, ModelSize::tiny, Device::cpu);
    along("differences", 1e-8,
          [&](const Tensor& direction) { return differences(step, direction); });
    along("adjoint", 1e-12, [&](const Tensor& direction) { return slope(dual, direction); });
    if (options_.device == Device::cpu) second_order(step, dual);
    if (options_.device == Device::cpu) coverage();
    return std::move(rows_);
  }

 private:
  SuiteRow row(const char* check, const char* dtype) const {
    SuiteRow r;
    r.op = case_.model;
    r.case_name = case_.name;
    r.check = check;
    r.dtype = dtype;
    r.device = name(options_.device);
    return r;
  }

  // <gradient, direction> against `derivative(direction)`, relative to the gradient's length: one
  // direction's derivative may be small by chance.
  void along(const char* check, double tolerance,
             const std::function<Derivative(const Tensor&)>& derivative) {
    const auto start = std::chrono::steady_clock::now();
    SuiteRow r = row(check, "f64");
    const int directions = options_.fast ? 2 : 6;
    for (int d = 0; d < directions; ++d) {
      const Tensor direction =
          random_normal(start_.shape(), options_.seed * 100 + static_cast<std::uint64_t>(d));
      const Derivative numeric = derivative(direction);
      const double error = std::fabs(dot(gradient_, direction) - numeric.value) / scale_;
      if (std::isnan(r.error)) break;
      if (!(error <= r.error)) {
        r.error = error;
        r.trust = numeric.error / scale_;
        r.where = fmt::format("direction {}", d);
      }
    }
    r.verdict = !(scale_ > 0)             ? Verdict::vacuous
                : !(r.error <= tolerance) ? Verdict::disagree
                                          : Verdict::agree;
    r.passed = r.verdict == Verdict::agree;
    r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    rows_.push_back(std::move(r));
  }

  Derivative differences(const ModelStep& step, const Tensor& direction) const {
    return moved_along(step, direction, [&] { return step.loss().item(); });
  }

  // The derivative of f where the parameters move along `direction`. The gaps between parameters
  // move too and change nothing.
  Derivative moved_along(const ModelStep& step, const Tensor& direction,
                         const std::function<double()>& f) const {
    const Tensor moved = start_.clone();
    const Derivative d = ridders(
        [&](double h) {
          for (Index i = 0; i < start_.size(); ++i) {
            moved.data<double>()[i] = start_.data<double>()[i] + h * direction.data<double>()[i];
          }
          copy(moved, step.parameters->values());
          return f();
        },
        case_.step);
    copy(start_, step.parameters->values());
    return d;
  }

  Derivative slope(const ModelStep& step, const Tensor& direction) const {
    const Tensor values = step.parameters->values();
    for (Index i = 0; i < start_.size(); ++i) {
      values.data<Dual>()[i] = Dual(start_.data<double>()[i], direction.data<double>()[i]);
    }
    return {step.loss().data<Dual>()[0].slope, 0};
  }

  // w' H u of the loss's Hessian, beside differences of <w, gradient> along u and beside u' H w,
  // relative to the length of H u.
  void second_order(const ModelStep& step, const ModelStep& dual) {
    for (Index i = 0; i < start_.size(); ++i) {  // the adjoint test has left its slopes
      dual.parameters->values().data<Dual>()[i].slope = 0;
    }
    const Tensor w = random_normal(start_.shape(), options_.seed * 100 + 50);
    const Tensor hw = network_hvp(*dual.parameters, dual.loss, w);
    const auto start = std::chrono::steady_clock::now();
    SuiteRow differences = row("second/differences", "f64");
    SuiteRow symmetry = row("second/symmetry", "f64");
    for (int d = 0; d < (options_.fast ? 1 : 2); ++d) {
      const Tensor u =
          random_normal(start_.shape(), options_.seed * 100 + 51 + static_cast<std::uint64_t>(d));
      const Tensor hu = network_hvp(*dual.parameters, dual.loss, u);
      const double analytic = dot(w, hu);
      const double scale = std::sqrt(dot(w, w) * dot(hu, hu));
      const Derivative numeric = moved_gradient(step, w, u);
      const auto put = [&](SuiteRow& r, double other, double trust) {
        const double error = std::fabs(analytic - other) / scale;
        if (!(error <= r.error)) r.error = error;  // a NaN stays
        r.trust = std::max(r.trust, trust / scale);
      };
      put(differences, numeric.value, numeric.error);
      put(symmetry, dot(u, hw), 0);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    differences.seconds = took.count();
    judge(differences, 1e-8);
    judge(symmetry, 1e-12);
  }

  void judge(SuiteRow& r, double tolerance) {
    r.verdict = r.error <= tolerance ? Verdict::agree : Verdict::disagree;
    r.passed = r.verdict == Verdict::agree;
    rows_.push_back(std::move(r));
  }

  // The derivative of <w, gradient> along u.
  Derivative moved_gradient(const ModelStep& step, const Tensor& w, const Tensor& u) const {
    return moved_along(step, u, [&] {
      gradients(*step.parameters, step.loss);
      const double sum = dot(w, step.parameters->gradients());
      fill(step.parameters->gradients(), 0);
      return sum;
    });
  }

  void coverage() {
    SuiteRow r = row("covered", "f32");
    Tape tape;
    recorded(case_.make(DType::f32, ModelSize::training, Device::cpu), tape);
    for (const std::string& s : signatures(tape)) {
      if (covered_signatures().contains(s)) continue;
      r.note += (r.note.empty() ? "no case for " : "; ") + s;
    }
    r.verdict = r.note.empty() ? Verdict::agree : Verdict::disagree;
    r.passed = r.note.empty();
    rows_.push_back(std::move(r));
  }

  const ModelCase& case_;
  const SuiteOptions& options_;
  Tensor gradient_;
  Tensor start_;
  double scale_ = 0;
  std::vector<SuiteRow> rows_;
};

}  // namespace

diffusion::ConditionalNoise some_noise() {
  return ConditionalNoise::fit(51, 85, 4, [](Index s) {
    Random random(9, Stream::test, static_cast<std::uint64_t>(s));
    diffusion::NoiseSequence rows;
    for (int f = 0; f < 60; ++f) {
      for (int i = 0; i < 85; ++i) rows.b.push_back(i >= 34 && i < 37 ? 0 : random.normal());
      for (int i = 0; i < 51; ++i) {
        const double b = rows.b[rows.b.size() - 51 + static_cast<std::size_t>(i)];
        rows.a.push_back(i < 3 ? 0 : 0.02 * b + 0.05 * random.normal());
      }
    }
    return rows;
  });
}

const std::vector<ModelCase>& model_cases() {
  static const std::vector<ModelCase> all = [] {
    std::vector<ModelCase> cases = chosen_cases();
    for (const model::NetworkRule* rule : model::networks()) {
      const std::string name = fmt::format("model:{}", rule->name);
      const bool known =
          rule->role == model::Role::denoiser ||
          std::ranges::any_of(cases, [&](const ModelCase& c) { return c.model == name; });
      if (!known) cases.push_back(plain(*rule));
    }
    return cases;
  }();
  return all;
}

std::vector<SuiteRow> check_model(const ModelCase& c, const SuiteOptions& options) {
  return ModelCheck(c, options).run();
}

}  // namespace posetape
