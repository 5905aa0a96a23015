// Work that several ranks share out (engine/ranks/ranks.hpp): each does some of it, and all are
// given all results.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/ranks/ranks.hpp"

namespace posetape {

// Numbers and texts as bytes, one after the other.
class Packed {
 public:
  template <class T>
  void operator()(const T& number) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void operator()(const std::string& text) {
    (*this)(std::uint64_t{text.size()});
    bytes += text;
  }
  std::string bytes;
};

// The same numbers and texts out of them.
class Unpacked {
 public:
  explicit Unpacked(std::string bytes) : bytes_(std::move(bytes)) {}
  template <class T>
  void operator()(T& number) {
    std::memcpy(&number, bytes_.data() + at_, sizeof number);
    at_ += sizeof number;
  }
  void operator()(std::string& text) {
    std::uint64_t size = 0;
    (*this)(size);
    text = bytes_.substr(at_, size);
    at_ += size;
  }
  bool done() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

// f(0), f(1), ..., f(count - 1), lists of T, one after the other, of which this rank computes some.
// each_field(t, g) calls g with all that a T holds.
template <class T, class F>
std::vector<T> shared_out(std::size_t count, const F& f) {
  const auto ranks_here = static_cast<std::size_t>(ranks().size());
  std::vector<Packed> own(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (static_cast<int>(i % ranks_here) != ranks().rank()) continue;
    for (T& t : f(i)) each_field(t, own[i]);
  }
  std::vector<T> all;
  for (std::size_t i = 0; i < count; ++i) {
    Unpacked results(ranks().gather(own[i].bytes)[i % ranks_here]);
    while (!results.done()) each_field(all.emplace_back(), results);
  }
  return all;
}

}  // namespace posetape
