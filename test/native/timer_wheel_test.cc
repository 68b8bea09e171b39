// The timer wheel, in ticks, without a clock.
#include "native/table/timer_wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "test/native/seeded.h"

using namespace c1m;

namespace {

struct NodesOf {
  std::vector<TimerNode>* nodes;
  TimerNode& operator()(uint32_t id) const { return (*nodes)[id]; }
};

using Wheel = TimerWheel<NodesOf>;

struct Timers {
  explicit Timers(size_t count, uint32_t start = 0) : nodes(count), wheel(NodesOf{&nodes}) { start_at(start); }

  // Advances an empty wheel to a tick, in steps of less than half the range.
  void start_at(uint32_t tick) {
    while (wheel.now() != tick) wheel.advance(wheel.now() + std::min(tick - wheel.now(), 1u << 30), [](uint32_t) {});
  }

  // Advances the wheel. Returns the timers that fired, in order.
  std::vector<uint32_t> advance(uint32_t now) {
    std::vector<uint32_t> fired;
    wheel.advance(now, [&](uint32_t id) {
      CHECK_FALSE(nodes[id].armed);
      fired.push_back(id);
    });
    return fired;
  }

  std::vector<TimerNode> nodes;
  Wheel wheel;
};

using Ids = std::vector<uint32_t>;

// Returns the expected result of next_ms(): the time until the first bucket in use is due.
int model_next_ms(const std::map<uint32_t, uint32_t>& deadlines, uint32_t wheel_now, uint32_t now) {
  if (deadlines.empty()) return -1;
  uint32_t min_ticks = UINT32_MAX;
  for (const auto& [id, deadline] : deadlines) {
    const uint32_t ahead = (deadline - (wheel_now + 1)) % Wheel::kBuckets + 1;
    min_ticks = std::min(min_ticks, ahead);
  }
  const auto left = static_cast<int32_t>(wheel_now + min_ticks - now);
  return left <= 0 ? 0 : left * static_cast<int>(Wheel::kTickMs);
}

}  // namespace

TEST_CASE("milliseconds become ticks that last at min_ticks as long") {
  CHECK(Wheel::ticks(0) == 0);
  CHECK(Wheel::ticks(1) == 1);
  CHECK(Wheel::ticks(Wheel::kTickMs) == 1);
  CHECK(Wheel::ticks(Wheel::kTickMs + 1) == 2);
  CHECK(Wheel::ticks(UINT32_MAX) == (1u << 29));
}

TEST_CASE("a timer fires once, at its deadline and not a tick before") {
  Timers timers(3);
  timers.wheel.arm(0, 5);
  timers.wheel.arm(1, 6);
  timers.wheel.arm(2, 5 + Wheel::kBuckets);
  CHECK(timers.wheel.count() == 3);
  CHECK(timers.advance(4).empty());
  CHECK(timers.advance(5) == Ids{0});
  CHECK(timers.advance(5).empty());
  CHECK(timers.advance(100) == Ids{1});
  CHECK(timers.advance(4 + Wheel::kBuckets).empty());
  CHECK(timers.advance(5 + Wheel::kBuckets) == Ids{2});
  CHECK(timers.wheel.count() == 0);
}

TEST_CASE("a late advance fires everything that has come due, and nothing else") {
  Timers timers(4);
  timers.wheel.arm(0, 10);
  timers.wheel.arm(1, 10 + Wheel::kBuckets);      // the same bucket, one round later
  timers.wheel.arm(2, 10 + 3 * Wheel::kBuckets);  // the same bucket, three rounds later
  timers.wheel.arm(3, 11 + 2 * Wheel::kBuckets);
  std::vector<uint32_t> fired = timers.advance(11 + 2 * Wheel::kBuckets);
  std::sort(fired.begin(), fired.end());
  CHECK(fired == Ids{0, 1, 3});
  CHECK(timers.advance(9 + 3 * Wheel::kBuckets).empty());
  CHECK(timers.advance(10 + 3 * Wheel::kBuckets) == Ids{2});
}

TEST_CASE("a timer whose deadline has passed, or is now, fires at the next tick") {
  Timers timers(3, 1000);
  timers.wheel.arm(0, 1000);
  timers.wheel.arm(1, 999);
  timers.wheel.arm(2, 1000 - Wheel::kBuckets);
  CHECK(timers.wheel.next_ms(1000) == static_cast<int>(Wheel::kTickMs));
  std::vector<uint32_t> fired = timers.advance(1001);
  std::sort(fired.begin(), fired.end());
  CHECK(fired == Ids{0, 1, 2});
}

TEST_CASE("arming an armed timer moves it") {
  Timers timers(1);
  timers.wheel.arm(0, 5);
  timers.wheel.arm(0, 8);
  CHECK(timers.wheel.count() == 1);
  CHECK(timers.advance(7).empty());
  timers.wheel.arm(0, 100);
  timers.wheel.arm(0, 9);
  CHECK(timers.advance(9) == Ids{0});
  CHECK(timers.advance(200).empty());
}

TEST_CASE("a timer can be cancelled from the front, the middle and the end of its bucket") {
  for (const Ids& order : {Ids{0, 1, 2}, Ids{2, 1, 0}, Ids{1, 0, 2}, Ids{1, 2, 0}}) {
    Timers timers(3);
    for (uint32_t id = 0; id < 3; ++id) timers.wheel.arm(id, 7);
    for (const uint32_t id : order) {
      timers.wheel.cancel(id);
      timers.wheel.cancel(id);
      CHECK_FALSE(timers.nodes[id].armed);
    }
    CHECK(timers.wheel.count() == 0);
    CHECK(timers.wheel.next_ms(0) == -1);
    CHECK(timers.advance(50).empty());
    // The empty bucket can be used again.
    timers.wheel.arm(1, 57);
    CHECK(timers.advance(57) == Ids{1});
  }
}

TEST_CASE("a timer may arm itself again when it fires, in its own bucket or another") {
  Timers timers(1);
  std::vector<uint32_t> at;
  timers.wheel.arm(0, 10);
  const auto fire = [&](uint32_t id) {
    at.push_back(timers.wheel.now());
    const uint32_t now = timers.wheel.now();
    if (at.size() == 1) timers.wheel.arm(id, now);  // due immediately: it fires at the next tick, not in this one again
    if (at.size() == 2) timers.wheel.arm(id, now + Wheel::kBuckets);
    if (at.size() == 3) timers.wheel.arm(id, now + 3);
  };
  for (uint32_t now = 1; now <= 11 + Wheel::kBuckets + 10; ++now) timers.wheel.advance(now, fire);
  CHECK(at == Ids{10, 11, 11 + Wheel::kBuckets, 14 + Wheel::kBuckets});
  CHECK(timers.wheel.count() == 0);
}

TEST_CASE("a timer that is armed during a long advance waits for its own tick") {
  Timers timers(2);
  timers.wheel.arm(0, 10);
  // This one step passes buckets 10 to 4095 and 0 to 9; bucket 20 is passed after 10.
  const uint32_t jump = 2 * Wheel::kBuckets;
  int fired = 0;
  timers.wheel.advance(jump, [&](uint32_t id) {
    ++fired;
    if (id == 0) timers.wheel.arm(1, jump + 20);
  });
  CHECK(fired == 1);
  CHECK(timers.advance(jump + 19).empty());
  CHECK(timers.advance(jump + 20) == Ids{1});
}

TEST_CASE("a firing timer may cancel, or move, the others of its bucket") {
  // With three in a bucket, the first to fire has others before or behind it in the list.
  for (const bool move : {false, true}) {
    Timers timers(3);
    for (uint32_t id = 0; id < 3; ++id) timers.wheel.arm(id, 10);
    std::vector<uint32_t> fired;
    timers.wheel.advance(10, [&](uint32_t id) {
      fired.push_back(id);
      for (uint32_t other = 0; other < 3; ++other) {
        if (other == id) continue;
        if (move) {
          timers.wheel.arm(other, 20 + other);
        } else {
          timers.wheel.cancel(other);
        }
      }
    });
    CHECK(fired.size() == 1);
    CHECK(timers.wheel.count() == (move ? 2 : 0));
    if (!move) {
      CHECK(timers.wheel.next_ms(10) == -1);
      CHECK(timers.advance(10 + 2 * Wheel::kBuckets).empty());
    } else {
      CHECK(timers.advance(30).size() == 2);
    }
  }
}

TEST_CASE("a firing timer may cancel the next one, and the others still fire") {
  Timers timers(4);
  for (uint32_t id = 0; id < 4; ++id) timers.wheel.arm(id, 10);
  std::vector<uint32_t> fired;
  timers.wheel.advance(10, [&](uint32_t id) {
    fired.push_back(id);
    if (id == 3) timers.wheel.cancel(2);  // a bucket lists the newest first
  });
  std::sort(fired.begin(), fired.end());
  CHECK(fired == Ids{0, 1, 3});
  CHECK(timers.wheel.count() == 0);
}

TEST_CASE("timers fire at their deadlines when ticks wrap") {
  const uint32_t start = UINT32_MAX - 10;
  Timers timers(3, start);
  timers.wheel.arm(0, start + 5);
  timers.wheel.arm(1, start + 20);  // after the wrap
  timers.wheel.arm(2, start + 20 + Wheel::kBuckets);
  CHECK(timers.wheel.next_ms(start) == 5 * static_cast<int>(Wheel::kTickMs));
  CHECK(timers.advance(start + 5) == Ids{0});
  CHECK(timers.wheel.next_ms(start + 5) == 15 * static_cast<int>(Wheel::kTickMs));
  CHECK(timers.advance(start + 19).empty());
  CHECK(timers.advance(start + 20) == Ids{1});
  CHECK(timers.advance(start + 19 + Wheel::kBuckets).empty());
  CHECK(timers.advance(start + 20 + Wheel::kBuckets) == Ids{2});
}

TEST_CASE("a wheel that wasn't advanced for more than half the range of ticks still works") {
  // 2^31 ticks of 8 ms are 198 days without a single event; then the first connection sets its timeout.
  Timers timers(1, 100);
  const uint32_t now = 100 + (1u << 31) + 5000;
  CHECK(timers.advance(now).empty());
  CHECK(timers.wheel.now() == now);
  timers.wheel.arm(0, now + 10);
  CHECK(timers.advance(now + 9).empty());
  CHECK(timers.advance(now + 10) == Ids{0});
}

TEST_CASE("the next wake-up is exact for a timer in any bucket of this round") {
  // Every bucket, from starts at, before and after a word's boundary: a scan that stops early would return 0 and spin.
  for (const uint32_t start : {0u, 1u, 31u, 63u, 64u, 65u, 4094u, 4095u, 5000u, UINT32_MAX - 3}) {
    for (uint32_t ahead = 1; ahead <= Wheel::kBuckets; ++ahead) {
      Timers timers(1, start);
      timers.wheel.arm(0, start + ahead);
      if (timers.wheel.next_ms(start) != static_cast<int>(ahead * Wheel::kTickMs)) {
        FAIL("start " << start << ", " << ahead << " ahead: " << timers.wheel.next_ms(start));
      }
    }
  }
}

TEST_CASE("a timer of a later round causes one wake-up a round, and never a timeout of 0") {
  Timers timers(1, 7);
  const uint32_t deadline = 7 + 10 * Wheel::kBuckets + 100;
  timers.wheel.arm(0, deadline);
  int wakes = 0;
  for (;;) {
    const int ms = timers.wheel.next_ms(timers.wheel.now());
    REQUIRE(ms > 0);
    ++wakes;
    const uint32_t then = timers.wheel.now() + static_cast<uint32_t>(ms) / Wheel::kTickMs;
    if (timers.advance(then) == Ids{0}) break;
    REQUIRE(wakes < 20);
  }
  CHECK(timers.wheel.now() == deadline);
  CHECK(wakes == 11);
}

TEST_CASE("next_ms() of a wheel that is behind the clock is 0") {
  Timers timers(1);
  timers.wheel.arm(0, 5);
  CHECK(timers.wheel.next_ms(4) == static_cast<int>(Wheel::kTickMs));
  CHECK(timers.wheel.next_ms(5) == 0);
  CHECK(timers.wheel.next_ms(500) == 0);
}

TEST_CASE("100,000 random timers fire exactly as in a model with a list of deadlines") {
  constexpr uint32_t kTimers = 2000;
  constexpr int kArmed = 100'000;
  std::mt19937 random = seeded(7);
  const auto upto = [&](uint32_t max) { return std::uniform_int_distribution<uint32_t>(0, max)(random); };
  const uint32_t start = UINT32_MAX - 30'000;  // so that ticks wrap
  Timers timers(kTimers, start);
  std::map<uint32_t, uint32_t> model;
  uint32_t now = start;
  int armed = 0;
  const auto arm = [&](uint32_t id) {
    // Most are due in this round; some in later rounds, some now, some in the past.
    const uint32_t ahead = upto(9) == 0 ? upto(3 * Wheel::kBuckets) : upto(600);
    const uint32_t deadline = upto(50) == 0 ? now - upto(20) : now + ahead;
    timers.wheel.arm(id, deadline);
    model[id] = static_cast<int32_t>(deadline - now) <= 0 ? now + 1 : deadline;
    ++armed;
  };
  while (armed < kArmed) {
    for (uint32_t i = upto(80); i > 0; --i) arm(upto(kTimers - 1));
    for (uint32_t i = upto(8); i > 0; --i) {
      const uint32_t id = upto(kTimers - 1);
      timers.wheel.cancel(id);
      model.erase(id);
    }
    REQUIRE(timers.wheel.next_ms(now) == model_next_ms(model, now, now));
    now += upto(40) == 0 ? upto(2 * Wheel::kBuckets) : upto(12);
    std::set<uint32_t> due;
    for (const auto& [id, deadline] : model) {
      if (static_cast<int32_t>(deadline - now) <= 0) due.insert(id);
    }
    for (const uint32_t id : due) model.erase(id);
    timers.wheel.advance(now, [&](uint32_t id) {
      if (due.erase(id) != 1) FAIL("timer " << id << " fired unexpectedly");
      // Some timers that fire arm themselves again, or another one.
      if (upto(3) == 0) arm(id);
      const uint32_t other = upto(kTimers - 1);
      if (upto(9) == 0 && due.count(other) == 0) arm(other);
      if (upto(9) == 0) {
        timers.wheel.cancel(other);
        due.erase(other);
        model.erase(other);
      }
    });
    REQUIRE(due.empty());
    REQUIRE(timers.wheel.count() == model.size());
  }
}

TEST_CASE("an interrupted advance continues where it stopped, and until it is complete next_ms() is 0") {
  for (const uint32_t max : {1u, 3u, 7u}) {
    Timers timers(40, 100);
    for (uint32_t id = 0; id < 20; ++id) timers.wheel.arm(id, 105);
    for (uint32_t id = 20; id < 30; ++id) timers.wheel.arm(id, 107);
    timers.wheel.arm(30, 105 + Wheel::kBuckets);
    timers.wheel.arm(31, 110);
    std::multiset<uint32_t> fired;
    bool cancelled = false;
    for (int calls = 0; fired.size() < 29; ++calls) {
      REQUIRE(calls <= 40);
      uint32_t looked = 0;
      timers.wheel.advance(
          108,
          [&](uint32_t id) {
            CHECK_FALSE(timers.nodes[id].armed);
            fired.insert(id);
            // Armed again for a later tick, whichever bucket is being processed.
            if (id == 3) timers.wheel.arm(id, 109);
          },
          [&] { return ++looked >= max; });
      CHECK(looked <= max);
      if (fired.size() < 29) CHECK(timers.wheel.next_ms(108) == 0);
      // Cancels one that hasn't fired, between two parts.
      if (!std::exchange(cancelled, true)) timers.wheel.cancel(*fired.begin() == 0 ? 19 : 0);
    }
    for (const uint32_t id : fired) CHECK(fired.count(id) == 1);
    CHECK(timers.wheel.next_ms(108) == static_cast<int>(Wheel::kTickMs));
    CHECK(timers.advance(109) == Ids{3});
    CHECK(timers.advance(110) == Ids{31});
    CHECK(timers.advance(104 + Wheel::kBuckets).empty());
    CHECK(timers.advance(105 + Wheel::kBuckets) == Ids{30});
  }
}
