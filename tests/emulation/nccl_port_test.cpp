// What the stand-in for NCCL and the library have to have in common. Compiled for both, and for the
// library by our own declaration of it: what follows needs no GPU.
#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#include "kernels/base/error.hpp"
#include "kernels/cuda/nccl_port.hpp"

// Read by the address sanitizer: NCCL 2.28.9 keeps 160 bytes of a group without a call in it.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:ncclGroupEndInternal";
}

namespace posetape::cuda {
namespace {

template <class Function, class Declared>
constexpr bool kSame = std::is_same_v<Function, Declared>;

}  // namespace

static_assert(ncclSuccess == 0 && ncclUnhandledCudaError == 1 && ncclSystemError == 2 &&
              ncclInternalError == 3 && ncclInvalidArgument == 4 && ncclInvalidUsage == 5);
static_assert(ncclInt8 == 0 && ncclUint8 == 1 && ncclInt32 == 2 && ncclUint32 == 3 &&
              ncclInt64 == 4 && ncclUint64 == 5 && ncclFloat16 == 6 && ncclFloat32 == 7 &&
              ncclFloat64 == 8 && ncclBfloat16 == 9);
static_assert(sizeof(ncclUniqueId) == 128 && sizeof(ncclUniqueId::internal) == 128 &&
              std::is_pointer_v<ncclComm_t>);
static_assert(
    kSame<decltype(::ncclGetErrorString), const char*(ncclResult_t)> &&
    kSame<decltype(::ncclGetUniqueId), ncclResult_t(ncclUniqueId*)> &&
    kSame<decltype(::ncclCommInitRank), ncclResult_t(ncclComm_t*, int, ncclUniqueId, int)> &&
    kSame<decltype(::ncclCommDestroy), ncclResult_t(ncclComm_t)> &&
    kSame<decltype(::ncclGroupStart), ncclResult_t()> &&
    kSame<decltype(::ncclGroupEnd), ncclResult_t()> &&
    kSame<decltype(::ncclSend),
          ncclResult_t(const void*, std::size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t)> &&
    kSame<decltype(::ncclRecv),
          ncclResult_t(void*, std::size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t)>);

TEST_CASE("what NCCL refuses without a communicator") {
  CHECK(nccl_found());
  CHECK(ncclGetUniqueId(nullptr) == ncclInvalidArgument);
  ncclUniqueId first{}, second{};
  CHECK(ncclGetUniqueId(&first) == ncclSuccess);
  CHECK(ncclGetUniqueId(&second) == ncclSuccess);
  const auto text = [](const ncclUniqueId& id) {
    return std::string(id.internal, sizeof id.internal);
  };
  CHECK(text(first) != text(second));
  CHECK(ncclGroupEnd() == ncclInvalidUsage);
  CHECK(ncclGroupStart() == ncclSuccess);
  CHECK(ncclGroupEnd() == ncclSuccess);
  CHECK(ncclSend(nullptr, 0, ncclUint8, 0, nullptr, nullptr) == ncclInvalidArgument);
  CHECK(ncclRecv(nullptr, 0, ncclUint8, 0, nullptr, nullptr) == ncclInvalidArgument);
}

TEST_CASE("what NCCL calls its codes") {
  const auto begins = [](ncclResult_t result, const std::string& text) {
    return std::string(ncclGetErrorString(result)).rfind(text, 0) == 0;
  };
  CHECK(begins(ncclSuccess, "no error"));
  CHECK(begins(ncclUnhandledCudaError, "unhandled cuda error"));
  CHECK(begins(ncclSystemError, "unhandled system error"));
  CHECK(begins(ncclInternalError, "internal error"));
  CHECK(begins(ncclInvalidArgument, "invalid argument"));
  CHECK(begins(ncclInvalidUsage, "invalid usage"));
}

#ifndef POSETAPE_CUDA_EMULATED
TEST_CASE("what is missing of NCCL is an error that says what to install") {
  std::string message;
  try {
    nccl_function("ncclWhatever");
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find("undefined symbol: ncclWhatever") != std::string::npos);
  CHECK(message.find("install NCCL") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}
#endif

}  // namespace posetape::cuda
