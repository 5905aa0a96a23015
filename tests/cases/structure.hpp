// Claims that hold for every case of every op beside that its gradient is right: where a gradient
// goes, what a rule may touch, and how far a NaN spreads.
#pragma once

#include <string>
#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

struct StructureFinding {
  std::string check;
  int input = 0;
  double error = 0;  // relative to the gradient's largest entry
  std::string note;  // empty where it holds
};

// For each input that is not constant:
//   alone        its gradient where no other input needs one: the same bits
//   added        its gradient onto one that is there already: their sum
//   twice        f called twice with the same inputs (fan-out 2): twice the gradient
//   destination  written into memory that held NaN: the same bits
//   pure         a second backward over the same tape gives the same bits; inputs, cotangents and
//                saved tensors are unchanged after both
//   nan          a NaN in an element reaches every output that depends on it, and no other
std::vector<StructureFinding> check_structure(const Case& c);

}  // namespace posetape
