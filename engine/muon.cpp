#include "engine/muon.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/dispatch.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/matmul.hpp"
#include "engine/ops/scale.hpp"
#include "engine/ops/sum.hpp"
#include "engine/tape.hpp"
#include "engine/taps.hpp"
#include "kernels/muon/muon.hpp"

namespace posetape {

namespace {

// Whether a parameter is a matrix that Adam does not get.
auto matrices(const ParameterList& parameters, const std::vector<std::string>& adam) {
  for (const std::string& pattern : adam) {
    const bool known = std::ranges::any_of(
        parameters.entries(), [&](const auto& e) { return tap_matches(pattern, e.name); });
    if (!known) fail("muon: no parameter is called '{}', which is to be Adam's", pattern);
  }
  return [adam](const ParameterList::Entry& e) {
    return e.value.shape().rank() == 2 &&
           std::ranges::none_of(adam, [&](const auto& p) { return tap_matches(p, e.name); });
  };
}

}  // namespace

Muon::Muon(const ParameterList& parameters, MuonOptions options)
    : Adam("muon", parameters, options.others, std::nullopt, matrices(parameters, options.adam)),
      options_(std::move(options)) {}

// By names of their own: Adam's numbers for matrices are of no use here.
std::vector<Optimiser::State> Muon::state() const {
  return {{"muon.m", "Muon's momentum and Adam's first moment", m},
          {"muon.v", "Adam's second moment", v}};
}

std::string Muon::settings() const {
  return fmt::format("momentum {}, but for [{}]: {}", options_.momentum,
                     fmt::join(options_.adam, ", "), Adam::settings());
}

Tensor orthogonal_part(const Tensor& x) {
  const NoRecording off;
  // Of the polynomial a s + b s^3 + c s^5, by which each iteration moves every singular value s.
  constexpr double kA = 3.4445, kB = -4.775, kC = 2.0315;
  constexpr int kIterations = 5;
  const Tensor norm = sqrt(sum(mul(x, x)));
  const bool wide = x.shape()[0] <= x.shape()[1];
  Tensor o = div(x, maximum(norm, Tensor::full({}, 1e-7, x.dtype(), x.device())));
  for (int i = 0; i < kIterations; ++i) {
    // From the smaller side: (b S + c S^2) O with S = O O^T, or O (b S + c S^2) with S = O^T O.
    const Tensor s = matmul(o, o, {.transpose_a = !wide, .transpose_b = wide});
    const Tensor p = add(scale(s, kB), scale(matmul(s, s), kC));
    o = add(scale(o, kA), wide ? matmul(p, o) : matmul(o, p));
  }
  return o;
}

void Muon::launch_update(const Run& run) {
  if (run.rows == 0) return Adam::launch_update(run);
  const Index columns = run.size / run.rows;
  const Tensor u = Tensor::empty({run.rows, columns}, masters_.dtype(), masters_.device());
  dispatch_real(gradients_, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where,
           MuonMomentum<T>{gradients_.data<T>() + run.begin, m.data<A>() + run.begin, u.data<A>(),
                           rates_.data<double>() + kLoss, run.size, options_.momentum});
  });
  const Tensor direction = orthogonal_part(u);
  const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(run.rows, columns)));
  dispatch_real(gradients_, [&]<class T>(auto where) {
    using A = Accumulator<T>;
    launch(where, MuonUpdate<T>{masters_.data<A>() + run.begin,
                                std::is_same_v<A, T> ? nullptr : values_.data<T>() + run.begin,
                                direction.data<A>(), rates_.data<double>(),
                                rates_.data<double>() + kLoss, run.size, scale, run.weight_decay});
  });
}

}  // namespace posetape
