// The npy format: one array of numbers with a text header that gives type, order and shape.
// Source: numpy/lib/format.py, "Format Version 1.0", 2.0 and 3.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace posetape::data {

// The element types that are read and written, by numpy's names: f4 float, f8 double, i4 and i8
// signed integers, u1 byte, b1 bool.
enum class NpyType { f4, f8, i4, i8, u1, b1 };

std::size_t item_size(NpyType type);       // bytes
std::string_view type_name(NpyType type);  // "float32", "int64", ...

// The type for a C++ element type.
template <class T>
constexpr NpyType npy_type() {
  if constexpr (std::is_same_v<T, float>) return NpyType::f4;
  if constexpr (std::is_same_v<T, double>) return NpyType::f8;
  if constexpr (std::is_same_v<T, std::int32_t>) return NpyType::i4;
  if constexpr (std::is_same_v<T, std::int64_t>) return NpyType::i8;
  if constexpr (std::is_same_v<T, std::uint8_t>) return NpyType::u1;
  if constexpr (std::is_same_v<T, bool>) return NpyType::b1;
}

// An array in memory: row-major, host byte order, whatever the file had. A scalar has no shape.
struct NpyArray {
  NpyType type = NpyType::f4;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::size_t size() const { return bytes.size() / item_size(type); }

  // The elements as T, each converted as static_cast does.
  template <class T>
  std::vector<T> as() const;
};

// An array to be written: the same, with the elements elsewhere. They must outlive the view.
struct NpyView {
  NpyType type = NpyType::f4;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

template <class T>
NpyView npy_view(std::vector<std::int64_t> shape, std::span<const T> values) {
  return {npy_type<T>(), std::move(shape), std::as_bytes(values)};
}
inline NpyView npy_view(const NpyArray& array) {
  return {array.type, array.shape, array.bytes};
}

// "(100, 17, 2)", "(5,)", "()".
std::string shape_text(std::span<const std::int64_t> shape);

// What stands before the elements of an npy file. `descr` is the type as numpy writes it, e.g.
// "<f4"; empty for a structured type.
struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
  std::size_t size = 0;  // bytes from the start of the file to the elements
};
NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where);

// The array in the bytes of an npy file of version 1, 2 or 3, of any byte order, C or Fortran
// order. `where` starts the message of every Error: not npy, bad header, unsupported type, Python
// objects, impossible shape, cut off.
NpyArray parse_npy(std::span<const std::byte> file, const std::string& where);

// The array with these elements (the header's size does not matter). Throws as parse_npy does.
NpyArray make_array(const NpyHeader& header, std::span<const std::byte> elements,
                    const std::string& where);

// The header of a version 1 file, to be followed by the elements.
std::string npy_header(NpyType type, std::span<const std::int64_t> shape);

// Single arrays in files of their own. Writing is atomic (engine/atomic_file.hpp).
NpyArray read_npy(const std::string& path);
void write_npy(const std::string& path, const NpyView& array);

namespace detail {

template <class From, class To>
void convert(const std::vector<std::byte>& bytes, std::vector<To>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    values[i] = static_cast<To>(value);
  }
}

}  // namespace detail

template <class T>
std::vector<T> NpyArray::as() const {
  std::vector<T> values(size());
  switch (type) {
    case NpyType::f4:
      detail::convert<float>(bytes, values);
      break;
    case NpyType::f8:
      detail::convert<double>(bytes, values);
      break;
    case NpyType::i4:
      detail::convert<std::int32_t>(bytes, values);
      break;
    case NpyType::i8:
      detail::convert<std::int64_t>(bytes, values);
      break;
    case NpyType::u1:
    case NpyType::b1:
      detail::convert<std::uint8_t>(bytes, values);
      break;
  }
  return values;
}

}  // namespace posetape::data
