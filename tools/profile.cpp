// posetape profile: where the time and the memory of a step go.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/adam.hpp"
#include "engine/atomic_file.hpp"
#include "engine/ops.hpp"
#include "engine/profile.hpp"
#include "engine/random_fill.hpp"
#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/parallel.hpp"
#include "model/pose_denoiser.hpp"
#include "model/stcformer.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {
namespace {

constexpr Index kJoints = 17;

struct Options {
  Common common;
  std::string model = "denoiser";
  Index batch = 4;
  Index frames = 81;
  Index width = 256;
  Index depth = 4;
  Index heads = 8;
  int steps = 5;
  bool inference = false;
  std::string json;
  std::string trace;
};

Tensor random(const Shape& shape, std::uint64_t seed) {
  const Tensor t = Tensor::empty(shape, DType::f32);
  fill_normal(t, seed, Stream::diagnostics, 0);
  return t;
}

// The network with one batch of noise: what its ops cost does not depend on the numbers.
class Subject {
 public:
  explicit Subject(const Options& o) {
    const Shape poses{o.batch, o.frames, kJoints, 3};
    const Tensor y = random(poses.with(3, 2), o.common.seed);
    target_ = random(poses, o.common.seed + 1);
    if (o.model == "denoiser") {
      const auto network = std::make_shared<model::PoseDenoiser>(
          model::PoseDenoiserConfig{o.width, o.depth, o.heads, 4, true}, DType::f32, o.common.seed);
      const std::vector<int> t(static_cast<std::size_t>(o.batch), 20);
      const Tensor x = random(poses, o.common.seed + 2);
      parameters_ = &network->parameters();
      forward_ = [=] { return (*network)(x, y, t); };
    } else {
      const auto network = std::make_shared<model::Stcformer>(
          model::StcformerConfig{o.width, o.depth, o.heads, 4}, DType::f32, o.common.seed);
      parameters_ = &network->parameters();
      forward_ = [=] { return (*network)(y); };
    }
    if (!o.inference) adam_.emplace(*parameters_);
  }

  void step() {
    if (!adam_) {
      forward_();
      return;
    }
    Tape tape;
    parameters_->watch(tape);
    Tensor loss;
    {
      const Recording on(tape);
      loss = joint_distance_loss(forward_(), target_);
    }
    saved_bytes_ = saved(tape);
    Tape::Options options;
    options.destinations = parameters_->destinations();
    options.release = true;
    tape.backward(loss, options);
    adam_->step(1e-4);
  }

  std::size_t parameter_bytes() const { return parameters_->values().bytes(); }
  std::size_t saved_bytes() const { return saved_bytes_; }

 private:
  // Memory that the tape keeps for the backward pass, each tensor once.
  std::size_t saved(const Tape& tape) const {
    std::set<const void*> seen;
    std::size_t bytes = 0;
    for (const auto& entry : parameters_->entries()) seen.insert(entry.value.raw());
    for (const Node& node : tape.nodes()) {
      for (const Tensor& t : node.saved) {
        if (t.defined() && seen.insert(t.raw()).second) bytes += t.bytes();
      }
    }
    return bytes;
  }

  const ParameterList* parameters_ = nullptr;
  std::function<Tensor()> forward_;
  std::optional<Adam> adam_;
  Tensor target_;
  std::size_t saved_bytes_ = 0;
};

// What this machine can do at most, measured with the threads in use.
struct Limits {
  double flops = 0;  // a second, of a large matrix product
  double bytes = 0;  // a second, of a sum of two long vectors
};

Limits measure_limits() {
  const auto best = [](const std::function<void()>& f) {
    double seconds = 1e9;
    for (int i = 0; i < 6; ++i) {
      Profile profile;
      f();
      seconds = std::min(seconds, profile.events().back().seconds);
    }
    return seconds;
  };
  const Tensor a = random({2048, 1024}, 1);
  const Tensor b = random({1024, 1024}, 2);
  const Tensor x = random({32, 1024, 1024}, 3);
  return {2.0 * 2048 * 1024 * 1024 / best([&] { matmul(a, b); }),
          3.0 * static_cast<double>(x.bytes()) / best([&] { add(x, x); })};
}

struct Line {
  std::string name;
  bool backward = false;
  int calls = 0;
  double seconds = 0;
  Cost cost;
};

// Calls with the same name and direction, the costliest first; all figures for one step.
std::vector<Line> lines(const std::vector<ProfileEvent>& events, int steps) {
  std::map<std::pair<std::string, bool>, Line> by_name;
  for (const ProfileEvent& e : events) {
    Line& line = by_name[{e.name, e.backward}];
    line.name = e.name;
    line.backward = e.backward;
    ++line.calls;
    line.seconds += e.seconds / steps;
    line.cost.flops += e.cost.flops / steps;
    line.cost.bytes += e.cost.bytes / steps;
  }
  std::vector<Line> all;
  for (auto& [key, line] : by_name) {
    line.calls /= steps;
    all.push_back(line);
  }
  std::ranges::stable_sort(all, std::greater<>(), &Line::seconds);
  return all;
}

double percent_of_limit(const Line& line, const Limits& limits) {
  const double least = std::max(line.cost.flops / limits.flops, line.cost.bytes / limits.bytes);
  return line.seconds > 0 ? 100 * least / line.seconds : 0;
}

void print_table(const std::vector<Line>& all, const Limits& limits) {
  double total = 0;
  for (const Line& line : all) total += line.seconds;
  fmt::print("{:<28} {:>6} {:>9} {:>7} {:>9} {:>9} {:>9} {:>7}\n", "op", "calls", "ms", "share",
             "GFLOP", "MB", "GFLOP/s", "limit");
  for (const Line& line : all) {
    fmt::print("{:<28} {:>6} {:>9.2f} {:>5.1f} % {:>9.3f} {:>9.1f} {:>9.1f} {:>5.0f} %\n",
               line.name + (line.backward ? " backward" : ""), line.calls, 1e3 * line.seconds,
               100 * line.seconds / total, line.cost.flops / 1e9, line.cost.bytes / 1e6,
               line.cost.flops / 1e9 / line.seconds, percent_of_limit(line, limits));
  }
  fmt::print("{:<28} {:>6} {:>9.2f}\n", "all", "", 1e3 * total);
}

std::string json_text(const Options& o, const std::vector<Line>& all, const Limits& limits,
                      const Subject& subject, std::size_t peak) {
  using Json = nlohmann::ordered_json;
  Json j{{"format", "posetape profile 1"},
         {"model", o.model},
         {"batch", o.batch},
         {"frames", o.frames},
         {"width", o.width},
         {"depth", o.depth},
         {"heads", o.heads},
         {"training", !o.inference},
         {"threads", threads()},
         {"isa", posetape::name(cpu_isa())},
         {"limit_flops_per_second", limits.flops},
         {"limit_bytes_per_second", limits.bytes},
         {"parameter_bytes", subject.parameter_bytes()},
         {"saved_bytes", subject.saved_bytes()},
         {"peak_bytes", peak}};
  for (const Line& line : all) {
    j["ops"].push_back(Json{{"op", line.name},
                            {"backward", line.backward},
                            {"calls", line.calls},
                            {"seconds", line.seconds},
                            {"flops", line.cost.flops},
                            {"bytes", line.cost.bytes},
                            {"percent_of_limit", percent_of_limit(line, limits)}});
  }
  return j.dump(1) + "\n";
}

// In the format of chrome://tracing and ui.perfetto.dev.
std::string trace_text(const std::vector<ProfileEvent>& events) {
  using Json = nlohmann::ordered_json;
  Json j{{"displayTimeUnit", "ms"}, {"traceEvents", Json::array()}};
  for (const ProfileEvent& e : events) {
    j["traceEvents"].push_back(
        Json{{"name", e.name + (e.backward ? " backward" : "")},
             {"ph", "X"},
             {"pid", 1},
             {"tid", 1},
             {"ts", 1e6 * e.start},
             {"dur", 1e6 * e.seconds},
             {"args", Json{{"flops", e.cost.flops}, {"bytes", e.cost.bytes}}}});
  }
  return j.dump() + "\n";
}

void run(const Options& o) {
  o.common.apply();
  const Limits limits = measure_limits();
  Arena::cpu().trim();
  Arena::cpu().reset_peak();
  const std::size_t before = Arena::cpu().bytes_in_use();
  Subject subject(o);
  for (int i = 0; i < 2; ++i) subject.step();  // the arena fills, the pages become resident
  Profile profile;
  profile.restart();
  for (int i = 0; i < o.steps; ++i) subject.step();
  const std::vector<Line> all = lines(profile.events(), o.steps);
  const std::size_t peak = Arena::cpu().peak_bytes() - before;

  fmt::print("{} {}: {} sequences of {} frames, width {}, depth {}, {} heads; {} threads, {}\n",
             o.model, o.inference ? "inference" : "training step", o.batch, o.frames, o.width,
             o.depth, o.heads, threads(), posetape::name(cpu_isa()));
  fmt::print("limits measured here: {:.0f} GFLOP/s, {:.1f} GB/s\n\n", limits.flops / 1e9,
             limits.bytes / 1e9);
  print_table(all, limits);
  const auto mb = [](std::size_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const double parameters = mb(subject.parameter_bytes());
  fmt::print("\nmemory: {:.1f} MB at most; parameters {:.1f} MB", mb(peak), parameters);
  if (!o.inference) {
    fmt::print(", their gradients {:.1f}, Adam's moments {:.1f}, kept for the backward pass {:.1f}",
               parameters, 2 * parameters, mb(subject.saved_bytes()));
  }
  fmt::print("\n");
  if (!o.json.empty()) {
    write_file(o.json, json_text(o, all, limits, subject, peak));
    fmt::print("wrote {}\n", o.json);
  }
  if (!o.trace.empty()) {
    write_file(o.trace, trace_text(profile.events()));
    fmt::print("wrote {}; open it in chrome://tracing or ui.perfetto.dev\n", o.trace);
  }
}

}  // namespace

void add_profile(CLI::App& app) {
  CLI::App* command = app.add_subcommand("profile", "Where the time and memory of a step go");
  auto options = std::make_shared<Options>();
  options->common.add_to(*command);
  command->add_option("--model", options->model, "Network")
      ->check(CLI::IsMember({"denoiser", "stcformer"}))
      ->capture_default_str();
  const auto size = [&](const char* flag, Index& value, const char* what) {
    command->add_option(flag, value, what)->check(CLI::Range(1, 100000))->capture_default_str();
  };
  size("--batch", options->batch, "Sequences a step");
  size("--frames", options->frames, "Frames of a sequence");
  size("--width", options->width, "Channels");
  size("--depth", options->depth, "Blocks");
  size("--heads", options->heads, "Heads of each axis");
  command->add_option("--steps", options->steps, "Steps that are averaged")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_flag("--inference", options->inference, "A forward pass instead of a training step");
  command->add_option("--json", options->json, "Write the figures to this file");
  command->add_option("--trace", options->trace, "Write every op's time to this file");
  command->footer("Example: posetape profile --batch 4 --frames 81 --trace step.json");
  command->callback([options] { run(*options); });
}

}  // namespace posetape::tools
