#ifndef C1M_BENCH_HISTOGRAM_H_
#define C1M_BENCH_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace bench {

// Counts of nanosecond values in log-linear buckets, as in HdrHistogram: 64 to an octave, so that a reported value is
// at most 1/64 = 1.6 % above the true one. Values below 64 ns are exact. Recording is a shift and an increment.
//
//   bucket = octave * 64 + sub      value in [2^n, 2^(n+1))  →  octave = n - 5, sub = the six bits after the top one
class Histogram {
 public:
  void record(int64_t nanoseconds) {
    const uint64_t value = nanoseconds < 0 ? 0 : static_cast<uint64_t>(nanoseconds);
    buckets_[bucket_of(value)]++;
    count_++;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  void reset() { *this = Histogram(); }

  int64_t count() const { return static_cast<int64_t>(count_); }
  int64_t max() const { return static_cast<int64_t>(max_); }
  int64_t mean() const { return count_ == 0 ? 0 : static_cast<int64_t>(sum_ / count_); }

  // Returns the smallest value that at least `fraction` of the records don't exceed, to the precision of a bucket.
  int64_t percentile(double fraction) const {
    const auto wanted = static_cast<uint64_t>(std::ceil(static_cast<double>(count_) * fraction));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); i++) {
      seen += buckets_[i];
      if (seen >= wanted && seen > 0) return static_cast<int64_t>(std::min(highest_of(i), max_));
    }
    return max();
  }

 private:
  static constexpr unsigned kSubBits = 6;
  static constexpr unsigned kOctaves = 36;  // up to 2^41 ns, more than half an hour

  static size_t bucket_of(uint64_t value) {
    if (value < (1U << kSubBits)) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    const size_t bucket = (size_t{shift} + 1) * (1U << kSubBits) + ((value >> shift) & ((1U << kSubBits) - 1));
    return std::min(bucket, size_t{kOctaves << kSubBits} - 1);
  }

  static uint64_t highest_of(size_t bucket) {
    const uint64_t octave = bucket >> kSubBits;
    const uint64_t sub = bucket & ((1U << kSubBits) - 1);
    if (octave == 0) return sub;
    return (((uint64_t{1} << kSubBits) + sub + 1) << (octave - 1)) - 1;
  }

  std::array<uint64_t, kOctaves << kSubBits> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace bench

#endif  // C1M_BENCH_HISTOGRAM_H_
