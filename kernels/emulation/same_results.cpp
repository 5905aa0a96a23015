#include "kernels/emulation/same_results.hpp"

#include <algorithm>

#include "kernels/emulation/finding.hpp"

namespace posetape::emulation {

Bytes same_results(std::size_t cases, const std::function<void(std::size_t)>& prepare,
                   const std::function<std::string(std::size_t)>& name,
                   const std::function<Bytes()>& run, std::size_t element_bytes) {
  Bytes first;
  for (std::size_t i = 0; i < cases; ++i) {
    prepare(i);
    Bytes result = run();
    if (i == 0) first = std::move(result);
    if (i == 0 || result == first) continue;
    const auto place =
        std::mismatch(first.begin(), first.end(), result.begin(), result.end()).first;
    throw Finding("posetape emulation: the result depends on the order\n  " + name(0) + " and " +
                  name(i) + " differ first in element " +
                  std::to_string(static_cast<std::size_t>(place - first.begin()) / element_bytes));
  }
  return first;
}

}  // namespace posetape::emulation
