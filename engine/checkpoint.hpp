// A program's training in one file, to go on from: weights, the optimiser's state and counters.
//
//   std::int64_t step = 0;
//   const Checkpoint checkpoint("run.safetensors", net, adam, {{"step", &step}});
//   checkpoint.resume();  // where there is one
//   while (step < steps) {
//     ...
//     adam.step(rate(step));
//     if (++step % 100 == 0) checkpoint.save();
//   }
//
// Where everything random is drawn by (seed, stream, step), a run that goes on gives the bits of
// one that was not stopped. The file is safetensors with checksums (engine/safetensors.hpp),
// written beside its place and moved there when it is whole: it is the old one or the new one,
// whatever happens. (A Trainer has a state of its own, which its save() and load() keep.)
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/optimiser.hpp"
#include "engine/parameters.hpp"

namespace posetape {

class Checkpoint {
 public:
  // A number of the program's that goes with the weights.
  struct Counter {
    std::string name;
    std::variant<std::int64_t*, double*> value;
  };

  // All of them must live as long as this. `more` are further tensors under names of their own:
  // the averages of an Ema.
  Checkpoint(std::string path, const ParameterList& parameters, Optimiser& optimiser,
             std::vector<Counter> counters, std::vector<std::pair<std::string, Tensor>> more = {});

  // Throws where a weight or a number of the state is not finite, and leaves the file as it was.
  void save() const;

  // False where there is no file. Throws Error, before anything has changed, where the file is
  // damaged, or where a name, a shape, the optimiser's settings, the counters or which parameters
  // are frozen are not what this program has.
  bool resume() const;

 private:
  // What the file has, of these tensors of now.
  std::vector<std::pair<std::string, Tensor>> tensors() const;
  std::string frozen() const;

  std::string path_;
  const ParameterList* parameters_;
  Optimiser* optimiser_;
  std::vector<Counter> counters_;
  std::vector<std::pair<std::string, Tensor>> more_;
};

}  // namespace posetape
