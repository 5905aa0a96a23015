// This project's Philox words and normal numbers are cuRAND's (kernels/normal/README.md): those of
// its device code, which nvcc compiles for the host here (curand_words.cu), and those of its host
// generator. Neither needs a GPU.
#include <curand.h>
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/philox.hpp"

using namespace posetape;

namespace posetape::test {

// cuRAND's curand4 after curand_init(seed, subsequence, 4 block).
PhiloxBlock curand_words(std::uint64_t seed, std::uint64_t subsequence, std::uint64_t block);

}  // namespace posetape::test

namespace {

constexpr std::uint64_t kSeeds[] = {0, 42, 0x0123456789ABCDEF, ~std::uint64_t{0}};

// The generator counts as 65536 threads would that draw four words in turn: word i is number i % 4
// of block i / 262144 of subsequence i / 4 % 65536.
constexpr std::uint64_t kThreads = 65536;

PhiloxBlock words_of_turn(std::uint64_t seed, std::uint64_t turn) {
  return philox4x32(seed, turn % kThreads, turn / kThreads);
}

curandGenerator_t host_generator(std::uint64_t seed) {
  curandGenerator_t generator = nullptr;
  REQUIRE(curandCreateGeneratorHost(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10) ==
          CURAND_STATUS_SUCCESS);
  REQUIRE(curandSetPseudoRandomGeneratorSeed(generator, seed) == CURAND_STATUS_SUCCESS);
  return generator;
}

}  // namespace

TEST_CASE("cuRAND's device code draws our words") {
  for (const std::uint64_t seed : kSeeds) {
    for (const std::uint64_t subsequence :
         {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{3} << 48, ~std::uint64_t{0}}) {
      for (const std::uint64_t block :
           {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xFFFFFFFF},
            std::uint64_t{0x100000000}, (std::uint64_t{1} << 62) - 1}) {
        CHECK(test::curand_words(seed, subsequence, block) == philox4x32(seed, subsequence, block));
      }
    }
  }
}

TEST_CASE("cuRAND's host generator draws our words") {
  for (const std::uint64_t seed : kSeeds) {
    const curandGenerator_t generator = host_generator(seed);
    std::vector<unsigned> words(4 * kThreads * 2 + 40);
    REQUIRE(curandGenerate(generator, words.data(), words.size()) == CURAND_STATUS_SUCCESS);
    int wrong = 0;
    for (std::uint64_t i = 0; i < words.size(); ++i) {
      wrong += words[i] != words_of_turn(seed, i / 4)[i % 4];
    }
    CHECK(wrong == 0);
    // Words of one subsequence, block after block, as kernels/normal counts them.
    for (std::uint64_t block = 0; block < 3; ++block) {
      constexpr std::uint64_t kSubsequence = 1234;
      REQUIRE(curandSetGeneratorOffset(generator, 4 * (block * kThreads + kSubsequence)) ==
              CURAND_STATUS_SUCCESS);
      unsigned four[4] = {};
      REQUIRE(curandGenerate(generator, four, 4) == CURAND_STATUS_SUCCESS);
      const PhiloxBlock expected = philox4x32(seed, kSubsequence, block);
      for (std::size_t i = 0; i < 4; ++i) CHECK(four[i] == expected[i]);
    }
    CHECK(curandDestroyGenerator(generator) == CURAND_STATUS_SUCCESS);
  }
}

TEST_CASE("cuRAND's host generator draws our normal numbers, as exactly as f32 is") {
  for (const std::uint64_t seed : kSeeds) {
    const curandGenerator_t generator = host_generator(seed);
    std::vector<float> numbers(4 * kThreads + 40);
    REQUIRE(curandGenerateNormal(generator, numbers.data(), numbers.size(), 0, 1) ==
            CURAND_STATUS_SUCCESS);
    int wrong = 0;
    for (std::uint64_t i = 0; i < numbers.size(); ++i) {
      const PhiloxBlock words = words_of_turn(seed, i / 4);
      const std::size_t first = i % 4 / 2 * 2;
      const double expected = box_muller(words[first], words[first + 1])[i % 2];
      wrong += !(std::fabs(numbers[i] - expected) <= 1e-5 * (1 + std::fabs(expected)));
    }
    CHECK(wrong == 0);
    CHECK(curandDestroyGenerator(generator) == CURAND_STATUS_SUCCESS);
  }
}
