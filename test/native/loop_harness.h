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

// Descriptors that this process has open.
[[nodiscard]] int count_descriptors();

// The same of the calling thread's table, if that is its own.
[[nodiscard]] int count_descriptors_of_thread();

// Takes as many as the system grants: some tests hold a few thousand.
void raise_descriptor_limit();

// Checks that there are as many descriptors at its end as at its beginning.
class DescriptorCheck {
 public:
  DescriptorCheck() : before_(count_descriptors()) {}
  DescriptorCheck(const DescriptorCheck&) = delete;
  DescriptorCheck& operator=(const DescriptorCheck&) = delete;
  ~DescriptorCheck();

 private:
  int before_;
};

// What a test says that the poller has seen of a descriptor.
struct Edge {
  static constexpr uint8_t kReadable = 1;
  static constexpr uint8_t kWritable = 2;
  static constexpr uint8_t kHangup = 4;
  static constexpr uint8_t kError = 8;
};

// What there is to report of a descriptor now, as poll(2) has it; nothing if it isn't ready.
[[nodiscard]] std::optional<Readiness> readiness_of(int fd, uint64_t word);

// A peer, with a socket of its own that the shim doesn't touch. Never blocks, but for connecting.
class Client {
 public:
  explicit Client(const Address& to, int receive_buffer = 0);

  // Sends all of it, which must fit; or as much as fits.
  void send(std::string_view bytes);
  size_t send_some(std::string_view bytes);
  // Takes what there is; notes an end or an error.
  const std::string& receive();
  void fin();
  void close() { fd.reset(); }
  void rst();

  Fd fd;
  std::string received;
  bool ended = false;
  int error = 0;
};

// A loop and its JS side on one thread. Where the loop would sleep it comes back, and its clock stands still until a
// test moves it. At its end everything is closed, and nothing may be left: no connection without its kClose, no
// descriptor, no block, no pinned buffer.
class Harness {
 public:
  struct Setup {
    uint32_t max_connections = 64;
    Trigger trigger = Trigger::kEdge;
    int batches = 4;
    uint32_t slab_bytes = 1 << 20;
    uint32_t file_threads = 0;  // their work is done on the spot
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
  // Connects, and waits until JavaScript has been told.
  Connected accept(const Port& port, int receive_buffer = 0);

  // Publishes the commands; then one turn, sleeping for at most `nap_ms`.
  void turn(int nap_ms = 0);
  // The last turn would have slept, and nothing came.
  [[nodiscard]] bool quiet() const { return asked_ != 0 && !came_; }
  // For how long it asked to sleep; -1 for ever, 0 not at all.
  [[nodiscard]] int asked() const { return asked_; }
  // Turns, and delivers what they bring, until neither has anything to do.
  void settle();
  // The same with a JS thread that is blocked.
  void settle_blocked();
  // Turns and deliveries until it is so; fails after ten seconds.
  void until(const std::function<bool()>& so);
  // Closes all connections and checks that nothing is left. The destructor does it, too.
  void finish();
  // Ends the loop as it is, in the middle of everything.
  void stop();

  // Readiness that the next wait reports, without the kernel.
  void inject(const Readiness& ready) { injected_.push_back(ready); }
  void inject(uint64_t word, uint8_t edges);
  void inject(const Told& to, uint8_t edges) { inject(uint64_t{to.generation} << 32 | to.slot, edges); }
  // The descriptor of a connection that is open.
  [[nodiscard]] int fd(const Told& of) { return loop->table().slots[of.slot].fd.get(); }

 private:
  DescriptorCheck descriptors_;  // first to come, last to go

 public:
  shim::Scope scope;
  shim::Hooks& hooks = scope.hooks;
  uint64_t now_ms = 1'000'000;
  int waits = 0;  // of the loop, for its poller
  JsSide js;
  std::unique_ptr<Loop> loop;
  std::deque<Client> clients;

 private:
  std::span<const Readiness> wait(Poller& poller, int timeout);

  int nap_ms_ = 0;
  int asked_ = 0;
  bool came_ = false;               // something, in the last wait
  std::atomic<bool> woken_{false};  // a wait reports no wake-up
  uint32_t next_listener_ = 0;
  uint32_t checked_ = 0;  // slot
  std::vector<Readiness> injected_;
  std::vector<Readiness> reported_;
  bool finished_ = false;
};

// Bytes that are unlike their neighbours, so that a gap, a repetition or a swap shows.
[[nodiscard]] std::string pattern(size_t length, uint32_t seed = 0);

}  // namespace c1m
