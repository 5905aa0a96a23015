// The report's page: page.html with style.css and the scripts inside, as embed.py joins them.
#pragma once

namespace posetape::tools::report {

// What stands before and after the data, which is JSON in a <script> element.
extern const char* const kPageHead;
extern const char* const kPageTail;

}  // namespace posetape::tools::report
