// Random numbers against what is published of their generator, and against their own definitions.
#include "engine/rng.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <utility>
#include <vector>

#include "engine/random_fill.hpp"

using namespace posetape;

namespace {

std::uint64_t pair_of(std::uint32_t low, std::uint32_t high) {
  return (std::uint64_t{high} << 32) | low;
}

// Pearson's statistic of counts that are all expected to be equal, as a number of its standard
// deviations from its mean: it has counts - 1 degrees of freedom, mean k and variance 2 k.
double chi_square_excess(const std::vector<double>& counts) {
  double total = 0;
  for (const double c : counts) total += c;
  const double expected = total / static_cast<double>(counts.size());
  double statistic = 0;
  for (const double c : counts) statistic += (c - expected) * (c - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

// Box and Muller, "A note on the generation of random normal deviates" (1958), in long double: the
// words' midpoints u = (w + 1/2) / 2^32, and r sin, r cos with r^2 = -2 ln u_a, angle 2 pi u_b.
std::array<long double, 2> box_muller_exactly(std::uint32_t a, std::uint32_t b) {
  const auto u = [](std::uint32_t word) { return (word + 0.5L) / 4294967296.0L; };
  const long double radius = std::sqrt(-2 * std::log(u(a)));
  const long double angle = 2 * std::numbers::pi_v<long double> * u(b);
  return {radius * std::sin(angle), radius * std::cos(angle)};
}

bool near(double got, long double expected) {
  return std::fabs(static_cast<long double>(got) - expected) <= 4e-15L;
}

}  // namespace

// Random123's known answers for philox4x32 with 10 rounds (its kat_vectors): counter, key, result.
TEST_CASE("Philox4x32-10 gives its authors' known answers") {
  struct Answer {
    PhiloxBlock counter;
    std::array<std::uint32_t, 2> key;
    PhiloxBlock words;
  };
  constexpr std::uint32_t kOnes = 0xffffffff;
  const Answer answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{kOnes, kOnes, kOnes, kOnes},
       {kOnes, kOnes},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      // The first digits of pi in base 16.
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Answer& a : answers) {
    const PhiloxBlock words =
        philox4x32(pair_of(a.key[0], a.key[1]), pair_of(a.counter[2], a.counter[3]),
                   pair_of(a.counter[0], a.counter[1]));
    CHECK(words == a.words);
  }
}

// Runs are resumed, and repeated, across versions: the numbers of streams never change.
TEST_CASE("a stream at a step is the subsequence 2^48 stream + step") {
  const std::pair<Stream, std::uint64_t> streams[] = {
      {Stream::init, 1},      {Stream::shuffle, 2}, {Stream::timestep, 3},    {Stream::noise, 4},
      {Stream::dropout, 5},   {Stream::augment, 6}, {Stream::motion, 7},      {Stream::detector, 8},
      {Stream::bootstrap, 9}, {Stream::test, 10},   {Stream::diagnostics, 11}};
  const std::uint64_t whole = std::uint64_t{1} << 48;
  for (const auto& [stream, number] : streams) {
    CHECK(subsequence(stream, 0) == number * whole);
    CHECK(subsequence(stream, 77) == number * whole + 77);
    CHECK(subsequence(stream, whole - 1) == number * whole + whole - 1);
    CHECK(subsequence(stream, whole + 5) == number * whole + 5);  // a step never leaves its stream
  }
}

TEST_CASE("a reader returns the words of its stream's blocks one after the other") {
  const std::uint64_t seed = 0x0123456789abcdef;
  Random random(seed, Stream::noise, 31);
  for (std::uint64_t block = 0; block < 5; ++block) {
    const PhiloxBlock words = philox4x32(seed, (std::uint64_t{4} << 48) + 31, block);
    for (const std::uint32_t word : words) CHECK(random.word() == word);
  }
  CHECK(Random(1, Stream::test).word() == Random(1, Stream::test, 0).word());
}

TEST_CASE("a uniform number is the middle of its word's interval of 2^-32") {
  CHECK(unit_interval(0) == 0x1p-33);
  CHECK(unit_interval(1) == 3 * 0x1p-33);
  CHECK(unit_interval(0xffffffff) == 1 - 0x1p-33);
  Random words(3, Stream::test);
  Random numbers(3, Stream::test);
  for (int i = 0; i < 10; ++i) {
    CHECK(numbers.uniform() == (words.word() + 0.5) / 4294967296.0);
  }
  for (int i = 0; i < 10; ++i) {
    CHECK(numbers.uniform(-3, 5) == -3 + 8 * ((words.word() + 0.5) / 4294967296.0));
  }
}

TEST_CASE("uniform numbers are uniform") {
  Random random(1, Stream::test);
  constexpr int kNumbers = 200000;
  std::vector<double> cells(100);
  double sum = 0;
  double product = 0;  // of neighbours
  double before = 0;
  for (int i = 0; i < kNumbers; ++i) {
    const double u = random.uniform(2, 4);
    REQUIRE(u > 2);
    REQUIRE(u < 4);
    ++cells[static_cast<std::size_t>((u - 2) * 50)];
    sum += u - 3;
    product += (u - 3) * before;
    before = u - 3;
  }
  // Variance 1/3 of one, 1/9 of a product of two; bounds at five standard errors.
  CHECK(std::abs(sum / kNumbers) < 5 * std::sqrt(1.0 / 3 / kNumbers));
  CHECK(std::abs(product / kNumbers) < 5 * std::sqrt(1.0 / 9 / kNumbers));
  CHECK(std::abs(chi_square_excess(cells)) < 5);
}

TEST_CASE("two words make two normal numbers, as Box and Muller say") {
  // The ends of the words, where the logarithm is largest and smallest, and the quarters of the
  // circle.
  const std::uint32_t ends[] = {0u,          1u,          0x3fffffffu, 0x40000000u, 0x80000000u,
                                0xc0000000u, 0xfffffffeu, 0xffffffffu, 123456789u};
  for (const std::uint32_t a : ends) {
    for (const std::uint32_t b : ends) {
      const auto got = box_muller(a, b);
      const auto expected = box_muller_exactly(a, b);
      CAPTURE(a);
      CAPTURE(b);
      CHECK(near(got[0], expected[0]));
      CHECK(near(got[1], expected[1]));
    }
  }
  CHECK(std::abs(box_muller(0, 0)[1]) < 6.77);  // the largest there is: sqrt(-2 ln 2^-33)
  CHECK(box_muller(0, 0)[1] > 6.76);

  Random words(9, Stream::test, 2);
  Random numbers(9, Stream::test, 2);
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t a = words.word();
    const auto expected = box_muller_exactly(a, words.word());
    CHECK(near(numbers.normal(), expected[0]));
    CHECK(near(numbers.normal(), expected[1]));
  }
  // The second one of a pair waits while words are drawn.
  const std::uint32_t a = words.word();
  const auto expected = box_muller_exactly(a, words.word());
  CHECK(near(numbers.normal(), expected[0]));
  CHECK(numbers.word() == words.word());
  CHECK(near(numbers.normal(), expected[1]));
  CHECK(numbers.word() == words.word());
}

TEST_CASE("fill_normal: element e comes from words of Philox block e / 4 by Box and Muller") {
  const std::uint64_t seed = 0xfedcba9876543210;
  const std::uint64_t step = 12345678901;
  const Tensor numbers = Tensor::empty({3, 37}, DType::f64);
  const Tensor from_memory = Tensor::empty({3, 37}, DType::f64);
  fill_normal(numbers, seed, Stream::dropout, step);
  fill_normal(from_memory, seed, Stream::dropout,
              Tensor::full({1}, static_cast<double>(step), DType::f64));
  bool equal = true;
  for (std::size_t e = 0; e < 111; ++e) {
    const PhiloxBlock words = philox4x32(seed, (std::uint64_t{5} << 48) + step, e / 4);
    const std::size_t first = e % 4 / 2 * 2;
    equal = equal && near(numbers.values<double>()[e],
                          box_muller_exactly(words[first], words[first + 1])[e % 2]);
  }
  CHECK(equal);
  CHECK(from_memory.to_doubles() == numbers.to_doubles());
}

TEST_CASE("below(n) is floor(n word / 2^32): uniform, from 0 to n - 1") {
  Random words(5, Stream::test);
  Random numbers(5, Stream::test);
  for (const std::uint32_t n : {1u, 2u, 3u, 1000u, 0x80000000u, 0xffffffffu}) {
    for (int i = 0; i < 20; ++i) {
      const auto expected = std::floor(static_cast<long double>(n) * words.word() / 4294967296.0L);
      CHECK(static_cast<long double>(numbers.below(n)) == expected);
    }
  }
  for (const std::uint32_t n : {2u, 3u, 7u}) {
    std::vector<double> counts(n);
    for (int i = 0; i < 50000; ++i) ++counts.at(numbers.below(n));
    CHECK(std::ranges::min(counts) > 0);
    CHECK(std::abs(chi_square_excess(counts)) < 5);
  }
}

TEST_CASE("every permutation is as likely as any other") {
  std::map<std::vector<int>, double> counts;
  Random random(2, Stream::test);
  for (int i = 0; i < 48000; ++i) ++counts[random.permutation(4)];
  REQUIRE(counts.size() == 24);
  std::vector<double> list;
  for (const auto& [order, count] : counts) {
    std::vector<int> sorted = order;
    std::ranges::sort(sorted);
    CHECK(sorted == std::vector<int>{0, 1, 2, 3});
    list.push_back(count);
  }
  CHECK(std::abs(chi_square_excess(list)) < 5);
  // Fisher and Yates: below(n), below(n - 1), ..., below(2), each exchanged with the last of as
  // many.
  Random draws(6, Stream::test);
  Random orders(6, Stream::test);
  for (const int n : {1, 2, 5}) {
    std::vector<int> expected(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) expected[static_cast<std::size_t>(i)] = i;
    for (std::size_t left = expected.size(); left > 1; --left) {
      std::swap(expected[left - 1], expected[draws.below(static_cast<std::uint32_t>(left))]);
    }
    CHECK(orders.permutation(n) == expected);
  }
  CHECK(orders.word() == draws.word());
  CHECK(random.permutation(0).empty());
  CHECK(random.permutation(1) == std::vector<int>{0});
}
