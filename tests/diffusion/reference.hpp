// The method of diffusion/ written down a second time: the papers' formulas as plain loops over
// f64, with nothing of diffusion/ or its kernels in them. What diffusion/ computes is compared with
// this. Slow, and meant to be read beside the papers.
#pragma once

#include <string>
#include <vector>

namespace posetape::reference {

using Numbers = std::vector<double>;

// --- Schedules, by the name that an option gives them ---

// alpha_bar of t = 0 ... T: the running product of 1 - beta_t, beta_t at most 0.999.
//   cosine   beta_t = 1 - f(t) / f(t - 1), f(t) = cos^2(pi/2 (t/T + s) / (1 + s)), s = 0.008
//   sigmoid  the same with f(t) = (g(3) - g(-3 + 6 t/T)) / (g(3) - g(-3)), g(x) = 1 / (1 + e^-x)
//   linear   beta_t from 1e-4 at t = 1 to 0.02 at t = T in equal steps, times 1000 / T; a single
//            step is the last one
Numbers alpha_bar(const std::string& schedule, int T);

// K + 1 timesteps from T to 0: i T / K to the nearest integer, halves upwards, i = K ... 0.
std::vector<int> ddim_steps(int T, int K);

// cos(t w_i), then sin(t w_i), w_i = 10000^(-i / (width / 2)).
Numbers embedding(int t, int width);

// --- Poses: any number of them, each of 51 numbers with the root joint first ---

// a x + b y.
Numbers combine(double a, const Numbers& x, double b, const Numbers& y);
Numbers without_root(Numbers poses);
// (e - shift) / scale and back, shift and scale one pose long.
Numbers normalized(const Numbers& error, const Numbers& shift, const Numbers& scale);
Numbers denormalized(const Numbers& output, const Numbers& shift, const Numbers& scale);

// sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) (x0 + e).
Numbers state(double alpha_bar, const Numbers& x0, const Numbers& e);
// That equation solved for x0, and for e.
Numbers truth_at(double alpha_bar, const Numbers& x, const Numbers& e);
Numbers error_at(double alpha_bar, const Numbers& x, const Numbers& x0);

// Mean over joints of the Euclidean distance; mean over coordinates of the squared difference.
double l2(const Numbers& estimate, const Numbers& target);
double mse(const Numbers& estimate, const Numbers& target);
// Of windows of so many frames: the mean over joints of how far accelerations are apart.
double acceleration(const Numbers& estimate, const Numbers& target, int frames);

// --- The conditional noise ---

// Row-major.
struct Matrix {
  int rows = 0;
  int columns = 0;
  Numbers values;

  Matrix(int r, int c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  Matrix(int r, int c, Numbers v) : rows(r), columns(c), values(std::move(v)) {}
  double& operator()(int i, int j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  double operator()(int i, int j) const {
    return values[static_cast<std::size_t>(i * columns + j)];
  }
};

Matrix times(const Matrix& a, const Matrix& b);
Matrix transposed(const Matrix& m);
double largest(const Matrix& m);                      // of the absolute values
double distance(const Matrix& a, const Matrix& b);    // the largest difference of two elements
double distance(const Numbers& a, const Numbers& b);  // infinite where the sizes differ

// In two passes; the covariance divided by the number of rows.
Numbers mean(const Matrix& rows);
Matrix covariance(const Matrix& rows);

// Of a symmetric matrix, by Jacobi's rotations. Column i of the vectors belongs to value i; the
// values fall.
struct Eigensystem {
  Numbers values;
  Matrix vectors;
};
Eigensystem eigensystem(const Matrix& symmetric);

// The sum of v v^T / lambda over the eigenvalues that are at least `smallest`, which is positive.
Matrix pseudo_inverse(const Matrix& symmetric, double smallest);

// a | b of jointly Gaussian rows: mu(b) = mu_a + gain (b - mu_b), covariance sigma. Eigenvalues
// below `cutoff` times the largest don't count.
struct Conditional {
  Numbers mu_a;
  Numbers mu_b;
  Matrix gain;
  Matrix sigma;
  int rank = 0;    // of sigma, against the largest eigenvalue of the covariance of a
  Matrix inverse;  // of sigma, on as many eigenvalues
};
Conditional condition(const Matrix& a, const Matrix& b, double cutoff);
// One row for each of b's.
Matrix conditional_mean(const Conditional& c, const Matrix& b);

// Correlation of the residuals r_i = a_i - mu(b_i) of neighbouring frames where `inverse` is the
// metric: sum r_i . r_{i-1} / sum (|r_i|^2 + |r_{i-1}|^2) / 2. Sequences lie one after the other,
// `frames` rows each, and no pair crosses from one to the next.
double lag_correlation(const Conditional& c, const Matrix& a, const Matrix& b, int frames);

// n_0 = w_0, n_i = rho n_{i-1} + sqrt(1 - rho^2) w_i, along the frames of each window.
Matrix ar1(Matrix w, int frames, double rho);

}  // namespace posetape::reference
