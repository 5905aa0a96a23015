#include "kernels/reshape/reshape.hpp"
