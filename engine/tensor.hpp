// Tensor: a cheap handle on contiguous row-major memory.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/arena.hpp"
#include "engine/dtype.hpp"
#include "engine/shape.hpp"

namespace posetape {

// Copies of a handle share memory and identity; `id` is what a tape knows a value by. There are no
// strides: a layout change is an explicit op or absorbed by the kernel that needs it. A default
// constructed Tensor is undefined and stands for "not given".
class Tensor {
 public:
  Tensor() = default;

  // Contents are undefined.
  static Tensor empty(const Shape& shape, DType dtype, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype, Device device = Device::cpu) {
    return full(shape, 0.0, dtype, device);
  }
  // A copy of `values`, converted to `dtype`.
  static Tensor of(const Shape& shape, std::span<const double> values, DType dtype,
                   Device device = Device::cpu);
  template <class T>
  static Tensor of(const Shape& shape, std::span<const T> values) {
    Tensor t = empty(shape, dtype_of<T>);
    t.check_size(values.size());
    std::copy(values.begin(), values.end(), t.data<T>());
    return t;
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  Index size() const { return shape_.size(); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  std::uint64_t id() const { return id_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }

  void* raw() const {
    if (!storage_) return nullptr;
    storage_->touched();
    return storage_->data + offset_;
  }
  // The elements, in the memory of this tensor's device; null where the tensor is undefined. Throws
  // where T is not the element type, and inside a dispatch for another device. What is written
  // through it no tape can see: say so with mark_written().
  template <class T>
  T* data() const {
    if (defined()) check_access(dtype_of<T>);
    return static_cast<T*>(raw());
  }
  // The same for the host; throws where the tensor is not there, or undefined.
  template <class T>
  std::span<T> values() const {
    if (!defined() || device_ != Device::cpu) not_on_host();
    return {data<T>(), static_cast<std::size_t>(size())};
  }
  // Copied out from any device, converted to f64.
  std::vector<double> to_doubles() const;
  // The value of a tensor with one element.
  double item() const;

  // The same memory under another shape of equal size, or a part of it that starts at `offset`
  // elements: a new value with an identity of its own, which no tape records. As input of an op it
  // is an Error where a tape that records tracks a value in this memory (reshape() and slice() are
  // recorded), unless it was made under a NoRecording, as a constant.
  Tensor alias(const Shape& shape, Index offset = 0) const;
  // New memory with the same contents, on the same device. Recorded as an op is.
  Tensor clone() const;
  // The same contents on `device`: this tensor where it is there already, or undefined. Recorded.
  Tensor to(Device device) const;
  // True where no other handle, alias or tape holds this memory.
  bool sole_owner() const { return storage_.use_count() == 1; }

  // How often this memory was written to by fill(), copy(), accumulate(), an optimiser, as the
  // destination of a gradient, or through mark_written(). A tape that has saved a tensor for its
  // backward rule refuses to go on where this has changed. Writes through data() and values() count
  // only where they are followed by mark_written(), and those of a recorded graph (Replay) never.
  std::uint64_t version() const { return storage_ ? storage_->version() : 0; }
  void mark_written() const {
    if (storage_) storage_->written();
  }

  // For the engine: raw() for who only reads; alias() as a memory of its own (see Storage); what is
  // known of the memory; and whether this is an alias that was made under a NoRecording.
  const void* contents() const;
  Tensor part(const Shape& shape, Index offset) const;
  Storage& storage() const { return *storage_; }
  bool is_constant_alias() const { return constant_alias_; }

 private:
  void check_size(std::size_t count) const;
  void check_access(DType wanted) const;
  [[noreturn]] void not_on_host() const;

  std::shared_ptr<Storage> storage_;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  std::uint64_t id_ = 0;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
  bool constant_alias_ = false;
};

// While it lives, kernels of `device` are being given their operands on this thread: asking for the
// memory of a tensor that lies elsewhere is an error.
class OnDevice {
 public:
  explicit OnDevice(Device device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int outer_;
};

// Waits until `device` has done everything it was asked for.
void synchronize(Device device);

// Elementwise dst = src converted to dst's type (to a number that carries a derivative from f64,
// with the derivative zero), also from one device to another, and dst += src (equal types, one
// device). Shapes must hold equally many elements. No tape sees what goes into memory that is there
// already: a source that the recording tape tracks is an Error, which names the op to use, and so
// is a tensor that a rule has saved and that was changed when its backward pass comes.
void copy(const Tensor& src, const Tensor& dst);
void accumulate(const Tensor& src, const Tensor& dst);
void fill(const Tensor& dst, double value);

// The first element that is NaN or infinite; nothing where there is none. A tensor may lie on any
// device.
struct NotFinite {
  Index index = 0;
  double value = 0;
};
std::optional<NotFinite> first_not_finite(const Tensor& tensor);
std::optional<NotFinite> first_not_finite(std::span<const float> values);

}  // namespace posetape
