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

// Those of the ranks that have bytes, one after the other.
std::vector<LinkPiece> pieces(const std::byte* memory, std::span<const std::uint64_t> bytes) {
  std::vector<LinkPiece> all;
  std::byte* at = const_cast<std::byte*>(memory);
  for (std::size_t r = 0; r < bytes.size(); ++r) {
    if (bytes[r] > 0) all.push_back({static_cast<int>(r), at, bytes[r]});
    at += bytes[r];
  }
  return all;
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

bool Ranks::link_devices() {
  if (alone() || linked_) return linked_.value_or(false);
  const std::string device = cuda_links.device();
  std::vector<std::string> places = gather(device.empty() ? "" : host_name() + " " + device);
  const bool all = std::ranges::find(places, "") == places.end();
  std::ranges::sort(places);
  linked_ = all && std::ranges::adjacent_find(places) == places.end();
  if (!*linked_) return false;
  const std::string id = gather(writes() ? cuda_links.make_id() : "")[0];
  cuda_links.join(id, rank(), size(), [this](const Parcels& p) { return exchange_parcels(p); });
  return true;
}

// What devices that are emulated send each other.
Parcels Ranks::exchange_parcels(const Parcels& sent) {
  const auto count = static_cast<std::size_t>(size());
  const std::vector<std::uint64_t> each(count, sizeof(std::uint64_t));
  std::vector<std::uint64_t> sent_bytes, received_bytes(count);
  std::vector<std::byte> out;
  for (const std::vector<std::byte>& parcel : sent) {
    sent_bytes.push_back(parcel.size());
    out.insert(out.end(), parcel.begin(), parcel.end());
  }
  const auto exchange = [&](const void* from, const auto& from_bytes, void* to,
                            const auto& to_bytes) {
    transport_->start_exchange(from, from_bytes.data(), to, to_bytes.data());
    transport_->finish_exchange();
  };
  exchange(sent_bytes.data(), each, received_bytes.data(), each);
  std::vector<std::byte> in(total(received_bytes));
  exchange(out.data(), sent_bytes, in.data(), received_bytes);
  Parcels received;
  auto at = in.begin();
  for (const std::uint64_t bytes : received_bytes) {
    received.emplace_back(at, at + static_cast<std::ptrdiff_t>(bytes));
    at += static_cast<std::ptrdiff_t>(bytes);
  }
  return received;
}

void Ranks::start_exchange(std::span<const std::byte> send,
                           std::span<const std::uint64_t> send_bytes, std::span<std::byte> receive,
                           std::span<const std::uint64_t> receive_bytes, Device where) {
  if (alone()) {
    std::ranges::copy(send, receive.begin());
    return;
  }
  bytes_sent_ += total(send_bytes) - send_bytes[static_cast<std::size_t>(rank())];
  if (where == Device::cuda) {
    cuda_links.exchange(pieces(send.data(), send_bytes), pieces(receive.data(), receive_bytes));
    return;
  }
  pending_ = true;
  transport_->start_exchange(send.data(), send_bytes.data(), receive.data(), receive_bytes.data());
}

void Ranks::finish_exchange() {
  if (!pending_) return;
  pending_ = false;
  const auto start = Clock::now();
  transport_->finish_exchange();
  seconds_waited_ += std::chrono::duration<double>(Clock::now() - start).count();
}

void Ranks::gather(std::span<std::byte> all, std::span<const std::uint64_t> bytes, Device where) {
  if (alone()) return;
  const auto others = static_cast<std::uint64_t>(size() - 1);
  bytes_sent_ += others * bytes[static_cast<std::size_t>(rank())];
  if (where == Device::cuda) return gather_on_devices(all, bytes);
  const auto start = Clock::now();
  transport_->gather(all.data(), bytes.data());
  seconds_waited_ += std::chrono::duration<double>(Clock::now() - start).count();
}

void Ranks::broadcast(std::span<std::byte> bytes, int from) {
  std::vector<std::uint64_t> sizes(static_cast<std::size_t>(size()), 0);
  sizes[static_cast<std::size_t>(from)] = bytes.size();
  gather(bytes, sizes);
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

std::vector<std::vector<double>> Ranks::gather(const std::vector<double>& numbers) {
  std::vector<double> all(numbers.size() * static_cast<std::size_t>(size()));
  const auto part = [&](int rank) {
    return std::span(all).subspan(numbers.size() * static_cast<std::size_t>(rank), numbers.size());
  };
  std::ranges::copy(numbers, part(rank()).begin());
  const std::vector<std::uint64_t> bytes(static_cast<std::size_t>(size()),
                                         numbers.size() * sizeof(double));
  gather(std::as_writable_bytes(std::span(all)), bytes);
  std::vector<std::vector<double>> by_rank;
  for (int r = 0; r < size(); ++r) by_rank.emplace_back(part(r).begin(), part(r).end());
  return by_rank;
}

// Each rank's part lies where the others want it.
void Ranks::gather_on_devices(std::span<std::byte> all, std::span<const std::uint64_t> bytes) {
  std::vector<LinkPiece> received = pieces(all.data(), bytes);
  std::vector<LinkPiece> sent;
  const auto own = std::ranges::find(received, rank(), &LinkPiece::rank);
  if (own != received.end()) {
    for (int r = 0; r < size(); ++r) {
      if (r != rank()) sent.push_back({r, own->memory, own->bytes});
    }
    received.erase(own);
  }
  cuda_links.exchange(sent, received);
}

void Ranks::finish() {
  if (linked_.value_or(false)) cuda_links.leave();
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
