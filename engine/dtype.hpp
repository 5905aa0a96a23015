// Element types and devices of tensors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/scalar.hpp"

namespace posetape {

enum class DType : std::uint8_t { f64, f32, bf16, i32 };
enum class Device : std::uint8_t { cpu };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    default:
      return 4;
  }
}

constexpr const char* name(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "f64";
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    default:
      return "i32";
  }
}

template <class T>
inline constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;

}  // namespace posetape
