#include "data/npy.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

// An npy file with this header text and these bytes of elements.
std::string npy(const std::string& header, const std::string& elements, char version = 1) {
  std::string file = "\x93NUMPY";
  file += {version, '\0', static_cast<char>(header.size() & 0xff),
           static_cast<char>(header.size() >> 8)};
  if (version > 1) file += std::string(2, '\0');
  return file + header + elements;
}

std::string header(const std::string& descr, const std::string& order, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

NpyArray parse(const std::string& file) {
  return parse_npy(std::as_bytes(std::span(file)), "f.npz: array 'a'");
}

template <class T>
std::string bytes_of(std::vector<T> values, bool swap = false) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  for (std::size_t i = 0; swap && i < bytes.size(); i += sizeof(T)) {
    std::reverse(bytes.begin() + static_cast<long>(i),
                 bytes.begin() + static_cast<long>(i + sizeof(T)));
  }
  return bytes;
}

using Shape = std::vector<std::int64_t>;

template <class T>
void check_type(const std::string& code, NpyType type, const std::vector<T>& values) {
  for (const bool swap : {false, true}) {
    CAPTURE(code);
    CAPTURE(swap);
    const std::string order = sizeof(T) == 1 ? "|" : swap ? ">" : "<";
    const NpyArray array =
        parse(npy(header(order + code, "False", "(3,)"), bytes_of(values, swap)));
    CHECK(array.type == type);
    CHECK(array.shape == Shape{3});
    CHECK(array.as<T>() == values);
  }
}

}  // namespace

TEST_CASE("every element type is read in both byte orders") {
  check_type<float>("f4", NpyType::f4, {1.5f, -2.25f, 1e-30f});
  check_type<double>("f8", NpyType::f8, {1.5, -2.25, 1e-300});
  check_type<std::int32_t>("i4", NpyType::i4, {1, -2, 2000000000});
  check_type<std::int64_t>("i8", NpyType::i8, {1, -2, std::int64_t{1} << 60});
  check_type<std::uint8_t>("u1", NpyType::u1, {1, 2, 255});
  check_type<std::uint8_t>("b1", NpyType::b1, {1, 0, 1});
}

TEST_CASE("all three versions, scalars and any spelling of the header are read") {
  for (const char version : {'\1', '\2', '\3'}) {
    const NpyArray array =
        parse(npy(header("<f4", "False", "(2, 1)"), bytes_of<float>({3, 4}), version));
    CHECK(array.shape == Shape{2, 1});
    CHECK(array.as<double>() == std::vector<double>{3, 4});
  }
  const NpyArray scalar = parse(npy(header("<i8", "False", "()"), bytes_of<std::int64_t>({-7})));
  CHECK(scalar.shape.empty());
  CHECK(scalar.as<float>() == std::vector<float>{-7});
  // Other key order, double quotes, no comma at the end, a Python 2 long.
  const NpyArray odd = parse(
      npy("{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"<f8\"}", bytes_of<double>({1, 2})));
  CHECK(odd.as<double>() == std::vector<double>{1, 2});
}

TEST_CASE("Fortran order is turned into C order for any rank and byte order") {
  // Element [i][j][k] of shape (2, 3, 2) is 100 i + 10 j + k; the first index runs fastest.
  std::vector<double> fortran;
  std::vector<double> c;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) fortran.push_back(100 * i + 10 * j + k);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k) c.push_back(100 * i + 10 * j + k);
  for (const bool swap : {false, true}) {
    const NpyArray array =
        parse(npy(header(swap ? ">f8" : "<f8", "True", "(2, 3, 2)"), bytes_of(fortran, swap)));
    CHECK(array.as<double>() == c);
  }
  CHECK(parse(npy(header("<f8", "True", "(3,)"), bytes_of<double>({1, 2, 3}))).as<double>() ==
        std::vector<double>{1, 2, 3});
  CHECK(parse(npy(header("<f8", "True", "(0, 3)"), "")).size() == 0);
}

TEST_CASE("what is no readable npy is refused with the place and a hint") {
  const std::string where = "f.npz: array 'a'";
  const std::string four = bytes_of<float>({1, 2, 3, 4});
  CHECK_MESSAGE_PARTS(parse(npy(header("|O", "False", "()"), "pickle")), where, "Python objects",
                      "save plain number arrays");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f2", "False", "(4,)"), "12345678")), where, "'<f2'",
                      "not supported", "float32", "astype");
  CHECK_MESSAGE_PARTS(parse(npy(header("<U3", "False", "()"), "12345678")), where, "'<U3'");
  CHECK_MESSAGE_PARTS(parse(npy(header("a\nb", "False", "()"), "")), where, "'a?b'");
  CHECK_MESSAGE_PARTS(
      parse(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234")),
      where, "'structured'", "not supported");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(5,)"), four)), where, "is cut off",
                      "(5,) of float32 takes 20 bytes, found 16");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(3,)"), four)), where,
                      "has bytes left over", "takes 12 bytes, found 16");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(4294967296, 4294967296)"), four)), where,
                      "shape (4294967296, 4294967296) is impossible");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(99999999999999999999,)"), four)), where,
                      "impossible");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(4611686018427387904,)"), four)), where,
                      "impossible");
  for (const char* bad :
       {"", "{", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (4,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, }", "{'descr': '<f4",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 4, }",
        "{'descr': '<f4', 'other': False, 'shape': (4,), }"}) {
    CAPTURE(bad);
    CHECK_MESSAGE_PARTS(parse(npy(bad, four)), where, "header is damaged");
  }
  CHECK_MESSAGE_PARTS(parse("hello"), where, "not an array in npy format");
  CHECK_MESSAGE_PARTS(parse("\x93NUMPY\x01"), where, "cut off in the header");
  CHECK_MESSAGE_PARTS(parse(npy(std::string(50, ' '), "").substr(0, 40)), where,
                      "cut off in the header");
  CHECK_MESSAGE_PARTS(parse(npy(header("<f4", "False", "(4,)"), four, '\7')), where, "version 7");
}

TEST_CASE("no prefix of a file crashes or passes") {
  const std::string whole = npy(header("<f4", "False", "(4,)"), bytes_of<float>({1, 2, 3, 4}));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK(message_of([&] { parse(whole.substr(0, length)); }).starts_with("f.npz: array 'a': "));
  }
  CHECK(parse(whole).size() == 4);
}

TEST_CASE("the header that is written is aligned and read back") {
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{100, 17, 2}, Shape{1, 2, 3, 4, 5, 6, 7}}) {
    const std::string text = npy_header(NpyType::f8, shape);
    CHECK(text.size() % 64 == 0);
    CHECK(text.back() == '\n');
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    CHECK(parse(text + std::string(8 * count, '\0')).shape == shape);
  }
}

TEST_CASE("an npy file is written and read") {
  const TemporaryDirectory directory;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  write_npy(directory.file("a.npy"), npy_view<float>({2, 3}, values));
  const NpyArray array = read_npy(directory.file("a.npy"));
  CHECK(array.shape == Shape{2, 3});
  CHECK(array.as<float>() == values);
  CHECK_MESSAGE_PARTS(read_npy(directory.file("b.npy")), directory.file("b.npy"), "No such file",
                      "check the name");
  CHECK_MESSAGE_PARTS(read_npy(directory.file("")), "Is a directory");
}
