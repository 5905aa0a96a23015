#include "engine/safetensors.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "engine/crc32.hpp"
#include "engine/error.hpp"
#include "engine/foreign_safetensors.hpp"

using namespace posetape;
using doctest::Contains;

namespace {

// A directory of its own that goes away with the test.
class Place {
 public:
  Place() : path_(fmt::format("/tmp/posetape-safetensors-{}", getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~Place() { std::filesystem::remove_all(path_); }
  std::string file() const { return path_ + "/x.safetensors"; }
  std::string path() const { return path_; }

 private:
  std::string path_;
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string length_prefix(std::uint64_t length) {
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text;
}

// A file of this header and as many bytes of zeros.
std::string raw(const std::string& header, std::size_t data) {
  return length_prefix(header.size()) + header + std::string(data, '\0');
}

// What reading these bytes throws, less the path that it must begin with; "" if it throws nothing.
std::string complaint(const std::string& bytes) {
  const Place place;
  put(place.file(), bytes);
  try {
    read_safetensors(place.file());
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK(text.starts_with(place.file() + ": "));
    CHECK(text.find('\n') == std::string::npos);
    return text.substr(std::min(text.size(), place.file().size() + 2));
  }
  return "";
}

std::string header_complaint(const std::string& header, std::size_t data = 0) {
  return complaint(raw(header, data));
}

TensorFile sample() {
  TensorFile file;
  file.metadata = {{"config", "{\"d\": 256}"}, {"é", "line\nbreak \"quoted\""}};
  const double values[] = {1, -2.5, std::numeric_limits<double>::infinity(), 1e-30, 0, -0.0};
  file.tensors.emplace_back("half", Tensor::of({3}, std::span(values, 3), DType::bf16));
  file.tensors.emplace_back("single", Tensor::of({2, 3}, std::span(values, 6), DType::f32));
  const std::int32_t integers[] = {1, -7, 2147483647};
  file.tensors.emplace_back("integer", Tensor::of<std::int32_t>({3, 1}, integers));
  file.tensors.emplace_back("double", Tensor::of({1, 2, 3}, std::span(values, 6), DType::f64));
  file.tensors.emplace_back("scalar", Tensor::full({}, 0.1, DType::f64));
  file.tensors.emplace_back("empty", Tensor::empty({0, 4}, DType::f32));
  return file;
}

}  // namespace

TEST_CASE("safetensors: every type, shape and string comes back as it was, in order") {
  const Place place;
  const TensorFile file = sample();
  write_safetensors(place.file(), file);
  const TensorFile back = read_safetensors(place.file());
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    const auto& [name, was] = file.tensors[i];
    const auto& [name_now, now] = back.tensors[i];
    CAPTURE(name);
    CHECK(name_now == name);
    CHECK(now.dtype() == was.dtype());
    CHECK(now.shape() == was.shape());
    CHECK(std::memcmp(now.raw(), was.raw(), was.bytes()) == 0);
  }
  CHECK(back.contains("single"));
  CHECK_FALSE(back.contains("Single"));
  CHECK(back.at("integer").values<std::int32_t>()[2] == 2147483647);
  CHECK_THROWS_WITH_AS(back.at("x"),
                       "no tensor 'x' among the 6 of the file; it was written for something else",
                       Error);

  // And the other way round: equal contents, equal bytes.
  const std::string first = bytes_of(place.file());
  write_safetensors(place.file(), back);
  CHECK(bytes_of(place.file()) == first);
}

TEST_CASE("safetensors: the bytes are those of the format") {
  const Place place;
  TensorFile file;
  file.metadata = {{"a", "b"}};
  const float x[] = {1.0f, -2.0f};
  const double y[] = {0.5};
  file.tensors.emplace_back("x", Tensor::of<float>({2}, x));
  file.tensors.emplace_back("y", Tensor::of<double>({}, y));
  write_safetensors(place.file(), file);
  // f64 before f32, so that both are aligned.
  // The checksums are those of Python's zlib.crc32.
  std::string header =
      R"({"__metadata__":{"a":"b","crc32.metadata":"bfca4d6b",)"
      R"("crc32.tensors":"{\"x\":\"855019e0\",\"y\":\"741e7091\"}"},"x":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("y":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string expected = length_prefix(header.size()) + header;
  expected.append(reinterpret_cast<const char*>(y), 8);
  expected.append(reinterpret_cast<const char*>(x), 8);
  CHECK(bytes_of(place.file()) == expected);
}

TEST_CASE("crc32: the check value of its definition, in one piece and in two") {
  const std::string_view text = "123456789";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CHECK(crc32(text.substr(cut), crc32(text.substr(0, cut))) == 0xCBF43926);
  }
  CHECK(crc32("") == 0);
}

TEST_CASE("safetensors: any flipped bit is refused, and one in the data with its tensor") {
  const Place place;
  write_safetensors(place.file(), sample());
  const std::string whole = bytes_of(place.file());
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    CAPTURE(bit);
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    const std::string text = complaint(bytes);
    REQUIRE(text != "");
    if (bit / 8 < 8 + header) continue;
    // By falling size of the elements, as the data lies.
    const std::size_t at = bit / 8 - 8 - header;
    const char* tensor = at < 48   ? "double"
                         : at < 56 ? "scalar"
                         : at < 80 ? "single"
                         : at < 92 ? "integer"
                                   : "half";
    CHECK(text.starts_with(fmt::format("tensor '{}' is damaged (its checksum is ", tensor)));
  }
}

TEST_CASE("safetensors: checksums are of contents, and files need not have them") {
  const Place place;
  const float x[] = {1.0f, -2.0f};
  TensorFile file;
  file.metadata = {{"a", "b"}};
  file.tensors.emplace_back("x", Tensor::of<float>({2}, x));
  write_safetensors(place.file(), file);
  const std::string whole = bytes_of(place.file());
  const auto with_header = [&](std::string_view was, std::string_view now) {
    std::string header = whole.substr(8, whole.size() - 16);
    header.replace(header.find(was), was.size(), now);
    return length_prefix(header.size()) + header + whole.substr(whole.size() - 8);
  };
  // A string of the metadata gone.
  CHECK(complaint(with_header(R"("a":"b",)", " ")).starts_with("the header is damaged"));
  // Another program's order and spaces.
  const std::string entry = R"("x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(complaint(with_header(
            entry, R"("x": {"shape": [2], "data_offsets": [0, 8], "dtype": "F32"})")) == "");
  // Half of the checksums, which is what a flipped bit in a name leaves.
  CHECK(complaint(with_header("crc32.tensors", "crc33.tensors"))
            .starts_with("the header is damaged"));
  CHECK(complaint(with_header("crc32.metadata", "crc33.metadata"))
            .starts_with("the header is damaged"));
  // A tensor more than there are checksums.
  CHECK(complaint(
            with_header(entry, entry + R"(,"y":{"dtype":"F32","shape":[0],"data_offsets":[8,8]})"))
            .starts_with("tensor 'y' is damaged"));
  // None at all, as others write.
  std::string none = "{" + entry + "}";
  CHECK(complaint(length_prefix(none.size()) + none + whole.substr(whole.size() - 8)) == "");

  file.metadata = {{"crc32.tensors", "{}"}};
  CHECK_THROWS_WITH_AS(write_safetensors(place.file(), file), Contains("'crc32.tensors'"), Error);
}

TEST_CASE("safetensors: what is not finite is named, but for a trainer's own") {
  TensorFile file;
  const double counters[] = {1, std::numeric_limits<double>::infinity()};
  file.tensors.emplace_back("trainer.counters", Tensor::of<double>({2}, counters));
  const double weights[] = {0, 1, std::numeric_limits<double>::quiet_NaN(), 3};
  file.tensors.emplace_back("a", Tensor::of({2}, std::span(weights, 2), DType::f32));
  file.check_finite("x.safetensors");
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    TensorFile bad = file;
    bad.tensors.emplace_back("b", Tensor::of({2, 2}, weights, dtype));
    CHECK_THROWS_WITH_AS(bad.check_finite("x.safetensors"),
                         Contains("x.safetensors: tensor 'b' holds nan (element 2 of 4)"), Error);
  }
}

TEST_CASE("safetensors: a file without tensors") {
  const Place place;
  write_safetensors(place.file(), {});
  const TensorFile back = read_safetensors(place.file());
  CHECK(back.tensors.empty());
  CHECK(back.metadata.empty());
}

TEST_CASE("safetensors: other writers' headers: any order, spaces, an empty tensor in between") {
  const Place place;
  const float x[] = {3, 4};
  std::string bytes = raw(
      R"(  {"b": {"shape": [1], "data_offsets": [4, 8], "dtype": "F32"},
          "e": {"dtype": "F64", "shape": [2, 0], "data_offsets": [4, 4]},
          "a": {"dtype": "F32", "data_offsets": [0, 4], "shape": [1]}}   )",
      0);
  bytes.append(reinterpret_cast<const char*>(x), 8);
  put(place.file(), bytes);
  const TensorFile file = read_safetensors(place.file());
  CHECK(file.at("a").item() == 3);
  CHECK(file.at("b").item() == 4);
  CHECK(file.at("e").shape() == Shape{2, 0});
}

TEST_CASE("safetensors: files that are not there, or no files") {
  const Place place;
  CHECK_THROWS_WITH_AS(
      read_safetensors(place.file()),
      (place.file() + ": cannot be read (No such file or directory); check the name").c_str(),
      Error);
  CHECK_THROWS_WITH_AS(read_safetensors(place.path()), Contains("cannot be read"), Error);
}

TEST_CASE("safetensors: cut at any byte, a file is refused with a reason") {
  const Place place;
  write_safetensors(place.file(), sample());
  const std::string whole = bytes_of(place.file());
  CHECK(complaint(whole) == "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const std::string text = complaint(whole.substr(0, size));
    CHECK(text.find(size < 8 ? "not a safetensors file" : "cut short") != std::string::npos);
  }
  CHECK(complaint(whole + "x") == "1 bytes after the last tensor; write the file again");
}

TEST_CASE("safetensors: impossible header lengths") {
  CHECK(complaint("") == "not a safetensors file (0 bytes, at least 8 expected); check the name");
  CHECK(complaint(length_prefix(100'000'001) + "{}") ==
        "not a safetensors file (a header of 100000001 bytes, at most 100000000 is possible); "
        "check the name");
  CHECK(complaint(length_prefix(~std::uint64_t{0}) + "{}").starts_with("not a safetensors file"));
  CHECK(complaint(length_prefix(3) + "{}") ==
        "cut short: a header of 3 bytes in a file of 10; copy or write it again");
}

TEST_CASE("safetensors: headers that are no headers") {
  const std::string no_object =
      "not a safetensors file (its header is not a JSON object); check the name";
  for (const char* header : {"", "{", "[]", "3", "null", "{\"a\"}", "{} {}", "{\"\xff\": {}}"}) {
    CAPTURE(header);
    CHECK(header_complaint(header) == no_object);
  }
  CHECK(header_complaint(R"({"__metadata__": 1})") ==
        "'__metadata__' is not a JSON object; write the file again");
  CHECK(header_complaint(R"({"__metadata__": {"a": "b", "step": 1}})") ==
        "metadata 'step' is not a string; write it as a string");
  const std::string x = R"("x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})";
  CHECK(header_complaint("{" + x + ", " + x + "}", 4) ==
        "header names 'x' twice; write the file again");
}

TEST_CASE("safetensors: entries that describe no tensor") {
  for (const char* entry :
       {"1", "[]", "{}", R"({"dtype": 1, "shape": [1], "data_offsets": [0, 4]})",
        R"({"dtype": "F32", "shape": 1, "data_offsets": [0, 4]})",
        R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})",
        R"({"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]})",
        R"({"dtype": "F32", "shape": [[1]], "data_offsets": [0, 4]})",
        R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]})",
        R"({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]})",
        R"({"dtype": "F32", "shape": [1]})", R"({"shape": [1], "data_offsets": [0, 4]})"}) {
    CAPTURE(entry);
    const std::string text = header_complaint(fmt::format("{{\"x\": {}}}", entry), 4);
    CHECK(text.starts_with("tensor 'x' is described by "));
    CHECK(text.ends_with(
        "; a dtype, a shape and two data_offsets are expected, write the file again"));
  }
  // Nesting is cut off, not followed.
  const std::string deep(1'000'000, '[');
  CHECK(header_complaint("{\"x\": " + deep + std::string(1'000'000, ']') + "}")
            .starts_with("tensor 'x' is described by "));
}

TEST_CASE("safetensors: element types that are not read") {
  for (const std::string type : {"I64", "F16", "U8", "BOOL", "F8_E4M3", "f32", ""}) {
    CAPTURE(type);
    const auto header =
        fmt::format(R"({{"x": {{"dtype": "{}", "shape": [1], "data_offsets": [0, 8]}}}})", type);
    CHECK(header_complaint(header, 8) ==
          fmt::format("tensor 'x' holds {}; F64, F32, BF16 and I32 can be read, convert it to one "
                      "of them",
                      type));
  }
}

TEST_CASE("safetensors: 16 and 8 bits become f32, every value of them") {
  const Place place;
  const auto read = [&](const std::string& type, std::uint64_t count, std::size_t size) {
    std::string data;
    for (std::uint64_t i = 0; i < count; ++i) {
      data += static_cast<char>(i & 0xff);
      if (size == 2) data += static_cast<char>(i >> 8);
    }
    const std::string header =
        fmt::format(R"({{"x": {{"dtype": "{}", "shape": [{}], "data_offsets": [0, {}]}}}})", type,
                    count, count * size);
    put(place.file(), length_prefix(header.size()) + header + data);
    std::vector<PassedOver> others;
    const Tensor x = read_foreign_safetensors(place.file(), others).at("x");
    REQUIRE(others.empty());
    REQUIRE(x.dtype() == DType::f32);
    return std::vector<float>(x.data<float>(), x.data<float>() + count);
  };
  const float infinity = std::numeric_limits<float>::infinity();
  // The compiler's own binary16 as the reference.
  const std::vector<float> half = read("F16", 65536, 2);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    _Float16 expected;
    std::memcpy(&expected, &bits, 2);
    const auto wide = static_cast<float>(expected);
    CHECK((wide == half[i] || (wide != wide && half[i] != half[i])));
    CHECK((std::signbit(wide) == std::signbit(half[i]) || wide != wide));
  }
  // The extremes that the papers give.
  const std::vector<float> e4m3 = read("F8_E4M3", 256, 1);
  CHECK(e4m3[0x7e] == 448);
  CHECK(e4m3[0x01] == std::ldexp(1.0f, -9));
  CHECK(e4m3[0x08] == std::ldexp(1.0f, -6));
  CHECK(e4m3[0xb8] == -1);
  CHECK(std::isnan(e4m3[0x7f]));
  CHECK(std::isnan(e4m3[0xff]));
  const std::vector<float> e5m2 = read("F8_E5M2", 256, 1);
  CHECK(e5m2[0x7b] == 57344);
  CHECK(e5m2[0x01] == std::ldexp(1.0f, -16));
  CHECK(e5m2[0x7c] == infinity);
  CHECK(e5m2[0xfc] == -infinity);
  CHECK(std::isnan(e5m2[0x7d]));
  const std::vector<float> e4m3z = read("F8_E4M3FNUZ", 256, 1);
  CHECK(e4m3z[0x7f] == 240);
  CHECK(std::isnan(e4m3z[0x80]));
  CHECK(e4m3z[0x01] == std::ldexp(1.0f, -10));
  const std::vector<float> e5m2z = read("F8_E5M2FNUZ", 256, 1);
  CHECK(e5m2z[0x7f] == 57344);
  CHECK(std::isnan(e5m2z[0x80]));
  CHECK(e5m2z[0x01] == std::ldexp(1.0f, -17));
}

TEST_CASE("safetensors: tensors of other types are passed over where that is asked for") {
  const Place place;
  put(place.file(), raw(R"({"n": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]},)"
                        R"( "x": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},)"
                        R"( "b": {"dtype": "BOOL", "shape": [3], "data_offsets": [24, 27]}})",
                        27));
  std::vector<PassedOver> others;
  const TensorFile file = read_foreign_safetensors(place.file(), others);
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors[0].first == "x");
  REQUIRE(others.size() == 2);
  CHECK(others[0].name == "n");
  CHECK(others[0].what == "I64");
  CHECK(others[1].what == "BOOL");
  CHECK_THROWS_WITH_AS(read_safetensors(place.file()), Contains("tensor 'n' holds I64"), Error);
  // Their shapes and places are checked all the same.
  put(place.file(), raw(R"({"n": {"dtype": "I64", "shape": [3], "data_offsets": [0, 16]}})", 16));
  CHECK_THROWS_WITH_AS(read_foreign_safetensors(place.file(), others), Contains("needs 24 bytes"),
                       Error);
}

TEST_CASE("safetensors: shapes and offsets that contradict each other or the file") {
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return fmt::format(R"({{"x": {{"dtype": "F32", "shape": {}, "data_offsets": {}}}}})", shape,
                       offsets);
  };
  CHECK(header_complaint(one("[2]", "[0, 4]"), 4) ==
        "tensor 'x' of shape [2] needs 8 bytes, but its data_offsets are [0, 4]; write the file "
        "again");
  CHECK(header_complaint(one("[1]", "[4, 0]"), 4).starts_with("tensor 'x' of shape [1] needs 4"));
  CHECK(header_complaint(one("[1,1,1,1,1,1,1]", "[0, 4]"), 4) ==
        "tensor 'x' has rank 7, at most 6 is possible");
  // 2^32 squared, and the largest word, are zero bytes modulo 2^64.
  for (const char* shape : {"[4294967296,4294967296]", "[18446744073709551615]",
                            "[9223372036854775807]", "[0,18446744073709551615]"}) {
    CHECK(header_complaint(one(shape, "[0, 0]")) ==
          fmt::format("tensor 'x' has an impossible shape {}", shape));
  }
  CHECK(header_complaint(one("[2]", "[0, 8]"), 4) ==
        "cut short: tensor 'x' ends at byte 8 of 4 bytes of data; copy or write it again");
  CHECK(header_complaint(one("[1]", "[18446744073709551612, 18446744073709551615]"), 4) != "");
  CHECK(header_complaint(one("[1]", "[4, 8]"), 8) ==
        "gap of 4 bytes before tensor 'x'; write the file again");

  const auto two = [](int begin) {
    return fmt::format(R"({{"x": {{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},)"
                       R"("y": {{"dtype": "F32", "shape": [2], "data_offsets": [{}, {}]}}}})",
                       begin, begin + 8);
  };
  CHECK(header_complaint(two(8), 16) == "");
  CHECK(header_complaint(two(4), 16) ==
        "tensor 'y' overlaps the one before it (it begins at 4, that one ends at 8); write the "
        "file again");
  CHECK(header_complaint(two(0), 16).find("overlaps") != std::string::npos);
  CHECK(header_complaint(two(12), 20) == "gap of 4 bytes before tensor 'y'; write the file again");
}

TEST_CASE("safetensors: what cannot be written, and that nothing is left behind then") {
  const Place place;
  put(place.file(), "old");
  const auto refused = [&](const TensorFile& file, const char* why) {
    CHECK_THROWS_WITH_AS(write_safetensors(place.file(), file), Contains(why), Error);
    CHECK(bytes_of(place.file()) == "old");
    CHECK(std::distance(std::filesystem::directory_iterator(place.path()), {}) == 1);
  };
  const Tensor t = Tensor::zeros({2}, DType::f32);
  refused({{}, {{"x", Tensor()}}}, "tensor 'x' is undefined");
  refused({{}, {{"x", t}, {"y", t}, {"x", t}}}, "tensor name 'x' is given twice");
  refused({{}, {{"__metadata__", t}}}, "tensor name '__metadata__' is reserved by the format");
  refused({{}, {{"\xff", t}}}, "a tensor name or a metadata string is not UTF-8");
  refused({{{"k", "\xff"}}, {}}, "a tensor name or a metadata string is not UTF-8");
  CHECK_THROWS_WITH_AS(write_safetensors(place.path() + "/none/x", {}),
                       Contains("cannot be written"), Error);
}
