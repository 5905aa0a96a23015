#include "tools/inspect_studies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "data/skeleton.hpp"
#include "data/text_table.hpp"
#include "engine/taps.hpp"
#include "tools/progress.hpp"

namespace posetape::tools {
namespace {

using data::JointErrors;
using Rows = std::vector<std::vector<std::string>>;

// The columns of tables: joints, those of both sides together.
struct JointGroup {
  const char* title;
  std::vector<int> joints;
};
const std::vector<JointGroup>& joint_groups() {
  static const std::vector<JointGroup> groups{
      {"hips", {1, 4}},     {"knees", {2, 5}},    {"feet", {3, 6}}, {"spine", {7}},
      {"thorax", {8}},      {"neck", {9}},        {"head", {10}},   {"shoulders", {11, 14}},
      {"elbows", {12, 15}}, {"wrists", {13, 16}},
  };
  return groups;
}

double mean(const JointErrors& errors) {
  return std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
}

double mean(const JointErrors& errors, const std::vector<int>& joints) {
  double sum = 0;
  for (const int j : joints) sum += errors[static_cast<std::size_t>(j)];
  return sum / static_cast<double>(joints.size());
}

std::vector<std::string> header(std::vector<std::string> row) {
  for (const JointGroup& group : joint_groups()) row.emplace_back(group.title);
  return row;
}

// The mean over all joints, then the groups' means.
void append(std::vector<std::string>& row, const JointErrors& errors, bool with_sign) {
  const auto cell = [&](double mm) {
    row.push_back(with_sign ? fmt::format("{:+.2f}", mm) : fmt::format("{:.1f}", mm));
  };
  cell(mean(errors));
  for (const JointGroup& group : joint_groups()) cell(mean(errors, group.joints));
}

void append(StudyArray& array, const JointErrors& errors) {
  array.values.insert(array.values.end(), errors.begin(), errors.end());
}

std::int64_t count(std::size_t n) {
  return static_cast<std::int64_t>(n);
}

void ablate(const diffusion::Study& study, diffusion::Substitute substitute, Studies& studies) {
  std::vector<diffusion::Part> parts = diffusion::parts(study.refiner().config().network);
  Progress progress("ablate", "parts", static_cast<double>(parts.size()));
  const diffusion::Ablation found =
      diffusion::ablate(study, std::move(parts), substitute,
                        [&](std::size_t done) { progress.update(static_cast<double>(done)); });
  StudyArray whole{"ablation.whole_mm", {data::kJoints}, {}};
  StudyArray error{"ablation.error_mm", {count(found.parts.size()), data::kJoints}, {}};
  append(whole, found.whole);
  Rows rows{header({"without (error +mm)", "MPJPE"})};
  rows.push_back({"(whole: error, mm)"});
  append(rows.back(), found.whole, /*with_sign=*/false);
  nlohmann::ordered_json names = nlohmann::ordered_json::array();
  for (std::size_t p = 0; p < found.parts.size(); ++p) {
    append(error, found.error[p]);
    JointErrors change = found.error[p];
    for (std::size_t j = 0; j < change.size(); ++j) change[j] -= found.whole[j];
    rows.push_back({found.parts[p].name});
    append(rows.back(), change, /*with_sign=*/true);
    names.push_back(found.parts[p].name);
  }
  studies.arrays.push_back(std::move(whole));
  studies.arrays.push_back(std::move(error));
  studies.description["ablation"] = {{"substitute", name(substitute)}, {"parts", names}};
  studies.text += data::text_table(rows) + "\n";
}

void read_lens(const diffusion::Study& study, Studies& studies) {
  const diffusion::Lens found = diffusion::lens(study);
  const std::size_t steps = found.timesteps.size();
  StudyArray state{"lens.state_mm", {count(steps), data::kJoints}, {}};
  StudyArray answers{
      "lens.error_mm", {count(steps), count(found.streams.size()), data::kJoints}, {}};
  Rows rows{header({"step, the answer after (error, mm)", "MPJPE"})};
  for (std::size_t k = 0; k < steps; ++k) {
    append(state, found.state[k]);
    rows.push_back({fmt::format("{}, state x_k, t = {}", k + 1, found.timesteps[k])});
    append(rows.back(), found.state[k], /*with_sign=*/false);
    for (std::size_t s = 0; s < found.streams.size(); ++s) {
      append(answers, found.answers[k][s]);
      rows.push_back({fmt::format("{}, {}", k + 1, found.streams[s])});
      append(rows.back(), found.answers[k][s], /*with_sign=*/false);
    }
  }
  studies.arrays.push_back(std::move(state));
  studies.arrays.push_back(std::move(answers));
  studies.description["lens"] = {{"streams", found.streams}};
  studies.text += data::text_table(rows) + "\n";
}

int joint_of(const std::string& text, const std::string& option) {
  const auto found = std::ranges::find(data::kJointNames, text);
  if (found == data::kJointNames.end()) {
    fail("--saliency {}: there is no joint {}; those are {}", option, text,
         fmt::join(data::kJointNames, ", "));
  }
  return static_cast<int>(found - data::kJointNames.begin());
}

void follow(const diffusion::Study& study, const std::string& text, int first_frame,
            Studies& studies) {
  const std::size_t colon = text.find(':');
  const int joint = joint_of(text.substr(0, colon), text);
  int frame = study.sequence().frames() / 2;
  if (colon != std::string::npos) {
    const std::string number = text.substr(colon + 1);
    const auto [end, bad] = std::from_chars(number.data(), number.data() + number.size(), frame);
    frame -= first_frame;
    if (bad != std::errc() || end != number.data() + number.size() || frame < 0 ||
        frame >= study.sequence().frames()) {
      fail("--saliency {}: there is no frame {}; they are {} to {}", text, number, first_frame,
           first_frame + study.sequence().frames() - 1);
    }
  }
  const diffusion::Saliency found = diffusion::saliency(study, frame, joint);
  const auto keep = [&](const char* name, const std::vector<double>& values, Index channels) {
    studies.arrays.push_back(
        {name, {3, found.frames, data::kJoints, channels}, {values.begin(), values.end()}});
  };
  keep("saliency.noisy_3d", found.noisy, 3);
  keep("saliency.pose_2d", found.pose_2d, found.screen);
  studies.description["saliency"] = {{"joint", data::kJointNames[static_cast<std::size_t>(joint)]},
                                     {"frame", first_frame + frame},
                                     {"first_frame", first_frame + found.first_frame}};
}

}  // namespace

void StudyOptions::add_to(const Command& command) {
  add_choice(command, "--ablate", ablate,
             "Take out each head and block, in all steps, and say what that does to the error of "
             "each joint; in its place");
  command.add_flag("--lens", lens,
                   "The error of what the output layer would answer after each block, by step and "
                   "joint");
  command
      .add_option("--saliency", saliency,
                  "JOINT or JOINT:FRAME: gradients of this refined joint with respect to all "
                  "2D poses and estimates of its window (default: the middle frame)")
      .type("JOINT");
}

Studies run_studies(const StudyOptions& options, const diffusion::Study& study, int first_frame) {
  Studies studies;
  studies.description = nlohmann::ordered_json::object();
  if (options.lens) read_lens(study, studies);
  if (options.ablate) ablate(study, *options.ablate, studies);
  if (!options.saliency.empty()) follow(study, options.saliency, first_frame, studies);
  return studies;
}

}  // namespace posetape::tools
