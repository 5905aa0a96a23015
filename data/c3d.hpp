// C3D: points (and analog channels) over time in binary, as motion-capture systems write it.
//
// Blocks of 512 bytes: a header, parameters in groups (POINT, ANALOG, ...), then the frames, each
// point x, y, z and a word whose sign says whether the point was seen, whose low byte times |scale|
// is its residual. Numbers are those of Intel, DEC or MIPS processors, points 16-bit integers times
// the scale or, where the scale is negative, floats. Source: c3d.org's user guide.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/marker_motion.hpp"

namespace posetape::data {

enum class C3dProcessor { intel = 84, dec = 85, mips = 86 };

// A parameter: numbers, or texts of which the first dimension is the length.
struct C3dParameter {
  std::string group, name;  // in upper case
  std::vector<int> dimensions;
  std::vector<double> numbers;
  std::vector<std::string> texts;
};

struct C3d {
  std::string file;
  C3dProcessor processor = C3dProcessor::intel;
  std::vector<C3dParameter> parameters;
  std::vector<std::string> labels;  // of the points, [N]; empty where a point has none
  std::size_t frames = 0;
  std::int64_t first_frame = 1;
  double rate = 0;               // frames a second
  std::vector<Vec3> points;      // [F][N], in the file's unit; kMissing: not seen
  std::vector<float> residuals;  // [F][N], -1 where not seen
  Notes notes;                   // where the file contradicts itself

  // nullptr where there is none.
  const C3dParameter* find(std::string_view group, std::string_view name) const;
};

// Throws Error with file, what was expected and what is there.
C3d parse_c3d(std::string_view bytes, const std::string& file);

// The points as markers, with the unit of POINT:UNITS and the vertical of POINT:Y_SCREEN.
MarkerTrack c3d_markers(const C3d& c3d);

// A clip as a C3D file of floats (Intel): the 17 joints under their names, in mm and z up unless
// chosen otherwise, which POINT:UNITS and POINT:Y_SCREEN say. The residual is the standard
// deviation of x, y and z together, in steps of 2 mm up to 510, or else 1 - confidence in
// hundredths (POSETAPE:RESIDUAL says which), 0 where nothing is known.
std::string format_c3d(const PoseClip& clip, const ExportOptions& options);

}  // namespace posetape::data
