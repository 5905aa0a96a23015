// What goes wrong on a device is one line that says what to do, and loses nothing.
#include <doctest/doctest.h>

#include <cstdio>
#include <span>
#include <string>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/replay.hpp"
#include "engine/safetensors.hpp"
#include "engine/trainer.hpp"
#include "kernels/base/links.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/emulation/control.hpp"

using namespace posetape;
namespace emulation = posetape::emulation;

namespace {

// A device of its own for one test: nothing of it is left for the next.
struct FreshDevice {
  FreshDevice() { restart(); }
  ~FreshDevice() { restart(); }
  static void restart() {
    Arena::of(Device::cuda).trim();
    cuda::close();
    emulation::reset();
  }
};

// The message, which must be one line; empty where nothing was thrown.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("cuda: a device that cannot be used is named with the way out") {
  const struct {
    const char* call;
    cudaError_t code;
    const char* message;
  } kCases[] = {
      {"cudaGetDeviceCount", cudaErrorNoDevice, "no GPU was found"},
      {"cudaGetDeviceCount", cudaErrorInsufficientDriver, "update it"},
      {"cudaDriverGetVersion", cudaErrorUnknown, "no NVIDIA driver"},
  };
  for (const auto& c : kCases) {
    const FreshDevice device;
    emulation::fail_call(c.call, 1, c.code);
    const std::string message = error_of([] { Tensor::empty({4}, DType::f32, Device::cuda); });
    CHECK_MESSAGE(contains(message, c.message), message);
    CHECK_MESSAGE(contains(message, "use --device cpu"), message);
    // The next attempt works: nothing was left half done.
    CHECK(Tensor::full({4}, 2, DType::f32, Device::cuda).to_doubles()[3] == 2);
  }
}

TEST_CASE("cuda: an emulated device says that it is one") {
  const FreshDevice device;
  CHECK(cuda::open().major == 8);
  CHECK(cuda::open().emulated);
}

TEST_CASE("cuda: memory that runs out is an error, and what was made before is still there") {
  const FreshDevice device;
  const Tensor kept = Tensor::full({1000}, 3, DType::f32, Device::cuda);
  emulation::fail_call("cudaMalloc", 1, cudaErrorMemoryAllocation);
  // The arena frees what it holds and asks again.
  CHECK(Tensor::full({5000}, 1, DType::f32, Device::cuda).to_doubles()[4999] == 1);
  const std::string message = error_of([] {
    Tensor::empty({1 << 20, 1 << 14}, DType::f32, Device::cuda);
  });
  CHECK_MESSAGE(contains(message, "out of memory on cuda: 65536 MB wanted"), message);
  CHECK_MESSAGE(contains(message, "use a smaller batch"), message);
  CHECK(kept.to_doubles()[999] == 3);
}

TEST_CASE("cuda: a kernel that fails to launch is named with its op, launch and tensor") {
  const FreshDevice device;
  const Tensor x = Tensor::full({3, 8}, 1, DType::f32, Device::cuda);
  emulation::fail_call("cudaLaunchKernel", 1, cudaErrorInvalidConfiguration);
  const std::string message = error_of([&] { softmax(x); });
  for (const char* part :
       {"softmax_forward", "SoftmaxForward", "grid 1x1x1", "block 256x1x1", "f32 [3, 8]"}) {
    CHECK_MESSAGE(contains(message, part), message);
  }
  emulation::fail_call("cudaLaunchKernel", 1, cudaErrorNoKernelImageForDevice);
  CHECK(contains(error_of([&] { softmax(x); }), "configure with -Dgpu_arch"));
  CHECK(softmax(x).to_doubles()[0] == doctest::Approx(0.125));
}

TEST_CASE("cuda: a device that is lost later names the last kernel and how to find the one") {
  const FreshDevice device;
  const Tensor y = softmax(Tensor::full({3, 8}, 1, DType::f32, Device::cuda));
  emulation::fail_call("cudaStreamSynchronize", 1, cudaErrorIllegalAddress);
  const std::string message = error_of([&] { y.to_doubles(); });
  for (const char* part : {"softmax_forward", "POSETAPE_CUDA_SYNC=1"}) {
    CHECK_MESSAGE(contains(message, part), message);
  }
}

TEST_CASE("cuda: cuBLASLt's failure is an error that names the product") {
  const FreshDevice device;
  const Tensor x = Tensor::full({5, 7}, 1, DType::f32, Device::cuda);
  const Tensor w = Tensor::full({3, 7}, 1, DType::f32, Device::cuda);
  emulation::fail_call("cublasLtMatmul", 1, CUBLAS_STATUS_EXECUTION_FAILED);
  const std::string message = error_of([&] { linear(x, w, {}); });
  CHECK_MESSAGE(contains(message, "cublasLtMatmul"), message);
  CHECK(linear(x, w, {}).to_doubles()[0] == 7);
}

TEST_CASE("cuda: a failure while a step is recorded leaves the stream as it was") {
  const FreshDevice device;
  Replay replay(Device::cuda, [](std::span<const Tensor> x, int) { return scale(x[0], 2); });
  const std::vector<Tensor> in{Tensor::full({4}, 3, DType::f32)};
  CHECK(replay(in).to_doubles()[0] == 6);
  emulation::fail_call("cudaLaunchKernel", 1, cudaErrorUnknown);
  CHECK(!error_of([&] { replay(in); }).empty());
  CHECK(replay.recorded() == 0);
  CHECK(replay(in).to_doubles()[0] == 6);
  CHECK(replay.recorded() == 1);
  // Reading a value in the middle of a recording cannot work, and is said.
  Replay reads(Device::cuda,
               [](std::span<const Tensor> x, int) { return scale(x[0], x[0].to_doubles()[0]); });
  CHECK(reads(in).to_doubles()[0] == 9);
  CHECK(contains(error_of([&] { reads(in); }), "capturing"));
}

TEST_CASE("cuda: memory that runs out in the middle of training leaves the last checkpoint whole") {
  const FreshDevice device;
  const std::string path = "cuda_failure_test.safetensors";
  struct Layers {
    Layers(ParameterList& list, int) : w(list.add("w", {3, 4}, {Init::uniform, 0.5})) {}
    Tensor w;
  };
  ParameterList parameters = make_parameters<Layers>(0, DType::f32, 1, Device::cuda);
  const Layers layers(parameters, 0);
  Trainer trainer(parameters, {3, 4, 1e-2, 1, 0});
  std::vector<double> saved;
  Trainer::Hooks hooks;
  hooks.batch = [&](int epoch, int) {
    // A larger batch, for which there is no memory, however often it is asked for.
    const Index rows = epoch == 0 ? 5 : 50000;
    if (epoch == 1) {
      for (const int call : {1, 2}) {
        emulation::fail_call("cudaMalloc", call, cudaErrorMemoryAllocation);
      }
    }
    return Trainer::Batch{
        {Tensor::full({rows, 4}, 1, DType::f32), Tensor::full({rows, 3}, 2, DType::f32)}};
  };
  hooks.loss = [&](std::span<const Tensor> in, int) {
    return mse_loss(linear(in[0], layers.w, {}), in[1]);
  };
  hooks.validate = [] { return 1.0; };
  hooks.on_epoch = [&](const EpochResult&) {
    TensorFile file;
    file.tensors.emplace_back("w", parameters.values());
    trainer.save(file);
    write_safetensors(path, file);
    saved = parameters.values().to_doubles();
  };
  const std::string message = error_of([&] { trainer.run(hooks); });
  CHECK_MESSAGE(contains(message, "out of memory on cuda"), message);
  const TensorFile file = read_safetensors(path);
  CHECK(file.at("w").to_doubles() == saved);
  Trainer resumed(parameters, {3, 4, 1e-2, 1, 0});
  resumed.load(file, path);
  CHECK(resumed.state().epoch == 1);
  std::remove(path.c_str());
}

TEST_CASE("cuda: operands on two devices are told apart before a kernel sees them") {
  const Tensor x = Tensor::full({4}, 1, DType::f32, Device::cuda);
  const Tensor y = Tensor::full({4}, 1, DType::f32);
  const std::string message = error_of([&] { add(x, y); });
  CHECK_MESSAGE(contains(message, "is on cpu, and other operands on cuda"), message);
  CHECK(contains(error_of([&] { x.values<float>(); }), "move it with to(Device::cpu)"));
}

TEST_CASE("cuda: work that is replayed is one launch of a graph, and allocates nothing") {
  const FreshDevice device;
  Replay replay(Device::cuda, [](std::span<const Tensor> x, int) { return softmax(gelu(x[0])); });
  const std::vector<Tensor> in{Tensor::full({3, 40}, 3, DType::f32)};
  for (int i = 0; i < 2; ++i) replay(in);
  const auto allocations = emulation::calls("cudaMalloc");
  const auto graphs = emulation::calls("cudaGraphLaunch");
  const auto kernels = emulation::calls("cudaLaunchKernel");
  CHECK(replay(in).to_doubles()[0] == doctest::Approx(1.0 / 40));
  CHECK(emulation::calls("cudaMalloc") == allocations);
  CHECK(emulation::calls("cudaGraphLaunch") == graphs + 1);
  CHECK(emulation::calls("cudaLaunchKernel") == kernels);
}

TEST_CASE("cuda: devices of several processes are linked by NCCL, or it is said why not") {
  const FreshDevice device;
  const Wire echo = [](const Parcels& sent) { return sent; };  // the others are as this one
  const std::string id = cuda_links.make_id();
  CHECK(cuda_links.device() == "0000:01:00.0");
  const std::string failed = error_of([&] { cuda_links.join(id, 0, 2, echo); });
  CHECK(contains(failed, "ncclCommInitRank failed: invalid argument"));
  CHECK(contains(failed, "NCCL_DEBUG=INFO"));

  cuda_links.join(id, 0, 1, echo);
  const Tensor x = Tensor::full({5}, 3, DType::f32, Device::cuda);
  const Tensor y = Tensor::zeros({5}, DType::f32, Device::cuda);
  const LinkPiece from{0, x.raw(), x.bytes()}, to{0, y.raw(), y.bytes()};
  cuda_links.exchange(std::span(&from, 1), std::span(&to, 1));
  CHECK(y.to_doubles() == x.to_doubles());
  CHECK(contains(emulation::leaks(), "a communicator of NCCL"));
  cuda_links.leave();
  CHECK(!contains(emulation::leaks(), "a communicator of NCCL"));
}

TEST_CASE("cuda: nothing is left behind when the device is closed") {
  FreshDevice::restart();
  {
    Replay replay(Device::cuda, [](std::span<const Tensor> x, int) { return gelu(x[0]); });
    const std::vector<Tensor> in{Tensor::full({40}, 3, DType::f32)};
    for (int i = 0; i < 4; ++i) replay(in);
    axial_attention(Tensor::full({2, 3, 4, 48}, 0.5, DType::f32, Device::cuda), Axis::cross, 2);
  }
  Arena::of(Device::cuda).trim();
  cuda::close();
  CHECK(emulation::leaks() == "");
  emulation::reset();
}
