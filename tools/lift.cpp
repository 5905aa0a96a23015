// posetape lift: 2D to 3D by the lifter that never saw the sequence's subject.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "diffusion/sequences.hpp"
#include "model/checkpoint.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/inference.hpp"
#include "tools/input.hpp"
#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

struct Options : LiftOptions {
  std::string output;
  bool drop_invalid = false;
  bool force = false;
};

void run(const Options& options) {
  options.common.apply();
  data::Dataset dataset = read_input(options.input, options.drop_invalid, options.force);
  lift(options, dataset);
  data::write_dataset(options.output, dataset);
  if (!options.quiet) fmt::print("wrote {}\n", shown(options.output));
}

// Half of each, joint 0 at zero in both. The lifted poses begin at frame `first` of the estimate,
// whose last frame is repeated beyond its end.
data::PoseArray mean(const data::PoseArray& lifted, const data::PoseArray& estimate,
                     int first = 0) {
  data::PoseArray out = lifted;
  for (int f = 0; f < out.frames(); ++f) {
    const float* other = estimate.frame(std::min(first + f, estimate.frames() - 1));
    for (int i = 0; i < 3 * data::kJoints; ++i) {
      float& value = out.frame(f)[i];
      value = 0.5F * (value + (other[i] - other[i % 3]));
    }
  }
  return out;
}

}  // namespace

void add_with_estimate(const Command& command, bool& with_estimate) {
  command.add_flag("--with-estimate", with_estimate,
                   "Take the mean of what is lifted and the file's noisy_3d, which another "
                   "estimator made: two that err apart are better than either");
}

void lift(const LiftOptions& options, data::Dataset& dataset) {
  const TensorFile file = read_checkpoint(options.checkpoint);
  const model::NetworkSet set = model::load_networks(file, options.checkpoint, model::Role::lifter,
                                                     options.precision, options.common.device);
  const std::vector<data::Field> fields = diffusion::fields_of(set.config);
  const bool second_pass = fields.size() > 1;
  if (options.with_estimate || second_pass) {
    for (const data::Sequence& s : dataset.sequences) check_estimate(s, options.input);
  }
  auto [protocol, inference] = options.windows.choose(set.frames(), set.step);
  const data::Convention convention = convention_of(file, options.checkpoint);
  const data::View view =
      options.view.view(dataset, options.input, convention, options.checkpoint, options.windows);
  if (!options.quiet) {
    compare_domain(file, options.checkpoint, view.dataset(), second_pass);
  }

  data::forget_refined(dataset);
  std::map<const model::NetworkSet::Member*, std::vector<int>> work;
  for (std::size_t i = 0; i < dataset.sequences.size(); ++i) {
    const model::NetworkSet::Member& lifter =
        options.in_sample ? set.members.front() : set.for_subject(dataset.sequences[i].subject());
    work[&lifter].push_back(static_cast<int>(i));
  }
  const auto frames = data::count_frames(view.dataset(), data::all_sequences(dataset));
  Progress progress("lift", "frames", static_cast<double>(frames), options.quiet);
  double done = 0;
  inference.on_frames = [&](double part) { progress.update(done += part); };
  for (const auto& [lifter, sequences] : work) {
    diffusion::Inference network(
        fields, options.common.device,
        [&own = lifter->network](std::span<const Tensor> in) { return own.forward(in); });
    auto [poses, last_windows, none] = network(view, sequences, inference);
    diffusion::check_finite(dataset, sequences, poses, options.checkpoint);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      data::Sequence& s = dataset.sequences[static_cast<std::size_t>(sequences[i])];
      if (options.with_estimate) {
        poses[i] = mean(poses[i], *s.noisy_3d);
        if (last_windows[i]) {
          const int first = std::max(0, s.frames() - last_windows[i]->frames());
          last_windows[i] = mean(*last_windows[i], *s.noisy_3d, first);
        }
      }
      s.noisy_3d = std::move(poses[i]);
      s.noisy_3d_last_window = std::move(last_windows[i]);
    }
    progress.line(fmt::format("{}: lifted {} sequences", lifter->name, sequences.size()));
  }
  nlohmann::ordered_json made =
      data::provenance(protocol, inference.windows, inference.flip_average);
  if (options.precision != DType::f32) made["precision"] = name(options.precision);
  if (second_pass) made["second_pass"] = "over the file's estimate";
  if (options.with_estimate) made["averaged_with"] = "the file's estimate";
  data::set_provenance(dataset, "noisy_3d", made);
}

void add_lift(const Command& app) {
  const Command command = app.add_command("lift", "Lift 2D to 3D with a trained lifter");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  add_precision(command, options->precision, "Weights and activations");
  add_input(command, "checkpoint", options->checkpoint, "Lifter (.safetensors)").required();
  add_input(command, "input", options->input, "Dataset (.npz)").required();
  add_output(command, "-o,--output", options->output, "Dataset to write, with noisy_3d").required();
  options->windows.add_to(command);
  options->view.add_to(command);
  command.add_flag("--in-sample", options->in_sample,
                   "Lift everything with the full lifter, training sequences too");
  add_with_estimate(command, options->with_estimate);
  add_drop_invalid(command, options->drop_invalid);
  add_force(command, options->force);
  command.add_flag("--quiet", options->quiet, "Print nothing but warnings and errors");
  command.footer("Example: posetape lift lifter.safetensors data.npz -o lifted.npz");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
