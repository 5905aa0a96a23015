// Feeds libFuzzer's inputs to the readers of files, one a run: POSETAPE_FUZZ names it. A reader may
// refuse an input with an Error of one line; anything else it throws, and every finding of the
// sanitizers, is a fault.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "data/calibration.hpp"
#include "data/dataset.hpp"
#include "data/estimates.hpp"
#include "data/joints_map.hpp"
#include "data/keypoints.hpp"
#include "data/motion_format.hpp"
#include "data/numpy_pickle.hpp"
#include "data/plausibility.hpp"
#include "data/torch_file.hpp"
#include "data/videopose.hpp"
#include "engine/error.hpp"
#include "engine/safetensors.hpp"

namespace posetape {
namespace {

using data::PickleKind;
using data::PickleValue;
using Bytes = std::span<const std::byte>;

// A file of these bytes in memory, for readers that want a path.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : file_(memfd_create("fuzz", 0)) {
    if (file_ < 0 || write(file_, bytes.data(), bytes.size()) != std::ssize(bytes)) std::abort();
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

// Runs `f`, which may refuse.
template <class F>
void attempt(F f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (text.empty() || text.find('\n') != std::string_view::npos) std::abort();
  }
}

// Looks at everything in a pickle, each value once.
void walk(const PickleValue& top) {
  std::vector<PickleValue> open{top};
  std::unordered_set<std::uint32_t> seen{top.id()};
  const auto visit = [&](const PickleValue& value) {
    if (seen.insert(value.id()).second) open.push_back(value);
  };
  while (!open.empty()) {
    const PickleValue value = open.back();
    open.pop_back();
    attempt([&] { data::number_of(value, "fuzz"); });
    attempt([&] { data::array_of(value, "fuzz"); });
    attempt([&] {
      for (const PickleValue& object : data::objects_of(value, "fuzz")) visit(object);
    });
    attempt([&] { value.find("positions_3d"); });
    attempt([&] { value.text(); });
    switch (value.kind()) {
      case PickleKind::call:
        visit(value.arguments());
        if (const auto elements = value.elements()) visit(*elements);
        if (const auto state = value.state()) visit(*state);
        [[fallthrough]];
      case PickleKind::dict:
        for (std::size_t i = 0; i < value.size(); ++i) {
          visit(value.key(i));
          visit(value.value(i));
        }
        break;
      case PickleKind::list:
      case PickleKind::tuple:
      case PickleKind::set:
        for (std::size_t i = 0; i < value.size(); ++i) visit(value[i]);
        break;
      default:
        break;
    }
  }
}

void fuzz_pickle(Bytes bytes) {
  attempt([&] {
    const data::PickleOptions any{.globals = {}, .any_class = true, .persistent_ids = true};
    walk(data::parse_pickle(bytes, "fuzz", any).value);
  });
  walk(data::parse_pickle(bytes, "fuzz", {.globals = data::numpy_globals()}).value);
}

void fuzz_npy(Bytes bytes) {
  data::parse_npy(bytes, "fuzz").as<float>();
}

void fuzz_npz(Bytes bytes) {
  const MemoryFile file(bytes);
  attempt([&] { data::read_positions_3d(file.path()); });
  attempt([&] { data::read_keypoints_2d(file.path()); });
  const data::NpzReader reader(file.path());
  for (const std::string& name : reader.names()) attempt([&] { reader.read(name); });
}

void fuzz_dataset(Bytes bytes) {
  const MemoryFile file(bytes);
  data::examine(data::read_dataset(file.path()));
}

void fuzz_torch(Bytes bytes) {
  const MemoryFile file(bytes);
  const data::TorchFile torch(file.path());
  for (std::size_t i = 0; i < torch.dicts().size(); ++i) {
    std::vector<PassedOver> passed_over;
    attempt([&] { torch.read(i, torch.dicts()[i].names, passed_over); });
  }
}

void fuzz_safetensors(Bytes bytes) {
  const MemoryFile file(bytes);
  std::vector<PassedOver> others;
  attempt([&] { read_foreign_safetensors(file.path(), others); });
  read_safetensors(file.path());
}

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void fuzz_joints_map(Bytes bytes) {
  data::parse_joints_map(text_of(bytes), "fuzz.map");
}

// Any file of a detector or an estimator: which kind, the corpus says.
void fuzz_keypoints(Bytes bytes) {
  const MemoryFile file(bytes);
  std::vector<std::string> notes;
  data::TrackOptions options;
  options.image_size = {1920, 1080};
  attempt([&] { data::prepare_keypoints(file.path(), options, notes); });
  data::EstimateOptions estimates;
  estimates.keypoints = options;
  estimates.height = 1.7;
  data::prepare_estimates(file.path(), "", estimates, notes);
}

void fuzz_calibration(Bytes bytes) {
  const MemoryFile file(bytes);
  data::read_calibration(file.path());
}

struct Target {
  std::string_view name;
  void (*run)(Bytes);
};
// Beside these, every format of motion is a target, by the name of its file in data/.
constexpr std::array<Target, 11> kTargets{{{"pickle", fuzz_pickle},
                                           {"npy", fuzz_npy},
                                           {"npz", fuzz_npz},
                                           {"dataset", fuzz_dataset},
                                           {"torch", fuzz_torch},
                                           {"safetensors", fuzz_safetensors},
                                           {"joints_map", fuzz_joints_map},
                                           {"calibration", fuzz_calibration},
                                           {"keypoints_json", fuzz_keypoints},
                                           {"keypoints_table", fuzz_keypoints},
                                           {"keypoints_array", fuzz_keypoints}}};

struct Format {
  std::string_view name;
  const data::FormatRule* rule;
};
constexpr Format kFormats[] = {
#define POSETAPE_FORMAT(format) {#format, &data::format##_format},
#include "data/formats.def"
#undef POSETAPE_FORMAT
};

std::function<void(Bytes)> chosen() {
  const char* given = std::getenv("POSETAPE_FUZZ");
  const std::string_view name = given == nullptr ? "" : given;
  std::string known;
  for (const Target& target : kTargets) {
    if (target.name == name) return target.run;
    known += " " + std::string(target.name);
  }
  for (const Format& format : kFormats) {
    if (!format.rule->reader) continue;
    if (format.name == name) {
      return [parse = format.rule->reader->parse](Bytes bytes) { parse(text_of(bytes)); };
    }
    known += " " + std::string(format.name);
  }
  std::fprintf(stderr, "set POSETAPE_FUZZ to one of%s\n", known.c_str());
  std::exit(2);
}

}  // namespace
}  // namespace posetape

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto run = posetape::chosen();
  posetape::attempt([&] { run(std::as_bytes(std::span(data, size))); });
  return 0;
}
