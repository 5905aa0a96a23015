#include "data/npz.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

const std::vector<float> kFloats{1.5f, 2, 3, 4, 5, -6};
const std::vector<std::int32_t> kInts{1920, 1080};

std::vector<NamedArray> two_arrays() {
  return {{"S1/Walk/0/pose", npy_view<float>({2, 3}, kFloats)},
          {"size", npy_view<std::int32_t>({2}, kInts)}};
}

// Numbers that do not deflate to nothing.
std::vector<float> many_floats() {
  std::vector<float> values(20000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 2654435761u % 100003);
  }
  return values;
}

}  // namespace

TEST_CASE("arrays come back from an npz file with name, order, type and shape") {
  for (const int level : {0, 1, 9}) {
    CAPTURE(level);
    const TemporaryDirectory directory;
    write_npz(directory.file("a.npz"), two_arrays(), {level});
    const NpzReader file(directory.file("a.npz"));
    CHECK(file.names() == std::vector<std::string>{"S1/Walk/0/pose", "size"});
    CHECK(file.has("size"));
    CHECK_FALSE(file.has("size.npy"));
    const NpyArray pose = file.read("S1/Walk/0/pose");
    CHECK(pose.type == NpyType::f4);
    CHECK(pose.shape == std::vector<std::int64_t>{2, 3});
    CHECK(pose.as<float>() == kFloats);
    CHECK(file.read("size").as<std::int32_t>() == kInts);
    CHECK(directory.count() == 1);
  }
}

TEST_CASE("scalars and empty arrays are written and read") {
  const TemporaryDirectory directory;
  const float fps = 50;
  write_npz(directory.file("a.npz"),
            std::vector<NamedArray>{{"fps", npy_view<float>({}, std::span(&fps, 1))},
                                    {"none", npy_view<float>({0, 17, 2}, {})}});
  const NpzReader file(directory.file("a.npz"));
  CHECK(file.read("fps").shape.empty());
  CHECK(file.read("fps").as<float>() == std::vector<float>{50});
  CHECK(file.read("none").shape == std::vector<std::int64_t>{0, 17, 2});
  CHECK(file.read("none").size() == 0);
}

TEST_CASE("equal arrays make equal bytes, for nothing in the archive depends on the clock") {
  const TemporaryDirectory directory;
  for (const int level : {0, 1}) {
    write_npz(directory.file("a.npz"), two_arrays(), {level});
    write_npz(directory.file("b.npz"), two_arrays(), {level});
    const std::string bytes = read_all(directory.file("a.npz"));
    CHECK(bytes == read_all(directory.file("b.npz")));
    // Time and date of the entries in the central directory (APPNOTE.TXT 4.3.12): 00:00 on
    // 1 January 1980.
    int entries = 0;
    for (std::size_t at = bytes.find("PK\x01\x02"); at != std::string::npos;
         at = bytes.find("PK\x01\x02", at + 1)) {
      CHECK(bytes.substr(at + 12, 4) == std::string("\0\0\x21\0", 4));
      ++entries;
    }
    CHECK(entries == 2);
  }
}

TEST_CASE("deflating makes repetitive arrays smaller") {
  const TemporaryDirectory directory;
  const std::vector<float> zeros(100000);
  const std::vector<NamedArray> arrays{{"zeros", npy_view<float>({100000}, zeros)}};
  write_npz(directory.file("stored.npz"), arrays);
  write_npz(directory.file("deflated.npz"), arrays, {1});
  CHECK(std::filesystem::file_size(directory.file("stored.npz")) > 400000);
  CHECK(std::filesystem::file_size(directory.file("deflated.npz")) < 20000);
  CHECK(NpzReader(directory.file("deflated.npz")).read("zeros").as<float>() == zeros);
}

TEST_CASE("files that are no npz are refused by name with a hint") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  CHECK_MESSAGE_PARTS(NpzReader{path}, path, "No such file or directory", "check the name");
  CHECK_MESSAGE_PARTS(NpzReader{directory.file("")}, "is a folder");
  write_all(path, "");
  CHECK_MESSAGE_PARTS(NpzReader{path}, path, "is empty");
  write_all(path, "frame,x,y\n1,2,3\n");
  CHECK_MESSAGE_PARTS(NpzReader{path}, path, "not an npz file", "numpy.savez");
  write_npy(path, npy_view<float>({6}, kFloats));
  CHECK_MESSAGE_PARTS(NpzReader{path}, path, "single npy array", "numpy.savez");
}

TEST_CASE("an array that is not there or not npy is refused by file and array") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  write_zip(path, {{"a.npy", "no npy"}, {"readme.txt", "hello"}});
  const NpzReader file(path);
  CHECK(file.names() == std::vector<std::string>{"a"});
  CHECK_MESSAGE_PARTS(file.read("b"), path, "array 'b'", "no such array");
  CHECK_MESSAGE_PARTS(file.read("a"), path, "array 'a'", "not an array in npy format");
  CHECK(file.read_bytes("a").size() == 6);
}

TEST_CASE("a file cut off anywhere is refused as damaged") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  const std::vector<float> floats = many_floats();
  for (const int level : {0, 1}) {
    write_npz(path, std::vector<NamedArray>{{"a", npy_view<float>({20000}, floats)}}, {level});
    const std::string whole = read_all(path);
    for (const double part : {0.001, 0.3, 0.9, 0.999}) {
      CAPTURE(part);
      write_all(path, whole.substr(0, static_cast<std::size_t>(part * double(whole.size()))));
      CHECK_MESSAGE_PARTS(NpzReader{path}, path, "cut off or damaged", "copy or write it again");
    }
  }
}

TEST_CASE("bytes lost or changed in the middle are noticed, by array") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  const std::vector<float> floats = many_floats();
  const auto read = [&] { NpzReader(path).read("a"); };
  for (const int level : {0, 1}) {
    CAPTURE(level);
    write_npz(path, std::vector<NamedArray>{{"a", npy_view<float>({20000}, floats)}}, {level});
    const std::string whole = read_all(path);
    // The directory at the end is whole, but does not fit what is before it.
    write_all(path, whole.substr(0, 20000) + whole.substr(30000));
    CHECK_MESSAGE_PARTS(read(), path, "cut off or damaged", "again");
    std::string changed = whole;
    changed[20000] = static_cast<char>(changed[20000] ^ 0x10);
    write_all(path, changed);
    CHECK_MESSAGE_PARTS(read(), path, "array 'a'", "cut off or damaged", "again");
  }
}

TEST_CASE("a directory that claims an absurd size does not exhaust the memory") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  write_npz(path, two_arrays(), {1});
  std::string bytes = read_all(path);
  // The size is 24 bytes into the first entry of the central directory (APPNOTE.TXT 4.3.12).
  const std::size_t entry = bytes.find("PK\x01\x02");
  REQUIRE(entry != std::string::npos);
  bytes.replace(entry + 24, 4, "\xf0\xff\xff\xff");
  write_all(path, bytes);
  CHECK_MESSAGE_PARTS(NpzReader(path).read("S1/Walk/0/pose"), path, "S1/Walk/0/pose",
                      "damaged (impossible size)");
}

TEST_CASE("what cannot be written is refused and the old file stays") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  write_npz(path, two_arrays());
  const std::string old = read_all(path);
  CHECK_MESSAGE_PARTS(write_npz(path, {}), path, "no array");
  CHECK_MESSAGE_PARTS(
      write_npz(path, std::vector<NamedArray>{{"a", npy_view<float>({5}, kFloats)}}), path,
      "array 'a'", "(5,)", "20 bytes, given 24");
  CHECK_MESSAGE_PARTS(write_npz(path, std::vector<NamedArray>{{"", npy_view<float>({6}, kFloats)}}),
                      path, "without a name");
  CHECK_MESSAGE_PARTS(
      write_npz(path, std::vector<NamedArray>{{"a", npy_view<float>({6}, kFloats)},
                                              {"a", npy_view<float>({6}, kFloats)}}),
      path, "two arrays", "'a'");
  CHECK_MESSAGE_PARTS(write_npz(directory.file("no/a.npz"), two_arrays()), "no/a.npz",
                      "No such file", "make the directory");

  // A disk that fills up on the way.
  const std::vector<float> floats = many_floats();
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{30000, limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const int level : {0, 1}) {
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string message = message_of([&] {
      write_npz(path, std::vector<NamedArray>{{"a", npy_view<float>({20000}, floats)}}, {level});
    });
    setrlimit(RLIMIT_FSIZE, &limit);
    CAPTURE(message);
    CHECK(has_parts(message, {path, "cannot be written", "File too large", "free some space"}));
  }
  std::signal(SIGXFSZ, handler);
  CHECK(read_all(path) == old);
  CHECK(directory.count() == 1);
}
