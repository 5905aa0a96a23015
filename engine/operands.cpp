#include "engine/operands.hpp"

namespace posetape {
namespace {

std::string label(const Operand& o) {
  return o.number < 0 ? o.name : fmt::format("{} {}", o.name, o.number);
}

// "gamma is f32 [3]"
std::string description(const Operand& o, const char* is = " is") {
  return fmt::format("{}{} {} {}", label(o), is, name(o.tensor.dtype()), o.tensor.shape().text());
}

bool carries_derivative_of(const Tensor& t) {
  return t.dtype() == DType::dual || t.dtype() == DType::complex;
}

void check_device(Op op, const Operand& o, const Operand& beside) {
  if (o.tensor.device() == beside.tensor.device()) return;
  fail("{}: {} is on {}, and other operands on {} ({} {}); move it with to()", name(op), label(o),
       name(o.tensor.device()), name(beside.tensor.device()), label(beside),
       beside.tensor.shape().text());
}

std::string conversion(const Operand& o, const Operand& first) {
  if (o.tensor.dtype() == DType::i32) {
    return fmt::format(
        "{0} must be floating: Tensor::of({0}.shape(), {0}.to_doubles(), "
        "DType::f32) converts",
        o.name);
  }
  if (carries_derivative_of(o.tensor) != carries_derivative_of(first.tensor)) {
    return "what takes part in a differentiated function must be an input of it (gradcheck: a "
           "constant one is listed in options.constant), or be made in the type of its inputs";
  }
  return "all must be of one type: cast() converts";
}

}  // namespace

void check_given(Op op, const Operand& o) {
  if (!o.tensor.defined()) {
    fail("{}: {} is an undefined tensor; assign it one before the call", name(op), label(o));
  }
}

void check_operands(Op op, std::span<const Operand> operands) {
  const Operand* first = nullptr;
  for (const Operand& o : operands) {
    if (!o.tensor.defined() && o.optional) continue;
    check_given(op, o);
    if (first == nullptr) first = &o;
    if (o.tensor.dtype() != first->tensor.dtype()) {
      fail("{}: {}, {}; {}", name(op), description(*first), description(o, ""),
           first->tensor.dtype() == DType::i32 ? conversion(*first, o) : conversion(o, *first));
    }
    check_device(op, o, *first);
  }
  if (first != nullptr && first->tensor.dtype() == DType::i32) {
    fail("{}: {}; {}", name(op), description(*first), conversion(*first, *first));
  }
}

void check_index(Op op, const Operand& index, const Operand& beside) {
  if (!index.tensor.defined() && index.optional) return;
  check_given(op, index);
  if (index.tensor.dtype() != DType::i32) {
    fail("{}: {}; indices must be i32: Tensor::of<std::int32_t>() makes them", name(op),
         description(index));
  }
  check_device(op, index, beside);
}

}  // namespace posetape
