#include "kernels/emulation/work.hpp"

#include <map>
#include <random>
#include <set>
#include <utility>

#include "kernels/emulation/control.hpp"
#include "kernels/emulation/device_memory.hpp"

namespace posetape::emulation {
namespace {

struct Work {
  std::vector<WorkId> after;
  std::function<void()> run;
};

std::map<WorkId, Work> pending;
WorkId submitted = 0;
double clock_now = 0;
StreamOrder order;
std::mt19937_64 random_bits;

class Restore {
 public:
  Restore() = default;
  ~Restore() { set_stream_order(before_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  StreamOrder before_ = order;
};

bool is_runnable(const Work& work) {
  for (const WorkId id : work.after) {
    if (is_pending(id)) return false;
  }
  return true;
}

void collect(WorkId id, std::set<WorkId>& needed) {
  std::vector<WorkId> left = {id};
  while (!left.empty()) {
    const auto found = pending.find(left.back());
    left.pop_back();
    if (found == pending.end() || !needed.insert(found->first).second) continue;
    left.insert(left.end(), found->second.after.begin(), found->second.after.end());
  }
}

// The next piece on the way to `target`; what is oldest can always run.
WorkId choose(WorkId target) {
  if (order.kind == StreamOrder::Kind::submission) return pending.begin()->first;
  if (order.kind == StreamOrder::Kind::minimal) {
    std::set<WorkId> needed;
    collect(target, needed);
    return *needed.begin();
  }
  std::vector<WorkId> runnable;
  for (const auto& [id, work] : pending) {
    if (is_runnable(work)) runnable.push_back(id);
  }
  return runnable[random_bits() % runnable.size()];
}

void run(WorkId id) {
  auto node = pending.extract(id);
  clock_now += 1;
  node.mapped().run();
}

}  // namespace

WorkId add_work(std::vector<WorkId> after, std::function<void()> run) {
  pending[++submitted] = {std::move(after), std::move(run)};
  return submitted;
}

bool is_pending(WorkId id) {
  return pending.contains(id);
}

// Switching access costs time by the page, so it happens once for all the work.
void run_until(WorkId id) {
  if (!is_pending(id)) return;
  const DeviceAccess access;
  while (is_pending(id)) run(choose(id));
}

void run_everything() {
  if (pending.empty()) return;
  const DeviceAccess access;
  while (!pending.empty()) run(choose(pending.rbegin()->first));
}

void run_one() {
  if (!pending.empty()) run(choose(pending.begin()->first));
}

double work_clock() {
  return clock_now;
}

void drop_work() {
  pending.clear();
  clock_now = 0;
  random_bits.seed(order.seed);
}

void set_stream_order(const StreamOrder& wanted) {
  order = wanted;
  random_bits.seed(wanted.seed);
}

StreamOrder stream_order() {
  return order;
}

std::string to_string(const StreamOrder& wanted) {
  switch (wanted.kind) {
    case StreamOrder::Kind::submission:
      return "submission order";
    case StreamOrder::Kind::minimal:
      return "minimal order";
    case StreamOrder::Kind::random:
      break;
  }
  return "random order, seed " + std::to_string(wanted.seed);
}

Bytes same_under(std::span<const StreamOrder> orders, const std::function<Bytes()>& run,
                 std::size_t element_bytes) {
  const Restore restore;
  return same_results(
      orders.size(), [&](std::size_t i) { set_stream_order(orders[i]); },
      [&](std::size_t i) { return to_string(orders[i]); }, run, element_bytes);
}

std::vector<StreamOrder> all_stream_orders(int random) {
  std::vector<StreamOrder> all = {{StreamOrder::Kind::submission}, {StreamOrder::Kind::minimal}};
  for (int seed = 1; seed <= random; ++seed) {
    all.push_back({StreamOrder::Kind::random, static_cast<std::uint64_t>(seed)});
  }
  return all;
}

}  // namespace posetape::emulation
