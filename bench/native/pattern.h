#ifndef C1M_BENCH_PATTERN_H_
#define C1M_BENCH_PATTERN_H_

#include <cstdint>
#include <cstring>
#include <memory>

namespace bench {

// The bytes that a connection sends: an endless, repeating stream, different for each connection, in which every window
// is contiguous memory. Received bytes are compared with the same window, so a lost, doubled, reordered or mixed-up
// byte is found. The period is a prime, so that a shift by any message size is found.
class Pattern {
 public:
  static constexpr size_t kPeriod = 65'521;
  static constexpr size_t kWindow = 256 * 1024;  // the max length of a window

  // The format of messages: plain bytes, lines, or four bytes of length in front, big-endian.
  enum class Frames { kNone, kLines, kPrefixed };

  explicit Pattern(Frames frames = Frames::kNone, size_t message_bytes = 0)
      : bytes_(std::make_unique<char[]>(kPeriod + kWindow)) {
    fill();
    if (frames == Frames::kNone) return;
    // The period, and the distance between the starts of two connections, are multiples of a message.
    period_ = kPeriod / message_bytes * message_bytes;
    step_ = message_bytes * 13;
    for (size_t i = 0; i < period_; i++) bytes_[i] = framed(frames, message_bytes, bytes_[i], i);
    for (size_t i = period_; i < kPeriod + kWindow; i++) bytes_[i] = bytes_[i - period_];
  }

  // Returns the bytes at `offset` of the stream of connection number `connection`.
  const char* at(uint32_t connection, uint64_t offset) const {
    return bytes_.get() + (offset + uint64_t{connection} * step_) % period_;
  }

  bool matches(uint32_t connection, uint64_t offset, const char* bytes, size_t size) const {
    return memcmp(at(connection, offset), bytes, size) == 0;
  }

 private:
  static char framed(Frames frames, size_t message_bytes, char byte, size_t i) {
    const size_t at = i % message_bytes;
    if (frames == Frames::kLines) return at == message_bytes - 1 ? '\n' : static_cast<char>('0' + (byte & 0x3f));
    return at < 4 ? static_cast<char>((message_bytes - 4) >> (24 - 8 * at)) : byte;
  }

  void fill() {
    uint32_t state = 0x9e3779b9;
    for (size_t i = 0; i < kPeriod + kWindow; i++) {
      state = state * 1'664'525 + 1'013'904'223;
      bytes_[i] = i < kPeriod ? static_cast<char>(state >> 24) : bytes_[i - kPeriod];
    }
  }

  std::unique_ptr<char[]> bytes_;
  size_t period_ = kPeriod;
  size_t step_ = 977;
};

}  // namespace bench

#endif  // C1M_BENCH_PATTERN_H_
