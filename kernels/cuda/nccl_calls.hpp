// The calls of NCCL that this project makes, as nccl.h declares them (2.7 and later): for a build
// that doesn't have that header, and for the stand-in (kernels/emulation). cudaStream_t has to be
// declared before. tests/emulation/nccl_port_test.cpp holds it against nccl.h.
#pragma once

#include <cstddef>

extern "C" {

using ncclComm_t = struct ncclComm*;
struct ncclUniqueId {
  char internal[128];
};
enum ncclResult_t {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
};
enum ncclDataType_t {
  ncclInt8 = 0,
  ncclUint8 = 1,
  ncclInt32 = 2,
  ncclUint32 = 3,
  ncclInt64 = 4,
  ncclUint64 = 5,
  ncclFloat16 = 6,
  ncclFloat32 = 7,
  ncclFloat64 = 8,
  ncclBfloat16 = 9,
};

const char* ncclGetErrorString(ncclResult_t result);
ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
// The calling thread's device is the rank's. Waits for all ranks.
ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank);
ncclResult_t ncclCommDestroy(ncclComm_t communicator);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
// To a rank that receives as many of the same type.
ncclResult_t ncclSend(const void* memory, std::size_t count, ncclDataType_t type, int rank,
                      ncclComm_t communicator, cudaStream_t stream);
ncclResult_t ncclRecv(void* memory, std::size_t count, ncclDataType_t type, int rank,
                      ncclComm_t communicator, cudaStream_t stream);
}
