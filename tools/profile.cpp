// posetape profile: where the time and the memory of a step go.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/adam.hpp"
#include "engine/atomic_file.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/profile.hpp"
#include "engine/random_fill.hpp"
#include "kernels/base/dispatch.hpp"
#include "kernels/base/parallel.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/matmul/matmul.hpp"
#include "model/network.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

constexpr Index kJoints = 17;

struct Options {
  Common common;
  const model::NetworkRule* rule = model::networks_of(model::Role::denoiser)[0];
  Index batch = 4;
  Index frames = 81;
  GivenSizes sizes{{"width", 256}, {"depth", 4}, {"heads", 8}};
  int steps = 5;
  DType precision = DType::f32;
  bool inference = false;
  int recompute = 0;
  std::string json;
  std::string trace;

  // A size that the network doesn't have is not asked for.
  model::NetworkConfig config() const {
    GivenSizes known = sizes;
    std::erase_if(known, [&](const auto& given) {
      return std::ranges::find(rule->sizes, given.first, &model::Size::key) == rule->sizes.end();
    });
    return sized(*rule, frames, known);
  }
};

Tensor random(const Shape& shape, std::uint64_t seed, Device device) {
  const Tensor t = Tensor::empty(shape, DType::f32, device);
  fill_normal(t, seed, Stream::diagnostics, 0);
  return t;
}

// The network with one batch of noise: what its ops cost does not depend on the numbers.
class Subject {
 public:
  explicit Subject(const Options& o) {
    const Shape shape{o.batch, o.frames, kJoints, 3};
    const Device device = o.common.device;
    const model::NetworkConfig config = o.config();
    const model::Network network = model::make_network(config, o.precision, o.common.seed, device);
    std::uint64_t seed = o.common.seed;
    std::vector<Tensor> inputs;
    for (const Index channels : model::input_channels(config)) {
      inputs.push_back(random(shape.with(3, channels), seed++, device));
    }
    const Tensor truth = random(shape, seed, device);
    if (config.rule->draw != nullptr) {
      for (const Tensor& drawn : config.rule->draw(config, /*rate=*/0, o.batch, o.precision,
                                                   o.common.seed, /*step=*/20)) {
        inputs.push_back(drawn.to(device));
      }
    }
    parameters_ = network.parameters;
    forward_ = [=] { return network.forward(inputs); };
    loss_ = [=] { return network.loss(network.forward(inputs), truth); };
    if (!o.inference) adam_.emplace(*parameters_);
    recompute_ = o.recompute;
  }

  void step() {
    if (!adam_) {
      forward_();
      return;
    }
    const Arena& arena = Arena::of(parameters_->device());
    const std::size_t before = arena.bytes_in_use();
    const auto loss = [&] {
      Tensor value = loss_();
      kept_bytes_ = arena.bytes_in_use() - before;
      return value;
    };
    gradients(*parameters_, loss, recompute_);
    adam_->step(1e-4);
  }

  const ParameterList& parameters() const { return *parameters_; }
  // Memory that the tape keeps for the backward pass.
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  std::shared_ptr<const ParameterList> parameters_;
  std::function<Tensor()> forward_, loss_;
  std::optional<Adam> adam_;
  int recompute_ = 0;
  std::size_t kept_bytes_ = 0;
};

// What this machine can do at most, measured with the threads in use.
struct Limits {
  double flops = 0;     // a second, of a large matrix product in f32
  double products = 0;  // a second, of the innermost loop of products in the precision in use
  double bytes = 0;     // a second, of a sum of two long vectors
};

template <class T>
double product_limit(const std::function<double(const std::function<void()>&)>& seconds_of) {
  std::vector<Accumulator<T>> sums(static_cast<std::size_t>(8 * threads()));
  double flops = 0;
  const ProductLimit<T> limit{sums.data(), &flops, static_cast<Index>(sums.size()), 200};
  const double seconds = seconds_of([&] { launch(Cpu{}, limit); });
  return flops / seconds;
}

Limits measure_limits(Device device, DType precision) {
  const auto best = [device](const std::function<void()>& f) {
    double seconds = 1e9;
    for (int i = 0; i < 6; ++i) {
      Profile profile(device);
      f();
      seconds = std::min(seconds, profile.events().back().seconds);
    }
    return seconds;
  };
  // A GPU needs more work than a CPU to be busy, and an emulated one gets little.
  const bool emulated = device == Device::cuda && cuda::open().emulated;
  const Index n = emulated ? 64 : device == Device::cuda ? 4096 : 1024;
  const Tensor a = random({2 * n, n}, 1, device);
  const Tensor b = random({n, n}, 2, device);
  const Tensor x = random({emulated ? 1 : 32, n, n}, 3, device);
  const auto size = static_cast<double>(n);
  Limits limits;
  limits.flops = limits.products = 4 * size * size * size / best([&] { matmul(a, b); });
  limits.bytes = 3.0 * static_cast<double>(x.bytes()) / best([&] { add(x, x); });
  if (device == Device::cpu) {
    const auto fastest = [](const std::function<void()>& f) {
      double seconds = 1e9;
      for (int i = 0; i < 6; ++i) {
        const auto start = std::chrono::steady_clock::now();
        f();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        seconds = std::min(seconds, took.count());
      }
      return seconds;
    };
    limits.products =
        precision == DType::bf16 ? product_limit<bf16>(fastest) : product_limit<float>(fastest);
  }
  return limits;
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
    line.cost.products = e.cost.products;
  }
  std::vector<Line> all;
  for (auto& [key, line] : by_name) {
    line.calls /= steps;
    all.push_back(line);
  }
  std::ranges::stable_sort(all, std::greater<>(), &Line::seconds);
  return all;
}

std::string machine(Device device) {
  if (device == Device::cuda) return cuda::open().name;
  return fmt::format("{} threads, {}", threads(), posetape::name(cpu_isa()));
}

double percent_of_limit(const Line& line, const Limits& limits) {
  const double flops = line.cost.products ? limits.products : limits.flops;
  const double least = std::max(line.cost.flops / flops, line.cost.bytes / limits.bytes);
  return line.seconds > 0 ? 100 * least / line.seconds : 0;
}

void print_table(const std::vector<Line>& all, const Limits& limits) {
  Line total;
  for (const Line& line : all) {
    total.calls += line.calls;
    total.seconds += line.seconds;
    total.cost.flops += line.cost.flops;
    total.cost.bytes += line.cost.bytes;
  }
  fmt::print("{:<28} {:>6} {:>9} {:>7} {:>9} {:>9} {:>9} {:>7}\n", "op", "calls", "ms", "share",
             "GFLOP", "MB", "GFLOP/s", "limit");
  for (const Line& line : all) {
    fmt::print("{:<28} {:>6} {:>9.2f} {:>5.1f} % {:>9.3f} {:>9.1f} {:>9.1f} {:>5.0f} %\n",
               line.name + (line.backward ? " backward" : ""), line.calls, 1e3 * line.seconds,
               100 * line.seconds / total.seconds, line.cost.flops / 1e9, line.cost.bytes / 1e6,
               line.cost.flops / 1e9 / line.seconds, percent_of_limit(line, limits));
  }
  fmt::print("{:<28} {:>6} {:>9.2f} {:>7} {:>9.3f} {:>9.1f} {:>9.1f}\n", "all", total.calls,
             1e3 * total.seconds, "", total.cost.flops / 1e9, total.cost.bytes / 1e6,
             total.cost.flops / 1e9 / total.seconds);
}

std::string json_text(const Options& o, const std::vector<Line>& all, const Limits& limits,
                      const Subject& subject, std::size_t peak) {
  using Json = nlohmann::ordered_json;
  Json j{{"format", "posetape profile 1"},
         {"model", o.rule->name},
         {"batch", o.batch},
         {"frames", o.frames}};
  const Settings sizes = size_settings(o.config());
  for (const auto& [option, value] : sizes.items()) j[option.substr(2)] = value;
  j.update({{"training", !o.inference},
            {"precision", name(o.precision)},
            {"recompute", o.recompute},
            {"device", posetape::name(o.common.device)},
            {"threads", threads()},
            {"isa", posetape::name(cpu_isa())},
            {"limit_flops_per_second", limits.flops},
            {"limit_product_flops_per_second", limits.products},
            {"limit_bytes_per_second", limits.bytes},
            {"parameter_bytes", subject.parameters().values().bytes()},
            {"saved_bytes", subject.kept_bytes()},
            {"peak_bytes", peak}});
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
  const Device device = o.common.device;
  const Limits limits = measure_limits(device, o.precision);
  Arena& arena = Arena::of(device);
  arena.trim();
  arena.reset_peak();
  const std::size_t before = arena.bytes_in_use();
  Subject subject(o);
  for (int i = 0; i < 2; ++i) subject.step();  // the arena fills, the pages become resident
  Profile profile(device);
  profile.restart();
  const long long launches = cuda::launches();
  for (int i = 0; i < o.steps; ++i) subject.step();
  const double launches_a_step =
      static_cast<double>(cuda::launches() - launches) / static_cast<double>(o.steps);
  const std::vector<Line> all = lines(profile.events(), o.steps);
  const std::size_t peak = arena.peak_bytes() - before;

  fmt::print("{} {}, {}: {} sequences of {} frames, {}; {}\n", o.rule->name,
             o.inference ? "inference" : "training step", name(o.precision), o.batch, o.frames,
             model::sizes_text(o.config()), machine(device));
  const std::string products = device == Device::cpu
                                   ? fmt::format(", {:.0f} of the innermost loop of products in {}",
                                                 limits.products / 1e9, name(o.precision))
                                   : "";
  fmt::print("limits measured here: {:.0f} GFLOP/s of a large product in f32{}; {:.1f} GB/s\n\n",
             limits.flops / 1e9, products, limits.bytes / 1e9);
  print_table(all, limits);
  if (device == Device::cuda) {
    fmt::print(
        "\n{:.0f} launches a step, here one by one; in training they are one graph. Times are with "
        "a "
        "wait for the device after each op{}\n",
        launches_a_step, cuda::open().emulated ? ", and of the emulation: they say nothing" : "");
  }
  const auto mb = [](std::size_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const ParameterList& parameters = subject.parameters();
  const double values = mb(parameters.values().bytes());
  fmt::print("\nmemory: {:.1f} MB at most; parameters {:.1f} MB", mb(peak), values);
  if (!o.inference) {
    if (o.precision == DType::bf16)
      fmt::print(", f32 masters {:.1f}", mb(parameters.masters().bytes()));
    fmt::print(", gradients {:.1f}, Adam's moments {:.1f}, kept for the backward pass {:.1f}",
               values, 2 * mb(parameters.masters().bytes()), mb(subject.kept_bytes()));
  }
  fmt::print("\n");
  if (!o.json.empty()) {
    write_file(o.json, json_text(o, all, limits, subject, peak));
    fmt::print("wrote {}\n", shown(o.json));
  }
  if (!o.trace.empty()) {
    write_file(o.trace, trace_text(profile.events()));
    fmt::print("wrote {}; open it in chrome://tracing or ui.perfetto.dev\n", shown(o.trace));
  }
}

}  // namespace

void add_profile(const Command& app) {
  const Command command = app.add_command("profile", "Where the time and memory of a step go");
  auto options = std::make_shared<Options>();
  options->common.add_to(command);
  static const auto models = model::choices_of(model::networks());
  add_choice(command, "--model", options->rule, "Network", models);
  const auto size = [&](const char* flag, Index& value, const char* what) {
    command.add_option(flag, value, what).range(1, 100000).show_default();
  };
  size("--batch", options->batch, "Sequences a step");
  size("--frames", options->frames, "Frames of a sequence");
  add_sizes(command, model::networks(), options->sizes);
  command.add_option("--steps", options->steps, "Steps that are averaged")
      .range(1, 10000)
      .show_default();
  add_precision(command, options->precision, "Type of weights and activations");
  command.add_flag("--inference", options->inference, "A forward pass instead of a training step");
  add_recompute(command, options->recompute);
  add_output(command, "--json", options->json, "Write the figures to this file");
  add_output(command, "--trace", options->trace, "Write every op's time to this file");
  command.footer("Example: posetape profile --batch 4 --frames 81 --trace step.json");
  command.runs([options] { run(*options); });
}

}  // namespace posetape::tools
