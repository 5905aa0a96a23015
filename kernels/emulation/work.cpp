#include "kernels/emulation/work.hpp"

#include <map>
#include <random>
#include <set>
#include <utility>

#include "kernels/emulation/control.hpp"

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

void run_until(WorkId id) {
  while (is_pending(id)) run(choose(id));
}

void run_everything() {
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

std::vector<StreamOrder> all_stream_orders(int random) {
  std::vector<StreamOrder> all = {{StreamOrder::Kind::submission}, {StreamOrder::Kind::minimal}};
  for (int seed = 1; seed <= random; ++seed) {
    all.push_back({StreamOrder::Kind::random, static_cast<std::uint64_t>(seed)});
  }
  return all;
}

}  // namespace posetape::emulation
