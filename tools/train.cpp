#include <fmt/format.h>

#include "tools/commands.hpp"
#include "tools/train_lifter.hpp"
#include "tools/train_refiner.hpp"
#include "tools/train_smoother.hpp"

namespace posetape::tools {

void add_train(const Command& app) {
  const Command train =
      app.add_group("train", "Train a lifter (the base estimator), a refiner or a smoother");
  add_train_lifter(train);
  add_train_refiner(train);
  add_train_smoothers(train);
}

}  // namespace posetape::tools
