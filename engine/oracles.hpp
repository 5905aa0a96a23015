// The four independent answers that gradcheck() holds gradients against, at one point: f and its
// inputs. engine/gradcheck.hpp is the interface.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/gradcheck.hpp"

namespace posetape {

// An f64 tensor, or another one of floating point; not undefined, not i32.
bool floating(const Tensor& t);
bool contains(const std::vector<int>& list, std::size_t i);
// The largest |element|; NaN where there is one.
double largest(const Tensor& t);
bool finite(std::span<const Tensor> tensors);

// Which inputs have a gradient to check: f64, not empty, not declared constant.
std::vector<bool> checked_inputs(std::span<const Tensor> inputs, const GradcheckOptions& options);

// New memory for every f64 input, so that whoever spoils one does no harm to the next.
std::vector<Tensor> cloned(std::span<const Tensor> inputs);

// A place or a direction in which gradients are checked: how each input moves, undefined for those
// that stay.
struct Probe {
  std::vector<Tensor> direction;
  double length = 1;
  std::string where;
  int element = -1;  // of the one input that moves, in this element alone
};

// What an oracle measured along one probe.
struct Measured {
  double analytic = 0;
  double numeric = 0;
  double trust = 0;
  bool kink = false;  // on a kink, and between the slopes of its sides
};

class Oracles {
 public:
  // f's outputs and gradients at `inputs`, on options.device. All three must outlive this. Throws
  // where f returns nothing to differentiate.
  Oracles(const TensorFunction& f, std::span<const Tensor> inputs, const GradcheckOptions& options);

  bool checked(std::size_t i) const { return checked_[i]; }
  // One for each output of f, on the CPU; undefined where that is.
  const std::vector<Tensor>& outputs() const { return plain_.outputs; }
  // One for each input, on the CPU; undefined for those that are not checked.
  const std::vector<Tensor>& gradients() const { return plain_.gradients; }
  const std::vector<Tensor>& inputs() const { return inputs_; }

  // What one of the four says of input i: element by element where it is small, and along
  // options.directions random ones; elements that are equal move together in two more. The result
  // is `skipped` where the oracle throws.
  Finding check(Oracle oracle, std::size_t i);
  // What `differences` or one that is exact says of these places and directions.
  Finding check(Oracle oracle, std::size_t i, const std::vector<Probe>& probes);

  // Input i's elements that are equal move together, by a random amount each; none where all
  // differ.
  std::vector<Probe> together(std::size_t i) const;

  // How far rounding may have put the gradient of input i off, element by element. A backward pass
  // is linear in its cotangents: three times the cotangents give three times the gradient, but
  // round elsewhere. Zero where the gradients differ by more than rounding does.
  const Tensor& rounding(std::size_t i);

 private:
  struct Evaluated {
    std::vector<Tensor> outputs;
    std::vector<Tensor> cotangents;
    std::vector<Tensor> gradients;
  };

  Evaluated evaluate(const TensorFunction& f, const std::vector<Tensor>& at, Device device,
                     const Intercept& intercept, const std::vector<Tensor>& cotangents,
                     double factor) const;
  void draw_rounding();
  std::vector<Probe> probes(std::size_t i) const;
  double analytic(const Probe& p) const;
  double moved(const Probe& p, double h) const;
  double step_of(const Probe& p) const;
  double scale_of(const Probe& p) const;
  std::vector<Measured> differences(const std::vector<Probe>& probes);
  std::vector<Measured> exact(Oracle oracle, std::vector<Probe>& probes);
  Measured exact(Oracle oracle, const Probe& p) const;
  std::vector<Tensor> derivative_along(Oracle oracle, const std::vector<Tensor>& direction) const;
  double rounding_along(Oracle oracle, const Probe& p, double numeric) const;
  bool excused_by_kink(const Probe& p, const Measured& m) const;
  Finding composite(std::size_t i);
  Finding judge(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                std::vector<Measured> all, double scale);
  Finding verdict(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                  const std::vector<Measured>& all, double scale) const;
  void add_rounding(std::size_t i, Oracle oracle, const std::vector<Probe>& probes,
                    std::vector<Measured>& all);

  const TensorFunction& f_;
  const GradcheckOptions& options_;
  std::vector<Tensor> inputs_;
  std::vector<bool> checked_;
  Evaluated plain_;
  double noise_ = 0;  // rounding in <cotangents, f(inputs)>
  std::optional<Evaluated> composite_;
  std::vector<Tensor> rounding_;
  double value_rounding_ = 0;  // of <cotangents, f(inputs)>, drawn
  double most_rounding_ = 0;   // an error above it is none of rounding
};

}  // namespace posetape
