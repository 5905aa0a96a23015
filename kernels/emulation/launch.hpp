// A kernel's launch.
#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/emulation/primitives.hpp"
#include "kernels/emulation/runtime_api.hpp"

namespace posetape::emulation {

struct Launch {
  const char* kernel = "";         // as it is written
  Site site;                       // of the launch
  const void* function = nullptr;  // what cudaFuncSetAttribute knows it by
  dim3 grid;
  dim3 block;
  std::size_t dynamic_shared = 0;
  void (*body)(const void*) = nullptr;
  std::shared_ptr<const void> arguments;
  std::vector<const void*> pointers;  // arguments that are pointers
  std::vector<const void*> words;     // what may be pointers in arguments that are structs
};

// Checks the launch's limits and puts it into the stream. The result is what cudaGetLastError gives
// as well: cudaErrorInvalidConfiguration for a grid or block that does not fit,
// cudaErrorInvalidValue for more dynamic shared memory than cudaFuncSetAttribute allowed, and
// cudaErrorInvalidResourceHandle for no stream.
cudaError_t submit(Launch launch, cudaStream_t stream);

// Runs it now: all threads of all blocks, in the order of schedule(). Throws Finding.
void run_grid(const Launch& launch);

template <class... P, class... A>
cudaError_t launch(const char* name, const Site& site, void (*kernel)(P...), dim3 blocks,
                   dim3 threads, std::size_t dynamic_shared, cudaStream_t stream,
                   A&&... arguments) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "CUDA copies arguments byte by byte");
  struct Arguments {
    void (*kernel)(P...);
    std::tuple<P...> values;
  };
  Launch launch{name,
                site,
                reinterpret_cast<const void*>(kernel),
                blocks,
                threads,
                dynamic_shared,
                [](const void* opaque) {
                  const auto& a = *static_cast<const Arguments*>(opaque);
                  std::apply(a.kernel, a.values);
                },
                nullptr,
                {},
                {}};
  auto stored = std::make_shared<const Arguments>(
      Arguments{kernel, std::tuple<P...>(std::forward<A>(arguments)...)});
  std::apply(
      [&](const auto&... value) {
        [[maybe_unused]] const auto note = [&](const auto& v) {
          using V = std::decay_t<decltype(v)>;
          if constexpr (std::is_pointer_v<V>) launch.pointers.push_back(v);
          if constexpr (std::is_class_v<V> && alignof(V) >= sizeof(void*)) {
            const void* words[sizeof(V) / sizeof(void*)];
            std::memcpy(words, static_cast<const void*>(&v), sizeof words);
            launch.words.insert(launch.words.end(), std::begin(words), std::end(words));
          }
        };
        (note(value), ...);
      },
      stored->values);
  launch.arguments = std::move(stored);
  return submit(std::move(launch), stream);
}

}  // namespace posetape::emulation
