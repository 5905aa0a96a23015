// What a long command shows: one line redrawn on a terminal, plain lines in a file.
#pragma once

#include <chrono>
#include <string>

namespace posetape::tools {

class Progress {
 public:
  // `unit` is what is counted ("windows"), `total` how many there will be. Quiet: shows nothing.
  Progress(std::string label, std::string unit, double total, bool quiet = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` units are finished; `extra` stands behind rate and time left. Redraws at most ten times
  // a second on a terminal; elsewhere shows nothing, since a log keeps finished lines only.
  void update(double done, const std::string& extra = {});
  // Takes the line away and prints `line` in its place, to stay.
  void line(const std::string& text);

 private:
  void clear();

  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::string unit_;
  double total_;
  double start_done_ = -1;  // at the first update: a resumed run does not start at zero
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

// The text of the line, at most `columns` long: what does not fit is left out, the bar first.
std::string progress_line(const std::string& label, double part, const std::string& figures,
                          int columns);

// "1:02:03", "4:05"
std::string duration(double seconds);

}  // namespace posetape::tools
