// Switching between flows of control, each with a stack of its own.
#pragma once

#include <cstddef>

#if !defined(POSETAPE_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define POSETAPE_UCONTEXT
#endif

#ifdef POSETAPE_UCONTEXT
#include <ucontext.h>
#endif

namespace posetape::emulation {

// A suspended flow of control.
struct Context {
#ifdef POSETAPE_UCONTEXT
  ucontext_t state;
#else
  void* stack_pointer = nullptr;
#endif
};

// Makes `context` begin in entry() on the given stack, once switched to. entry must not return.
void prepare_context(Context& context, char* stack, std::size_t bytes, void (*entry)());

// Suspends the caller into `from` and resumes `to`. What a function may count on after a call is
// kept; floating-point control words are common to all.
void switch_context(Context& from, Context& to);

}  // namespace posetape::emulation
