#include "tools/noise_rows.hpp"

#include "data/windows.hpp"

namespace posetape::tools {

diffusion::NoiseSequence noise_rows(const data::Dataset& dataset, int index) {
  const int frames = dataset.sequences[static_cast<std::size_t>(index)].frames();
  const data::Window whole{index, 0, frames, 0};
  const auto count = static_cast<std::size_t>(frames);
  std::vector<float> truth(count * 51);
  std::vector<float> noisy(count * 51);
  std::vector<float> y(count * 34);
  data::gather_truth(dataset, whole, false, truth);
  data::gather_noisy(dataset, whole, false, noisy);
  data::gather_2d(dataset, whole, false, y);
  diffusion::NoiseSequence rows;
  rows.a.reserve(count * 51);
  rows.b.reserve(count * 85);
  for (std::size_t f = 0; f < count; ++f) {
    for (std::size_t i = 0; i < 51; ++i) {
      rows.a.push_back(double{noisy[f * 51 + i]} - truth[f * 51 + i]);
    }
    rows.b.insert(rows.b.end(), y.begin() + static_cast<std::ptrdiff_t>(f * 34),
                  y.begin() + static_cast<std::ptrdiff_t>((f + 1) * 34));
    rows.b.insert(rows.b.end(), noisy.begin() + static_cast<std::ptrdiff_t>(f * 51),
                  noisy.begin() + static_cast<std::ptrdiff_t>((f + 1) * 51));
  }
  return rows;
}

}  // namespace posetape::tools
