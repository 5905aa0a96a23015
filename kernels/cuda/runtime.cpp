#include "kernels/cuda/runtime.hpp"

#include <cstdlib>
#include <string>
#include <utility>

#include "kernels/base/error.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/device_choice.hpp"
#include "kernels/cuda/handles.hpp"

namespace posetape::cuda {
namespace {

// What kernels are built for at least: sm_75 (Turing).
constexpr int kOldestMajor = 7;
constexpr int kOldestMinor = 5;

struct State {
  bool open = false;
  int number = 0;
  DeviceInfo info;
  cudaStream_t stream = nullptr;  // where work goes now
  cudaStream_t side = nullptr;
  cudaEvent_t forked = nullptr;
  cudaEvent_t joined = nullptr;
  const char* entry = "";  // being launched
  const char* last_kernel = "none";
  const char* last_entry = "";
  unsigned* counters = nullptr;
  Index next_counter = 0;
  long long launches = 0;
  bool synchronous = false;
  bool recording = false;
};
State state;

constexpr Index kCounters = 64 * kMostCounters;

constexpr const char* kWayOut = "use --device cpu";

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string text(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

// What may be wrong with a device that a call found unusable, and what to do.
std::string advice(cudaError_t error) {
  switch (error) {
    case cudaErrorNoDevice:
      return "no GPU was found";
    case cudaErrorInsufficientDriver:
      return "the driver is older than this build's CUDA " + version(state.info.runtime) +
             "; update it";
    case cudaErrorNoKernelImageForDevice:
      return "this build has no code for " + state.info.name + "; configure with -Dgpu_arch for it";
    default:
      return text(error);
  }
}

// Errors that are reported where the host next looks: any kernel since may be the one.
bool asynchronous(cudaError_t error) {
  return error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure ||
         error == cudaErrorUnknown;
}

void check_version() {
  int driver = 0;
  cudaRuntimeGetVersion(&state.info.runtime);
  const cudaError_t error = cudaDriverGetVersion(&driver);
  if (error != cudaSuccess || driver == 0) {
    throw Error(std::string("cuda: no NVIDIA driver is installed; ") + kWayOut);
  }
  state.info.driver = driver;
  if (driver / 1000 < state.info.runtime / 1000) {
    throw Error("cuda: the driver supports CUDA " + version(driver) + " and this build needs " +
                version(state.info.runtime) + "; update the driver or " + kWayOut);
  }
}

void check_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    throw Error("cuda: " + advice(error == cudaSuccess ? cudaErrorNoDevice : error) + "; " +
                kWayOut);
  }
  state.number %= count;
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, state.number), "asking for the device's properties");
  DeviceInfo& info = state.info;
  info.name = properties.name;
  info.major = properties.major;
  info.minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.memory = properties.totalGlobalMem;
#ifdef POSETAPE_CUDA_EMULATED
  info.emulated = true;
#endif
  if (info.major < kOldestMajor || (info.major == kOldestMajor && info.minor < kOldestMinor)) {
    throw Error("cuda: " + info.name + " has compute capability " + std::to_string(info.major) +
                "." + std::to_string(info.minor) + "; 7.5 or later is needed, so " + kWayOut);
  }
}

// Those that an attempt before this one has left undone.
void make_streams() {
  for (cudaStream_t* stream : {&state.stream, &state.side}) {
    if (*stream != nullptr) continue;
    check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "making a stream");
  }
  for (cudaEvent_t* event : {&state.forked, &state.joined}) {
    if (*event != nullptr) continue;
    check(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "making an event");
  }
}

}  // namespace

bool built() {
  return true;
}

void choose_device(int number) {
  state.number = number;
}

const DeviceInfo& open() {
  if (state.open) return state.info;
  check_version();
  check_device();
  check(cudaSetDevice(state.number), "choosing the device");
  make_streams();
  // More than are in flight at a time by far.
  if (state.counters == nullptr) {
    check(cudaMalloc(&state.counters, kCounters * sizeof(unsigned)), "allocating memory");
  }
  check(cudaMemsetAsync(state.counters, 0, kCounters * sizeof(unsigned), state.stream),
        "filling memory");
  const char* synchronous = std::getenv("POSETAPE_CUDA_SYNC");
  state.synchronous = synchronous != nullptr && *synchronous == '1';
  cublasLtGetStatusName(CUBLAS_STATUS_SUCCESS);  // where the library is missing, this says so now
  state.open = true;
  return state.info;
}

void close() {
  if (!state.open) return;
  cudaStreamSynchronize(state.stream);
  destroy_handles();
  cudaFree(state.counters);
  cudaEventDestroy(state.forked);
  cudaEventDestroy(state.joined);
  cudaStreamDestroy(state.side);
  cudaStreamDestroy(state.stream);
  state = State{};
}

cudaStream_t stream() {
  return state.stream;
}

void check(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return;
  std::string message = std::string("cuda: ") + doing + " failed: " + text(error);
  if (asynchronous(error)) {
    message += std::string("; the last kernel launched was ") + state.last_kernel + " of " +
               state.last_entry + ", run again with POSETAPE_CUDA_SYNC=1 to find the one";
  }
  throw Error(message);
}

Fork::Fork() : main_(state.stream) {}

Fork::~Fork() {
  end();
  if (!used_) return;
  cudaEventRecord(state.joined, state.side);
  cudaStreamWaitEvent(main_, state.joined, 0);
}

void Fork::begin() {
  if (!used_) {
    check(cudaEventRecord(state.forked, main_), "forking a stream");
    check(cudaStreamWaitEvent(state.side, state.forked, 0), "forking a stream");
    used_ = true;
  }
  state.stream = state.side;
}

void Fork::end() {
  state.stream = main_;
}

void Fork::join() {
  if (!used_) return;
  used_ = false;
  check(cudaEventRecord(state.joined, state.side), "joining a stream");
  check(cudaStreamWaitEvent(main_, state.joined, 0), "joining a stream");
}

Entry::Entry(const char* name) : outer_(std::exchange(state.entry, name)) {}
Entry::~Entry() {
  state.entry = outer_;
}

// Of a kernel or of a library, which `error` is about; what its work does shows at once where
// everything is synchronous.
static cudaError_t launched(cudaError_t error, const char* kernel) {
  state.last_kernel = kernel;
  state.last_entry = state.entry;
  ++state.launches;
  return error == cudaSuccess && state.synchronous ? cudaStreamSynchronize(state.stream) : error;
}

void check_library_call(const char* call) {
  check(launched(cudaSuccess, call), call);
}

void check_launch(cudaError_t error, const char* kernel, dim3 grid, dim3 block,
                  std::size_t shared_bytes) {
  error = launched(error, kernel);
  if (error == cudaSuccess) return;
  const auto size = [](dim3 d) {
    return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
  };
  throw Error("cuda: kernel " + std::string(kernel) + " of " + state.entry + " (grid " +
              size(grid) + ", block " + size(block) + ", shared memory " +
              std::to_string(shared_bytes) + " bytes) failed: " + advice(error));
}

unsigned* take_counters(Index count) {
  if (state.next_counter + count > kCounters) state.next_counter = 0;
  return state.counters + std::exchange(state.next_counter, state.next_counter + count);
}

long long launches() {
  return state.launches;
}

void* allocate(std::size_t bytes) {
  open();
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is answered for
    return nullptr;
  }
  check(error, "allocating memory");
  return memory;
}

void release(void* memory) {
  cudaFree(memory);
}

void upload(void* device, const void* host, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, state.stream),
        "copying to the device");
}

void download(void* host, const void* device, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, state.stream),
        "copying to the host");
  synchronize();
}

void copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, state.stream), "copying");
}

void fill_bytes(void* device, int value, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(device, value, bytes, state.stream), "filling memory");
}

void synchronize() {
  check(cudaStreamSynchronize(state.stream), "waiting for the device");
}

namespace {

// Made at its first use, which may be by an object with static lifetime.
ScratchSource& scratch_source() {
  static ScratchSource source;
  return source;
}

void begin_recording() {
  // Relaxed: memory may be allocated meanwhile.
  check(cudaStreamBeginCapture(state.stream, cudaStreamCaptureModeRelaxed), "recording a graph");
  state.recording = true;
}

std::shared_ptr<void> end_recording() {
  state.recording = false;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(state.stream, &graph), "ending the recording of a graph");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "making a graph");
  return {executable, [](cudaGraphExec_t e) { cudaGraphExecDestroy(e); }};
}

void abandon_recording() {
  if (!state.recording) return;
  state.recording = false;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(state.stream, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void launch_recorded(void* recorded) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recorded), state.stream), "launching a graph");
}

}  // namespace

std::shared_ptr<void> scratch(std::size_t bytes) {
  return scratch_source()(bytes);
}

}  // namespace posetape::cuda

namespace posetape {

constinit const Runtime cuda_runtime{
    .alignment = 256,
    .allocate = cuda::allocate,
    .release = cuda::release,
    .set_scratch = [](ScratchSource source) { cuda::scratch_source() = std::move(source); },
    .upload = cuda::upload,
    .download = cuda::download,
    .copy = cuda::copy,
    .fill_bytes = cuda::fill_bytes,
    .synchronize = cuda::synchronize,
    .begin_recording = cuda::begin_recording,
    .end_recording = cuda::end_recording,
    .abandon_recording = cuda::abandon_recording,
    .launch_recorded = cuda::launch_recorded,
};

}  // namespace posetape
