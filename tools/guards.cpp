#include "tools/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/domain.hpp"
#include "engine/error.hpp"
#include "tools/files.hpp"

namespace posetape::tools {
void add_force(const Command& command, bool& force) {
  command.add_flag(
      "--force", force,
      "Go on with poses that make no sense (unit, axes, joint order, image size, ...)");
}

void subtract_roots(data::Dataset& dataset, const std::string& path) {
  const data::OwnFields own = data::own_fields(dataset);
  std::size_t count = 0;
  double most = 0;
  std::string first;
  for (data::Sequence& s : dataset.sequences) {
    const double off = data::subtract_root(s, own);
    if (off == 0) continue;
    if (count++ == 0) first = s.name;
    most = std::max(most, off);
  }
  if (count == 0) return;
  fmt::print(
      stderr,
      "{}: note: joint 0 of noisy_3d lay up to {:.3f} m from the origin in {} sequences ({}{}); "
      "it was subtracted from every joint\n",
      shown(path), most, count, first, count > 1 ? ", ..." : "");
}

void guard(const data::Dataset& dataset, const std::string& path, bool force, const Mends& mends) {
  for (const data::SharedDoubt& shared : data::examine(dataset)) {
    std::string text = data::doubt_text(shared);
    if (const auto mend = mends.find(shared.doubt.check); mend != mends.end()) {
      text += ", or " + mend->second;
    }
    if (shared.doubt.severity == data::Severity::refusal && !force) {
      fail("{}: {}, or go on with it as it is (--force)", path, text);
    }
    fmt::print(stderr, "posetape: warning: {}: {}\n", shown(path), text);
  }
}

void compare_domain(const TensorFile& file, const std::string& checkpoint,
                    const data::Dataset& dataset, bool estimate) {
  const auto found = file.metadata.find(kDomain);
  if (found == file.metadata.end()) return;
  const auto domain =
      nlohmann::ordered_json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  const std::string text = data::outside_domain(dataset, domain, estimate);
  if (!text.empty()) fmt::print(stderr, "{}: note: {}\n", shown(checkpoint), text);
}

}  // namespace posetape::tools
