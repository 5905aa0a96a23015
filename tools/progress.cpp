#include "tools/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tools/terminal.hpp"

namespace posetape::tools {

Progress::Progress(std::string label, std::string unit, double total, bool quiet)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      quiet_(quiet),
      terminal_(!quiet && is_terminal(STDERR_FILENO)),
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
  const double part = std::clamp(done / std::max(total_, 1.0), 0.0, 1.0);
  const std::string figures =
      fmt::format("{:.0f} {}/s  {} left  {}", rate, unit_, duration(left), extra);
  fmt::print(stderr, "\r\x1b[K{}",
             progress_line(label_, part, figures, terminal_columns(STDERR_FILENO)));
  std::fflush(stderr);
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  clear();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

std::string progress_line(const std::string& label, double part, const std::string& figures,
                          int columns) {
  const std::string percent = fmt::format("{:3.0f}%  ", 100 * part);
  // A terminal wraps a line that fills its last column.
  const int room = columns - 1 - static_cast<int>(label.size() + percent.size() + figures.size());
  const int width = std::min(24, room - 4);  // the bar's, without brackets and spaces
  std::string bar = " ";
  if (width > 3) {
    const int filled = static_cast<int>(width * part);
    bar = fmt::format(" [{:.<{}}] ", std::string(static_cast<std::size_t>(filled), '#'), width);
  }
  const std::string text = label + bar + percent + figures;
  return text.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0)));
}

std::string duration(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace posetape::tools
