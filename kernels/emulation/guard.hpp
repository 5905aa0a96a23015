// Reports for faults that the emulation provokes: the host in device memory, and a CUDA thread past
// the end of its stack (for the emulation's own files).
#pragma once

namespace posetape::emulation {

// Puts a handler before whoever handles SIGSEGV now, which is called afterwards. To be called
// often: test runners and sanitizers install theirs, too.
void watch_for_faults();

}  // namespace posetape::emulation
