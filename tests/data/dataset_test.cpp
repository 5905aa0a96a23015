#include "data/dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "data/npz.hpp"
#include "data/protocol.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

using Shape = std::vector<std::int64_t>;

// A file to spoil: arrays by name, of ones unless said otherwise.
class FileBuilder {
 public:
  explicit FileBuilder(const std::string& path) : path_(path) {
    ones("S1/Walk/0/pose_2d", {5, 17, 2});
    ones("S1/Walk/0/noisy_3d", {5, 17, 3});
    values<std::int32_t>("S1/Walk/0/image_size", {2}, {1000, 1002});
  }

  template <class T>
  FileBuilder& values(const std::string& name, const Shape& shape, const std::vector<T>& elements) {
    const auto bytes = std::as_bytes(std::span(elements));
    arrays_[name] = {npy_type<T>(), shape, {bytes.begin(), bytes.end()}};
    return *this;
  }
  FileBuilder& ones(const std::string& name, const Shape& shape) { return fill(name, shape, 1); }
  FileBuilder& fill(const std::string& name, const Shape& shape, float value) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    return values<float>(name, shape, std::vector<float>(count, value));
  }
  FileBuilder& remove(const std::string& name) {
    arrays_.erase(name);
    return *this;
  }

  Dataset read(const ReadOptions& options = {}, ReadReport* report = nullptr) const {
    std::vector<NamedArray> named;
    for (const auto& [name, array] : arrays_) named.push_back({name, npy_view(array)});
    write_npz(path_, named);
    return read_dataset(path_, options, report);
  }

 private:
  std::string path_;
  std::map<std::string, NpyArray> arrays_;
};

}  // namespace

TEST_CASE("names are split at the first and the last slash") {
  struct Case {
    const char *name, *subject, *action, *clip;
  };
  for (const Case& c :
       {Case{"S9/Walking 1/2", "S9", "Walking 1", "S9/Walking 1"},
        Case{"14/14_30/0", "14", "14_30", "14/14_30"}, Case{"a/b/c/d", "a", "b/c", "a/b/c"},
        Case{"a/b", "a", "b", "a/b"}, Case{"video", "video", "video", "video"}}) {
    Sequence sequence;
    sequence.name = c.name;
    CAPTURE(c.name);
    CHECK(sequence.subject() == c.subject);
    CHECK(sequence.action() == c.action);
    CHECK(sequence.clip() == c.clip);
    CHECK(sequence.frames() == 0);
  }
}

TEST_CASE("a dataset comes back from its file") {
  const TemporaryDirectory directory;
  Dataset dataset;
  dataset.sequences.push_back(random_sequence("S9/Walk/1", 7, 1));
  dataset.sequences.push_back(random_sequence("S1/Sit/0", 3, 2));
  dataset.sequences[0].refined_3d = random_poses(7, 3, 0, 3);
  dataset.sequences[0].fps = 29.97f;
  dataset.sequences[1].pose_3d.reset();
  dataset.test_subjects = {"S9", "S11"};
  dataset.metadata = R"({"command": "prepare", "subject": "ä"})";
  for (const int level : {0, 1}) {
    write_dataset(directory.file("a.npz"), dataset, {level});
    const Dataset read = read_dataset(directory.file("a.npz"));
    REQUIRE(read.sequences.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const Sequence& expected = dataset.sequences[i];
      const Sequence& found = read.sequences[i];
      CHECK(found.name == expected.name);
      CHECK(found.pose_2d.values == expected.pose_2d.values);
      CHECK(found.pose_2d.channels == 2);
      CHECK(found.image_size == expected.image_size);
      CHECK(found.fps == expected.fps);
      for (const auto member : {&Sequence::pose_3d, &Sequence::noisy_3d, &Sequence::refined_3d}) {
        REQUIRE((found.*member).has_value() == (expected.*member).has_value());
        if (found.*member) CHECK((found.*member)->values == (expected.*member)->values);
      }
    }
    CHECK(read.test_subjects == dataset.test_subjects);
    CHECK(read.metadata == dataset.metadata);
    CHECK(read.is_test(read.sequences[0]));
    CHECK_FALSE(read.is_test(read.sequences[1]));
  }
}

TEST_CASE("the least file of somebody with an own estimator is valid") {
  const TemporaryDirectory directory;
  FileBuilder builder(directory.file("a.npz"));
  const Dataset dataset =
      builder.ones("my video/pose_2d", {2, 17, 2})
          .values<double>("my video/noisy_3d", {2, 17, 3}, std::vector<double>(102, 0.25))
          .values<std::int64_t>("my video/image_size", {2}, {640, 480})
          .values<float>("unrelated", {1}, {3})
          .read();
  REQUIRE(dataset.sequences.size() == 2);
  const Sequence& sequence = dataset.sequences[1];
  CHECK(sequence.name == "my video");
  CHECK(sequence.fps == 50);
  CHECK(sequence.image_size == std::array<std::int32_t, 2>{640, 480});
  CHECK(sequence.noisy_3d->values == std::vector<float>(102, 0.25f));  // from float64
  CHECK_FALSE(sequence.pose_3d.has_value());
  CHECK(dataset.test_subjects.empty());
  CHECK(dataset.metadata.empty());
}

TEST_CASE("fps may be any number, as a scalar or an array of one") {
  const TemporaryDirectory directory;
  FileBuilder builder(directory.file("a.npz"));
  builder.values<std::int64_t>("S1/Walk/0/fps", {}, {25});
  CHECK(builder.read().sequences[0].fps == 25);
  builder.values<double>("S1/Walk/0/fps", {1}, {30});
  CHECK(builder.read().sequences[0].fps == 30);
}

TEST_CASE("test subjects are lines, whoever wrote them") {
  const TemporaryDirectory directory;
  const std::string text = "S9\r\nS11\n\n";
  FileBuilder builder(directory.file("a.npz"));
  builder.values<std::uint8_t>("test_subjects", {static_cast<std::int64_t>(text.size())},
                               {text.begin(), text.end()});
  CHECK(builder.read().test_subjects == std::vector<std::string>{"S9", "S11"});
}

TEST_CASE("a misshapen array is refused with file, sequence, array, shapes and a hint") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  const std::string walk = "array 'S1/Walk/0/";
  const auto build = [&] { return FileBuilder(path); };

  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_2d", {5, 17}).read(), path, walk + "pose_2d'",
                      "expected shape (frames, 17, 2), found (5, 17)", "frames first");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_2d", {1, 5, 17, 2}).read(), path,
                      "found (1, 5, 17, 2)", "sequence of its own");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_2d", {5, 16, 2}).read(), path, walk + "pose_2d'",
                      "found (5, 16, 2)", "17 joints");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_2d", {5, 17, 3}).read(), path,
                      "found (5, 17, 3)", "an array of its own, 'confidence'");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/noisy_3d", {5, 17, 2}).read(), path,
                      walk + "noisy_3d'", "expected shape (frames, 17, 3), found (5, 17, 2)",
                      "3 coordinates");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_3d", {5, 32, 3}).read(), path, walk + "pose_3d'",
                      "found (5, 32, 3)", "17 joints");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/noisy_3d", {4, 17, 3}).read(), path,
                      walk + "noisy_3d'", "has 4 frames, pose_2d has 5", "cut both");
  CHECK_MESSAGE_PARTS(build().ones("S1/Walk/0/pose_2d", {0, 17, 2}).read(), path, walk + "pose_2d'",
                      "no frames", "leave the sequence out");
  CHECK_MESSAGE_PARTS(
      build()
          .values<std::int32_t>("S1/Walk/0/pose_2d", {5, 17, 2}, std::vector<std::int32_t>(170))
          .read(),
      path, walk + "pose_2d'", "expected float32 or float64, found int32", "astype");
}

TEST_CASE("a name with a control character is refused in one line") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  CHECK_MESSAGE_PARTS(FileBuilder(path).ones("S1/a\nb/0/pose_2d", {5, 17, 2}).read(), path,
                      "array 'S1/a?b/0/pose_2d'", "rename it");
}

TEST_CASE("missing arrays are named") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  CHECK_MESSAGE_PARTS(FileBuilder(path).remove("S1/Walk/0/pose_2d").read(), path,
                      "sequence 'S1/Walk/0' has no 'pose_2d'", "image_size, noisy_3d",
                      "add the array 'S1/Walk/0/pose_2d'");
  CHECK_MESSAGE_PARTS(FileBuilder(path).remove("S1/Walk/0/image_size").read(), path,
                      "sequence 'S1/Walk/0' has no 'image_size'");
  write_npz(path, std::vector<NamedArray>{{"x", npy_view<float>({0}, {})}});
  CHECK_MESSAGE_PARTS(read_dataset(path), path, "no sequence", "name arrays '<sequence>/<field>'");
  write_npz(path, std::vector<NamedArray>{{"pose_2d", npy_view<float>({0}, {})}});
  CHECK_MESSAGE_PARTS(read_dataset(path), path, "array 'pose_2d' has no sequence",
                      "'<sequence>/pose_2d'");
  write_all(path, "");
  CHECK_MESSAGE_PARTS(read_dataset(path), path, "is empty");
}

TEST_CASE("image sizes and frame rates that cannot be are refused") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  const auto with_size = [&](const Shape& shape, const std::vector<std::int32_t>& size) {
    return FileBuilder(path).values("S1/Walk/0/image_size", shape, size).read();
  };
  CHECK_MESSAGE_PARTS(with_size({3}, {1, 2, 3}), path, "S1/Walk/0/image_size",
                      "expected shape (2,), found (3,)", "width and height");
  CHECK_MESSAGE_PARTS(with_size({2}, {0, 1000}), path, "found 0 and 1000", "positive");
  CHECK_MESSAGE_PARTS(with_size({2}, {1000, -1}), path, "found 1000 and -1", "positive");
  CHECK_MESSAGE_PARTS(FileBuilder(path).fill("S1/Walk/0/fps", {}, 0).read(), path, "S1/Walk/0/fps",
                      "above 0, found 0");
  CHECK_MESSAGE_PARTS(FileBuilder(path).fill("S1/Walk/0/fps", {}, NAN).read(), path, "found nan");
  CHECK_MESSAGE_PARTS(FileBuilder(path).fill("S1/Walk/0/fps", {2}, 50).read(), path,
                      "expected one number, found shape (2,)");
  CHECK_MESSAGE_PARTS(FileBuilder(path).fill("test_subjects", {2}, 50).read(), path,
                      "array 'test_subjects'", "found float32 of shape (2,)", "frombuffer");
}

namespace {

// Poses of one value, lost (NaN, infinite) for joint 2 in the frames [begin, end).
std::vector<float> with_gap(int frames, int channels, int begin, int end, float lost) {
  std::vector<float> poses(std::size_t(frames * kJoints * channels), 0.25f);
  for (int f = begin; f < end; ++f) poses[std::size_t((f * kJoints + 2) * channels)] = lost;
  return poses;
}

}  // namespace

TEST_CASE("joints that an estimator missed for half a second are interpolated and counted") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  for (const float lost : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    FileBuilder builder(path);
    builder.values("S2/Sit/1/pose_2d", {60, 17, 2}, with_gap(60, 2, 10, 35, lost))
        .values("S2/Sit/1/noisy_3d", {60, 17, 3}, with_gap(60, 3, 0, 25, lost))
        .values<std::int32_t>("S2/Sit/1/image_size", {2}, {1000, 1000});
    ReadReport report;
    const Dataset dataset = builder.read({}, &report);
    REQUIRE(dataset.sequences.size() == 2);
    CHECK(dataset.sequences[1].pose_2d.values == std::vector<float>(60 * 17 * 2, 0.25f));
    CHECK(dataset.sequences[1].noisy_3d->values == std::vector<float>(60 * 17 * 3, 0.25f));
    CHECK(report.dropped.empty());
    REQUIRE(report.bridged.size() == 2);
    CHECK(report.bridged[0].sequence == "S2/Sit/1");
    CHECK(report.bridged[0].field == "pose_2d");
    CHECK(report.bridged[0].joints == 25);
    CHECK(report.bridged[0].frames == 25);
    CHECK(report.bridged[1].field == "noisy_3d");
    // Half a second has fewer frames at a lower rate.
    builder.values<double>("S2/Sit/1/fps", {}, {48});
    CHECK_MESSAGE_PARTS(builder.read(), path, "S2/Sit/1/pose_2d",
                        "joint 2 (RKnee) is NaN or infinite in frames 10 to 34 (25 frames)",
                        "at most 24 frames (0.5 s)", "--drop-invalid");
  }
}

TEST_CASE("confidence comes back, and is 0 for joints that were not seen") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  FileBuilder builder(path);
  CHECK(!builder.read().sequences[0].confidence);
  builder.fill("S1/Walk/0/confidence", {5, 17}, 0.5);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> poses(5 * 17 * 2, 3);
  poses[2 * (17 + 4) + 1] = nan;
  builder.values<float>("S1/Walk/0/pose_2d", {5, 17, 2}, poses);
  std::vector<float> expected(5 * 17, 0.5F);
  expected[17 + 4] = 0;
  const Dataset dataset = builder.read();
  CHECK(dataset.sequences[0].confidence == expected);
  write_dataset(path, dataset);
  CHECK(read_dataset(path).sequences[0].confidence == expected);
  // What is not known of the others is 1.
  for (float& c : expected) c = c > 0 ? 1 : 0;
  CHECK(builder.remove("S1/Walk/0/confidence").read().sequences[0].confidence == expected);
}

TEST_CASE("zeros that stand for what is missing are gaps") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  std::vector<float> pixels(5 * 17 * 2, 3);
  std::vector<float> poses(5 * 17 * 3, 0.5F);
  std::fill_n(pixels.begin() + 2 * 17 * 2, 17 * 2, 0.0F);   // nobody in frame 2
  std::fill_n(pixels.begin() + (3 * 17 + 4) * 2, 2, 0.0F);  // no joint 4 in frame 3
  pixels[5 * 2] = 0;  // one at the left border, which is there
  std::fill_n(poses.begin() + 17 * 3, 17 * 3, 0.0F);
  std::fill_n(poses.begin(), 3, 0.0F);  // a root at zero
  FileBuilder builder(path);
  builder.values("S1/Walk/0/pose_2d", {5, 17, 2}, pixels)
      .values("S1/Walk/0/noisy_3d", {5, 17, 3}, poses);
  ReadReport report;
  const Sequence read = builder.read({}, &report).sequences[0];
  REQUIRE(report.bridged.size() == 2);
  CHECK(report.bridged[0].joints == 18);
  CHECK(report.bridged[1].joints == 17);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    CHECK(read.pose_2d.values[i] == (i == 5 * 2 ? 0 : 3));
  }
  CHECK(read.noisy_3d->frame(1)[20] == 0.5F);
  CHECK(read.noisy_3d->frame(0)[0] == 0);
  CHECK(std::ranges::count(*read.confidence, 0.0F) == 18);
  builder.ones("S1/Walk/0/pose_2d", {5, 17, 2}).fill("S1/Walk/0/noisy_3d", {5, 17, 3}, 0);
  CHECK_MESSAGE_PARTS(builder.read(), path, "noisy_3d", "all joints", "all zeros count as missing");
}

TEST_CASE("confidences that cannot be are refused") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  const auto read = [&](const Shape& shape, float value) {
    FileBuilder(path).fill("S1/Walk/0/confidence", shape, value).read();
  };
  CHECK_MESSAGE_PARTS(read({4, 17}, 1), path, "array 'S1/Walk/0/confidence'",
                      "expected shape (5, 17), found (4, 17)");
  for (const float value : {-0.1F, 1.5F, 90.0F, std::numeric_limits<float>::quiet_NaN()}) {
    CHECK_MESSAGE_PARTS(read({5, 17}, value), path, "from 0 to 1, found ", "frame 0, joint 0");
  }
}

TEST_CASE("longer gaps cost their sequence and no other") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  FileBuilder builder(path);
  builder.values("S2/Sit/1/pose_2d", {60, 17, 2}, with_gap(60, 2, 3, 4, NAN))
      .values("S2/Sit/1/noisy_3d", {60, 17, 3}, with_gap(60, 3, 10, 36, NAN))
      .values<std::int32_t>("S2/Sit/1/image_size", {2}, {1000, 1000});
  CHECK_MESSAGE_PARTS(builder.read(), path, "array 'S2/Sit/1/noisy_3d'", "joint 2 (RKnee)",
                      "frames 10 to 35 (26 frames)", "at most 25", "--drop-invalid");
  ReadReport report;
  const Dataset dataset = builder.read({.drop_invalid = true}, &report);
  REQUIRE(dataset.sequences.size() == 1);
  CHECK(dataset.sequences[0].name == "S1/Walk/0");
  CHECK(report.dropped == std::vector<std::string>{"S2/Sit/1"});
  CHECK(report.bridged.empty());  // of what is left
  builder.values("S1/Walk/0/pose_2d", {5, 17, 2}, with_gap(5, 2, 0, 5, NAN));
  CHECK_MESSAGE_PARTS(builder.read({.drop_invalid = true}), path, "all 2 sequences");
  // A double that is finite, but not as a float.
  CHECK_MESSAGE_PARTS(FileBuilder(path)
                          .values("S1/Walk/0/noisy_3d", {5, 17, 3}, std::vector<double>(255, 1e300))
                          .read(),
                      path, "noisy_3d", "all joints", "infinite", "frames 0 to 4");
}

TEST_CASE("the truth and results are not interpolated") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  for (const float lost : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const char* field : {"pose_3d", "refined_3d"}) {
      FileBuilder builder(path);
      builder.values(std::string("S1/Walk/0/") + field, {5, 17, 3}, with_gap(5, 3, 1, 2, lost));
      CHECK_MESSAGE_PARTS(builder.read(), path, field, "NaN or infinite in frame 1",
                          "not interpolated", "--drop-invalid");
      builder.ones("S2/a/0/pose_2d", {1, 17, 2})
          .values<std::int32_t>("S2/a/0/image_size", {2}, {1000, 1000});
      CHECK(builder.read({.drop_invalid = true}).sequences.size() == 1);
    }
  }
}

TEST_CASE("what was interpolated is kept in the metadata, added to what is there") {
  Dataset dataset;
  dataset.metadata = R"({"source":"keypoints","interpolated_joints":{"a":2}})";
  note_bridged(dataset, {});
  CHECK(dataset.metadata == R"({"source":"keypoints","interpolated_joints":{"a":2}})");
  note_bridged(dataset, {{}, {{"a", "pose_2d", 3, 1}, {"b", "noisy_3d", 5, 5}}});
  CHECK(dataset.metadata == R"({"source":"keypoints","interpolated_joints":{"a":5,"b":5}})");
}

TEST_CASE("the last window comes back from its file") {
  const TemporaryDirectory directory;
  Dataset dataset;
  dataset.sequences.push_back(random_sequence("S9/Walk/1", 7, 1));
  dataset.sequences[0].noisy_3d_last_window = random_poses(9, 3, 0, 5);
  write_dataset(directory.file("a.npz"), dataset);
  const Dataset read = read_dataset(directory.file("a.npz"));
  REQUIRE(read.sequences[0].noisy_3d_last_window);
  CHECK(read.sequences[0].noisy_3d_last_window->values ==
        dataset.sequences[0].noisy_3d_last_window->values);
  CHECK_FALSE(read.sequences[0].refined_3d_last_window);
}

TEST_CASE("a sequence that is not whole is not written") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  Dataset dataset;
  dataset.sequences.push_back(random_sequence("S1/Walk/0", 5, 1));
  dataset.sequences[0].refined_3d = random_poses(4, 3, 0, 1);
  CHECK_MESSAGE_PARTS(write_dataset(path, dataset), path, "S1/Walk/0/refined_3d",
                      "204 values of 3 channels for 5 frames");
  dataset.sequences[0].refined_3d.reset();
  dataset.sequences.push_back(dataset.sequences[0]);
  CHECK_MESSAGE_PARTS(write_dataset(path, dataset), path, "two arrays", "S1/Walk/0/pose_2d");
  dataset.sequences.assign(1, Sequence());
  dataset.sequences[0].name = "S1/Walk/1";
  dataset.sequences[0].image_size = {10, 10};
  dataset.sequences[0].pose_2d.channels = 2;
  CHECK_MESSAGE_PARTS(write_dataset(path, dataset), path, "S1/Walk/1/pose_2d",
                      "0 values of 2 channels for 0 frames");
  CHECK(directory.count() == 0);
}
