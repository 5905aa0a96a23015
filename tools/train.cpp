#include <fmt/format.h>

#include "tools/commands.hpp"
#include "tools/train_lifter.hpp"
#include "tools/train_refiner.hpp"
#include "tools/train_smoother.hpp"
#include "tools/train_uncertainty.hpp"

namespace posetape::tools {

void add_train(const Command& app) {
  const Command train = app.add_group(
      "train", "Train a lifter (the base estimator), a refiner, how sure it is, or a smoother");
  add_train_lifter(train);
  add_train_refiner(train);
  add_train_uncertainty(train);
  add_train_smoothers(train);
}

}  // namespace posetape::tools
