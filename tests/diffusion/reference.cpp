#include "tests/diffusion/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace posetape::reference {
namespace {

constexpr std::size_t kPose = 51;

double beta(const std::string& schedule, int t, int T) {
  if (schedule == "linear") {
    const double step = T > 1 ? (0.02 - 1e-4) / (T - 1) : 0;
    return (0.02 - step * (T - t)) * 1000 / T;
  }
  const auto f = [&](double position) {
    if (schedule == "cosine") {
      return std::pow(std::cos(std::numbers::pi / 2 * (position + 0.008) / 1.008), 2);
    }
    const auto g = [](double x) { return 1 / (1 + std::exp(-x)); };
    return (g(3) - g(-3 + 6 * position)) / (g(3) - g(-3));
  };
  return 1 - f(static_cast<double>(t) / T) / f((t - 1.0) / T);
}

}  // namespace

Numbers alpha_bar(const std::string& schedule, int T) {
  Numbers result{1};
  for (int t = 1; t <= T; ++t) {
    result.push_back(result.back() * (1 - std::min(beta(schedule, t, T), 0.999)));
  }
  return result;
}

std::vector<int> ddim_steps(int T, int K) {
  std::vector<int> steps;
  for (int i = K; i >= 0; --i) {
    steps.push_back(static_cast<int>(std::floor(static_cast<double>(i) * T / K + 0.5)));
  }
  return steps;
}

Numbers embedding(int t, int width) {
  Numbers result;
  const double half = width / 2.0;
  for (int i = 0; i < width / 2; ++i) result.push_back(std::cos(t / std::pow(10000, i / half)));
  for (int i = 0; i < width / 2; ++i) result.push_back(std::sin(t / std::pow(10000, i / half)));
  return result;
}

Numbers combine(double a, const Numbers& x, double b, const Numbers& y) {
  Numbers result;
  for (std::size_t i = 0; i < x.size(); ++i) result.push_back(a * x[i] + b * y[i]);
  return result;
}

Numbers without_root(Numbers poses) {
  for (std::size_t i = 0; i < poses.size(); ++i) {
    if (i % kPose < 3) poses[i] = 0;
  }
  return poses;
}

Numbers normalized(const Numbers& error, const Numbers& shift, const Numbers& scale) {
  Numbers result;
  for (std::size_t i = 0; i < error.size(); ++i) {
    result.push_back((error[i] - shift[i % kPose]) / scale[i % kPose]);
  }
  return result;
}

Numbers denormalized(const Numbers& output, const Numbers& shift, const Numbers& scale) {
  Numbers result;
  for (std::size_t i = 0; i < output.size(); ++i) {
    result.push_back(output[i] * scale[i % kPose] + shift[i % kPose]);
  }
  return result;
}

Numbers state(double alpha_bar, const Numbers& x0, const Numbers& e) {
  return combine(std::sqrt(alpha_bar), x0, std::sqrt(1 - alpha_bar), combine(1, x0, 1, e));
}

Numbers truth_at(double alpha_bar, const Numbers& x, const Numbers& e) {
  const double clean = std::sqrt(alpha_bar);
  const double noise = std::sqrt(1 - alpha_bar);
  return combine(1 / (noise + clean), x, -noise / (noise + clean), e);
}

Numbers error_at(double alpha_bar, const Numbers& x, const Numbers& x0) {
  const double clean = std::sqrt(alpha_bar);
  const double noise = std::sqrt(1 - alpha_bar);
  return combine(1 / noise, x, -(clean + noise) / noise, x0);
}

double l2(const Numbers& estimate, const Numbers& target) {
  double sum = 0;
  for (std::size_t i = 0; i < estimate.size(); i += 3) {
    sum += std::sqrt(std::pow(estimate[i] - target[i], 2) +
                     std::pow(estimate[i + 1] - target[i + 1], 2) +
                     std::pow(estimate[i + 2] - target[i + 2], 2));
  }
  return sum / (static_cast<double>(estimate.size()) / 3);
}

double acceleration(const Numbers& estimate, const Numbers& target, int frames) {
  const auto row = std::size_t{51};
  double sum = 0;
  int count = 0;
  for (std::size_t f = 0; f < estimate.size() / row; ++f) {
    const auto at = static_cast<int>(f) % frames;
    if (at == 0 || at == frames - 1) continue;
    for (std::size_t i = f * row; i < (f + 1) * row; i += 3) {
      double square = 0;
      for (std::size_t c = i; c < i + 3; ++c) {
        const auto error = [&](std::size_t k) { return estimate[k] - target[k]; };
        square += std::pow(error(c - row) - 2 * error(c) + error(c + row), 2);
      }
      sum += std::sqrt(square);
      ++count;
    }
  }
  return sum / count;
}

double mse(const Numbers& estimate, const Numbers& target) {
  double sum = 0;
  for (std::size_t i = 0; i < estimate.size(); ++i) sum += std::pow(estimate[i] - target[i], 2);
  return sum / static_cast<double>(estimate.size());
}

Matrix times(const Matrix& a, const Matrix& b) {
  Matrix c(a.rows, b.columns);
  for (int i = 0; i < a.rows; ++i) {
    for (int k = 0; k < a.columns; ++k) {
      for (int j = 0; j < b.columns; ++j) c(i, j) += a(i, k) * b(k, j);
    }
  }
  return c;
}

Matrix transposed(const Matrix& m) {
  Matrix t(m.columns, m.rows);
  for (int i = 0; i < m.rows; ++i) {
    for (int j = 0; j < m.columns; ++j) t(j, i) = m(i, j);
  }
  return t;
}

double largest(const Matrix& m) {
  double result = 0;
  for (const double x : m.values) result = std::max(result, std::fabs(x));
  return result;
}

double distance(const Numbers& a, const Numbers& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double result = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(a[i] - b[i]);
    if (!(d <= result)) result = d;  // and so a NaN is kept
  }
  return result;
}

double distance(const Matrix& a, const Matrix& b) {
  return a.rows == b.rows ? distance(a.values, b.values) : std::numeric_limits<double>::infinity();
}

Numbers mean(const Matrix& rows) {
  Numbers result;
  for (int j = 0; j < rows.columns; ++j) {
    double sum = 0;
    for (int i = 0; i < rows.rows; ++i) sum += rows(i, j);
    result.push_back(sum / rows.rows);
  }
  return result;
}

Matrix covariance(const Matrix& rows) {
  const Numbers centre = mean(rows);
  Matrix centred = rows;
  for (int i = 0; i < rows.rows; ++i) {
    for (int j = 0; j < rows.columns; ++j) centred(i, j) -= centre[static_cast<std::size_t>(j)];
  }
  Matrix result = times(transposed(centred), centred);
  for (double& x : result.values) x /= rows.rows;
  return result;
}

Eigensystem eigensystem(const Matrix& symmetric) {
  const int n = symmetric.rows;
  Matrix m = symmetric;
  Matrix v(n, n);
  for (int i = 0; i < n; ++i) v(i, i) = 1;
  const double negligible = 1e-17 * largest(symmetric);
  // Each rotation in the plane of p and q makes m(p, q) zero; sweeps until nothing moves.
  for (bool moved = true; moved;) {
    moved = false;
    for (int p = 0; p < n; ++p) {
      for (int q = p + 1; q < n; ++q) {
        if (std::fabs(m(p, q)) <= negligible) continue;
        moved = true;
        const double gap = m(q, q) - m(p, p);
        const double angle = std::atan2(gap < 0 ? -2 * m(p, q) : 2 * m(p, q), std::fabs(gap)) / 2;
        const double c = std::cos(angle);
        const double s = std::sin(angle);
        const auto rotate = [&](double& x, double& y) {
          const double old = x;
          x = c * old - s * y;
          y = s * old + c * y;
        };
        for (int k = 0; k < n; ++k) rotate(m(k, p), m(k, q));
        for (int k = 0; k < n; ++k) rotate(m(p, k), m(q, k));
        for (int k = 0; k < n; ++k) rotate(v(k, p), v(k, q));
        m(p, q) = m(q, p) = 0;  // but for rounding
      }
    }
  }
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](int i, int j) { return m(i, i) > m(j, j); });
  Eigensystem result{{}, Matrix(n, n)};
  for (int j = 0; j < n; ++j) {
    const int from = order[static_cast<std::size_t>(j)];
    result.values.push_back(m(from, from));
    for (int i = 0; i < n; ++i) result.vectors(i, j) = v(i, from);
  }
  return result;
}

Matrix pseudo_inverse(const Matrix& symmetric, double smallest) {
  const Eigensystem of = eigensystem(symmetric);
  Matrix result(symmetric.rows, symmetric.rows);
  for (int k = 0; k < symmetric.rows; ++k) {
    const double lambda = of.values[static_cast<std::size_t>(k)];
    if (lambda < smallest) break;
    for (int i = 0; i < symmetric.rows; ++i) {
      for (int j = 0; j < symmetric.rows; ++j) {
        result(i, j) += of.vectors(i, k) * of.vectors(j, k) / lambda;
      }
    }
  }
  return result;
}

Conditional condition(const Matrix& a, const Matrix& b, double cutoff) {
  Matrix joint(a.rows, a.columns + b.columns);
  for (int i = 0; i < a.rows; ++i) {
    for (int j = 0; j < a.columns; ++j) joint(i, j) = a(i, j);
    for (int j = 0; j < b.columns; ++j) joint(i, a.columns + j) = b(i, j);
  }
  const Matrix all = covariance(joint);
  const auto part = [&](int row, int column, int rows, int columns) {
    Matrix result(rows, columns);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) result(i, j) = all(row + i, column + j);
    }
    return result;
  };
  const int A = a.columns;
  const int B = b.columns;
  const Matrix aa = part(0, 0, A, A);
  const Matrix ab = part(0, A, A, B);
  const Matrix bb = part(A, A, B, B);
  const Matrix gain = times(ab, pseudo_inverse(bb, cutoff * eigensystem(bb).values.front()));
  Matrix sigma = aa;
  const Matrix explained = times(gain, transposed(ab));
  for (int i = 0; i < A; ++i) {
    for (int j = 0; j < A; ++j) sigma(i, j) -= explained(i, j);
  }
  const double smallest = cutoff * eigensystem(aa).values.front();
  const int rank = static_cast<int>(
      std::ranges::count_if(eigensystem(sigma).values, [&](double x) { return x >= smallest; }));
  return {mean(a), mean(b), gain, sigma, rank, pseudo_inverse(sigma, smallest)};
}

Matrix conditional_mean(const Conditional& c, const Matrix& b) {
  Matrix result(b.rows, c.gain.rows);
  for (int f = 0; f < b.rows; ++f) {
    for (int i = 0; i < c.gain.rows; ++i) {
      result(f, i) = c.mu_a[static_cast<std::size_t>(i)];
      for (int j = 0; j < b.columns; ++j) {
        result(f, i) += c.gain(i, j) * (b(f, j) - c.mu_b[static_cast<std::size_t>(j)]);
      }
    }
  }
  return result;
}

double lag_correlation(const Conditional& c, const Matrix& a, const Matrix& b, int frames) {
  Matrix r = conditional_mean(c, b);
  for (std::size_t i = 0; i < r.values.size(); ++i) r.values[i] = a.values[i] - r.values[i];
  const auto dot = [&](int f, int g) {
    double sum = 0;
    for (int i = 0; i < r.columns; ++i) {
      for (int j = 0; j < r.columns; ++j) sum += r(f, i) * c.inverse(i, j) * r(g, j);
    }
    return sum;
  };
  double product = 0;
  double square = 0;
  for (int f = 1; f < r.rows; ++f) {
    if (f % frames == 0) continue;
    product += dot(f, f - 1);
    square += (dot(f, f) + dot(f - 1, f - 1)) / 2;
  }
  return product / square;
}

Matrix ar1(Matrix w, int frames, double rho) {
  for (int f = 0; f < w.rows; ++f) {
    if (f % frames == 0) continue;
    for (int i = 0; i < w.columns; ++i) {
      w(f, i) = rho * w(f - 1, i) + std::sqrt(1 - rho * rho) * w(f, i);
    }
  }
  return w;
}

}  // namespace posetape::reference
