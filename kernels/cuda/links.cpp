// The functions of cuda_links (kernels/base/links.hpp), by NCCL.
#include "kernels/base/links.hpp"

#include <cstring>
#include <string>

#include "kernels/base/error.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/nccl_port.hpp"

namespace posetape::cuda {
namespace {

ncclComm_t communicator = nullptr;

void check_nccl(ncclResult_t result, const char* call) {
  if (result == ncclSuccess) return;
  throw Error(std::string("cuda: ") + call + " failed: " + ncclGetErrorString(result) +
              "; NCCL_DEBUG=INFO makes it say more");
}

std::string device() {
  if (!nccl_found()) return "";
  open();
  int number = 0;
  check(cudaGetDevice(&number), "asking for the device");
  char place[32] = "";
  check(cudaDeviceGetPCIBusId(place, sizeof place, number), "asking where the device is");
  return place;
}

std::string make_id() {
  ncclUniqueId id;
  check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return {id.internal, sizeof id.internal};
}

void join(const std::string& id, int rank, int size, const Wire& wire) {
  set_nccl_wire(wire);
  ncclUniqueId all;
  std::memcpy(all.internal, id.data(), sizeof all.internal);
  check_nccl(ncclCommInitRank(&communicator, size, all, rank), "ncclCommInitRank");
}

void exchange(std::span<const LinkPiece> sent, std::span<const LinkPiece> received) {
  if (sent.empty() && received.empty()) return;  // an empty group of NCCL 2.28 leaks memory
  check_nccl(ncclGroupStart(), "ncclGroupStart");
  for (const LinkPiece& p : sent) {
    check_nccl(ncclSend(p.memory, p.bytes, ncclUint8, p.rank, communicator, stream()), "ncclSend");
  }
  for (const LinkPiece& p : received) {
    check_nccl(ncclRecv(p.memory, p.bytes, ncclUint8, p.rank, communicator, stream()), "ncclRecv");
  }
  check_nccl(ncclGroupEnd(), "ncclGroupEnd");
  check_library_call("ncclGroupEnd");
}

void leave() {
  if (communicator == nullptr) return;
  synchronize();
  check_nccl(ncclCommDestroy(communicator), "ncclCommDestroy");
  communicator = nullptr;
}

}  // namespace
}  // namespace posetape::cuda

namespace posetape {

constinit const Links cuda_links{
    .name = "NCCL",
    .device = cuda::device,
    .make_id = cuda::make_id,
    .join = cuda::join,
    .exchange = cuda::exchange,
    .leave = cuda::leave,
};

}  // namespace posetape
