#include "engine/ranks/ranks.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "engine/error.hpp"
#include "engine/ranks/transport.hpp"
#include "kernels/base/parallel.hpp"

namespace posetape {
namespace {

using Clock = std::chrono::steady_clock;

// What the launchers of each MPI leave in the environment of the processes that they start.
struct Launcher {
  const char* library;
  std::array<const char*, 2> marks;
  const char* package;
};
constexpr Launcher kLaunchers[] = {
    {"openmpi", {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"}, "libopenmpi-dev"},
    {"mpich", {"PMI_SIZE", "PMI_RANK"}, "libmpich-dev"},
};

const Launcher* launcher() {
  for (const Launcher& l : kLaunchers) {
    for (const char* mark : l.marks) {
      if (std::getenv(mark) != nullptr) return &l;
    }
  }
  return nullptr;
}

std::uint64_t total(std::span<const std::uint64_t> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
}

}  // namespace

int Ranks::rank() const {
  return transport_ == nullptr ? 0 : transport_->rank;
}
int Ranks::size() const {
  return transport_ == nullptr ? 1 : transport_->size;
}
int Ranks::local_rank() const {
  return transport_ == nullptr ? 0 : transport_->local_rank;
}
int Ranks::local_size() const {
  return transport_ == nullptr ? 1 : transport_->local_size;
}

void Ranks::start_exchange(std::span<const std::byte> send,
                           std::span<const std::uint64_t> send_bytes, std::span<std::byte> receive,
                           std::span<const std::uint64_t> receive_bytes) {
  if (alone()) {
    std::ranges::copy(send, receive.begin());
    return;
  }
  bytes_sent_ += total(send_bytes) - send_bytes[static_cast<std::size_t>(rank())];
  transport_->start_exchange(send.data(), send_bytes.data(), receive.data(), receive_bytes.data());
}

void Ranks::finish_exchange() {
  if (alone()) return;
  const auto start = Clock::now();
  transport_->finish_exchange();
  seconds_waited_ += std::chrono::duration<double>(Clock::now() - start).count();
}

void Ranks::gather(std::span<std::byte> all, std::span<const std::uint64_t> bytes) {
  if (alone()) return;
  const auto others = static_cast<std::uint64_t>(size() - 1);
  bytes_sent_ += others * bytes[static_cast<std::size_t>(rank())];
  const auto start = Clock::now();
  transport_->gather(all.data(), bytes.data());
  seconds_waited_ += std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> Ranks::gather(const std::string& text) {
  const std::vector<std::uint64_t> sizes = gather(std::uint64_t{text.size()});
  std::string all(total(sizes), '\0');
  const auto before = std::span(sizes).first(static_cast<std::size_t>(rank()));
  all.replace(total(before), text.size(), text);
  gather(std::as_writable_bytes(std::span(all)), sizes);
  std::vector<std::string> texts;
  std::size_t at = 0;
  for (const std::uint64_t n : sizes) {
    texts.push_back(all.substr(at, n));
    at += n;
  }
  return texts;
}

void Ranks::finish() {
  if (transport_ != nullptr) transport_->finish();
  transport_ = nullptr;
}

void Ranks::abort(int code) {
  if (transport_ != nullptr) transport_->abort(code);
  std::_Exit(code);
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

Ranks& ranks() {
  static Ranks all;
  return all;
}

namespace {

// The cores of a launcher that bound each rank to some are those; ranks that may use the same cores
// share them out.
void share_cores(Ranks& world) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) return;
  struct Place {
    std::array<char, 64> host;
    cpu_set_t cores;
  };
  Place here{};
  const std::string name = host_name().substr(0, here.host.size() - 1);
  std::ranges::copy(name, here.host.begin());
  here.cores = mine;
  int sharing = 0;
  for (const Place& p : world.gather(here)) {
    sharing += p.host == here.host && CPU_EQUAL(&p.cores, &here.cores) ? 1 : 0;
  }
  set_threads(std::max(1, CPU_COUNT(&mine) / std::max(1, sharing)));
}

}  // namespace

void join_ranks(const std::vector<std::string>& folders) {
  const Launcher* const by = launcher();
  if (by == nullptr) return;
  const std::string file = std::string("posetape_") + by->library + ".so";
  void* module = nullptr;
  std::string reason;
  for (const std::string& folder : folders) {
    const std::string path = folder + "/" + file;
    if (access(path.c_str(), R_OK) != 0) continue;
    // Libraries of MPI load parts of their own, which look for its names among all.
    module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (module != nullptr) break;
    reason = dlerror();
  }
  if (module == nullptr) {
    fail(
        "started by {}'s mpirun or srun, and {} {}; build with it ({}), or start it without mpirun",
        by->library, file,
        reason.empty() ? fmt::format("is not in {}", fmt::join(folders, " or "))
                       : fmt::format("cannot be loaded ({})", reason),
        by->package);
  }
  const auto open =
      reinterpret_cast<posetape_open_transport_function*>(dlsym(module, "posetape_open_transport"));
  if (open == nullptr) fail("{}: is not a module of this program", file);
  Ranks& world = ranks();
  world.transport_ = open();
  world.library_ = by->library;
  share_cores(world);
}

}  // namespace posetape
