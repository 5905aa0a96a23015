#include "tools/inspect_patches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "data/npz.hpp"
#include "engine/taps.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {
namespace {

// Arrays of a file, each read when it is first wanted.
class PatchFile {
 public:
  explicit PatchFile(const PatchOption& option) : option_(option), file_(option.file) {
    if (!option.array.empty()) check(option.array);
  }

  Tensor get(const std::string& name, const Observer::Named& value, const Inspected& layout,
             std::span<const data::Window> windows) {
    const std::string& array = option_.array.empty() ? name : option_.array;
    if (!arrays_.contains(array)) read(array);
    const data::NpyArray& found = arrays_.at(array);
    const Shape expected = layout.file_shape(name, value.shape);
    if (!std::ranges::equal(found.shape, expected.dims())) {
      fail(
          "{}: is {}, and {} here {}; look at as many frames of both (--window), with networks of "
          "one size",
          file_.where(array), data::shape_text(found.shape), name,
          data::shape_text(std::vector(expected.dims().begin(), expected.dims().end())));
    }
    return layout.from_file(name, value.shape, found.as<double>(), windows);
  }

 private:
  void read(const std::string& array) {
    check(array);
    arrays_[array] = file_.read(array);
    if (const auto bad = first_not_finite(arrays_[array].as<float>())) {
      fail("{}: element {} is {}", file_.where(array), bad->index, bad->value);
    }
  }
  void check(const std::string& array) const {
    if (file_.has(array)) return;
    fail("{}: has no array {}; nearest: {}", option_.file, array,
         nearest_text(array, file_.names()));
  }

  PatchOption option_;
  data::NpzReader file_;
  std::map<std::string, data::NpyArray> arrays_;
};

}  // namespace

PatchOption parse_patch(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
    throw WrongUsage(fmt::format(
        "--patch {}: expected NAME=VALUE, VALUE a number, mean, FILE or FILE:ARRAY", text));
  }
  PatchOption option{text.substr(0, equals), {}, {}, {}};
  const std::string value = text.substr(equals + 1);
  option.number = number_of(value);
  if (value == "mean" || (option.number && std::isfinite(*option.number))) return option;
  const std::size_t colon = value.rfind(':');
  const bool whole = std::filesystem::exists(value) || colon == std::string::npos;
  option.file = value.substr(0, whole ? std::string::npos : colon);
  if (!whole) option.array = value.substr(colon + 1);
  if (!std::filesystem::exists(option.file)) {
    fail(
        "--patch {}: {} is no number, not \"mean\" and no file; give FILE or FILE:ARRAY of a file "
        "that `posetape inspect` wrote",
        text, value);
  }
  return option;
}

InspectPatches::InspectPatches(const std::vector<PatchOption>& options,
                               const diffusion::Study& study, const Inspected& layout,
                               std::function<std::span<const data::Window>()> windows) {
  std::vector<std::string> averaged;
  for (const PatchOption& option : options) {
    if (!option.number && option.file.empty()) averaged.push_back(option.pattern);
  }
  if (!averaged.empty()) means_ = diffusion::mean_values(study, averaged);
  patches_ = std::make_unique<Patches>();
  for (const PatchOption& option : options) {
    if (!option.file.empty()) {
      const auto file = std::make_shared<PatchFile>(option);
      patches_->add(option.pattern, [file, &layout, windows](const std::string& name,
                                                             const Observer::Named& value) {
        return file->get(name, value, layout, windows());
      });
    } else if (option.number) {
      patches_->add(option.pattern, Patches::constant(*option.number));
    } else {
      patches_->add(option.pattern, diffusion::mean_of(means_));
    }
  }
}

}  // namespace posetape::tools
