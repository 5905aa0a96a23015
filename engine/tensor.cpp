#include "engine/tensor.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine/dispatch.hpp"
#include "kernels/fill/fill.hpp"

namespace posetape {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

void check_equal_size(const char* what, const Tensor& a, const Tensor& b) {
  if (a.size() != b.size()) {
    fail("{}: {} into {}: sizes differ", what, a.shape().text(), b.shape().text());
  }
}

}  // namespace

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<Index, kMaxRank> dims{};
  for (int i = 1; i <= rank; ++i) {
    const Index da = i <= a.rank() ? a[a.rank() - i] : 1;
    const Index db = i <= b.rank() ? b[b.rank() - i] : 1;
    if (da != db && da != 1 && db != 1) {
      fail("{}: shapes {} and {} don't broadcast: dimension {} from the end is {} and {}", op,
           a.text(), b.text(), i, da, db);
    }
    dims[static_cast<std::size_t>(rank - i)] = da == 1 ? db : da;
  }
  return Shape(std::span<const Index>(dims.data(), static_cast<std::size_t>(rank)));
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.device_ = device;
  t.id_ = next_id();
  t.storage_ = Arena::cpu().allocate(t.bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  fill(t, value);
  return t;
}

Tensor Tensor::of(const Shape& shape, std::span<const double> values, DType dtype) {
  const Tensor source = of<double>(shape, values);
  if (dtype == DType::f64) return source;
  Tensor t = empty(shape, dtype);
  copy(source, t);
  return t;
}

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> out(static_cast<std::size_t>(size()));
  if (dtype_ == DType::i32) {
    std::copy_n(data<std::int32_t>(), size(), out.data());
    return out;
  }
  dispatch(*this, [&]<class T>(auto) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      if constexpr (carries_derivative<T>) {
        out[i] = data<T>()[i].value;
      } else {
        out[i] = static_cast<double>(load(data<T>()[i]));
      }
    }
  });
  return out;
}

double Tensor::item() const {
  if (!defined() || size() != 1)
    fail("item: a tensor of one element expected, shape is {}", shape_.text());
  return to_doubles()[0];
}

Tensor Tensor::alias(const Shape& shape, Index offset) const {
  if (offset < 0 || offset + shape.size() > size()) {
    fail("alias: {} elements from {} on do not fit into {}", shape.size(), offset, shape_.text());
  }
  Tensor t = *this;
  t.shape_ = shape;
  t.offset_ += static_cast<std::size_t>(offset) * size_of(dtype_);
  t.id_ = next_id();
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, dtype_, device_);
  std::memcpy(t.raw(), raw(), bytes());
  return t;
}

void Tensor::check_size(std::size_t count) const {
  if (static_cast<Index>(count) != size()) {
    fail("{} values given for a tensor of shape {}", count, shape_.text());
  }
}

void Tensor::wrong_type(DType wanted) const {
  fail("tensor of shape {} holds {}, not {}", shape_.text(), name(dtype_), name(wanted));
}

void copy(const Tensor& src, const Tensor& dst) {
  check_equal_size("copy", src, dst);
  if (src.dtype() == dst.dtype()) {
    std::memmove(dst.raw(), src.raw(), src.bytes());
    return;
  }
  dispatch(dst, [&]<class T>(auto where) {
    if constexpr (carries_derivative<T>) {
      std::copy_n(src.data<double>(), src.size(), dst.data<T>());
    } else {
      dispatch_real(src, [&]<class S>(auto) {
        launch(where, Convert<T, S>{src.data<S>(), dst.data<T>(), dst.size()});
      });
    }
  });
}

void accumulate(const Tensor& src, const Tensor& dst) {
  check_equal_size("accumulate", src, dst);
  dispatch(dst, [&]<class T>(auto where) {
    launch(where, Accumulate<T>{src.data<T>(), dst.data<T>(), dst.size()});
  });
}

void fill(const Tensor& dst, double value) {
  if (dst.dtype() == DType::i32) {
    std::fill_n(dst.data<std::int32_t>(), dst.size(), static_cast<std::int32_t>(value));
    return;
  }
  dispatch(dst, [&]<class T>(auto where) {
    launch(where, Fill<T>{dst.data<T>(), static_cast<Accumulator<T>>(value), dst.size()});
  });
}

}  // namespace posetape
