// Random programs (tests/cases/program.hpp), each held against everything that can be said of it
// without knowing it: `posetape gradcheck --fuzz`. engine/GRADCHECK.md has the list of checks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/cases/program.hpp"
#include "tests/cases/suite.hpp"

namespace posetape {

struct FuzzOptions {
  std::uint64_t seed = 1;  // of the first program; the next one has the next
  std::int64_t programs = 1000;
  Device device = Device::cpu;
  std::string op;  // only programs that call it, and calls of it; empty: all
  // Failures are shrunk, and it ends, after so many.
  std::size_t most_failures = 5;
  // Plants errors in what calls return, to see whether they are found; in gradients, an Observer
  // does.
  decltype(Program::spoil) spoil;
  // Called after each program with how many there were and how many failures, for a progress line.
  std::function<void(std::int64_t, std::size_t)> on_program;
};

// What one check said over all programs, of each input or call that it looked at.
struct FuzzTally {
  std::string check;
  std::int64_t agreed = 0;
  std::int64_t failed = 0;
  std::int64_t unresolved = 0;  // a kink, a pole, or rounding was too near
  std::int64_t vacuous = 0;     // no gradient to speak of
};

// The worst error of an op's values, or of the gradient of an input, in ULP of a type, over calls
// of leaves alone.
struct FuzzLoss {
  Op op{};
  int input = -1;  // -1: the values, against a reference in long double
  DType dtype{};
  std::int64_t calls = 0;
  double ulp = 0;
  double known = 0;  // the figure of tests/cases/<op>.cpp
  std::uint64_t seed = 0;
  bool passed = true;
};

struct FuzzFailure {
  std::uint64_t seed = 0;
  std::string check;
  std::string dtype;
  std::string device;
  std::string isa;
  std::string note;    // what differs, and where
  int calls = 0;       // of the shrunk program
  std::string source;  // of a C++ program that shows it
};

struct FuzzReport {
  std::int64_t programs = 0;
  std::int64_t calls = 0;
  std::vector<FuzzTally> tallies;
  std::vector<FuzzLoss> losses;
  std::vector<FuzzFailure> failures;
  double seconds = 0;
  bool passed() const;
};

FuzzReport fuzz(const FuzzOptions& options);

}  // namespace posetape
