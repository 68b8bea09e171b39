// The queues between the two threads keep their order and lose no wake-up. TSan checks the memory orders.
#include "native/exchange/mailbox.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "test/native/bell.h"

using namespace c1m;

namespace {

struct Item {
  Item* next = nullptr;
  uint32_t number = 0;
  uint32_t payload = 0;  // plain: the hand-over itself must order it
};

CommandBatch* make_commands(std::vector<std::unique_ptr<CommandBatch>>& all) {
  all.push_back(std::make_unique<CommandBatch>(nullptr, 0, nullptr, 0));
  return all.back().get();
}

}  // namespace

TEST_CASE("take() empties a handoff, oldest first") {
  Handoff<Item> handoff;
  CHECK(handoff.empty());
  CHECK(handoff.take() == nullptr);
  Item items[3];
  for (Item& item : items) handoff.push(&item);
  CHECK_FALSE(handoff.empty());
  Item* taken = handoff.take();
  CHECK(taken == &items[0]);
  CHECK(taken->next == &items[1]);
  CHECK(taken->next->next == &items[2]);
  CHECK(taken->next->next->next == nullptr);
  CHECK(handoff.empty());
  CHECK(handoff.take() == nullptr);
  handoff.push(&items[1]);
  taken = handoff.take();
  CHECK(taken == &items[1]);
  CHECK(taken->next == nullptr);
}

TEST_CASE("a handoff keeps order and contents between two threads, with objects that are used again") {
  constexpr uint32_t kItems = 200'000;
  Handoff<Item> there;
  Handoff<Item> back;
  std::vector<Item> items(16);
  std::thread producer([&] {
    uint32_t next = 0;
    for (Item& item : items) back.push(&item);  // all are free at first; only this thread pushes and takes here
    Item* free = back.take();
    while (next < kItems) {
      if (free == nullptr) free = back.take();
      if (free == nullptr) {
        std::this_thread::yield();
        continue;
      }
      Item* item = free;
      free = free->next;
      item->number = next;
      item->payload = next * 2654435761u;
      there.push(item);
      ++next;
    }
  });
  uint32_t expected = 0;
  bool in_order = true;
  while (expected < kItems) {
    Item* item = there.take();
    if (item == nullptr) std::this_thread::yield();
    while (item != nullptr) {
      Item* next = item->next;
      in_order = in_order && item->number == expected && item->payload == expected * 2654435761u;
      ++expected;
      item->payload = 0;
      back.push(item);
      item = next;
    }
  }
  producer.join();
  CHECK(in_order);
}

TEST_CASE("the I/O thread may sleep only if the queues that its sleep is for are empty") {
  using Sleep = Mailbox::Sleep;
  std::vector<std::unique_ptr<CommandBatch>> commands;
  Mailbox mailbox;
  CHECK(mailbox.io_may_sleep(Sleep::kForCommands));
  mailbox.io_awake();
  mailbox.commands.push(make_commands(commands));
  CHECK_FALSE(mailbox.io_may_sleep(Sleep::kForCommands));
  CHECK_FALSE(mailbox.io_may_sleep(Sleep::kForCommandsAndReturns));
  mailbox.io_awake();
  (void)mailbox.commands.take();

  EventBatch batch(nullptr);
  mailbox.returned.push(&batch);
  CHECK(mailbox.io_may_sleep(Sleep::kForCommands));  // returns don't matter to this sleep
  CHECK_FALSE(mailbox.io_may_sleep(Sleep::kForCommandsAndReturns));
  mailbox.io_awake();
  (void)mailbox.returned.take();

  mailbox.request_stop();
  CHECK(mailbox.stop_requested());
  CHECK_FALSE(mailbox.io_may_sleep(Sleep::kForCommands));
}

TEST_CASE("the I/O thread is woken once, and only for the queues that its sleep is for") {
  using Sleep = Mailbox::Sleep;
  Mailbox mailbox;
  CHECK_FALSE(mailbox.must_wake_io(true));
  REQUIRE(mailbox.io_may_sleep(Sleep::kForCommands));
  CHECK_FALSE(mailbox.must_wake_io(false));
  CHECK(mailbox.must_wake_io(true));
  CHECK_FALSE(mailbox.must_wake_io(true));
  mailbox.io_awake();
  REQUIRE(mailbox.io_may_sleep(Sleep::kForCommandsAndReturns));
  CHECK(mailbox.must_wake_io(false));
  CHECK_FALSE(mailbox.must_wake_io(true));
  mailbox.io_awake();
  CHECK_FALSE(mailbox.must_wake_io(true));
}

TEST_CASE("the JS thread is woken once, and stays awake while there are events") {
  Mailbox mailbox;
  EventBatch batch(nullptr);
  mailbox.events.push(&batch);
  CHECK(mailbox.must_wake_js());
  CHECK_FALSE(mailbox.must_wake_js());
  CHECK_FALSE(mailbox.js_may_sleep());  // an event waits
  CHECK_FALSE(mailbox.must_wake_js());  // it still counts as awake
  (void)mailbox.events.take();
  CHECK(mailbox.js_may_sleep());
  CHECK(mailbox.must_wake_js());
}

TEST_CASE("no wake-up is lost between two threads that sleep whenever they can") {
  // Ping-pong over all four queues. Each side sleeps as soon as it may, and only the bells wake it: a lost wake-up
  // leaves both asleep, and the bell's wait times out.
  constexpr int kBatches = 60'000;
  using Sleep = Mailbox::Sleep;
  Mailbox mailbox;
  Bell io_bell;
  Bell js_bell;
  std::atomic<bool> lost{false};
  EventBatch batches[2] = {EventBatch(nullptr), EventBatch(nullptr)};
  for (EventBatch& batch : batches) mailbox.returned.push(&batch);

  std::thread io([&] {
    int published = 0;
    int returned = 0;
    EventBatch* free = nullptr;
    while (!lost) {
      CommandBatch* commands = mailbox.commands.take();
      while (commands != nullptr) {
        CommandBatch* next = commands->next;
        mailbox.spent.push(commands);
        commands = next;
      }
      EventBatch* batch = mailbox.returned.take();
      while (batch != nullptr) {
        EventBatch* next = batch->next;
        batch->next = free;
        free = batch;
        ++returned;
        batch = next;
      }
      if (free != nullptr && published < kBatches) {
        EventBatch* out = free;
        free = free->next;
        mailbox.events.push(out);
        ++published;
        if (mailbox.must_wake_js()) js_bell.ring();
        continue;
      }
      if (returned == kBatches + 2) break;
      if (mailbox.io_may_sleep(Sleep::kForCommandsAndReturns) && !io_bell.wait()) lost = true;
      mailbox.io_awake();
    }
  });

  std::vector<std::unique_ptr<CommandBatch>> all;
  CommandBatch* free_commands = nullptr;
  int delivered = 0;
  while (delivered < kBatches && !lost) {
    // The steps of IoHost::deliver(): hand batches back, publish commands from time to time, check again before
    // sleeping.
    EventBatch* batch = mailbox.events.take();
    while (batch != nullptr) {
      EventBatch* next = batch->next;
      ++delivered;
      mailbox.returned.push(batch);
      if (delivered % 3 == 0) {
        if (free_commands == nullptr) free_commands = mailbox.spent.take();
        CommandBatch* commands = free_commands != nullptr ? free_commands : make_commands(all);
        if (free_commands != nullptr) free_commands = free_commands->next;
        mailbox.commands.push(commands);
        if (mailbox.must_wake_io(true)) io_bell.ring();
      }
      if (mailbox.must_wake_io(false)) io_bell.ring();
      batch = next;
    }
    if (delivered < kBatches && mailbox.js_may_sleep() && !js_bell.wait()) lost = true;
  }
  io.join();
  CHECK_FALSE(lost);
  CHECK(delivered == kBatches);
}
