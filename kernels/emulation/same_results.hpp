// Runs that must give the same bits however they were ordered.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace posetape::emulation {

using Bytes = std::vector<std::byte>;

// Calls run() for each of `cases` after prepare(i), and returns the first result. Throws Finding,
// with name(i), where one differs.
Bytes same_results(std::size_t cases, const std::function<void(std::size_t)>& prepare,
                   const std::function<std::string(std::size_t)>& name,
                   const std::function<Bytes()>& run, std::size_t element_bytes);

// For a run() that returns a vector of plain values: compare(run as bytes, bytes of an element),
// and its result as values again.
template <class F, class G>
auto with_values(F&& run, const G& compare) {
  using Values = decltype(run());
  constexpr std::size_t kBytes = sizeof(typename Values::value_type);
  const Bytes bytes = compare(
      [&] {
        const Values values = run();
        const auto view = std::as_bytes(std::span(values));
        return Bytes(view.begin(), view.end());
      },
      kBytes);
  Values values(bytes.size() / kBytes);
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace posetape::emulation
