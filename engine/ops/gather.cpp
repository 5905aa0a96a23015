#include "engine/ops/gather.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/ops/reshape.hpp"
#include "engine/ops/transpose.hpp"
#include "engine/tape.hpp"
#include "kernels/gather/gather.hpp"

namespace posetape {
namespace {

enum Input { kTable, kIndex };

Shape check(const Tensor& table, const Tensor& index) {
  const Shape& shape = table.shape();
  if (shape.rank() != 2 || index.shape().rank() >= kMaxRank) {
    fail("gather: table is {}, index {}; expected [V, D] and a rank below {}", shape.text(),
         index.shape().text(), kMaxRank);
  }
  // The kernel gives NaN for indices that the host cannot look at.
  const bool on_host = index.device() == Device::cpu;
  const auto indices = on_host ? index.values<std::int32_t>() : std::span<std::int32_t>();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= shape[0]) {
      fail("gather: index {} (element {} of {}) is out of range for a table of {} rows, {}",
           indices[i], i, index.shape().text(), shape[0], shape.text());
    }
  }
  std::array<Index, kMaxRank> dims{};
  const int rank = index.shape().rank();
  for (int i = 0; i < rank; ++i) dims[static_cast<std::size_t>(i)] = index.shape()[i];
  dims[static_cast<std::size_t>(rank)] = shape[1];
  return Shape(std::span<const Index>(dims.data(), static_cast<std::size_t>(rank) + 1));
}

void backward_rule(const Node& node, Backward& backward) {
  const Tensor& index = node.saved[0];
  const Tensor& dy = backward.cotangent();
  const Shape& table = node.inputs[kTable].shape;
  dispatch(dy, [&]<class T>(auto where) {
    launch(where,
           GatherBackward<T>{index.data<std::int32_t>(), dy.data<T>(), backward.gradient<T>(kTable),
                             table[0], index.size(), table[1]});
  });
}

double flops(const Node&) {
  return 0;
}

}  // namespace

Tensor gather(const Tensor& table, const Tensor& index) {
  check_operands(Op::gather, {{"table", table}});
  check_index(Op::gather, {"index", index}, {"table", table});
  const Tensor y = Tensor::empty(check(table, index), table.dtype(), table.device());
  dispatch(table, [&]<class T>(auto where) {
    launch(where, GatherForward<T>{table.data<T>(), index.data<std::int32_t>(), y.data<T>(),
                                   table.shape()[0], index.size(), table.shape()[1]});
  });
  record(Op::gather, {table, index}, {y}, {index});
  return y;
}

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  check_operands(Op::gather, {{"x", x}});
  check_index(Op::gather, {"index", index}, {"x", x});
  const Shape& shape = x.shape();
  axis = axis_of("gather", shape, axis);
  const int places = index.shape().rank();
  if (shape.rank() - 1 + places > kMaxRank) {
    fail("gather: x is {}, index {}; the result would have a rank above {}", shape.text(),
         index.shape().text(), kMaxRank);
  }
  // The axis first, a row of the table each; and the rows' places back to where the axis was.
  std::vector<int> first{axis}, back;
  std::vector<Index> dims(index.shape().dims().begin(), index.shape().dims().end());
  for (int i = 0; i < shape.rank(); ++i) {
    if (i == axis) {
      for (int k = 0; k < places; ++k) back.push_back(k);
      continue;
    }
    back.push_back(places + static_cast<int>(first.size()) - 1);
    first.push_back(i);
    dims.push_back(shape[i]);
  }
  const Tensor rows = axis == 0 ? x : transpose(x, first);
  const Tensor table = reshape(rows, {shape[axis], shape.outer(axis) * shape.inner(axis)});
  const Tensor y = reshape(gather(table, reshape(index, {index.size()})), Shape(dims));
  return axis == 0 ? y : transpose(y, back);
}

const Rule gather_rule{backward_rule, flops};

}  // namespace posetape
