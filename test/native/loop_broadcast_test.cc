// Broadcasts: each connection gets them once, in order with its own writes, however full its socket is, and the payload
// is freed once.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "native/features/groups/broadcast_request.h"
#include "test/native/bytes_of.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

constexpr uint32_t kNoLimit = 1u << 30;

// The result of a broadcast, filled in when its request completes.
struct Outcome {
  int answers = 0;
  uint32_t reached = 0;
  uint32_t queued = 0;
  uint32_t cut = 0;
};

// Some connections, and the bytes that each of them must receive.
class Crowd {
 public:
  explicit Crowd(size_t size, Harness::Setup setup = {.max_connections = 2048}) : h(setup), port_(h.listen()) {
    raise_descriptor_limit();
    for (size_t i = 0; i < size; ++i) join();
  }

  Told& join() {
    auto [client, told] = h.accept(port_);
    clients.push_back(&client);
    told_.push_back(&told);
    expected.emplace_back();
    return told;
  }

  [[nodiscard]] size_t size() const { return told_.size(); }
  [[nodiscard]] Told& operator[](size_t index) { return *told_[index]; }

  struct How {
    bool pinned = false;
    uint32_t limit = kNoLimit;
    uint32_t except = BroadcastRequest::kNobody;
    size_t from = 0;  // the first target's index
  };
  Outcome& broadcast(const std::string& bytes, const How& how) {
    const auto [pinned, limit, except, from] = how;
    Outcome& result = results_.emplace_back();
    auto request = std::make_unique<BroadcastRequest>();
    outcomes_[request.get()] = &result;
    std::vector<BroadcastTarget> targets;
    for (size_t i = from; i < size(); ++i) targets.push_back({told_[i]->slot, told_[i]->generation, limit, 0});
    request->list = list_of(targets);
    request->except = except;
    if (pinned) {
      request->payload = new SharedPayload;
      request->payload->length = bytes.size();
      const std::string& owner = h.js.pin(bytes);
      request->payload->data = reinterpret_cast<const uint8_t*>(owner.data());
      request->payload->owner = const_cast<std::string*>(&owner);
    } else {
      request->payload = SharedPayload::of(bytes_of(bytes));
    }
    h.js.request(std::move(request));
    for (size_t i = from; i < size(); ++i) {
      if (told_[i]->slot != except) expected[i] += bytes;
    }
    return result;
  }
  Outcome& broadcast(const std::string& bytes) { return broadcast(bytes, How{}); }

  void write(size_t to, const std::string& bytes) {
    h.js.write(*told_[to], bytes);
    expected[to] += bytes;
  }

  // Runs one turn, delivers its events, and records the results of completed requests.
  void turn() {
    h.turn();
    deliver();
  }
  void settle() {
    h.settle();
    deliver();
  }
  void deliver() {
    h.js.deliver_all();
    for (const auto& request : h.js.completed) {
      const auto found = outcomes_.find(request.get());
      if (found == outcomes_.end()) continue;  // the reply to listen()
      const auto& done = static_cast<const BroadcastRequest&>(*request);
      *found->second = {found->second->answers + 1, done.reached, done.queued, done.cut};
    }
    h.js.completed.clear();
  }

  void check_received() {
    for (size_t i = 0; i < size(); ++i) {
      CAPTURE(i);
      CHECK(clients[i]->receive() == expected[i]);
    }
  }

  Harness h;
  std::vector<Client*> clients;
  std::vector<std::string> expected;

 private:
  Harness::Port port_;
  std::vector<Told*> told_;
  std::deque<Outcome> results_;
  std::map<const Request*, Outcome*> outcomes_;
};

// Sockets that take a limited number of bytes each, and then are full.
class FullSockets {
 public:
  explicit FullSockets(Harness& h) : h_(h) {
    h.hooks.send = [this](int to, const void* bytes, size_t size, int flags) -> ssize_t {
      return send(to, bytes, size, flags);
    };
    h.hooks.sendmsg = [this](int to, const msghdr* message, int flags) -> ssize_t {
      std::string bytes;
      for (size_t i = 0; i < message->msg_iovlen; ++i) {
        bytes.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
      }
      return send(to, bytes.data(), bytes.size(), flags);
    };
  }

  void limit(const Told& to, size_t room) { room_[h_.fd(to)] = room; }
  void open(const Told& to) {
    room_.erase(h_.fd(to));
    h_.inject(to, Edge::kWritable);
  }

  int calls = 0;

 private:
  ssize_t send(int to, const void* bytes, size_t size, int flags) {
    ++calls;
    const auto found = room_.find(to);
    if (found == room_.end()) return shim::__real_send(to, bytes, size, flags);
    if (found->second == 0) return shim::fail(EAGAIN);
    const ssize_t sent = shim::__real_send(to, bytes, std::min(size, found->second), flags);
    if (sent > 0) found->second -= static_cast<size_t>(sent);
    return sent;
  }

  Harness& h_;
  std::map<int, size_t> room_;
};

}  // namespace

TEST_CASE("a broadcast reaches every connection, from one payload, and isn't counted among their own writes") {
  for (const bool pinned : {false, true}) {
    Crowd crowd(20);
    Outcome& result = crowd.broadcast(pattern(100), {.pinned = pinned});
    crowd.settle();
    crowd.check_received();
    CHECK(result.answers == 1);
    CHECK(result.reached == 20);
    CHECK(result.queued == 0);
    CHECK(result.cut == 0);
    CHECK(crowd.h.js.pinned() == 0);
    CHECK(crowd.h.js.flushed(crowd[0]) == 0);
    CHECK(crowd.h.js.stat("bytesWritten") == 2000);
  }
}

TEST_CASE("a broadcast leaves out the excepted connection") {
  Crowd crowd(3);
  Outcome& result = crowd.broadcast("hello", {.except = crowd[1].slot});
  crowd.settle();
  crowd.check_received();
  CHECK(result.reached == 2);
}

TEST_CASE("an empty broadcast, and one without an open target, complete immediately") {
  Crowd crowd(2);
  Outcome& empty = crowd.broadcast("", {.pinned = true});
  crowd.turn();
  crowd.turn();  // a short batch waits for one turn
  CHECK(empty.answers == 1);
  CHECK(empty.reached == 2);
  CHECK(crowd.h.js.pinned() == 0);
  for (size_t i = 0; i < 2; ++i) crowd.h.js.destroy(crowd[i]);
  Outcome& nobody = crowd.broadcast("hello", {.pinned = true});
  crowd.settle();
  CHECK(nobody.answers == 1);
  CHECK(nobody.reached == 0);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("a broadcast that takes several turns is in order with writes") {
  Crowd crowd(700);
  FullSockets sockets(crowd.h);
  // These get the broadcast together with their writes; the others wait for later turns.
  for (size_t i = 0; i < crowd.size(); i += 3) crowd.write(i, "before" + std::to_string(i));
  Outcome& first = crowd.broadcast(pattern(100, 1));
  for (size_t i = 0; i < crowd.size(); i += 3) crowd.write(i, "between" + std::to_string(i));
  Outcome& second = crowd.broadcast(pattern(200, 2), {.pinned = true});
  crowd.turn();
  CHECK(first.answers == 0);
  // Some connections have been served and others not: later writes must come later for both.
  for (size_t i = 0; i < crowd.size(); i += 2) crowd.write(i, "after" + std::to_string(i));
  Outcome& third = crowd.broadcast(pattern(50, 3));
  crowd.h.js.end(crowd[0]);
  crowd.h.js.end(crowd[699]);
  crowd.settle();
  crowd.check_received();
  for (const Outcome* result : {&first, &second, &third}) {
    CHECK(result->answers == 1);
    CHECK(result->reached == 700);
    CHECK(result->queued == 0);
  }
  CHECK(crowd.clients[0]->ended);
  CHECK(crowd.clients[699]->ended);
}

TEST_CASE("a turn sends a broadcast to a bounded number of connections") {
  Crowd crowd(1000);
  FullSockets sockets(crowd.h);
  Outcome& result = crowd.broadcast(pattern(100));
  int turns = 0;
  while (result.answers == 0) {
    const int before = sockets.calls;
    crowd.turn();
    REQUIRE(++turns < 100);
    CHECK(sockets.calls - before <= 64);
  }
  CHECK(turns >= 16);
  CHECK(result.reached == 1000);
  crowd.check_received();
}

TEST_CASE("closing a connection with a long queue counts for the turn's budget") {
  constexpr int kMembers = 10;
  Crowd crowd(kMembers);
  FullSockets sockets(crowd.h);
  for (int i = 0; i < kMembers; ++i) sockets.limit(crowd[i], 0);
  // Releasing one queue takes more than a turn's budget.
  for (int i = 0; i < 20'000; ++i) {
    crowd.broadcast("x");
    if (i % 100 == 99) crowd.settle();
  }
  for (int i = 0; i < kMembers; ++i) crowd.h.js.destroy(crowd[i]);
  int turns = 0;
  const auto is_open = [&](int i) { return !crowd[i].closed(); };
  for (int open = kMembers; open > 0; ++turns) {
    crowd.turn();
    open = 0;
    for (int i = 0; i < kMembers; ++i) open += is_open(i) ? 1 : 0;
    REQUIRE(turns < 1000);
  }
  CHECK(turns >= kMembers);
}

TEST_CASE("targets that were already served with another broadcast don't count for the turn's budget") {
  Crowd crowd(3);
  FullSockets sockets(crowd.h);
  std::vector<Outcome*> results;
  for (int i = 0; i < 1000; ++i) results.push_back(&crowd.broadcast("x"));
  // With 64 targets a turn, 3,000 of them would take more turns.
  for (int turns = 0; turns < 6; ++turns) crowd.turn();
  for (const Outcome* result : results) {
    CHECK(result->answers == 1);
    CHECK(result->reached == 3);
  }
  // One call sends up to 64 broadcasts, for each of the three.
  CHECK(sockets.calls < 100);
  crowd.check_received();
}

TEST_CASE("broadcasts that need several turns to be queued are in order with the writes behind them") {
  Crowd crowd(1000);
  FullSockets sockets(crowd.h);
  for (size_t i = 0; i < crowd.size(); ++i) sockets.limit(crowd[i], 0);
  std::vector<Outcome*> results;
  for (int i = 0; i < 40; ++i) {
    results.push_back(&crowd.broadcast(std::to_string(i) + ";"));
    if (i % 8 == 0) crowd.write(999, "own" + std::to_string(i) + ";");
  }
  crowd.h.js.end(crowd[0]);
  crowd.turn();
  // Less than half of the 40,000 queue entries have been made.
  const auto queued = [&](size_t at) { return crowd.h.loop->table().slots[crowd[at].slot].out.bytes(); };
  CHECK(queued(0) > 0);
  CHECK(queued(0) < 60);
  CHECK_FALSE(crowd.h.loop->table().slots[crowd[0].slot].has(Connection::kEndWanted));
  // The loop reads meanwhile.
  crowd.clients[5]->send("hello");
  crowd.turn();
  crowd.turn();
  CHECK(crowd[5].received == "hello");
  crowd.settle();
  for (size_t i = 0; i < crowd.size(); ++i) sockets.open(crowd[i]);
  crowd.settle();
  crowd.check_received();
  CHECK(crowd.clients[0]->ended);
  for (const Outcome* result : results) {
    CHECK(result->answers == 1);
    CHECK(result->reached + result->queued == 1000);
  }
}

TEST_CASE("a connection that closes while broadcasts are being queued gets no more of them, and the others all") {
  Crowd crowd(1000);
  for (int i = 0; i < 20; ++i) crowd.broadcast("x", {.pinned = true});
  crowd.turn();
  crowd.clients[999]->rst();
  crowd.settle();
  CHECK(crowd[999].closed());
  CHECK(crowd.clients[998]->receive() == crowd.expected[998]);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("a loop that stops while a broadcast is being queued leaves nothing behind") {
  Crowd crowd(1000);
  for (int i = 0; i < 20; ++i) crowd.broadcast("x");
  crowd.turn();
  crowd.h.stop();  // AddressSanitizer finds leaks
}

TEST_CASE("a turn sends a bounded number of a broadcast's bytes") {
  Crowd crowd(40);
  FullSockets sockets(crowd.h);
  Outcome& result = crowd.broadcast(pattern(100'000), {.pinned = true});
  double before = 0;
  while (result.answers == 0) {
    crowd.turn();
    const double written = crowd.h.js.stat("bytesWritten");
    CHECK(written - before <= 1024 * 1024 + 256 * 1024);
    before = written;
    for (Client* client : crowd.clients) client->receive();
  }
  crowd.settle();
  crowd.check_received();
}

TEST_CASE("a small broadcast doesn't wait for the end of a large one") {
  Crowd crowd(1000);
  Outcome& large = crowd.broadcast("large");
  Outcome& small = crowd.broadcast("small", {.from = 990});
  crowd.turn();
  crowd.turn();  // a short batch waits for one turn
  CHECK(small.answers == 1);
  CHECK(small.reached == 10);
  CHECK(large.answers == 0);
  crowd.settle();
  CHECK(large.reached == 1000);
  crowd.check_received();
}

TEST_CASE("a broadcast is exact on sockets that are full after any of its bytes") {
  constexpr size_t kLength = 60;
  Crowd crowd(kLength + 1);
  FullSockets sockets(crowd.h);
  for (const bool pinned : {false, true}) {
    for (size_t i = 0; i <= kLength; ++i) sockets.limit(crowd[i], i);
    Outcome& result = crowd.broadcast(pattern(kLength), {.pinned = pinned});
    crowd.settle();
    CHECK(result.answers == 1);
    CHECK(result.reached == 1);  // the one whose socket takes it all
    CHECK(result.queued == kLength);
    CHECK(crowd.h.quiet());
    CHECK(crowd.h.js.pinned() == (pinned ? 1 : 0));
    for (size_t i = 0; i <= kLength; ++i) {
      if (i % 2 == 0) crowd.write(i, "more");
    }
    crowd.settle();
    for (size_t i = 0; i <= kLength; ++i) sockets.open(crowd[i]);
    crowd.settle();
    crowd.check_received();
    CHECK(crowd.h.js.pinned() == 0);
  }
  CHECK(crowd.h.js.flushed(crowd[0]) == 8);
}

TEST_CASE("a connection whose queue has no room for a broadcast is closed, and no other") {
  Crowd crowd(5);
  FullSockets sockets(crowd.h);
  sockets.limit(crowd[1], 0);
  sockets.limit(crowd[3], 10);
  Outcome& first = crowd.broadcast(pattern(100), {.pinned = true, .limit = 250});
  Outcome& second = crowd.broadcast(pattern(100), {.pinned = true, .limit = 250});
  crowd.settle();
  CHECK(first.queued == 2);
  CHECK(second.queued == 2);
  crowd.h.js.write(crowd[1], pattern(40));  // 240 in its queue
  crowd.settle();
  Outcome& third = crowd.broadcast(pattern(60), {.pinned = true, .limit = 250});
  crowd.settle();
  CHECK(third.reached == 3);
  CHECK(third.queued == 1);  // 190 and 60 are exactly the limit
  CHECK(third.cut == 1);
  CHECK(crowd[1].log == "OC");
  CHECK(crowd[1].error == static_cast<int>(OwnError::kWriteQueueFull));
  CHECK(crowd[3].log == "O");
  sockets.open(crowd[3]);
  crowd.settle();
  CHECK(crowd.clients[3]->receive() == crowd.expected[3]);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("a broadcast larger than the limit closes all its connections") {
  Crowd crowd(3);
  Outcome& result = crowd.broadcast(pattern(101), {.pinned = true, .limit = 100});
  crowd.settle();
  CHECK(result.cut == 3);
  CHECK(result.reached == 0);
  CHECK(crowd.h.js.open() == 0);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("a connection that has ended, or closes before it is served, is in none of the counts") {
  Crowd crowd(600);
  crowd.h.js.end(crowd[0]);
  Outcome& result = crowd.broadcast(pattern(100), {.pinned = true});
  crowd.h.js.destroy(crowd[1]);
  crowd.turn();
  REQUIRE(result.answers == 0);
  // The last connections haven't been served yet.
  crowd.h.js.destroy(crowd[598]);
  crowd.clients[599]->rst();
  crowd.settle();
  CHECK(result.answers == 1);
  CHECK(result.queued == 0);
  CHECK(result.cut == 0);
  CHECK(result.reached == 596);
  CHECK(crowd.clients[0]->receive().empty());
  CHECK(crowd.clients[0]->ended);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("the next connection in a slot gets nothing of a broadcast for the previous one") {
  Crowd crowd(700);
  Outcome& result = crowd.broadcast(pattern(100), {.pinned = true});
  crowd.h.js.destroy(crowd[699]);
  for (int i = 0; i < 3; ++i) crowd.turn();  // its slot is free when the batch with its close is back
  const Told& next = crowd.join();           // runs turns until it is open
  CHECK(next.slot == crowd[699].slot);
  crowd.deliver();
  CHECK(result.answers == 0);
  crowd.settle();
  CHECK(crowd.clients.back()->receive().empty());
  CHECK(result.reached == 699);
}

TEST_CASE("a socket that fails gets no more of a broadcast, and the others get all of it") {
  Crowd crowd(10);
  const int broken = crowd.h.fd(crowd[4]);
  crowd.h.hooks.send = [broken](int to, const void* bytes, size_t size, int flags) -> ssize_t {
    return to == broken ? shim::fail(ECONNRESET) : shim::__real_send(to, bytes, size, flags);
  };
  Outcome& result = crowd.broadcast(pattern(100), {.pinned = true});
  crowd.settle();
  CHECK(result.reached == 9);
  CHECK(result.queued == 0);
  CHECK(crowd[4].closed());
  CHECK(crowd[4].error == ECONNRESET);
  CHECK(crowd.h.js.pinned() == 0);
}

TEST_CASE("drain is delivered only when the queue has no broadcasts either") {
  Crowd crowd(1);
  FullSockets sockets(crowd.h);
  sockets.limit(crowd[0], 0);
  crowd.write(0, "mine");
  crowd.broadcast(pattern(100));
  crowd.h.js.want_drain(crowd[0]);
  crowd.settle();
  CHECK(crowd[0].log == "O");
  sockets.open(crowd[0]);
  crowd.settle();
  CHECK(crowd[0].log == "OR");
  CHECK(crowd.h.js.flushed(crowd[0]) == 4);
  crowd.check_received();
}

TEST_CASE("with the level trigger, a full socket gets the rest of a broadcast when it has room") {
  Crowd crowd(3, {.max_connections = 8, .trigger = Trigger::kLevel});
  FullSockets sockets(crowd.h);
  sockets.limit(crowd[1], 7);
  Outcome& result = crowd.broadcast(pattern(100), {.pinned = true});
  crowd.turn();
  crowd.turn();
  CHECK(result.queued == 1);
  sockets.open(crowd[1]);
  crowd.settle();
  crowd.check_received();
}

TEST_CASE("a loop that stops during a broadcast leaves nothing behind") {
  Crowd crowd(600);
  FullSockets sockets(crowd.h);
  sockets.limit(crowd[0], 10);
  const Outcome& outcome = crowd.broadcast(pattern(100));
  crowd.turn();
  REQUIRE(outcome.answers == 0);
  crowd.h.stop();  // AddressSanitizer finds leaks
}
