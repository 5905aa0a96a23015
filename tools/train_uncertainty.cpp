// posetape train uncertainty: teaches a refiner how sure it is of its finished poses.
//
// A head on the network's last features learns the size of the errors that are left after windows
// were averaged, poses filtered and limbs made constant (diffusion/uncertainty.hpp). Of people whom
// the networks know, errors are too small, so that the size is calibrated on people whom they
// don't: whose errors are compared with deviations of heads that never saw them (data::calibrate).
#include "tools/train_uncertainty.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/protocol.hpp"
#include "data/skeleton.hpp"
#include "data/text_table.hpp"
#include "data/uncertainty.hpp"
#include "diffusion/sequences.hpp"
#include "engine/ranks/ranks.hpp"
#include "engine/rng.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/inference.hpp"
#include "tools/input.hpp"
#include "tools/progress.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

using data::Field;
using diffusion::Refiner;
using diffusion::Uncertainty;

struct Options {
  RefineOptions refine;  // how poses will be made
  std::vector<std::string> inputs;
  std::string output;
  std::vector<std::string> validation_subjects;
  std::string residuals;                  // a file to write
  std::vector<std::string> cross_fitted;  // such files of other trainings
  int hidden = 32;
  int epochs = 6;
  int batch = 256;
  double lr = 2e-3;
  int folds = 4;
  bool drop_invalid = false;
  bool force = false;
};

constexpr std::size_t kJoints = data::kJoints;
constexpr std::size_t kPose = 3 * kJoints;

// What the network said of frames, ten a second, and by how much their finished poses err. A frame
// has as many views as there are windows and mirror images of it.
struct Examples {
  std::size_t width = 0;        // D
  std::vector<float> features;  // of views, [n][17][D]
  struct View {
    std::size_t frame = 0;
    bool mirrored = false;
    double weight = 1;  // among those of the frame
  };
  std::vector<View> views;
  std::vector<float> errors;  // of frames, [n][17][3], metres
  std::vector<int> person;    // of frames, index in `people`
};

struct Person {
  std::string name;
  bool known = false;  // to the networks
  int fold = 0;        // whose head has not seen this person
  std::size_t frames = 0;
  double weight() const { return 1 / std::sqrt(static_cast<double>(frames)); }  // of a frame
};

// Examples of all sequences, which have refined_3d, in the network's space.
Examples collect(const Refiner& refiner, const data::Dataset& dataset,
                 const diffusion::Inference::Options& inference, int steps,
                 std::span<const Person> people, bool quiet) {
  const int frames = inference.windows.frames;
  const Field screen = data::screen_field(refiner.config().network.screen);
  const Device device = refiner.parameters().device();
  const std::vector<int> all = data::all_sequences(dataset);
  const auto windows = data::make_windows(dataset, all, inference.windows);
  const data::Merge merge = data::merge_of(inference.windows);
  Examples examples;
  examples.width = static_cast<std::size_t>(refiner.config().network.width);
  const std::size_t pose = kJoints * examples.width;

  std::vector<std::vector<std::size_t>> place(all.size());  // of each sequence's frames
  for (const int i : all) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    const int every = std::max(1, static_cast<int>(std::lround(s.fps / 10)));
    const auto person = std::ranges::find(people, s.subject(), &Person::name) - people.begin();
    for (int f = 0; f < s.frames(); ++f) {
      const bool taken = f % every == 0;
      place[std::size_t(i)].push_back(taken ? examples.person.size() : SIZE_MAX);
      if (!taken) continue;
      examples.person.push_back(static_cast<int>(person));
      const float* truth = s.pose_3d->frame(f);
      for (std::size_t c = 0; c < kPose; ++c) {
        examples.errors.push_back(s.refined_3d->frame(f)[c] - (truth[c] - truth[c % 3]));
      }
    }
  }

  Progress progress("features", "frames", static_cast<double>(data::count_frames(dataset, all)),
                    quiet);
  const auto size = static_cast<std::size_t>(inference.batch);
  const auto batch = [&](std::size_t number) {
    const std::size_t begin = std::min(number * size, windows.size());
    return std::span(windows).subspan(begin, std::min(size, windows.size() - begin));
  };
  const auto features_of = [&](std::span<const data::Window> part, int flip) {
    const std::vector<std::uint8_t> flips(part.size(), static_cast<std::uint8_t>(flip));
    const auto field = [&](Field which) {
      return data::gather(dataset, part, flips, frames, which).to(device);
    };
    return model::as(refiner.refine_surely(field(Field::noisy), field(screen), steps).features,
                     DType::f32)
        .to(Device::cpu);
  };
  const int views = inference.flip_average ? 2 : 1;
  const auto round = static_cast<std::size_t>(ranks().size());
  std::vector<Tensor> computed;  // of several ranks' batches this one's
  for (std::size_t number = 0; !batch(number).empty(); ++number) {
    const auto part = batch(number);
    const int owner = static_cast<int>(number % round);
    if (owner == 0) {
      const auto mine = batch(number + static_cast<std::size_t>(ranks().rank()));
      computed.clear();
      for (int flip = 0; flip < views && !mine.empty(); ++flip) {
        computed.push_back(features_of(mine, flip));
      }
    }
    for (int flip = 0; flip < views; ++flip) {
      const Tensor features = owner == ranks().rank()
                                  ? computed[static_cast<std::size_t>(flip)]
                                  : Tensor::empty({static_cast<Index>(part.size()), frames, kJoints,
                                                   static_cast<Index>(examples.width)},
                                                  DType::f32);
      ranks().broadcast(std::as_writable_bytes(features.values<float>()), owner);
      for (std::size_t w = 0; w < part.size(); ++w) {
        const data::Window& window = part[w];
        const auto& places = place[static_cast<std::size_t>(window.sequence)];
        for (int k = merge == data::Merge::owned ? window.first_valid : 0; k < window.length; ++k) {
          const std::size_t frame = places[static_cast<std::size_t>(
              data::frame_at(window, k, static_cast<int>(places.size())))];
          if (frame == SIZE_MAX) continue;
          const auto own = features.values<float>().subspan(
              (w * static_cast<std::size_t>(frames) + static_cast<std::size_t>(k)) * pose, pose);
          examples.features.insert(examples.features.end(), own.begin(), own.end());
          const double weight =
              merge == data::Merge::smooth ? data::window_weight(k, window.length) : 1;
          examples.views.push_back({frame, flip != 0, weight});
        }
      }
    }
    progress.update(static_cast<double>(data::count_frames(dataset, all)) *
                    static_cast<double>(number * size + part.size()) /
                    static_cast<double>(windows.size()));
  }
  return examples;
}

// Values of a joint in a view stand for those of its mirror image where the view is mirrored.
std::size_t joint_in(const Examples::View& view, std::size_t joint) {
  return view.mirrored ? static_cast<std::size_t>(data::kMirror[joint]) : joint;
}

// The root mean square of each coordinate's error over frames, x and y and both sides of the body
// together; 1 m for the root, which has none.
std::vector<double> error_sizes(const Examples& examples, std::span<const Person> people) {
  std::vector<double> sums(kPose, 0.0);
  std::vector<double> weights(kPose, 0.0);
  for (std::size_t f = 0; f < examples.person.size(); ++f) {
    const double weight = people[static_cast<std::size_t>(examples.person[f])].weight();
    for (std::size_t i = 3; i < kPose; ++i) {
      const double e = examples.errors[f * kPose + i];
      const auto mirror = static_cast<std::size_t>(data::kMirror[i / 3]) * 3;
      for (const std::size_t joint : {i / 3 * 3, mirror}) {
        for (const std::size_t c :
             i % 3 == 2 ? std::vector<std::size_t>{2} : std::vector<std::size_t>{0, 1}) {
          sums[joint + c] += weight * e * e;
          weights[joint + c] += weight;
        }
      }
    }
  }
  std::vector<double> sizes(kPose, 1.0);
  for (std::size_t i = 3; i < kPose; ++i) sizes[i] = std::sqrt(sums[i] / weights[i]);
  return sizes;
}

// A head that learns of everybody but the people of this fold; -1: of everybody.
Uncertainty trained(const Options& options, const Examples& examples,
                    std::span<const Person> people, int without, Device device) {
  std::vector<std::size_t> chosen;  // views
  double weights = 0;
  for (std::size_t v = 0; v < examples.views.size(); ++v) {
    const Person& person =
        people[static_cast<std::size_t>(examples.person[examples.views[v].frame])];
    if (person.fold == without) continue;
    chosen.push_back(v);
    weights += person.weight() * examples.views[v].weight;
  }
  if (chosen.empty()) fail("there is nobody left to learn from; give more people");
  const std::uint64_t seed = options.refine.common.seed;
  Uncertainty head(static_cast<Index>(examples.width), options.hidden,
                   error_sizes(examples, people), seed, device);
  const auto batch = std::min(static_cast<std::size_t>(options.batch), chosen.size());
  const std::size_t steps = chosen.size() / batch;
  TrainOptions how;
  how.epochs = options.epochs;
  how.steps_per_epoch = static_cast<int>(steps);
  how.lr = options.lr;
  how.cosine = true;
  how.weight_decay = 1e-3;
  Trainer trainer(head.parameters(), how);
  std::vector<int> order;
  int drawn = -1;
  Trainer::Hooks hooks;
  hooks.batch = [&](int epoch, int step) {
    if (drawn != epoch) {
      Random random(seed, Stream::shuffle, static_cast<std::uint64_t>(epoch));
      order = random.permutation(static_cast<int>(chosen.size()));
      drawn = epoch;
    }
    const auto count = static_cast<Index>(batch);
    const Tensor features =
        Tensor::empty({count, kJoints, static_cast<Index>(examples.width)}, DType::f32);
    const Tensor errors = Tensor::empty({count, kJoints, 3}, DType::f32);
    const Tensor weight = Tensor::empty({count, 1, 1}, DType::f32);
    const std::size_t pose = kJoints * examples.width;
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t v =
          chosen[static_cast<std::size_t>(order[static_cast<std::size_t>(step) * batch + b])];
      const Examples::View& view = examples.views[v];
      std::copy_n(examples.features.begin() + static_cast<std::ptrdiff_t>(v * pose), pose,
                  features.values<float>().begin() + static_cast<std::ptrdiff_t>(b * pose));
      for (std::size_t i = 0; i < kPose; ++i) {
        errors.values<float>()[b * kPose + i] =
            examples.errors[view.frame * kPose + 3 * joint_in(view, i / 3) + i % 3];
      }
      const Person& person = people[static_cast<std::size_t>(examples.person[view.frame])];
      weight.values<float>()[b] = static_cast<float>(person.weight() * view.weight *
                                                     static_cast<double>(chosen.size()) / weights);
    }
    return Trainer::Batch{{features, errors, weight}, 0};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) { return head.loss(in[0], in[1], in[2]); };
  hooks.validate = [] { return 0.0; };
  trainer.run(hooks);
  return head;
}

// |e| / sigma of the people of a fold, by a head that never saw them.
void add_residuals(const Uncertainty& head, const Examples& examples,
                   std::span<const Person> people, int fold, std::span<data::Residuals> residuals) {
  const std::size_t frames = examples.person.size();
  std::vector<double> logs(frames * kPose, 0.0);
  std::vector<double> weights(frames, 0.0);
  std::vector<std::size_t> views;
  for (std::size_t v = 0; v < examples.views.size(); ++v) {
    const auto person = static_cast<std::size_t>(examples.person[examples.views[v].frame]);
    if (people[person].fold == fold) views.push_back(v);
  }
  const std::size_t pose = kJoints * examples.width;
  constexpr std::size_t kBatch = 1024;
  for (std::size_t begin = 0; begin < views.size(); begin += kBatch) {
    const auto part = std::span(views).subspan(begin, std::min(kBatch, views.size() - begin));
    const Tensor features = Tensor::empty(
        {static_cast<Index>(part.size()), kJoints, static_cast<Index>(examples.width)}, DType::f32);
    for (std::size_t b = 0; b < part.size(); ++b) {
      std::copy_n(examples.features.begin() + static_cast<std::ptrdiff_t>(part[b] * pose), pose,
                  features.values<float>().begin() + static_cast<std::ptrdiff_t>(b * pose));
    }
    const Tensor out = head.log_std(features.to(head.parameters().device())).to(Device::cpu);
    for (std::size_t b = 0; b < part.size(); ++b) {
      const Examples::View& view = examples.views[part[b]];
      weights[view.frame] += view.weight;
      for (std::size_t i = 0; i < kPose; ++i) {
        logs[view.frame * kPose + 3 * joint_in(view, i / 3) + i % 3] +=
            view.weight * double{out.values<float>()[b * kPose + i]};
      }
    }
  }
  for (std::size_t f = 0; f < frames; ++f) {
    const auto person = static_cast<std::size_t>(examples.person[f]);
    if (people[person].fold != fold) continue;
    for (std::size_t i = 0; i < kPose; ++i) {
      const double sigma = std::exp(logs[f * kPose + i] / weights[f]);
      residuals[person].values.push_back(
          static_cast<float>(std::abs(double{examples.errors[f * kPose + i]}) / sigma));
    }
  }
}

// People in folds: of those whom the networks don't know each alone, the others shared out.
std::vector<Person> people_of(const Split& parts, int folds) {
  std::vector<Person> people;
  folds = std::min(folds, static_cast<int>(parts.train_subjects.size()));
  for (std::size_t i = 0; i < parts.train_subjects.size(); ++i) {
    people.push_back({parts.train_subjects[i], true, static_cast<int>(i) % folds});
  }
  for (const std::string& name : parts.validation_subjects) {
    people.push_back({name, false, folds++});
  }
  return people;
}

// What share of truths the regions hold of people who had no part in them, in percent.
std::string cross_fitted(std::span<const data::Residuals> residuals) {
  std::vector<std::vector<std::string>> rows{{"Truths inside of regions (%)"}};
  for (const char* axis : data::kAxisNames) {
    for (const double share : data::kRegionShares) {
      rows[0].push_back(fmt::format("{} of {:.0f}", axis, 100 * share));
    }
  }
  for (const data::Residuals& person : residuals) {
    if (person.known) continue;
    std::vector<data::Residuals> others;
    std::ranges::copy_if(residuals, std::back_inserter(others), [&](const data::Residuals& other) {
      return other.person != person.person;
    });
    const data::Calibration calibration = data::calibrate(others);
    rows.push_back({person.person});
    for (int axis = 0; axis < 2; ++axis) {
      for (std::size_t r = 0; r < data::kRegionShares.size(); ++r) {
        double inside = 0;
        double count = 0;
        for (std::size_t i = 0; i < person.values.size(); ++i) {
          const std::size_t at = i % kPose;
          if (at < 3 || data::axis_of(static_cast<int>(at)) != axis) continue;
          const double reach =
              calibration.factors[at] * calibration.regions.multiples[std::size_t(axis)][r];
          inside += double{person.values[i]} <= reach ? 1 : 0;
          ++count;
        }
        rows.back().push_back(fmt::format("{:.1f}", 100 * inside / count));
      }
    }
  }
  return data::text_table(rows);
}

// Residuals of people whom the networks don't know as a tensor each, [n, 17, 3], in units of what
// 80 % of those of known people stay below: how much more others err carries over to other
// networks.
std::array<double, 2> unit_of(std::span<const data::Residuals> residuals, const std::string& path) {
  const auto unit = data::reach_of(residuals, true);
  if (!(unit[0] > 0 && unit[1] > 0)) fail("{}: nobody is known to the networks", path);
  return unit;
}

void write_residuals(const std::string& path, std::span<const data::Residuals> residuals) {
  const auto unit = unit_of(residuals, path);
  TensorFile file;
  for (const data::Residuals& person : residuals) {
    if (person.known) continue;
    const auto frames = static_cast<Index>(person.values.size() / kPose);
    Tensor values = Tensor::empty({frames, Index{kJoints}, 3}, DType::f32);
    for (std::size_t i = 0; i < person.values.size(); ++i) {
      const auto axis = std::size_t(data::axis_of(static_cast<int>(i % kPose)));
      values.values<float>()[i] = static_cast<float>(person.values[i] / unit[axis]);
    }
    file.tensors.emplace_back(person.person, values);
  }
  write_safetensors(path, file);
}

void add_cross_fitted(const std::string& path, std::vector<data::Residuals>& residuals) {
  const auto unit = unit_of(residuals, path);
  const TensorFile file = read_safetensors(path);
  file.check_finite(path);
  for (const auto& [person, values] : file.tensors) {
    if (values.dtype() != DType::f32 ||
        values.shape() != Shape{values.size() / Index{kPose}, Index{kJoints}, 3}) {
      fail("{}: {} is not [frames, 17, 3] of f32, as --residuals writes it", path, person);
    }
    data::Residuals& unknown = residuals.emplace_back(data::Residuals{person, false, {}});
    for (std::size_t i = 0; i < values.values<float>().size(); ++i) {
      const auto axis = std::size_t(data::axis_of(static_cast<int>(i % kPose)));
      unknown.values.push_back(static_cast<float>(values.values<float>()[i] * unit[axis]));
    }
  }
}

// The files as one dataset.
data::Dataset read_all(const Options& options) {
  data::Dataset dataset;
  for (const std::string& path : options.inputs) {
    data::Dataset part = read_input(path, options.drop_invalid, options.force);
    for (const data::Sequence& s : part.sequences) {
      check_estimate(s, path);
      if (!s.pose_3d) fail("{}: sequence {} has no pose_3d, which training needs", path, s.name);
    }
    std::ranges::move(part.sequences, std::back_inserter(dataset.sequences));
    std::ranges::move(part.test_subjects, std::back_inserter(dataset.test_subjects));
    if (dataset.metadata.empty()) dataset.metadata = std::move(part.metadata);
  }
  return dataset;
}

void run(Options options) {
  RefineOptions& refining = options.refine;
  refining.common.apply();
  data::Dataset dataset = read_all(options);
  refining.input = options.inputs[0];
  const Split parts = split(dataset, options.validation_subjects, refining.input);
  std::erase_if(dataset.sequences, [&](const data::Sequence& s) { return dataset.is_test(s); });
  TensorFile file = read_checkpoint(refining.checkpoint);
  const Device device = refining.common.device;
  const Refiner refiner = Refiner::load(file, refining.checkpoint, refining.precision, device);
  refine(refining, dataset);

  const int frames = refiner.config().frames;
  const diffusion::Inference::Options inference = refining.windows.choose(frames).inference;
  // As refine() saw it.
  const bool resamples = refining.windows.protocol == data::ProtocolName::sequence;
  const data::View view(dataset, convention_of(file, refining.checkpoint), resamples);
  std::vector<Person> people = people_of(parts, options.folds);
  const Examples examples = collect(refiner, view.dataset(), inference, refining.steps.value_or(2),
                                    people, refining.quiet);
  for (const int person : examples.person) ++people[static_cast<std::size_t>(person)].frames;

  std::vector<data::Residuals> residuals;
  int folds = 0;
  for (const Person& person : people) {
    residuals.push_back({person.name, person.known, {}});
    folds = std::max(folds, person.fold + 1);
  }
  Progress progress("heads", "heads", folds + 1, refining.quiet);
  for (int fold = 0; fold < folds; ++fold) {
    const Uncertainty head = trained(options, examples, people, fold, device);
    add_residuals(head, examples, people, fold, residuals);
    progress.update(fold + 1);
  }
  if (!options.residuals.empty()) write_residuals(options.residuals, residuals);
  for (const std::string& path : options.cross_fitted) add_cross_fitted(path, residuals);
  const data::Calibration calibration = data::calibrate(residuals);
  Uncertainty head = trained(options, examples, people, -1, device);
  progress.update(folds + 1);
  head.rescale(calibration.factors);
  head.set_regions(calibration.regions);

  nlohmann::ordered_json made = data::provenance(dataset, "refined_3d");
  made.erase(data::kRegions);
  std::vector<std::string> calibrated;
  for (const data::Residuals& person : residuals) {
    if (!person.known) calibrated.push_back(person.person);
  }
  const nlohmann::ordered_json about{
      {"made", made}, {"calibrated", calibrated}, {"trained", parts.train_subjects}};
  std::erase_if(file.tensors, [](const auto& t) { return Uncertainty::is_part(t.first); });
  head.save(file);
  file.metadata[diffusion::kUncertainty] = about.dump();
  write_safetensors(options.output, file);
  if (refining.quiet) return;
  fmt::print(
      "{} people, {} frames; errors of people whom the networks don't know are {:.2f} times "
      "as large ({}), {:.2f} times ({})\n",
      people.size(), examples.person.size(), calibration.unknown_over_known[0], data::kAxisNames[0],
      calibration.unknown_over_known[1], data::kAxisNames[1]);
  if (std::ranges::count(residuals, false, &data::Residuals::known) > 1) {
    fmt::print("Of people who had no part in their regions:\n{}", cross_fitted(residuals));
  }
  fmt::print("wrote {}\n", shown(options.output));
}

}  // namespace

void add_train_uncertainty(const Command& train) {
  const Command command = train.add_command(
      "uncertainty", "Teach a refiner how sure it is of its poses, which gives refined_std");
  auto options = std::make_shared<Options>();
  RefineOptions& refining = options->refine;
  refining.common.add_to(command);
  add_precision(command, refining.precision, "The refiner's weights and activations");
  add_input(command, "checkpoint", refining.checkpoint, "Refiner (.safetensors)").required();
  add_input(command, "input", options->inputs,
            "Datasets (.npz) with pose_3d, and noisy_3d as it will be refined")
      .required();
  add_output(command, "-o,--output", options->output,
             "The refiner with what it was taught; its poses stay as they are (.safetensors)",
             {.stream = false})
      .required();
  command
      .add_option("--validation-subjects", options->validation_subjects,
                  "People on whom neither the lifter nor the refiner was trained: they say how "
                  "large errors are (default: the last training subject of the file)")
      .list();
  command
      .add_option("--folds", options->folds,
                  "Of the others, of whom each has a head that never saw them")
      .range(1, 1000)
      .show_default();
  add_output(
      command, "--residuals", options->residuals,
      "Write of the validation people how large errors are beside deviations, for --cross-fitted "
      "(.safetensors)");
  add_input(
      command, "--cross-fitted", options->cross_fitted,
      "What --residuals wrote in trainings of the same kind without other people, who are to say "
      "how large errors are, too (.safetensors)");
  command.add_option("--hidden", options->hidden, "Channels of the head")
      .range(1, 100000)
      .show_default();
  command.add_option("--epochs", options->epochs, "Epochs").range(1, 1000000).show_default();
  command.add_option("--frames-a-step", options->batch, "Frames, of a window each, a step")
      .range(1, 100000)
      .show_default();
  command.add_option("--lr", options->lr, "Learning rate of Adam").positive().show_default();
  command.add_option("--steps", refining.steps, "K, denoising steps of `refine`")
      .positive()
      .show_default();
  command
      .add_option("--strength", refining.strength,
                  "As of `refine`: the errors that are learnt are those of the poses it makes")
      .range(0.0, 1.0)
      .show_default();
  refining.windows.add_to(command);
  refining.finish.add_to(command, "with another --protocol than sequence");
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.add_flag("--quiet", refining.quiet, "Print nothing but warnings and errors");
  command.footer(
      "Example: posetape train uncertainty refiner.safetensors lifted.npz -o sure.safetensors "
      "--validation-subjects P3,P4 --flip-average");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
