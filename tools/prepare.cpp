// posetape prepare: datasets from motion capture, or from the embedded generator.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "data/h36m.hpp"
#include "data/motion_files.hpp"
#include "data/prepare.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"
#include "tools/guards.hpp"
#include "tools/prepare_keypoints.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  data::PrepareOptions prepare;
  std::vector<std::string> cameras;  // as they are given
  std::string calibration;
  std::vector<std::string> detector_parts;
  std::string output;
  std::vector<std::string> test_subjects;
  bool force = false;
};

struct SyntheticFiles : Options {
  data::SyntheticOptions motion;
};

struct MotionFiles : Options {
  const data::FormatRule* format = nullptr;
  std::string path, map;
  data::MotionOptions motion;
};

std::string part_names() {
  return names_of<data::DetectorPart>(kChoices<data::DetectorPart>.list);
}

// "1", "random" or "random:4", at most once each.
void take_cameras(const std::vector<std::string>& texts, data::PrepareOptions& prepare) {
  prepare.cameras.clear();
  for (const std::string& text : texts) {
    int number = -1;
    const bool drawn = text.starts_with("random");
    const std::string digits = drawn ? text.substr(std::min<std::size_t>(text.size(), 7)) : text;
    if (text == "random") {
      number = 1;
    } else if (digits.size() >= 1 && digits.size() <= 4 && (!drawn || text[6] == ':') &&
               std::ranges::all_of(digits, [](unsigned char c) { return std::isdigit(c) != 0; })) {
      number = std::stoi(digits);
    }
    if (drawn ? number < 1 || number > 1000 : number < 0 || number > 3) {
      throw WrongUsage(
          fmt::format("--cameras: expected 0 to 3, random or random:COUNT, found {}", text));
    }
    if (drawn) {
      prepare.random_cameras += number;
    } else {
      prepare.cameras.push_back(number);
    }
  }
}

void take_parts(const std::vector<std::string>& texts, data::PrepareOptions& prepare) {
  if (texts.empty()) return;
  if (prepare.detector == data::Detector::simulated || prepare.detector == data::Detector::gt) {
    fail("--detector-parts: --detector {} has no parts; choose openpose or mediapipe",
         name(prepare.detector));
  }
  prepare.detector_parts = {};
  for (const std::string& text : texts) {
    prepare.detector_parts[static_cast<std::size_t>(parse<data::DetectorPart>(text))] = true;
  }
}

void add_common(const Command& command, Options& options) {
  options.common.add_to(command);
  add_output(command, "-o,--output", options.output, "Dataset to write (.npz)").required();
  command.add_option("--fps", options.prepare.fps, "Frames a second").positive().show_default();
  command
      .add_option("--cameras", options.cameras,
                  "Which of Human3.6M's four cameras, 0 to 3, and `random` for one drawn anew for "
                  "each clip, `random:4` for four of them (default: 0,1,2,3; with --camera none)")
      .list();
  command.add_option("--camera", options.calibration,
                     "Also, or instead, the cameras of a calibration (JSON, data/README.md)");
  static constexpr auto kJointChoices = std::span(kChoices<data::JointDefinitions>.list).subspan(1);
  add_choice(command, "--joints", options.prepare.joints, "What hip, thorax, neck and head are",
             kJointChoices);
  add_choice(command, "--detector", options.prepare.detector, "2D poses");
  command
      .add_option(
          "--detector-parts", options.detector_parts,
          "Of openpose and mediapipe, only these parts: " + part_names() + " (default: all)")
      .list();
  command.add_option("--subjects", options.prepare.subjects, "Only these subjects").list();
  command.add_option("--test-subjects", options.test_subjects, "Subjects that no training may see")
      .list();
  add_force(command, options.force);
}

// `source` is what the guards speak of.
void write(const Options& options, const data::Dataset& dataset, const std::string& source,
           const Mends& mends = {}) {
  guard(dataset, source, options.force, mends);
  data::write_dataset(options.output, dataset);
  std::int64_t frames = 0;
  for (const data::Sequence& s : dataset.sequences) frames += s.frames();
  fmt::print("wrote {}: {} sequences, {} frames at {:g} fps; test subjects: {}\n",
             shown(options.output), dataset.sequences.size(), frames, options.prepare.fps,
             fmt::join(dataset.test_subjects, ", "));
}

void apply_common(Options& options) {
  options.common.apply();
  options.prepare.seed = options.common.seed;
  if (!options.calibration.empty()) {
    options.prepare.own_cameras = data::read_calibration(options.calibration);
    options.prepare.cameras.clear();
  }
  if (!options.cameras.empty()) take_cameras(options.cameras, options.prepare);
  take_parts(options.detector_parts, options.prepare);
  if (!options.test_subjects.empty()) options.prepare.test_subjects = options.test_subjects;
}

struct H36mFiles {
  Common common;
  data::H36mOptions prepare;
  std::string positions, keypoints, output;
  std::vector<std::string> test_subjects;
  bool force = false;
};

void print_total(const char* name, const data::H36mTotal& found, const data::H36mTotal& whole) {
  fmt::print("  {:<6} {:>4} sequences {:>9} frames (the whole data set: {} and {})\n", name,
             found.sequences, found.frames, whole.sequences, whole.frames);
}

void write_h36m(H36mFiles& files) {
  files.common.apply();
  if (!files.test_subjects.empty()) files.prepare.test_subjects = files.test_subjects;
  data::H36mReport report;
  const data::Dataset dataset =
      data::prepare_h36m(files.positions, files.keypoints, files.prepare, report);
  guard(dataset, files.positions, files.force);
  data::write_dataset(files.output, dataset);
  for (const std::string& note : report.notes) fmt::print("note: {}\n", note);
  fmt::print("wrote {}; test subjects: {}\n", shown(files.output),
             fmt::join(dataset.test_subjects, ", "));
  print_total("train", report.train, data::H36mReport::kTrain);
  print_total("test", report.test, data::H36mReport::kTest);
  fmt::print("  {}; 2D poses are {:.2f} pixels from the exact projections on average\n",
             report.complete ? "complete" : "not the whole data set", report.pixels);
}

void add_h36m(const Command& prepare) {
  auto files = std::make_shared<H36mFiles>();
  const Command command = prepare.add_command(
      "h36m", "From Human3.6M in VideoPose3D's files, which hold pickles: no code in them is run");
  files->common.add_to(command);
  add_input(command, "positions", files->positions, "3D poses: data_3d_h36m.npz").required();
  add_input(command, "keypoints", files->keypoints,
            "2D poses: data_2d_h36m_cpn_ft_h36m_dbb.npz, data_2d_h36m_gt.npz or the "
            "like (default: exact projections)");
  add_output(command, "-o,--output", files->output, "Dataset to write (.npz)").required();
  command.add_option("--cameras", files->prepare.cameras, "Which of the four cameras, 0 to 3")
      .list()
      .range(0, 3)
      .show_default();
  command.add_option("--subjects", files->prepare.subjects, "Only these subjects").list();
  command
      .add_option("--test-subjects", files->test_subjects,
                  "Subjects that no training may see (default: S9,S11)")
      .list();
  add_force(command, files->force);
  command.footer(
      "Example: posetape prepare h36m data_3d_h36m.npz data_2d_h36m_cpn_ft_h36m_dbb.npz -o "
      "h36m.npz");
  command.runs([files] { write_h36m(*files); });
}

// ---- Files of motion, by their formats ----

void write_motion(MotionFiles& files) {
  apply_common(files);
  if (!files.map.empty()) files.motion.joints = data::read_joints_map(files.map);
  data::Notes notes;
  const data::Dataset dataset =
      data::prepare_motion(*files.format, files.path, files.prepare, files.motion, notes);
  for (const std::string& note : notes) fmt::print("note: {}\n", shown_text(note));
  write(files, dataset, files.path,
        {{data::Check::unit, "give the files' unit with --unit"},
         {data::Check::scale, "give the files' unit with --unit"},
         {data::Check::axes, "give the files' vertical axis with --up"}});
}

void add_motion(const Command& prepare, const data::FormatRule& format) {
  auto files = std::make_shared<MotionFiles>();
  files->format = &format;
  const data::FormatReader& reader = *format.reader;
  const Command command = prepare.add_command(format.name, reader.help);
  add_common(command, *files);
  std::vector<std::string> endings(format.endings.begin(), format.endings.end());
  endings.insert(endings.end(), format.beside.begin(), format.beside.end());
  add_input_folder(command, "path", files->path,
                   fmt::format("Folder with {}; or one file", reader.files), endings)
      .required();
  add_unit(command, files->motion.metres_per_unit,
           "The files' unit of length: m, cm, mm, in, or so many metres (default: as they "
           "say or is usual, if a person's size comes of it)");
  add_choice(command, "--up", files->motion.up,
             "The files' vertical axis (default: as they say or is usual, if the person stands)");
  if (reader.hip) add_choice(command, "--hip", files->motion.hip, "Joint 0");
  if (reader.map != nullptr) {
    add_input(command, reader.map, files->map,
              "Text file of lines 'joint = name in the files', or several names whose mean it is");
  }
  command.footer(fmt::format("Example: {}", reader.example));
  command.runs([files] { write_motion(*files); });
}

}  // namespace

void add_prepare(const Command& app) {
  const Command prepare = app.add_group("prepare", "Make a dataset of 2D and true 3D poses");
  add_h36m(prepare);
  add_prepare_keypoints(prepare);

  for (const data::FormatRule* format : data::formats_read()) add_motion(prepare, *format);

  auto generated = std::make_shared<SyntheticFiles>();
  const Command synthetic = prepare.add_command("synthetic", "From the embedded motion generator");
  add_common(synthetic, *generated);
  synthetic.add_option("--people", generated->motion.subjects, "How many different bodies")
      .range(1, 1000)
      .show_default();
  synthetic.add_option("--takes", generated->motion.takes, "Takes of every action")
      .range(1, 1000)
      .show_default();
  synthetic.add_option("--seconds", generated->motion.seconds, "Length of a take")
      .range(0.1, 3600.0)
      .show_default();
  synthetic.footer("Example: posetape prepare synthetic -o data.npz --people 8");
  synthetic.runs([generated] {
    apply_common(*generated);
    write(*generated, data::prepare_synthetic(generated->prepare, generated->motion),
          "prepare synthetic");
  });
}

}  // namespace posetape::tools
