// Which of a host's GPUs a process computes on.
#pragma once

namespace posetape::cuda {

// The device that the next open() takes: of those that are here, counted round, number 0 where
// nothing is said. So the processes of a host take one each (engine/ranks/ranks.hpp).
void choose_device(int number);

}  // namespace posetape::cuda
