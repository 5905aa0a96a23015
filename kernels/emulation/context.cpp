#include "kernels/emulation/context.hpp"

#include <cstdint>
#include <cstring>

#ifdef POSETAPE_UCONTEXT

namespace posetape::emulation {

void prepare_context(Context& context, char* stack, std::size_t bytes, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = stack;
  context.state.uc_stack.ss_size = bytes;
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

void switch_context(Context& from, Context& to) {
  swapcontext(&from.state, &to.state);
}

}  // namespace posetape::emulation

#else

// Pushes the registers that a callee must preserve, stores the stack pointer in *save, and does the
// reverse on the other stack. swapcontext would cost two system calls for the signal mask.
extern "C" void posetape_switch_context(void** save, void* load);

#if defined(__x86_64__)
// System V ABI: rbp, rbx and r12 to r15.
asm(R"(
.text
.globl posetape_switch_context
.hidden posetape_switch_context
.type posetape_switch_context,@function
posetape_switch_context:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size posetape_switch_context,.-posetape_switch_context
)");
#elif defined(__aarch64__)
// AAPCS64: x19 to x30 and the low halves of v8 to v15.
asm(R"(
.text
.globl posetape_switch_context
.hidden posetape_switch_context
.type posetape_switch_context,%function
posetape_switch_context:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size posetape_switch_context,.-posetape_switch_context
)");
#endif

namespace posetape::emulation {

void prepare_context(Context& context, char* stack, std::size_t bytes, void (*entry)()) {
  // The stack as posetape_switch_context would have left it: registers are zero, and a null return
  // address above entry ends a debugger's walk.
#if defined(__x86_64__)
  constexpr std::size_t kSlots = 8, kEntry = 6;
#else
  constexpr std::size_t kSlots = 20, kEntry = 11;
#endif
  auto top = reinterpret_cast<std::uintptr_t>(stack + bytes) & ~std::uintptr_t{15};
  auto** slots = reinterpret_cast<void**>(top) - kSlots;
  std::memset(slots, 0, kSlots * sizeof(void*));
  slots[kEntry] = reinterpret_cast<void*>(entry);
  context.stack_pointer = slots;
}

void switch_context(Context& from, Context& to) {
  posetape_switch_context(&from.stack_pointer, to.stack_pointer);
}

}  // namespace posetape::emulation

#endif
