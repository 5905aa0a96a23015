// Tensors, the arena behind them, and broadcasting of shapes.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/tensor.hpp"

using namespace posetape;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double as_bf16(double value) {
  return Tensor::of({1}, std::vector{value}, DType::bf16).item();
}

std::string message_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no Error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("copies of a tensor share memory and identity, aliases memory, clones neither") {
  const Tensor t = Tensor::of<double>({2, 3}, std::vector<double>{0, 1, 2, 3, 4, 5});
  const Tensor same = t;
  CHECK(same.id() == t.id());
  CHECK(same.raw() == t.raw());

  const Tensor row = t.alias({3}, 3);
  CHECK(row.id() != t.id());
  CHECK(row.to_doubles() == std::vector<double>{3, 4, 5});
  row.data<double>()[0] = 30;
  CHECK(t.to_doubles()[3] == 30);
  CHECK(row.alias({1}, 2).item() == 5);  // offsets add up
  CHECK_FALSE(t.sole_owner());
  CHECK(t.to(Device::cpu).raw() == t.raw());  // where it is already

  const Tensor copied = t.clone();
  CHECK(copied.id() != t.id());
  CHECK(copied.sole_owner());
  CHECK(copied.to_doubles() == t.to_doubles());
  copied.data<double>()[0] = 7;
  CHECK(t.to_doubles()[0] == 0);

  CHECK_THROWS_AS(t.alias({4}, 3), Error);
  CHECK_THROWS_AS(t.alias({1}, -1), Error);
}

TEST_CASE("an undefined tensor has no memory, an empty one no elements") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK(none.data<float>() == nullptr);
  const Tensor empty = Tensor::zeros({0, 3}, DType::f32);
  CHECK(empty.defined());
  CHECK(empty.size() == 0);
  CHECK(empty.to_doubles().empty());
  CHECK(empty.clone().shape() == Shape{0, 3});
  const Tensor scalar = Tensor::full({}, 2.5, DType::f64);
  CHECK(scalar.size() == 1);
  CHECK(scalar.item() == 2.5);
}

TEST_CASE("the wrong element type or size is an Error that names what is there") {
  const Tensor t = Tensor::zeros({2, 3}, DType::f32);
  const std::string type = message_of([&] { (void)t.data<double>(); });
  CHECK(contains(type, "[2, 3]"));
  CHECK(contains(type, "f32"));
  CHECK(contains(type, "f64"));
  CHECK_THROWS_AS(t.item(), Error);
  CHECK_THROWS_AS(Tensor().item(), Error);
  CHECK_THROWS_AS(Tensor::of<float>({3}, std::vector<float>{1, 2}), Error);
  CHECK_THROWS_AS(copy(t, Tensor::zeros({5}, DType::f32)), Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
  CHECK_THROWS_AS((Shape{2, -1}), Error);
}

TEST_CASE("bf16 rounds to nearest, ties to even") {
  const double unit = 0x1p-7;  // one step at 1
  CHECK(as_bf16(1) == 1);
  CHECK(as_bf16(-2.5) == -2.5);
  CHECK(as_bf16(1 + 0.49 * unit) == 1);
  CHECK(as_bf16(1 + 0.51 * unit) == 1 + unit);
  CHECK(as_bf16(1 + 0.5 * unit) == 1);             // a tie, down to even
  CHECK(as_bf16(1 + 1.5 * unit) == 1 + 2 * unit);  // a tie, up to even
  CHECK(as_bf16(-1 - 1.5 * unit) == -1 - 2 * unit);
  CHECK(std::signbit(as_bf16(-0.0)));
  CHECK(as_bf16(0x1p-133) == 0x1p-133);  // the smallest subnormal
  CHECK(as_bf16(0x1p-135) == 0);

  CHECK(as_bf16(kInfinity) == kInfinity);
  CHECK(as_bf16(-kInfinity) == -kInfinity);
  CHECK(as_bf16(0x1.FEp127) == 0x1.FEp127);  // the largest finite one
  CHECK(as_bf16(0x1.FFp127) == kInfinity);   // a tie above it
  CHECK(std::isnan(as_bf16(kNaN)));
  // A NaN whose payload is in the lower half only must not become an infinity.
  const float low = std::bit_cast<float>(0x7F800001u);
  CHECK(std::isnan(static_cast<float>(bf16(low))));
  CHECK(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(0xFFFFFFFFu)))));
}

TEST_CASE("every bf16 value survives the way to f32 and f64 and back") {
  Tensor all = Tensor::empty({1 << 16}, DType::bf16);
  for (int i = 0; i < 1 << 16; ++i) all.data<bf16>()[i].bits = static_cast<std::uint16_t>(i);
  for (const DType wide : {DType::f32, DType::f64}) {
    const Tensor widened = Tensor::empty(all.shape(), wide);
    const Tensor back = Tensor::empty(all.shape(), DType::bf16);
    copy(all, widened);
    copy(widened, back);
    int different = 0;
    for (int i = 0; i < 1 << 16; ++i) {
      const bool nan = std::isnan(static_cast<float>(all.data<bf16>()[i]));
      const bf16 got = back.data<bf16>()[i];
      const bool good =
          nan ? std::isnan(static_cast<float>(got)) : got.bits == all.data<bf16>()[i].bits;
      different += good ? 0 : 1;
    }
    CHECK(different == 0);
  }
}

TEST_CASE("fill, copy and accumulate in every type") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const Index size : {0, 1, 17, 5000}) {
      const Tensor t = Tensor::full({size}, 1.5, dtype);
      const Tensor other = Tensor::full({size}, 2.25, dtype);
      accumulate(other, t);
      CHECK(t.to_doubles() == std::vector<double>(static_cast<std::size_t>(size), 3.75));
    }
  }
  CHECK(Tensor::full({2}, 7, DType::i32).to_doubles() == std::vector<double>{7, 7});
}

TEST_CASE("shapes") {
  const Shape s{2, 3, 4};
  CHECK(s.size() == 24);
  CHECK(s[-1] == 4);
  CHECK(s.outer(2) == 6);
  CHECK(s.inner(0) == 12);
  CHECK(s.with(-1, 7) == Shape{2, 3, 7});
  CHECK(s.text() == "[2, 3, 4]");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.text() == "[]");
}

TEST_CASE("broadcasting of shapes follows numpy") {
  CHECK(broadcast("op", {2, 3}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast("op", {2, 3}, {3}) == Shape{2, 3});
  CHECK(broadcast("op", {}, {4}) == Shape{4});
  CHECK(broadcast("op", {3, 1}, {1, 5}) == Shape{3, 5});
  CHECK(broadcast("op", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast("op", {1}, {0}) == Shape{0});
  const std::string text = message_of([] { broadcast("mul", {2, 3}, {4}); });
  CHECK(contains(text, "mul"));
  CHECK(contains(text, "[2, 3]"));
  CHECK(contains(text, "[4]"));
  CHECK_THROWS_AS(broadcast("op", {2}, {0}), Error);
}

TEST_CASE("the arena reuses blocks of about the size and counts bytes") {
  Arena arena(Device::cpu);
  auto a = arena.allocate(1000);
  CHECK(a->bytes >= 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(a->data) % 64 == 0);
  const std::byte* first = a->data;
  const std::size_t one = arena.bytes_in_use();
  CHECK(one >= 1000);
  a.reset();
  CHECK(arena.bytes_in_use() == 0);
  CHECK(arena.reserved_bytes() == one);

  a = arena.allocate(900);  // fits well enough
  CHECK(a->data == first);
  auto b = arena.allocate(1000);  // the block is taken
  CHECK(b->data != first);
  CHECK(arena.reserved_bytes() == 2 * one);
  CHECK(arena.peak_bytes() == 2 * one);

  a.reset();
  auto small = arena.allocate(100);  // must not eat up a block of 1000
  CHECK(small->data != first);
  b.reset();
  small.reset();
  CHECK(arena.bytes_in_use() == 0);
  CHECK(arena.peak_bytes() == 2 * one);
  arena.reset_peak();
  CHECK(arena.peak_bytes() == 0);
  arena.trim();
  CHECK(arena.reserved_bytes() == 0);
  CHECK(arena.allocate(0)->data != nullptr);
}

TEST_CASE("the arena without reuse hands out fresh memory, and poison is NaN") {
  Arena arena(Device::cpu);
  arena.set_reuse(false);
  auto a = arena.allocate(256);
  const std::byte* first = a->data;
  a.reset();
  a = arena.allocate(256);
  CHECK(a->data != first);

  arena.set_reuse(true);
  arena.set_poison(true);
  a.reset();
  a = arena.allocate(256);
  double d;
  float f;
  bf16 h;
  std::memcpy(&d, a->data, sizeof d);
  std::memcpy(&f, a->data, sizeof f);
  std::memcpy(&h, a->data, sizeof h);
  CHECK(std::isnan(d));
  CHECK(std::isnan(f));
  CHECK(std::isnan(static_cast<float>(h)));
}

TEST_CASE("the first element that is not finite") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    CHECK(!first_not_finite(Tensor::full({2, 3}, 1e30, dtype)));
    const std::vector<double> values{1, 2, -kInfinity, kNaN};
    const auto bad = first_not_finite(Tensor::of({4}, std::span(values), dtype));
    REQUIRE(bad.has_value());
    CHECK(bad->index == 2);
    CHECK(bad->value == -kInfinity);
  }
  CHECK(first_not_finite(std::array{0.0F, static_cast<float>(kNaN)})->index == 1);
  CHECK(!first_not_finite(std::span<const float>()));
}
