#include "data/file_kind.hpp"

#include <doctest/doctest.h>

#include "data/npz.hpp"
#include "engine/safetensors.hpp"
#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

TEST_CASE("a file's kind is told from what is in it, not from its name") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.npz");
  const auto kind_of = [&](const std::string& bytes) {
    write_all(path, bytes);
    return file_kind(path);
  };
  CHECK(kind_of("") == FileKind::empty);
  CHECK(kind_of("\x93NUMPY\x01") == FileKind::npy);
  CHECK(kind_of(" {\"a\": 1}\n") == FileKind::json);
  CHECK(kind_of("[1, 2]") == FileKind::json);
  CHECK(kind_of("sequence,frame\n") == FileKind::text);
  CHECK(kind_of("\xef\xbb\xbfHIERARCHY\nROOT Hips") == FileKind::motion);
  CHECK(kind_of(std::string("\x02P") + std::string(510, '\0')) == FileKind::motion);
  CHECK(kind_of("PathFileType\t4\t(X/Y/Z)\ta.trc\n") == FileKind::motion);
  CHECK(kind_of("\nPoses\n") == FileKind::text);
  CHECK(kind_of(std::string("\x01\x00\x02", 3)) == FileKind::unknown);
  CHECK(kind_of("PK\x03\x04 cut off") == FileKind::unknown);
  CHECK(file_kind(directory.file("none")) == FileKind::unknown);
  CHECK(file_kind(directory.file("")) == FileKind::folder);
  write_safetensors(path, {});
  CHECK(file_kind(path) == FileKind::safetensors);
  write_npz(path, std::vector<NamedArray>{{"x", npy_view<float>({0}, {})}});
  CHECK(file_kind(path) == FileKind::npz);
  std::filesystem::remove(path);
  write_zip(path, {{"net/data.pkl", "x"}, {"net/data/0", "y"}});
  CHECK(file_kind(path) == FileKind::torch);
  std::filesystem::remove(path);
  write_zip(path, {{"readme.txt", "x"}});
  CHECK(file_kind(path) == FileKind::zip);
}

TEST_CASE("who gives a file of another kind reads what it is and what to do") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x");
  const auto expect = [&] { expect_kind(path, {FileKind::npz}, "a dataset (.npz)"); };
  write_zip(path, {{"net/data.pkl", "x"}});
  CHECK_MESSAGE_PARTS(expect(), path, "is a PyTorch checkpoint, not a dataset (.npz)",
                      "`posetape convert`");
  write_all(path, "");
  CHECK_MESSAGE_PARTS(expect(), path, "is empty");
  write_all(path, "HIERARCHY\n");
  CHECK_MESSAGE_PARTS(expect(), path, "motion in BVH", "`posetape prepare bvh`");
  write_all(path, "glTF\x02");
  CHECK_MESSAGE_PARTS(expect(), path, "an animation in glTF", "`posetape export`");
  // What cannot be told is for the reader.
  write_all(path, "\x01\x02");
  CHECK(message_of(expect).empty());
  CHECK(message_of([&] { expect_kind(directory.file("none"), {FileKind::npz}, "x"); }).empty());
}
