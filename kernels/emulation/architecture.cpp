#include "kernels/emulation/architecture.hpp"

#include <stdexcept>
#include <string>

namespace posetape::emulation {
namespace {
Architecture current;
}

void set_architecture(int compute) {
  const auto optin = [&]() -> std::size_t {
    switch (compute) {
      case 75:
        return 64;
      case 80:
        return 163;
      case 86:
      case 89:
      case 120:
        return 99;
      case 90:
      case 100:
        return 227;
      default:
        throw std::invalid_argument("no such architecture is emulated: sm_" +
                                    std::to_string(compute));
    }
  };
  const std::size_t kilobytes = optin();
  current.major = compute / 10;
  current.minor = compute % 10;
  current.shared_optin = kilobytes * 1024;
}

const Architecture& architecture() {
  return current;
}

}  // namespace posetape::emulation
