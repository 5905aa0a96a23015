#include "engine/tensor.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "engine/dispatch.hpp"
#include "engine/tape.hpp"
#include "kernels/fill/fill.hpp"

namespace posetape {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// The device that kernels are being launched on, -1 outside of a dispatch.
thread_local int dispatching = -1;

void check_defined(const char* what, const Tensor& t) {
  if (!t.defined()) fail("{}: the tensor is undefined; assign it one before the call", what);
}

// That src can go into dst element by element.
void check_pair(const char* what, const Tensor& src, const Tensor& dst) {
  check_defined(what, src);
  check_defined(what, dst);
  if (src.size() != dst.size()) {
    fail("{}: {} into {}: sizes differ", what, src.shape().text(), dst.shape().text());
  }
}

template <class T>
std::optional<NotFinite> find_not_finite(std::span<const T> values) {
  const auto bad = std::ranges::find_if(values, [](T x) { return !std::isfinite(x); });
  if (bad == values.end()) return std::nullopt;
  return NotFinite{bad - values.begin(), double{*bad}};
}

[[noreturn]] void fail_types(const char* what, const Tensor& src, const Tensor& dst,
                             const char* advice) {
  fail("{}: {} {} into {} {}; {}", what, name(src.dtype()), src.shape().text(), name(dst.dtype()),
       dst.shape().text(), advice);
}

// What copy() does, without a look at tapes.
class Copying {
 public:
  static Tensor moved(const Tensor& src, Device device) {
    const Tensor t = Tensor::empty(src.shape(), src.dtype(), device);
    run(src, t);
    return t;
  }
  static void run(const Tensor& src, const Tensor& dst) {
    if (src.dtype() == dst.dtype()) return bytes(src, dst);
    if (src.dtype() == DType::i32 || dst.dtype() == DType::i32) {
      fail_types("copy", src, dst, "between i32 and floating types go by to_doubles() and of()");
    }
    if (src.device() != dst.device()) {
      // Converted where it comes from.
      const Tensor converted = Tensor::empty(src.shape(), dst.dtype(), src.device());
      run(src, converted);
      return bytes(converted, dst);
    }
    dispatch(dst, [&]<class T>(auto where) {
      dispatch_real(src, [&]<class S>(auto) {
        const S* from = static_cast<const S*>(src.contents());
        if constexpr (carries_derivative<T>) {
          std::transform(from, from + src.size(), dst.data<T>(), [](S x) { return T(load(x)); });
        } else {
          launch(where, Convert<T, S>{from, dst.data<T>(), dst.size()});
        }
      });
    });
  }

 private:
  static void bytes(const Tensor& src, const Tensor& dst) {
    const Runtime& to = runtime(dst.device());
    const auto move = src.device() == dst.device()  ? to.copy
                      : src.device() == Device::cpu ? to.upload
                                                    : runtime(src.device()).download;
    move(dst.raw(), src.contents(), src.bytes());
  }
};

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
  t.storage_ = Arena::current(device).allocate(t.bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  fill(t, value);
  return t;
}

Tensor Tensor::of(const Shape& shape, std::span<const double> values, DType dtype, Device device) {
  const Tensor source = of<double>(shape, values);
  if (dtype == DType::f64) return source.to(device);
  Tensor t = empty(shape, dtype);
  copy(source, t);
  return t.to(device);
}

std::vector<double> Tensor::to_doubles() const {
  check_defined("to_doubles", *this);
  if (device_ != Device::cpu) return Copying::moved(*this, Device::cpu).to_doubles();
  std::vector<double> out(static_cast<std::size_t>(size()));
  if (dtype_ == DType::i32) {
    std::copy_n(static_cast<const std::int32_t*>(contents()), size(), out.data());
    return out;
  }
  dispatch(*this, [&]<class T>(auto) {
    const T* from = static_cast<const T*>(contents());
    for (std::size_t i = 0; i < out.size(); ++i) {
      if constexpr (carries_derivative<T>) {
        out[i] = from[i].value;
      } else {
        out[i] = static_cast<double>(load(from[i]));
      }
    }
  });
  return out;
}

double Tensor::item() const {
  check_defined("item", *this);
  if (size() != 1) fail("item: a tensor of one element expected, shape is {}", shape_.text());
  return to_doubles()[0];
}

Tensor Tensor::alias(const Shape& shape, Index offset) const {
  check_defined("alias", *this);
  if (offset < 0 || offset + shape.size() > size()) {
    fail("alias: {} elements from {} on do not fit into {}", shape.size(), offset, shape_.text());
  }
  Tensor t = *this;
  t.shape_ = shape;
  t.offset_ += static_cast<std::size_t>(offset) * size_of(dtype_);
  t.id_ = next_id();
  t.constant_alias_ = t.constant_alias_ || NoRecording::active();
  return t;
}

const void* Tensor::contents() const {
  storage_->read();
  return storage_->data + offset_;
}

Tensor Tensor::part(const Shape& shape, Index offset) const {
  Tensor t = alias(shape, offset);
  t.storage_ = std::make_shared<Storage>(storage_, t.offset_, t.bytes());
  t.offset_ = 0;
  return t;
}

Tensor Tensor::clone() const {
  check_defined("clone", *this);
  const Tensor t = Copying::moved(*this, device_);
  if (recording()) record(Op::cast, {*this}, {t}, {});
  return t;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device_ == device) return *this;
  const Tensor t = Copying::moved(*this, device);
  if (recording()) record(Op::cast, {*this}, {t}, {});
  return t;
}

void Tensor::check_size(std::size_t count) const {
  if (static_cast<Index>(count) != size()) {
    fail("{} values given for a tensor of shape {}", count, shape_.text());
  }
}

void Tensor::check_access(DType wanted) const {
  if (dtype_ != wanted) {
    fail("tensor of shape {} holds {}, not {}", shape_.text(), name(dtype_), name(wanted));
  }
  if (dispatching >= 0 && static_cast<Device>(dispatching) != device_) {
    fail("tensor of shape {} is on {}, and other operands on {}; move it with to()", shape_.text(),
         name(device_), name(static_cast<Device>(dispatching)));
  }
}

void Tensor::not_on_host() const {
  check_defined("values", *this);
  fail("tensor of shape {} is on {}; move it with to(Device::cpu) before its values are read",
       shape_.text(), name(device_));
}

OnDevice::OnDevice(Device device) : outer_(std::exchange(dispatching, static_cast<int>(device))) {}
OnDevice::~OnDevice() {
  dispatching = outer_;
}

void synchronize(Device device) {
  runtime(device).synchronize();
}

void copy(const Tensor& src, const Tensor& dst) {
  check_pair("copy", src, dst);
  refuse_tracked("copy", src, "cast() and clone() are recorded");
  Copying::run(src, dst);
  dst.mark_written();
}

void accumulate(const Tensor& src, const Tensor& dst) {
  check_pair("accumulate", src, dst);
  if (src.dtype() != dst.dtype() || src.dtype() == DType::i32) {
    fail_types("accumulate", src, dst, "both must be of one floating type: cast() converts");
  }
  refuse_tracked("accumulate", src, "add() is recorded");
  dispatch(dst, [&]<class T>(auto where) {
    launch(where, Accumulate<T>{src.data<T>(), dst.data<T>(), dst.size()});
  });
  dst.mark_written();
}

void fill(const Tensor& dst, double value) {
  check_defined("fill", dst);
  dst.mark_written();
  if (dst.dtype() == DType::i32) {
    if (dst.device() != Device::cpu) {
      return copy(Tensor::full(dst.shape(), value, DType::i32), dst);
    }
    std::fill_n(dst.data<std::int32_t>(), dst.size(), static_cast<std::int32_t>(value));
    return;
  }
  dispatch(dst, [&]<class T>(auto where) {
    launch(where, Fill<T>{dst.data<T>(), static_cast<Accumulator<T>>(value), dst.size()});
  });
}

std::optional<NotFinite> first_not_finite(const Tensor& tensor) {
  return find_not_finite<double>(tensor.to_doubles());
}

std::optional<NotFinite> first_not_finite(std::span<const float> values) {
  return find_not_finite(values);
}

}  // namespace posetape
