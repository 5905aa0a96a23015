// pickle_copy IN NAME OUT: reads the pickled object NAME of the npz file IN and writes all numbers,
// texts and arrays in it to the npz file OUT, each named by its path. The half of pickle_numpy.py
// that is not numpy.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "data/numpy_pickle.hpp"
#include "engine/error.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

struct Found {
  std::string path;
  NpyArray array;
};

NpyArray scalar(double number) {
  NpyArray array{NpyType::f8, {}, std::vector<std::byte>(sizeof(double))};
  std::memcpy(array.bytes.data(), &number, sizeof(double));
  return array;
}

void walk(const PickleValue& value, const std::string& path, int depth, std::vector<Found>& found) {
  if (depth > 8) fail("{}: too deep", path);
  switch (value.kind()) {
    case PickleKind::list:
    case PickleKind::tuple:
      for (std::size_t i = 0; i < value.size(); ++i) {
        walk(value[i], path + "/" + std::to_string(i), depth + 1, found);
      }
      return;
    case PickleKind::dict:
      for (std::size_t i = 0; i < value.size(); ++i) {
        walk(value.value(i), path + "/" + std::string(value.key(i).text()), depth + 1, found);
      }
      return;
    case PickleKind::text:
    case PickleKind::bytes: {
      const std::span<const std::byte> bytes = value.bytes();
      found.push_back(
          {path,
           {NpyType::u1, {static_cast<std::int64_t>(bytes.size())}, {bytes.begin(), bytes.end()}}});
      return;
    }
    case PickleKind::none:
      found.push_back({path, {NpyType::u1, {0}, {}}});
      return;
    default:
      found.push_back(
          {path, is_array(value) ? array_of(value, path) : scalar(number_of(value, path))});
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    const PickledObject object = read_object(NpzReader(argv[1]), argv[2]);
    std::vector<Found> found;
    walk(object.value, "root", 0, found);
    std::vector<NamedArray> arrays;
    for (const Found& f : found) arrays.push_back({f.path, npy_view(f.array)});
    write_npz(argv[3], arrays);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
