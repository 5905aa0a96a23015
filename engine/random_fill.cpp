#include "engine/random_fill.hpp"

#include "engine/dispatch.hpp"
#include "kernels/normal/normal.hpp"

namespace posetape {
namespace {

void check(const Tensor& out) {
  if (!out.defined()) fail("fill_normal: the tensor is undefined; assign it one before the call");
  out.mark_written();
}

}  // namespace

void fill_normal(const Tensor& out, std::uint64_t seed, Stream stream, std::uint64_t step) {
  check(out);
  dispatch_real(out, [&]<class T>(auto where) {
    launch(where,
           NormalFill<T>{out.data<T>(), out.size(), seed, subsequence(stream, step), nullptr, 0});
  });
}

void fill_normal(const Tensor& out, std::uint64_t seed, Stream stream, const Tensor& address) {
  check(out);
  const Index rows = address.size() > 1 ? out.shape()[0] : 0;
  dispatch_real(out, [&]<class T>(auto where) {
    launch(where, NormalFill<T>{out.data<T>(), out.size(), seed, subsequence(stream, 0),
                                address.data<double>(), rows > 0 ? out.size() / rows : 0});
  });
}

}  // namespace posetape
