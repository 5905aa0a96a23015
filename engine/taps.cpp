#include "engine/taps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <unordered_set>

#include "engine/tape.hpp"

namespace posetape {
namespace {

bool glob_matches(std::string_view glob, std::string_view text) {
  std::size_t g = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;  // the last one seen, and how far its text went
  std::size_t covered = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      covered = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++covered;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

// Edits that make some end of `name` match the pattern: what a `*` covers costs nothing.
int distance(std::string_view glob, std::string_view name) {
  std::vector<int> row(name.size() + 1, 0);  // the pattern may begin anywhere
  for (const char c : glob) {
    int diagonal = row[0];
    row[0] += c == '*' ? 0 : 1;
    for (std::size_t t = 1; t <= name.size(); ++t) {
      const int above = row[t];
      if (c == '*') {
        row[t] = std::min(above, row[t - 1]);
      } else {
        const int replace = diagonal + (c == '?' || c == name[t - 1] ? 0 : 1);
        row[t] = std::min({replace, above + 1, row[t - 1] + 1});
      }
      diagonal = above;
    }
  }
  return row.back();
}

std::string without_digits(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  return text;
}

bool take_ending(std::string& text, std::string_view ending) {
  if (!text.ends_with(ending)) return false;
  text.resize(text.size() - ending.size());
  return true;
}

double norm_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

}  // namespace

bool tap_matches(std::string_view glob, std::string_view name) {
  for (;;) {
    if (glob_matches(glob, name)) return true;
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return false;
    name.remove_prefix(dot + 1);
  }
}

bool asks_for_gradient(std::string_view pattern) {
  return pattern.ends_with(".grad") || pattern.ends_with(".grad.norm");
}

std::vector<std::string> nearest_names(std::string_view glob, std::span<const std::string> names,
                                       std::size_t count) {
  std::vector<std::pair<int, std::string_view>> ranked;
  for (const std::string& name : names) ranked.emplace_back(distance(glob, name), name);
  std::ranges::stable_sort(ranked, {}, &std::pair<int, std::string_view>::first);
  std::vector<std::string> nearest;
  for (const auto& [edits, name] : ranked) {
    if (nearest.size() == count) break;
    nearest.emplace_back(name);
  }
  return nearest;
}

std::string nearest_text(std::string_view glob, std::span<const std::string> names) {
  std::unordered_set<std::string> kinds;
  std::vector<std::string> different;
  for (const std::string& name : names) {
    if (kinds.insert(without_digits(name)).second) different.push_back(name);
  }
  return fmt::format("{}", fmt::join(nearest_names(glob, different, 4), ", "));
}

Taps::Taps(std::vector<std::string> patterns, Options options) : options_(options) {
  for (std::string& text : patterns) patterns_.push_back(parse(std::move(text)));
}

Taps* Taps::current() {
  Observer* observer = innermost();
  while (observer != nullptr && dynamic_cast<Taps*>(observer) == nullptr)
    observer = observer->outer();
  return static_cast<Taps*>(observer);
}

Taps::Pattern Taps::parse(std::string text) {
  Pattern pattern;
  pattern.text = text;
  pattern.norm = take_ending(text, ".norm");
  pattern.gradient = take_ending(text, ".grad");
  pattern.glob = std::move(text);
  return pattern;
}

const Taps::Captured& Taps::at(std::string_view name) const {
  const auto found = captured_at_.find(std::string(name));
  if (found != captured_at_.end()) return captured_[found->second];
  std::vector<std::string> names;
  for (const Captured& c : captured_) names.push_back(c.name);
  fail("taps: nothing is captured as {}; nearest: {}", name,
       fmt::join(nearest_names(name, names, 3), ", "));
}

void Taps::check() const {
  for (const Pattern& pattern : patterns_) {
    if (pattern.captured) continue;
    std::vector<std::string> names;
    for (const Seen& s : seen_) {
      if (tap_matches(pattern.glob, s.name)) {
        fail("tap {}: no gradient has come to {}; it takes a backward pass that depends on it",
             pattern.text, s.name);
      }
      names.push_back(s.name);
    }
    fail("tap {}: matches no name of this pass; nearest: {}", pattern.text,
         nearest_text(pattern.glob, names));
  }
}

void Taps::clear() {
  captured_.clear();
  captured_at_.clear();
  named_.clear();
}

bool Taps::named(const Named& value) {
  const auto [place, is_new] =
      seen_at_.try_emplace(fmt::format("{}{}", scope(), value.name), seen_.size());
  if (is_new) {
    const DType dtype = value.tensor.defined() ? value.tensor.dtype() : DType::f64;
    seen_.push_back({place->first, value.shape, dtype});
  }
  if (value.tensor.defined()) named_.emplace(value.tensor.id(), place->second);
  capture(place->first, false, value.shape, [&] { return value.values(); });
  return true;
}

void Taps::before_rule(const Node& node, Backward& backward) {
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const Tensor& gradient = backward.cotangent(static_cast<int>(i));
    if (gradient.defined()) see_gradient(node.outputs[i].id, gradient);
  }
}

void Taps::result(const Tensor& watched, const Tensor& gradient) {
  see_gradient(watched.id(), gradient);
}

void Taps::see_gradient(std::uint64_t id, const Tensor& gradient) {
  const auto [begin, end] = named_.equal_range(id);
  for (auto entry = begin; entry != end; ++entry) {
    Seen& seen = seen_[entry->second];
    seen.gradient = true;
    capture(seen.name, true, gradient.shape(), [&] { return gradient.to_doubles(); });
  }
}

void Taps::capture(const std::string& name, bool gradient, const Shape& shape,
                   const std::function<std::vector<double>()>& values) {
  bool whole = false;
  bool norm = false;
  for (Pattern& pattern : patterns_) {
    if (pattern.gradient != gradient || !tap_matches(pattern.glob, name)) continue;
    pattern.captured = true;
    (pattern.norm ? norm : whole) = true;
  }
  if (!whole && !norm) return;
  const std::string full = gradient ? name + ".grad" : name;
  std::vector<double> v = values();
  if (norm) put(full + ".norm", Shape(), {norm_of(v)});
  if (whole) put(full, shape, std::move(v));
}

void Taps::put(std::string name, const Shape& shape, std::vector<double> values) {
  const auto [place, is_new] = captured_at_.try_emplace(name, captured_.size());
  if (is_new) captured_.emplace_back();
  captured_[place->second] = {std::move(name), shape, std::move(values)};
}

void Scope::open(std::string_view name) {
  outer_ = observer_->scope_.size();
  observer_->scope_ += name;
  observer_->scope_ += '.';
}

}  // namespace posetape
