// The gradient of a batch that several ranks share, and the weights that follow from it, equal to
// the bit for any number of ranks.
//
// A batch is cut into S shards, sequences [B s / S, B (s + 1) / S) each, some of which may be
// empty. The gradient of a step is defined as
//   g = ((w_0 g_0 + w_1 g_1) + w_2 g_2) + ...,  w_s = sequences of s / B,
// in f32 (f64 where the network is), in the order of the shards, whoever has computed them: shard s
// is rank s mod R's. Sums of a library of processes have no such order. The block of parameters is
// cut into R parts; each rank is given all shards' contributions to its own part, adds them up,
// updates these weights with its part of the optimiser's state, and all are told the new weights.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/parameters.hpp"
#include "engine/ranks/ranks.hpp"

namespace posetape {

// Sequences of a shard in their batch.
struct ShardSequences {
  Index first = 0;
  Index count = 0;
};
ShardSequences shard_sequences(Index batch, int shards, int shard);

class GradientShards {
 public:
  GradientShards(const ParameterList& parameters, int shards);

  // Of the block of parameters, what this rank adds up and updates.
  BlockPart part() const { return parts_[static_cast<std::size_t>(ranks_->rank())]; }
  // In round i each rank has one shard, or none: this rank's.
  int rounds() const { return (shards_ + ranks_->size() - 1) / ranks_->size(); }
  std::optional<int> shard_of(int round) const;
  int rank_of(int shard) const { return shard % ranks_->size(); }
  int shards() const { return shards_; }

  // Before the first round of a step.
  void clear();
  // Takes the list's gradients as those of this rank's shard in the round, of a batch of so many
  // sequences. What the other ranks have computed meanwhile is added when it has come: in the next
  // round, or in complete().
  void add(int round, Index batch);
  // Waits for all that is on its way.
  void complete();
  // Puts 1 / batches of the sum in the place of the list's gradients, of part() or of all.
  void mean(int batches);
  void gather_gradients();
  // After the update of part(): tells the others.
  void gather_weights();

  // A vector of this rank's part, of all ranks', laid out as the block.
  Tensor whole(const Tensor& part) const;

  // What this rank sends to the others, in bytes, P parameters in all and p in part(): of a batch
  // without an empty shard, shards here x (P - p) x bytes of a gradient; of a block that is
  // gathered, (R - 1) x p x bytes of a number.
  std::uint64_t bytes_of_batch() const;
  std::uint64_t bytes_of_block(const Tensor& block) const;
  // What it has sent since the last clear().
  std::uint64_t bytes_sent() const { return sent_bytes_; }
  // Whether that goes from device to device.
  bool on_devices() const { return where_ != Device::cpu; }

 private:
  void add_received();
  void gather_block(const Tensor& block);
  std::vector<std::uint64_t> part_bytes(DType dtype) const;

  Ranks* ranks_;
  const ParameterList* parameters_;
  int shards_;
  std::vector<BlockPart> parts_;
  Tensor sum_;  // of part()
  // Where ranks exchange: on the devices of the parameters where these are linked, or the hosts.
  Device where_ = Device::cpu;
  // There: what is being sent (the gradients themselves on a device, whose order keeps them until
  // they are), and the contributions of all ranks to part().
  Tensor sent_;
  Tensor received_;
  std::vector<std::uint64_t> send_bytes_, receive_bytes_;
  std::uint64_t sent_bytes_ = 0;
  // The round that is on its way.
  std::optional<int> pending_;
  Index pending_batch_ = 0;
};

}  // namespace posetape
