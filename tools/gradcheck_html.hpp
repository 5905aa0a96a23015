// A run of the gradient-check suite as one page to look through.
#pragma once

#include <string>

#include "tools/gradcheck_report.hpp"

namespace posetape::tools {

// A whole HTML page that refers to nothing outside itself.
std::string html_report(const SuiteRun& run);

// Style and script of the page (gradcheck_page.cpp).
extern const char* const kPageStyle;
extern const char* const kPageScript;

}  // namespace posetape::tools
