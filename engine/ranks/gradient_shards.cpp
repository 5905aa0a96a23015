#include "engine/ranks/gradient_shards.hpp"

#include <algorithm>

#include "engine/ops/cast.hpp"
#include "engine/ops/scale.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

// Kernels treat elements in blocks of so many (kernels/base/parallel.hpp), whose ends may be
// computed in another way: a part is made of whole ones.
constexpr Index kBlock = 4096;

std::vector<BlockPart> cut(Index size, int ranks) {
  std::vector<BlockPart> parts;
  const Index blocks = (size + kBlock - 1) / kBlock;
  for (Index r = 0; r < ranks; ++r) {
    const Index begin = std::min(size, blocks * r / ranks * kBlock);
    parts.push_back({begin, std::min(size, blocks * (r + 1) / ranks * kBlock) - begin});
  }
  return parts;
}

std::span<std::byte> bytes_of(const Tensor& t) {
  return {static_cast<std::byte*>(t.raw()), t.bytes()};
}

}  // namespace

ShardSequences shard_sequences(Index batch, int shards, int shard) {
  const Index first = batch * shard / shards;
  return {first, batch * (shard + 1) / shards - first};
}

GradientShards::GradientShards(const ParameterList& parameters, int shards)
    : ranks_(&ranks()),
      parameters_(&parameters),
      shards_(shards),
      parts_(cut(parameters.gradients().size(), ranks_->size())) {
  if (shards < ranks_->size()) {
    fail("{} shards are too few for {} ranks, of which each needs one", shards, ranks_->size());
  }
  const Tensor& g = parameters.gradients();
  sum_ = Tensor::zeros({part().size}, accumulator_of(g.dtype()), g.device());
  if (ranks_->alone()) return;
  if (g.device() == Device::cuda && ranks_->link_devices()) where_ = g.device();
  sent_ = on_devices() ? g : Tensor::empty(g.shape(), g.dtype());
  received_ = Tensor::empty({part().size * ranks_->size()}, g.dtype(), where_);
}

std::optional<int> GradientShards::shard_of(int round) const {
  const int shard = round * ranks_->size() + ranks_->rank();
  return shard < shards_ ? std::optional(shard) : std::nullopt;
}

void GradientShards::clear() {
  fill(sum_, 0);
  sent_bytes_ = 0;
}

std::vector<std::uint64_t> GradientShards::part_bytes(DType dtype) const {
  std::vector<std::uint64_t> bytes;
  for (const BlockPart& p : parts_)
    bytes.push_back(static_cast<std::uint64_t>(p.size) * size_of(dtype));
  return bytes;
}

void GradientShards::add(int round, Index batch) {
  complete();
  pending_ = round;
  pending_batch_ = batch;
  if (ranks_->alone()) return add_received();
  const auto has = [&](int rank) {
    const int shard = round * ranks_->size() + rank;
    return shard < shards_ && shard_sequences(batch, shards_, shard).count > 0;
  };
  const Tensor& g = parameters_->gradients();
  const NoRecording off;
  if (has(ranks_->rank()) && !on_devices()) copy(g, sent_);
  send_bytes_ = part_bytes(g.dtype());
  if (!has(ranks_->rank())) std::ranges::fill(send_bytes_, 0);
  receive_bytes_.clear();
  for (int r = 0; r < ranks_->size(); ++r) {
    receive_bytes_.push_back(has(r) ? static_cast<std::uint64_t>(part().size) * size_of(g.dtype())
                                    : 0);
  }
  const std::uint64_t before = ranks_->bytes_sent();
  ranks_->start_exchange(bytes_of(sent_), send_bytes_, bytes_of(received_), receive_bytes_, where_);
  sent_bytes_ += ranks_->bytes_sent() - before;
}

void GradientShards::complete() {
  if (!pending_) return;
  ranks_->finish_exchange();
  add_received();
}

void GradientShards::add_received() {
  const NoRecording off;
  const DType wide = sum_.dtype();
  Index at = 0;
  for (int r = 0; r < ranks_->size(); ++r) {
    const int shard = *pending_ * ranks_->size() + r;
    const Index count =
        shard < shards_ ? shard_sequences(pending_batch_, shards_, shard).count : Index{0};
    if (count == 0 || part().size == 0) continue;
    const Tensor g = ranks_->alone() ? parameters_->gradients()
                                     : received_.alias({part().size}, at).to(sum_.device());
    const double weight = static_cast<double>(count) / static_cast<double>(pending_batch_);
    accumulate(scale(cast(g, wide), weight), sum_);
    at += part().size;
  }
  pending_.reset();
}

void GradientShards::mean(int batches) {
  const NoRecording off;
  if (part().size > 0) {
    const Tensor to = parameters_->gradients().part({part().size}, part().begin);
    copy(batches == 1 ? sum_ : scale(sum_, 1.0 / batches), to);
  }
  // A rank with neither a part nor a sequence has its gradients, too: none.
  parameters_->gradients().storage().touched();
  parameters_->gradients().mark_written();
}

void GradientShards::gather_block(const Tensor& block) {
  const NoRecording off;
  const Tensor there = block.to(where_);
  const std::uint64_t before = ranks_->bytes_sent();
  ranks_->gather(bytes_of(there), part_bytes(block.dtype()), where_);
  sent_bytes_ += ranks_->bytes_sent() - before;
  if (block.device() != where_) copy(there, block);
}

void GradientShards::gather_gradients() {
  if (!ranks_->alone()) gather_block(parameters_->gradients());
}

void GradientShards::gather_weights() {
  if (ranks_->alone()) return;
  gather_block(parameters_->masters());
  parameters_->masters_changed();
}

Tensor GradientShards::whole(const Tensor& part_of_it) const {
  if (ranks_->alone()) return part_of_it;
  const NoRecording off;
  const Tensor all = Tensor::empty(parameters_->masters().shape(), part_of_it.dtype());
  if (part().size > 0) copy(part_of_it, all.part({part().size}, part().begin));
  ranks_->gather(bytes_of(all), part_bytes(all.dtype()));
  return all;
}

std::uint64_t GradientShards::bytes_of_batch() const {
  if (ranks_->alone()) return 0;
  const Tensor& g = parameters_->gradients();
  const int shards_here = (shards_ - ranks_->rank() + ranks_->size() - 1) / ranks_->size();
  return static_cast<std::uint64_t>(shards_here) *
         static_cast<std::uint64_t>(g.size() - part().size) * size_of(g.dtype());
}

std::uint64_t GradientShards::bytes_of_block(const Tensor& block) const {
  return static_cast<std::uint64_t>(ranks_->size() - 1) * static_cast<std::uint64_t>(part().size) *
         size_of(block.dtype());
}

}  // namespace posetape
