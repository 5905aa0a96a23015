// What the place that a command writes to can show.
#pragma once

namespace posetape::tools {

// Whether standard output or standard error (their file descriptors) is a terminal.
bool is_terminal(int descriptor);
// Its columns; 80 where that is unknown.
int terminal_columns(int descriptor);

// Colours are for people: a terminal that is not dumb, and no NO_COLOR (https://no-color.org).
bool wants_colour(int descriptor);

// Whether the locale (LC_ALL, else LC_CTYPE, else LANG) has UTF-8, so that text may be more than
// ASCII.
bool is_utf8();

}  // namespace posetape::tools
