#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/socket/socket_requests.h"
#include "native/loop/loop.h"
#include "test/native/js_side.h"
#include "test/native/shim.h"

namespace c1m {

// Returns the number of descriptors that this process has open.
[[nodiscard]] int count_descriptors();

// Returns the number of descriptors in the calling thread's file table, for a thread with a table of its own.
[[nodiscard]] int count_descriptors_of_thread();

// Raises RLIMIT_NOFILE as far as the system allows, because some tests hold a few thousand descriptors.
void raise_descriptor_limit();

// Checks that as many descriptors are open at its end as at its beginning.
class DescriptorCheck {
 public:
  DescriptorCheck() : before_(count_descriptors()) {}
  DescriptorCheck(const DescriptorCheck&) = delete;
  DescriptorCheck& operator=(const DescriptorCheck&) = delete;
  ~DescriptorCheck();

 private:
  int before_;
};

// Bits of a descriptor's readiness that a test injects.
struct Edge {
  static constexpr uint8_t kReadable = 1;
  static constexpr uint8_t kWritable = 2;
  static constexpr uint8_t kHangup = 4;
  static constexpr uint8_t kError = 8;
};

// Returns the current readiness of a descriptor, by poll(2), or nothing if it isn't ready.
[[nodiscard]] std::optional<Readiness> readiness_of(int fd, uint64_t word);

// A peer whose socket the shim doesn't touch. Only connecting blocks.
class Client {
 public:
  explicit Client(const Address& to, int receive_buffer = 0);

  // send() sends all bytes, which must fit; send_some() sends as many as fit, and returns their number.
  void send(std::string_view bytes);
  size_t send_some(std::string_view bytes);
  // Reads everything that has arrived; records an end or an error.
  const std::string& receive();
  void fin();
  void close() { fd.reset(); }
  void rst();

  Fd fd;
  std::string received;
  bool ended = false;
  int error = 0;
};

// A loop and its JS side on one thread. Where the loop would sleep, the turn returns, and its clock stands still until
// a test moves it. The destructor closes everything, and checks that nothing is left: no connection without its kClose,
// no descriptor, no block, no pinned buffer.
class Harness {
 public:
  struct Setup {
    uint32_t max_connections = 64;
    Trigger trigger = Trigger::kEdge;
    int batches = 4;
    uint32_t slab_bytes = 1 << 20;
    uint32_t file_threads = 0;  // 0: the loop does their work itself
  };
  struct Port {
    uint32_t index = 0;
    Address address;
  };
  struct ListenOptions {
    bool borrowed = false;
    uint32_t timeout_ms = 0;
    uint32_t read_timeout_ms = 0;
    uint32_t write_timeout_ms = 0;
    uint32_t total_timeout_ms = 0;
    Address address = Address::ip("127.0.0.1", 0).value();
    std::vector<OptionSetting> options{};
    Framing framing{};
  };
  struct Connected {
    Client& client;
    Told& told;
  };

  explicit Harness(const Setup& setup);
  Harness() : Harness(Setup{}) {}
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;
  ~Harness();

  Port listen(const ListenOptions& options);
  Port listen() { return listen(ListenOptions{}); }
  Client& connect(const Port& port, int receive_buffer = 0);
  // Connects, and waits until the open has been delivered.
  Connected accept(const Port& port, int receive_buffer = 0);

  // Publishes the commands, then runs one turn, which sleeps for at most `nap_ms`.
  void turn(int nap_ms = 0);
  // True if the last turn would have slept, and no readiness or wake-up came.
  [[nodiscard]] bool quiet() const { return asked_ != 0 && !came_; }
  // The timeout of the last turn's wait in milliseconds: -1 for no limit, 0 for no sleep.
  [[nodiscard]] int asked() const { return asked_; }
  // Runs turns and delivers their batches until neither side has anything to do.
  void settle();
  // Runs turns until the loop has nothing to do, while the JS thread is blocked.
  void settle_blocked();
  // Runs turns and delivers their batches until `so` returns true; fails after ten seconds.
  void until(const std::function<bool()>& so);
  // Closes all connections, and checks that nothing is left. The destructor calls it.
  void finish();
  // Ends the loop in its present state, with work in progress.
  void stop();

  // Adds readiness that the next wait reports, in addition to the kernel's.
  void inject(const Readiness& ready) { injected_.push_back(ready); }
  void inject(uint64_t word, uint8_t edges);
  void inject(const Told& to, uint8_t edges) { inject(uint64_t{to.generation} << 32 | to.slot, edges); }
  // Returns the descriptor of an open connection.
  [[nodiscard]] int fd(const Told& of) { return loop->table().slots[of.slot].fd.get(); }

 private:
  DescriptorCheck descriptors_;  // constructed first and destroyed last

 public:
  shim::Scope scope;
  shim::Hooks& hooks = scope.hooks;
  uint64_t now_ms = 1'000'000;
  int waits = 0;  // calls of wait() for the loop's poller
  JsSide js;
  std::unique_ptr<Loop> loop;
  std::deque<Client> clients;

 private:
  std::span<const Readiness> wait(Poller& poller, int timeout);

  int nap_ms_ = 0;
  int asked_ = 0;
  bool came_ = false;               // the last wait reported readiness or a wake-up
  std::atomic<bool> woken_{false};  // kept here because Poller::wait() doesn't report wake-ups
  uint32_t next_listener_ = 0;
  uint32_t checked_ = 0;  // the last slot that turn() has checked
  std::vector<Readiness> injected_;
  std::vector<Readiness> reported_;
  bool finished_ = false;
};

// Returns bytes that differ from their neighbours, so that a gap, a repetition or a swap is found.
[[nodiscard]] std::string pattern(size_t length, uint32_t seed = 0);

}  // namespace c1m
