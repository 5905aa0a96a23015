// The checks of one random program, for fuzz().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/base/dispatch.hpp"
#include "tests/cases/program.hpp"

namespace posetape {

// How a program is run.
struct Setting {
  std::uint64_t seed = 1;
  Device device = Device::cpu;
  DType dtype = DType::f64;
  Isa isa{};
};

// What one check says of one program.
struct Opinion {
  int agreed = 0;  // inputs, or calls
  int unresolved = 0;
  int vacuous = 0;
  std::string failure;  // what differs, and where; empty: nothing
  // Statements of C++ after `leaves` and `f` that return whether it fails.
  std::string statements;
};

struct ProgramCheck {
  const char* name;
  bool f64_alone;  // in no other type
  bool cpu_alone;
  int one_in;  // so many programs
  Opinion (*run)(const Program& program, const Setting& setting);
};

// All of them, the cheapest first.
std::span<const ProgramCheck> program_checks();

}  // namespace posetape
