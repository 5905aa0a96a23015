#include "engine/ops/gather.hpp"

#include "engine/dispatch.hpp"
#include "engine/operands.hpp"
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

const Rule gather_rule{backward_rule, flops};

}  // namespace posetape
