#include "native/features/accept/placement.h"

#include <sys/socket.h>

namespace c1m {

namespace {

// FNV-1a of the address without its port: few bytes, and neighbouring addresses come apart.
uint32_t hash_of(const PackedAddress& peer) {
  uint32_t hash = 2166136261u;
  for (const uint8_t byte : peer.bytes) hash = (hash ^ byte) * 16777619u;
  return hash ^ hash >> 16;
}

bool has_source(const PackedAddress& peer) { return peer.family == AF_INET || peer.family == AF_INET6; }

}  // namespace

size_t Spread::choose(const PackedAddress& peer) {
  if (placement_ == Placement::kLeastConnections) return least_loaded();
  if (placement_ == Placement::kSourceHash && has_source(peer)) return hash_of(peer) % loops_.size();
  return next();
}

size_t Spread::next() {
  const size_t index = next_;
  next_ = index + 1 == loops_.size() ? 0 : index + 1;
  return index;
}

// Of those that have equally few, each in turn.
size_t Spread::least_loaded() {
  const size_t first = next();
  size_t best = first;
  for (size_t step = 1; step < loops_.size(); ++step) {
    const size_t index = (first + step) % loops_.size();
    if (loops_[index]->load() < loops_[best]->load()) best = index;
  }
  return best;
}

}  // namespace c1m
