// npz_copy IN OUT LEVEL: reads every array of IN and writes it to OUT. The half of npz_numpy.py
// that is not numpy.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "data/npz.hpp"

using namespace posetape::data;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    const NpzReader in(argv[1]);
    std::vector<NpyArray> arrays;
    for (const auto& name : in.names()) arrays.push_back(in.read(name));
    std::vector<NamedArray> out;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      out.push_back({in.names()[i], npy_view(arrays[i])});
    }
    write_npz(argv[2], out, {std::atoi(argv[3])});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
