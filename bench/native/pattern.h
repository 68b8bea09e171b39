#ifndef C1M_BENCH_PATTERN_H_
#define C1M_BENCH_PATTERN_H_

#include <cstdint>
#include <cstring>
#include <memory>

namespace bench {

// The bytes that a connection sends: an endless, repeating stream, different for each connection, in which every
// window is one piece of memory. What comes back is compared with the same window, so a lost, doubled, reordered or
// mixed-up byte is found. The period is a prime: a shift by any message size shows.
class Pattern {
 public:
  static constexpr size_t kPeriod = 65'521;
  static constexpr size_t kWindow = 256 * 1024;  // the most that can be asked for at once

  Pattern() : bytes_(std::make_unique<char[]>(kPeriod + kWindow)) {
    uint32_t state = 0x9e3779b9;
    for (size_t i = 0; i < kPeriod + kWindow; i++) {
      state = state * 1'664'525 + 1'013'904'223;
      bytes_[i] = i < kPeriod ? static_cast<char>(state >> 24) : bytes_[i - kPeriod];
    }
  }

  // `offset` bytes into the stream of connection number `connection`.
  const char* at(uint32_t connection, uint64_t offset) const {
    return bytes_.get() + (offset + uint64_t{connection} * 977) % kPeriod;
  }

  bool matches(uint32_t connection, uint64_t offset, const char* bytes, size_t size) const {
    return memcmp(at(connection, offset), bytes, size) == 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
};

}  // namespace bench

#endif  // C1M_BENCH_PATTERN_H_
