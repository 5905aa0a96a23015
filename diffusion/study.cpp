#include "diffusion/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/batches.hpp"
#include "data/evaluation.hpp"
#include "data/skeleton.hpp"
#include "diffusion/sequences.hpp"
#include "engine/rng.hpp"
#include "engine/tape.hpp"
#include "engine/taps.hpp"

namespace posetape::diffusion {
namespace {

constexpr std::size_t kPose = 3 * data::kJoints;

// Mean over the frames, mm.
data::JointErrors mean_errors(const data::Sequence& sequence, const data::PoseArray& poses) {
  data::JointErrors mean{};
  for (int f = 0; f < poses.frames(); ++f) {
    const data::JointErrors distances = data::joint_distances(sequence, poses, f);
    for (std::size_t j = 0; j < mean.size(); ++j) {
      mean[j] += 1000 * distances[j] / poses.frames();
    }
  }
  return mean;
}

// Poses of windows put together to those of the sequence.
class Assembly {
 public:
  explicit Assembly(const Study& study)
      : study_(&study), merger_(study.dataset(), data::Merge::owned) {}

  void add(std::span<const data::Window> windows, std::span<const float> poses) {
    const std::size_t each = poses.size() / windows.size();
    for (std::size_t w = 0; w < windows.size(); ++w) {
      merger_.add(windows[w], poses.subspan(w * each, each));
    }
  }
  data::JointErrors errors() {
    return mean_errors(study_->sequence(), merger_.take(study_->windows()[0].sequence));
  }

 private:
  const Study* study_;
  data::WindowMerger merger_;
};

void check_truth(const data::Sequence& sequence, const char* what) {
  if (!sequence.pose_3d) {
    fail("sequence {} has no pose_3d, which {} needs", sequence.name, what);
  }
}

// Sums up what goes by matching names.
class MeanObserver : public Observer {
 public:
  MeanObserver(const Study& study, std::span<const std::string> patterns)
      : study_(study), patterns_(patterns) {}

  bool named(const Named& value) override {
    const std::string name = fmt::format("{}{}", scope(), value.name);
    const auto matches = [&](const std::string& p) { return tap_matches(p, name); };
    if (value.replaceable && std::ranges::any_of(patterns_, matches)) add(name, value);
    return false;
  }

  Means means() const {
    Means means;
    for (const auto& [name, sum] : sums_) {
      std::vector<double> mean = sum.values;
      for (double& v : mean) v /= sum.count;
      means[name] = Tensor::of(sum.shape, mean, DType::f64);
    }
    return means;
  }

 private:
  struct Sum {
    Shape shape;
    std::vector<double> values;
    double count = 0;
  };

  void add(const std::string& name, const Named& value) {
    const std::vector<double> values = value.values();
    const std::span<const data::Window> windows = study_.now();
    const Index frames = study_.refiner().config().frames;
    const bool framed = value.shape.rank() > 2 && value.shape[1] == frames;
    const auto& dims = value.shape.dims();
    Sum& sum = sums_[name];
    sum.shape = Shape(std::vector<Index>(dims.begin() + (framed ? 2 : 1), dims.end()));
    const auto each = static_cast<std::size_t>(sum.shape.size());
    sum.values.resize(each, 0.0);
    const auto count = [&](std::size_t row) {
      for (std::size_t i = 0; i < each; ++i) sum.values[i] += values[row * each + i];
      sum.count += 1;
    };
    for (std::size_t w = 0; w < windows.size(); ++w) {
      if (!framed) count(w);
      for (int k = windows[w].first_valid; framed && k < windows[w].length; ++k) {
        count(w * static_cast<std::size_t>(frames) + static_cast<std::size_t>(k));
      }
    }
  }

  const Study& study_;
  std::span<const std::string> patterns_;
  std::map<std::string, Sum> sums_;
};

// x_hat = x x_k + e error at timestep k.
X0Coefficients answer_coefficients(const RefinerConfig& config, int k) {
  if (config.objective == Objective::regression) return {1, -1};
  return make_schedule(config.schedule, config.steps).predict_x0(k);
}

// The output layer and what follows it, on the host.
class Reading {
 public:
  explicit Reading(const Refiner& refiner) : scale_(refiner.error_scale()) {
    for (const auto& entry : refiner.parameters().entries()) {
      if (entry.name == "output.weight") weight_ = entry.value.to_doubles();
      if (entry.name == "output.bias") bias_ = entry.value.to_doubles();
    }
  }

  // Estimates of the truth [tokens, 3] of the stream [tokens, D] at the state x_k [tokens, 3], the
  // root joint at zero.
  std::vector<float> operator()(const std::vector<double>& stream, const std::vector<double>& x_k,
                                const X0Coefficients& c) const {
    const std::size_t width = weight_.size() / 3;
    std::vector<float> poses(x_k.size(), 0.0F);
    for (std::size_t i = 0; i < poses.size(); ++i) {
      const std::size_t coordinate = i % kPose;
      if (coordinate < 3) continue;
      const double* s = stream.data() + i / 3 * width;
      const double normalised =
          std::inner_product(s, s + width, weight_.data() + i % 3 * width, bias_[i % 3]);
      const double error = normalised * scale_.scale[coordinate] + scale_.shift[coordinate];
      poses[i] = static_cast<float>(c.x * x_k[i] + c.e * error);
    }
    return poses;
  }

 private:
  const ErrorScale& scale_;
  std::vector<double> weight_;  // [3, D]
  std::vector<double> bias_;    // [3]
};

}  // namespace

Study::Study(const Refiner& refiner, const data::Dataset& dataset,
             std::vector<data::Window> windows, int steps, int batch)
    : refiner_(&refiner),
      dataset_(&dataset),
      windows_(std::move(windows)),
      steps_(steps),
      batch_(static_cast<std::size_t>(batch)) {
  if (windows_.empty()) fail("study: no windows");
  if (batch < 1) fail("study: {} windows at a time; take one or more", batch);
}

const data::Sequence& Study::sequence() const {
  return dataset_->sequences[static_cast<std::size_t>(windows_[0].sequence)];
}

std::vector<int> Study::timesteps() const {
  if (refiner_->config().objective == Objective::regression) return {0};
  std::vector<int> tau = ddim_steps(refiner_->config().steps, steps_);
  tau.pop_back();  // 0, where there is nothing left to do
  return tau;
}

void Study::refine(const AfterBatch& after) const {
  Inference refine = refining(*refiner_, steps_);
  for (std::size_t i = 0; i < windows_.size(); i += batch_) {
    now_ = std::span(windows_).subspan(i, std::min(batch_, windows_.size() - i));
    after(now_, refine.batch(*dataset_, now_, refiner_->config().frames).poses);
  }
}

data::JointErrors Study::errors() const {
  check_truth(sequence(), "an error");
  Assembly refined(*this);
  refine([&](std::span<const data::Window> windows, const Tensor& poses) {
    refined.add(windows, poses.values<float>());
  });
  return refined.errors();
}

Means mean_values(const Study& study, std::span<const std::string> patterns) {
  const MeanObserver observer(study, patterns);
  study.refine([](std::span<const data::Window>, const Tensor&) {});
  return observer.means();
}

Patches::Source mean_of(const Means& means) {
  return [&means](const std::string& name, const Observer::Named&) {
    const auto found = means.find(name);
    if (found == means.end()) fail("patch: no mean of {} is known", name);
    return found->second;
  };
}

std::vector<Part> parts(const model::PoseDenoiserConfig& network) {
  std::vector<Part> all;
  for (Index b = 0; b < network.depth; ++b) {
    const std::string block = fmt::format("blocks.{}", b);
    std::vector<Part> modules;
    for (const char* stc : {"stc1", "stc2"}) {
      const std::string name = fmt::format("{}.{}", block, stc);
      for (const char* axis : {"space", "time"}) {
        for (Index h = 0; h < network.heads; ++h) {
          all.push_back({fmt::format("{}.{}.head{}", name, axis, h),
                         {fmt::format("{}.{}.attention.head{}", name, axis, h)}});
        }
      }
      modules.push_back({name, {name + ".proj"}});
    }
    modules.push_back({block + ".mlp", {block + ".mlp.fc2"}});
    if (network.timestep) modules.push_back({block + ".temb", {block + ".temb"}});
    Part whole{block, {}};
    for (const Part& module : modules) whole.taps.push_back(module.taps[0]);
    all.insert(all.end(), modules.begin(), modules.end());
    all.push_back(std::move(whole));
  }
  return all;
}

Ablation ablate(const Study& study, std::vector<Part> parts, Substitute substitute,
                const std::function<void(std::size_t)>& on_part) {
  Ablation result{std::move(parts), study.errors(), {}};
  Means means;
  if (substitute == Substitute::mean) {
    std::vector<std::string> taps;
    for (const Part& part : result.parts) {
      taps.insert(taps.end(), part.taps.begin(), part.taps.end());
    }
    means = mean_values(study, taps);
  }
  for (const Part& part : result.parts) {
    Patches patches;
    for (const std::string& tap : part.taps) {
      patches.add(tap, substitute == Substitute::mean ? mean_of(means) : Patches::constant(0));
    }
    result.error.push_back(study.errors());
    patches.check();
    if (on_part) on_part(result.error.size());
  }
  return result;
}

Lens lens(const Study& study) {
  check_truth(study.sequence(), "the lens");
  const RefinerConfig& config = study.refiner().config();
  Lens lens;
  lens.timesteps = study.timesteps();
  std::vector<std::string> taps{"input"};
  lens.streams = taps;
  for (Index b = 0; b < config.network.depth; ++b) {
    lens.streams.push_back(fmt::format("blocks.{}", b));
    taps.push_back(lens.streams.back() + ".stream");
  }
  const Reading read(study.refiner());
  const std::size_t steps = lens.timesteps.size();
  std::vector<Assembly> states(steps, Assembly(study));
  std::vector<std::vector<Assembly>> answers(steps, std::vector(taps.size(), Assembly(study)));
  Taps captured({"step.*.x_k", "step.*.input", "step.*.stream"});
  study.refine([&](std::span<const data::Window> windows, const Tensor&) {
    for (std::size_t k = 0; k < steps; ++k) {
      const X0Coefficients c = answer_coefficients(config, lens.timesteps[k]);
      const std::string step = fmt::format("step.{}.", k + 1);
      const std::vector<double>& x = captured.at(step + "x_k").values;
      std::vector<float> scaled(x.size());
      std::ranges::transform(x, scaled.begin(),
                             [&](double v) { return static_cast<float>(c.x * v); });
      states[k].add(windows, scaled);
      for (std::size_t i = 0; i < taps.size(); ++i) {
        answers[k][i].add(windows, read(captured.at(step + taps[i]).values, x, c));
      }
    }
    captured.clear();
  });
  for (std::size_t k = 0; k < steps; ++k) {
    lens.state.push_back(states[k].errors());
    std::vector<data::JointErrors>& row = lens.answers.emplace_back();
    for (Assembly& answer : answers[k]) row.push_back(answer.errors());
  }
  return lens;
}

Saliency saliency(const Study& study, int frame, int joint) {
  if (joint < 0 || joint >= data::kJoints) {
    fail("saliency: there is no joint {}; from 0 to {}", joint, data::kJoints - 1);
  }
  const auto owns = [&](const data::Window& w) {
    return frame >= w.start + w.first_valid && frame < w.end();
  };
  const auto window = std::ranges::find_if(study.windows(), owns);
  if (window == study.windows().end()) {
    fail("saliency: there is no frame {}; sequence {} has {}, from 0", frame, study.sequence().name,
         study.sequence().frames());
  }
  const Refiner& refiner = study.refiner();
  const Device device = refiner.parameters().device();
  const auto input = [&](data::Field field) {
    return data::gather(study.dataset(), std::array{*window}, {}, refiner.config().frames, field)
        .to(device);
  };
  const Tensor noisy = input(data::Field::noisy);
  const Tensor y = input(data::screen_field(refiner.config().network.screen));
  Tape tape;
  tape.watch(noisy);
  tape.watch(y);
  Tensor refined;
  {
    const Recording on(tape);
    refined = refiner.refine(noisy, y, static_cast<int>(study.timesteps().size()));
  }
  Saliency result{window->start, window->length, y.shape().back(), {}, {}};
  // Frames that pad a short window are the last one.
  const auto append = [&](const Tensor& gradient, std::vector<double>& to) {
    const std::vector<double> values = gradient.to_doubles();
    const auto each = static_cast<std::size_t>(data::kJoints * gradient.shape().back());
    const auto kept = static_cast<std::size_t>(result.frames) * each;
    const std::size_t begin = to.size();
    to.insert(to.end(), values.begin(), values.begin() + static_cast<std::ptrdiff_t>(kept));
    for (std::size_t i = kept; i < values.size(); ++i) {
      to[begin + kept - each + i % each] += values[i];
    }
  };
  for (int c = 0; c < 3; ++c) {
    const Tensor chosen = Tensor::zeros(refined.shape(), refined.dtype());
    const Index place = ((frame - window->start) * data::kJoints + joint) * 3 + c;
    fill(chosen.alias({1}, place), 1.0);
    Tape::Options options;
    options.cotangent = chosen.to(device);
    const Gradients gradients = tape.backward(refined, options);
    append(gradients.of(noisy), result.noisy);
    append(gradients.of(y), result.pose_2d);
  }
  return result;
}

data::PoseArray base_with_error(const data::Dataset& dataset, int sequence, BaseError error,
                                const Refiner& refiner, std::uint64_t seed) {
  const data::Sequence& s = dataset.sequences.at(static_cast<std::size_t>(sequence));
  check_truth(s, "another error of the base estimate");
  const NoiseSequence rows = noise_rows(dataset, sequence);
  const Index frames = s.frames();
  std::vector<double> drawn(rows.a.size(), 0.0);
  std::vector<std::size_t> order(static_cast<std::size_t>(frames));
  std::iota(order.begin(), order.end(), std::size_t{0});
  switch (error) {
    case BaseError::real:
      drawn = rows.a;
      break;
    case BaseError::none:
      break;
    case BaseError::independent:
    case BaseError::ar1: {
      const Tensor b = Tensor::of({1, frames, kConditionWidth}, std::span(rows.b), DType::f64);
      const NoiseKind kind = error == BaseError::ar1 ? NoiseKind::ar1 : NoiseKind::independent;
      drawn = refiner.noise().sample(b, kind, seed, 0).to_doubles();
      break;
    }
    case BaseError::shuffled: {
      Random random(seed, Stream::shuffle);
      for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
      }
      for (std::size_t f = 0; f < order.size(); ++f) {
        std::copy_n(rows.a.begin() + static_cast<std::ptrdiff_t>(order[f] * kPose), kPose,
                    drawn.begin() + static_cast<std::ptrdiff_t>(f * kPose));
      }
      break;
    }
  }
  data::PoseArray poses{3, std::vector<float>(rows.a.size(), 0.0F)};
  const data::Window whole{sequence, 0, s.frames(), 0};
  data::gather_truth(dataset, whole, false, poses.values);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    // The root stays where it is: at zero.
    if (i % kPose >= 3) poses.values[i] += static_cast<float>(drawn[i]);
  }
  return poses;
}

}  // namespace posetape::diffusion
