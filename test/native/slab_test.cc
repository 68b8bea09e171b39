// Slots with generations.
#include "native/mem/slab.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace c1m;

namespace {

struct Tenant {
  int value = 0;
  std::shared_ptr<int> owned;  // shows when the slot releases its contents
};

using Slots = Slab<Tenant>;

}  // namespace

TEST_CASE("a slab hands out each slot once, up to its capacity") {
  Slots slots(3);
  CHECK(slots.allocate() == 0);
  CHECK(slots.allocate() == 1);
  CHECK(slots.allocate() == 2);
  CHECK(slots.allocate() == Slots::kNone);
  CHECK(slots.live() == 3);
  CHECK(slots.used() == 3);
  slots.release(1);
  CHECK(slots.live() == 2);
  CHECK(slots.allocate() == 1);
  CHECK(slots.allocate() == Slots::kNone);
  CHECK(slots.used() == 3);
}

TEST_CASE("a slab without capacity has no slot") {
  Slots slots(0);
  CHECK(slots.allocate() == Slots::kNone);
  CHECK(slots.find(0, 1) == nullptr);
}

TEST_CASE("slots keep their addresses while a slab grows by chunks") {
  // A capacity that isn't a multiple of a chunk's slots.
  constexpr uint32_t kCapacity = 2500;
  Slots slots(kCapacity);
  std::vector<Tenant*> places;
  for (uint32_t i = 0; i < kCapacity; ++i) {
    REQUIRE(slots.allocate() == i);
    slots[i].value = static_cast<int>(i);
    places.push_back(&slots[i]);
  }
  CHECK(slots.allocate() == Slots::kNone);
  for (uint32_t i = 0; i < kCapacity; ++i) {
    REQUIRE(&slots[i] == places[i]);
    REQUIRE(slots[i].value == static_cast<int>(i));
  }
}

TEST_CASE("freed slots are used again, oldest first, before new ones") {
  Slots slots(10);
  for (int i = 0; i < 5; ++i) (void)slots.allocate();
  slots.release(3);
  slots.release(0);
  slots.release(4);
  CHECK(slots.allocate() == 3);
  slots.release(1);
  CHECK(slots.allocate() == 0);
  CHECK(slots.allocate() == 4);
  CHECK(slots.allocate() == 1);
  CHECK(slots.allocate() == 5);
}

TEST_CASE("a released slot drops its contents, and is empty for the next user") {
  Slots slots(1);
  const uint32_t slot = slots.allocate();
  const auto held = std::make_shared<int>(7);
  slots[slot].value = 7;
  slots[slot].owned = held;
  CHECK(held.use_count() == 2);
  slots.release(slot);
  CHECK(held.use_count() == 1);
  REQUIRE(slots.allocate() == slot);
  CHECK(slots[slot].value == 0);
  CHECK(slots[slot].owned == nullptr);
}

TEST_CASE("find() returns null for an earlier generation") {
  Slots slots(4);
  const uint32_t slot = slots.allocate();
  const uint32_t first = slots.generation(slot);
  CHECK(first == 1);
  CHECK(slots.find(slot, first) == &slots[slot]);
  CHECK(slots.find(slot, first + 1) == nullptr);
  slots.release(slot);
  CHECK(slots.find(slot, first) == nullptr);
  REQUIRE(slots.allocate() == slot);
  CHECK(slots.find(slot, first) == nullptr);
  CHECK(slots.find(slot, slots.generation(slot)) == &slots[slot]);
}

TEST_CASE("find() returns null for a slot that was never allocated") {
  Slots slots(4);
  CHECK(slots.find(0, 1) == nullptr);
  (void)slots.allocate();
  CHECK(slots.find(1, 1) == nullptr);
  CHECK(slots.find(0, 0) == nullptr);
  CHECK(slots.find(Slots::kNone, 1) == nullptr);
  CHECK(slots.find(1u << 24, 1) == nullptr);
}

TEST_CASE("generations wrap after the last one, and are never 0") {
  Slots slots(1);
  uint32_t expected = 1;
  for (uint32_t i = 0; i < Slots::kLastGeneration; ++i) {
    const uint32_t slot = slots.allocate();
    if (slots.generation(slot) != expected) FAIL("generation " << slots.generation(slot) << ", not " << expected);
    ++expected;
    slots.release(slot);
  }
  CHECK(expected == Slots::kLastGeneration + 1);
  const uint32_t slot = slots.allocate();
  CHECK(slots.generation(slot) == 1);
  CHECK(slots.find(slot, Slots::kLastGeneration) == nullptr);
}
