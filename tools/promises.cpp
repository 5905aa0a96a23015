#include "tools/promises.hpp"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "data/text_table.hpp"

namespace posetape::tools {
namespace {

// What one thing that changes between two runs does.
struct Promise {
  const char* change;
  // Of a training: its checkpoints and losses are the same bits. Nothing: it does not apply.
  std::optional<bool> training;
  // Most units in the last place by which refined poses differ, at the largest coordinate, in f32
  // and of a network in bf16; 0 is the same bits. Nothing: it does not apply.
  std::optional<double> f32;
  std::optional<double> bf16;
};

constexpr auto kNone = std::nullopt;

constexpr Promise kPromises[] = {
    {"the same command again", true, 0, 0},
    {"--threads", true, 0, 0},
    {"--recompute", true, kNone, kNone},
    {"stopped, and --resume", true, kNone, kNone},
    {"mpirun -n, with the same --shards", true, 0, 0},
    {"--stream in place of a file and --delay", kNone, 0, 0},
    {"--shards", false, kNone, kNone},
    {"instruction set (info --machine)", false, 4, 1},
    {"--device cuda, emulated", false, 4, 1},
};

std::string bits(std::optional<bool> equal) {
  return !equal ? "-" : *equal ? "equal" : "differs";
}

std::string ulp(std::optional<double> most) {
  return !most ? "-" : *most == 0 ? "equal" : fmt::format("{:g} ULP", *most);
}

}  // namespace

std::string promises_table() {
  std::vector<std::vector<std::string>> table{
      {"what changes", "training", "refined, f32", "refined, bf16"}};
  for (const Promise& p : kPromises) {
    table.push_back({p.change, bits(p.training), ulp(p.f32), ulp(p.bf16)});
  }
  return data::text_table(table);
}

}  // namespace posetape::tools
