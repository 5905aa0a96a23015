#include "tools/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace posetape::tools {

Progress::Progress(std::string label, std::string unit, double total)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  clear();
}

void Progress::update(double done, const std::string& extra) {
  if (start_done_ < 0) {
    start_done_ = done;
    start_ = Clock::now();
  }
  const auto now = Clock::now();
  if (!terminal_ || (drawn_ && now - last_ < std::chrono::milliseconds(100) && done < total_)) {
    return;
  }
  last_ = now;
  drawn_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate = elapsed > 0 ? (done - start_done_) / elapsed : 0;
  const double left = rate > 0 ? (total_ - done) / rate : 0;
  constexpr int kWidth = 24;
  const int filled = std::clamp(static_cast<int>(kWidth * done / std::max(total_, 1.0)), 0, kWidth);
  fmt::print(stderr, "\r\x1b[K{} [{}{}] {:3.0f}%  {:.0f} {}/s  {} left  {}", label_,
             std::string(static_cast<std::size_t>(filled), '#'),
             std::string(static_cast<std::size_t>(kWidth - filled), '.'),
             100 * done / std::max(total_, 1.0), rate, unit_, duration(left), extra);
  std::fflush(stderr);
}

void Progress::line(const std::string& text) {
  clear();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

std::string duration(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace posetape::tools
