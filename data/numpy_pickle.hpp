// What numpy puts into pickles: arrays, scalars and types, of numpy 1 and 2 and from Python 2
// and 3. Source: numpy/core/src/multiarray/methods.c (array_reduce), descriptor.c
// (arraydescr_reduce).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/npy.hpp"
#include "data/npz.hpp"
#include "data/pickle.hpp"

namespace posetape::data {

// The globals of numpy's own pickles: none of them does anything but hold data.
std::span<const std::string_view> numpy_globals();

// Whether the value is an array, of numbers or of objects.
bool is_array(const PickleValue& value);

// An array of numbers. `where` says for messages what it is.
NpyArray array_of(const PickleValue& value, const std::string& where);

// The elements of an array of objects, in row-major order.
std::vector<PickleValue> objects_of(const PickleValue& value, const std::string& where);

// A number of Python or of numpy.
double number_of(const PickleValue& value, const std::string& where);

// An object that numpy.savez wrapped into an array of no dimensions, as VideoPose3D's files have
// them. The value refers to `bytes`.
struct PickledObject {
  std::vector<std::byte> bytes;
  PickleValue value;
};
PickledObject read_object(const NpzReader& file, const std::string& name);

}  // namespace posetape::data
