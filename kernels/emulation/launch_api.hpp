// What launches remember (for the emulation's own files).
#pragma once

namespace posetape::emulation {

void reset_launches();

}  // namespace posetape::emulation
