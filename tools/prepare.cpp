// posetape prepare: datasets from motion capture, or from the embedded generator.
#include <fmt/format.h>

#include <map>
#include <memory>

#include "data/h36m.hpp"
#include "data/keypoints.hpp"
#include "data/prepare.hpp"
#include "tools/commands.hpp"
#include "tools/files.hpp"

namespace posetape::tools {
namespace {

struct Options {
  Common common;
  data::PrepareOptions prepare;
  std::string directory;
  std::string output;
  data::HipRoot hip = data::HipRoot::root;
  std::vector<std::string> test_subjects;
};

struct SyntheticFiles : Options {
  data::SyntheticOptions motion;
};

struct BvhFiles : Options {
  data::BvhOptions motion;
};

// Metres.
const std::map<std::string, double> kUnits{{"m", 1}, {"cm", 0.01}, {"mm", 0.001}, {"in", 0.0254}};

void add_common(CLI::App& command, Options& options) {
  options.common.add_to(command);
  add_output(command, "-o,--output", options.output, "Dataset to write (.npz)")->required();
  command.add_option("--fps", options.prepare.fps, "Frames a second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--cameras", options.prepare.cameras, "Which of the four cameras, 0 to 3")
      ->delimiter(',')
      ->check(CLI::Range(0, 3))
      ->capture_default_str();
  add_choice(command, "--detector", options.prepare.detector, "2D poses");
  command.add_option("--subjects", options.prepare.subjects, "Only these subjects")->delimiter(',');
  command.add_option("--test-subjects", options.test_subjects, "Subjects that no training may see")
      ->delimiter(',');
}

void add_hip(CLI::App& command, data::HipRoot& hip) {
  add_choice(command, "--hip", hip, "Joint 0");
}

void write(const Options& options, const data::Dataset& dataset) {
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
  if (!options.test_subjects.empty()) options.prepare.test_subjects = options.test_subjects;
}

struct H36mFiles {
  Common common;
  data::H36mOptions prepare;
  std::string positions, keypoints, output;
  std::vector<std::string> test_subjects;
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
  data::write_dataset(files.output, dataset);
  for (const std::string& note : report.notes) fmt::print("note: {}\n", note);
  fmt::print("wrote {}; test subjects: {}\n", shown(files.output),
             fmt::join(dataset.test_subjects, ", "));
  print_total("train", report.train, data::H36mReport::kTrain);
  print_total("test", report.test, data::H36mReport::kTest);
  fmt::print("  {}; 2D poses are {:.2f} pixels from the exact projections on average\n",
             report.complete ? "complete" : "not the whole data set", report.pixels);
}

void add_h36m(CLI::App& prepare) {
  auto files = std::make_shared<H36mFiles>();
  CLI::App* command = prepare.add_subcommand(
      "h36m", "From Human3.6M in VideoPose3D's files, which hold pickles: no code in them is run");
  files->common.add_to(*command);
  add_input(*command, "positions", files->positions, "3D poses: data_3d_h36m.npz")->required();
  add_input(*command, "keypoints", files->keypoints,
            "2D poses: data_2d_h36m_cpn_ft_h36m_dbb.npz, data_2d_h36m_gt.npz or the "
            "like (default: exact projections)");
  add_output(*command, "-o,--output", files->output, "Dataset to write (.npz)")->required();
  command->add_option("--cameras", files->prepare.cameras, "Which of the four cameras, 0 to 3")
      ->delimiter(',')
      ->check(CLI::Range(0, 3))
      ->capture_default_str();
  command->add_option("--subjects", files->prepare.subjects, "Only these subjects")->delimiter(',');
  command
      ->add_option("--test-subjects", files->test_subjects,
                   "Subjects that no training may see (default: S9,S11)")
      ->delimiter(',');
  command->footer(
      "Example: posetape prepare h36m data_3d_h36m.npz data_2d_h36m_cpn_ft_h36m_dbb.npz -o "
      "h36m.npz");
  command->callback([files] { write_h36m(*files); });
}

struct KeypointsFiles {
  Common common;
  data::KeypointsOptions prepare;
  std::string input, output;
};

void write_keypoints(const KeypointsFiles& files) {
  files.common.apply();
  std::vector<std::string> notes;
  const data::Dataset dataset = data::prepare_keypoints(files.input, files.prepare, notes);
  data::write_dataset(files.output, dataset);
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  fmt::print("wrote {}: {} sequences\n", shown(files.output), dataset.sequences.size());
}

void add_keypoints(CLI::App& prepare) {
  auto files = std::make_shared<KeypointsFiles>();
  CLI::App* command = prepare.add_subcommand(
      "keypoints", "2D poses of your own videos, from VideoPose3D's data_2d_custom_*.npz");
  files->common.add_to(*command);
  add_input(*command, "input", files->input, "2D poses (.npz)")->required();
  add_output(*command, "-o,--output", files->output, "Dataset to write (.npz)")->required();
  add_choice(*command, "--layout", files->prepare.layout,
             "Order of the joints (default: as the file says)");
  command->add_option("--fps", files->prepare.fps, "Frames a second of the videos")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--image-size", files->prepare.image_size,
                   "Width and height in pixels, where the file does not say them")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000000));
  command->footer(
      "Example: posetape prepare keypoints data_2d_custom_mine.npz -o mine.npz --fps 30");
  command->callback([files] { write_keypoints(*files); });
}

}  // namespace

void add_prepare(CLI::App& app) {
  CLI::App* prepare = app.add_subcommand("prepare", "Make a dataset of 2D and true 3D poses");
  prepare->require_subcommand(1);
  add_h36m(*prepare);
  add_keypoints(*prepare);

  auto cmu = std::make_shared<Options>();
  CLI::App* from_cmu = prepare->add_subcommand("cmu", "From ASF/AMC files of the CMU database");
  add_common(*from_cmu, *cmu);
  add_input_folder(*from_cmu, "directory", cmu->directory,
                   "Folder with <subject>/<subject>.asf and .amc", {".asf", ".amc"})
      ->required();
  add_hip(*from_cmu, cmu->hip);
  from_cmu->footer("Example: posetape prepare cmu cmu/ -o data.npz --test-subjects 17,127,131");
  from_cmu->callback([cmu] {
    apply_common(*cmu);
    write(*cmu, data::prepare_cmu(cmu->directory, cmu->prepare, cmu->hip));
  });

  auto bvh = std::make_shared<BvhFiles>();
  CLI::App* from_bvh = prepare->add_subcommand("bvh", "From motion capture in BVH files");
  add_common(*from_bvh, *bvh);
  add_input_folder(*from_bvh, "directory", bvh->directory,
                   "Folder with .bvh files, or with one folder of them for each subject", {".bvh"})
      ->required();
  from_bvh
      ->add_option("--unit", bvh->motion.metres_per_unit,
                   "The files' unit of length: m, cm, mm, in, or so many metres")
      ->transform(CLI::Transformer(kUnits).description("UNIT"))
      ->check([](const std::string& text) {
        double metres = 0;
        const bool good = CLI::detail::lexical_cast(text, metres) && metres > 0;
        return good ? "" : "expected m, cm, mm, in or a number of metres, found " + text;
      })
      ->capture_default_str();
  add_choice(*from_bvh, "--up", bvh->motion.up, "The files' vertical axis");
  add_hip(*from_bvh, bvh->motion.hip);
  from_bvh->footer("Example: posetape prepare bvh lafan1/ -o data.npz --test-subjects subject5");
  from_bvh->callback([bvh] {
    apply_common(*bvh);
    write(*bvh, data::prepare_bvh(bvh->directory, bvh->prepare, bvh->motion));
  });

  auto generated = std::make_shared<SyntheticFiles>();
  CLI::App* synthetic = prepare->add_subcommand("synthetic", "From the embedded motion generator");
  add_common(*synthetic, *generated);
  synthetic->add_option("--people", generated->motion.subjects, "How many different bodies")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  synthetic->add_option("--takes", generated->motion.takes, "Takes of every action")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  synthetic->add_option("--seconds", generated->motion.seconds, "Length of a take")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  synthetic->footer("Example: posetape prepare synthetic -o data.npz --people 8");
  synthetic->callback([generated] {
    apply_common(*generated);
    write(*generated, data::prepare_synthetic(generated->prepare, generated->motion));
  });
}

}  // namespace posetape::tools
