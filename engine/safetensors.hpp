// The safetensors file format (github.com/huggingface/safetensors): named tensors and a map of
// strings, readable by anything, with nothing in it that could run.
//
//   8 bytes     length of the header, little-endian
//   header      JSON: name -> {dtype, shape, data_offsets}, "__metadata__" -> {string: string},
//               padded with spaces so that the data starts at a multiple of 8 bytes
//   data        the tensors one after the other without a gap, little-endian, row-major
//
// Files written here carry checksums in their metadata, CRC-32 (engine/crc32.hpp) as 8 hexadecimal
// digits, so that one flipped bit is noticed wherever it is:
//
//   crc32.tensors    JSON, name -> the checksum of "<dtype> [<dim>, <dim>]" and then its data
//   crc32.metadata   of the other metadata as JSON without spaces, sorted by key, crc32.tensors too
//
// Both are about contents, so that a program which writes the same things in another order does not
// break them. They are not part of TensorFile.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

struct TensorFile {
  std::map<std::string, std::string> metadata;
  // In the order in which the header names them.
  std::vector<std::pair<std::string, Tensor>> tensors;

  bool contains(std::string_view name) const;
  // Throws Error where there is none.
  const Tensor& at(std::string_view name) const;

  // Throws Error, naming `path`, the tensor and the element, where a number is NaN or infinite. A
  // trainer's own state ("trainer.") is passed over: no network computes with it.
  void check_finite(const std::string& path) const;
};

// Reads F64, F32, BF16 and I32 tensors of rank 0 to 6 into memory of their own. Throws Error, with
// the path and what to do, on a file that is missing, cut short or not safetensors: an impossible
// header length, a header that is not JSON of the form above, a name that occurs twice, another
// element type, a shape that its offsets contradict, tensors that overlap, leave gaps or end
// outside the file, and anything that its checksums contradict, where it has them.
TensorFile read_safetensors(const std::string& path);

// Writes atomically (engine/atomic_file.hpp). Equal contents make equal bytes. The header keeps the
// order of `tensors`; the data is ordered by decreasing element size, so that every element is
// aligned to its size. Throws Error on an undefined tensor, a name that occurs twice or is
// "__metadata__", metadata under the checksums' names, text that is not UTF-8, and whatever
// AtomicFile refuses.
void write_safetensors(const std::string& path, const TensorFile& file);

}  // namespace posetape
