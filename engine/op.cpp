#include "engine/add_op.hpp"

#include <deque>
#include <mutex>

namespace posetape {
namespace {

// The ops that add_op() made known, from number kOps on.
struct Added {
  struct Entry {
    const char* name;
    const Rule* rule;
  };
  std::mutex mutex;
  std::deque<Entry> entries;
};

Added& added() {
  static Added all;
  return all;
}

Added::Entry entry_of(Op op) {
  const std::scoped_lock lock(added().mutex);
  return added().entries.at(static_cast<std::size_t>(op) - kOps);
}

}  // namespace

const char* name(Op op) {
  static constexpr const char* kNames[] = {
#define POSETAPE_OP(op) #op,
#include "kernels/ops.def"
  };
  return static_cast<int>(op) < kOps ? kNames[static_cast<int>(op)] : entry_of(op).name;
}

const Rule& rule(Op op) {
  static const Rule* const kRules[] = {
#define POSETAPE_OP(op) &op##_rule,
#include "kernels/ops.def"
  };
  return static_cast<int>(op) < kOps ? *kRules[static_cast<int>(op)] : *entry_of(op).rule;
}

Op add_op(const char* name, const Rule& rule) {
  const std::scoped_lock lock(added().mutex);
  added().entries.push_back({name, &rule});
  return static_cast<Op>(kOps + added().entries.size() - 1);
}

}  // namespace posetape
