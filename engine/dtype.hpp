// Element types and devices of tensors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/choices.hpp"
#include "kernels/base/numbers.hpp"
#include "kernels/base/scalar.hpp"

namespace posetape {

// dual and complex are f64 with a derivative: for gradient checks (engine/jvp.hpp), on the CPU
// alone.
enum class DType : std::uint8_t { f64, f32, bf16, i32, dual, complex };
enum class Device : std::uint8_t { cpu, cuda };

constexpr auto choices(DType) {
  using enum DType;
  return make_choices<DType>("type", {{f64, "f64"},
                                      {f32, "f32"},
                                      {bf16, "bf16"},
                                      {i32, "i32"},
                                      {dual, "dual"},
                                      {complex, "complex"}});
}
constexpr auto choices(Device) {
  return make_choices<Device>("device", {{Device::cpu, "cpu"}, {Device::cuda, "cuda"}});
}

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::dual:
    case DType::complex:
      return 16;
    default:
      return 4;
  }
}

// The type in which kernels compute on `dtype`.
constexpr DType accumulator_of(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

template <class T>
inline constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<Dual> = DType::dual;
template <>
inline constexpr DType dtype_of<Complex> = DType::complex;

}  // namespace posetape
