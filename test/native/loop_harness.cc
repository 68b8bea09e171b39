#include "test/native/loop_harness.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "native/net/socket.h"
#include "native/net/stream.h"

namespace c1m {

namespace {

int count_entries(const char* path) {
  DIR* directory = ::opendir(path);
  REQUIRE(directory != nullptr);
  int count = 0;
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(directory);
  return count - 1;  // without the descriptor of `directory`
}

}  // namespace

int count_descriptors() { return count_entries("/proc/self/fd"); }

int count_descriptors_of_thread() { return count_entries("/proc/thread-self/fd"); }

void raise_descriptor_limit() {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

std::optional<Readiness> readiness_of(int fd, uint64_t word) {
  pollfd now{fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
  if (::poll(&now, 1, 0) < 1 || (now.revents & POLLNVAL) != 0) return std::nullopt;
  return Readiness{
      .word = word,
      .readable = (now.revents & POLLIN) != 0,
      .writable = (now.revents & POLLOUT) != 0,
      .hangup = (now.revents & (POLLRDHUP | POLLHUP)) != 0,
      .priority = (now.revents & POLLPRI) != 0,
      .error = (now.revents & POLLERR) != 0,
  };
}

DescriptorCheck::~DescriptorCheck() {
  if (std::uncaught_exceptions() == 0) CHECK(count_descriptors() == before_);
}

std::string pattern(size_t length, uint32_t seed) {
  std::string bytes(length, '\0');
  uint32_t state = seed * 2654435761u + 12345;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

Client::Client(const Address& to, int receive_buffer) : fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  REQUIRE(fd.valid());
  if (receive_buffer > 0) {
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)) == 0);
  }
  const Result<void> connected = connect_socket(fd.get(), to);
  REQUIRE(connected.ok());
  REQUIRE(::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0);
}

size_t Client::send_some(std::string_view bytes) {
  const ssize_t sent = shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0) REQUIRE(errno == EAGAIN);
  return sent < 0 ? 0 : static_cast<size_t>(sent);
}

void Client::send(std::string_view bytes) { REQUIRE(send_some(bytes) == bytes.size()); }

const std::string& Client::receive() {
  char buffer[65536];
  for (;;) {
    const ssize_t got = shim::__real_recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got > 0) {
      received.append(buffer, static_cast<size_t>(got));
      continue;
    }
    if (got == 0) ended = true;
    if (got < 0 && errno != EAGAIN) error = errno;
    return received;
  }
}

void Client::fin() { REQUIRE(shutdown_write(fd.get()).ok()); }

void Client::rst() {
  REQUIRE(reset_on_close(fd.get()).ok());
  fd.reset();
}

Harness::Harness(const Setup& setup)
    : js({.batches = setup.batches, .slab_bytes = setup.slab_bytes, .max_connections = setup.max_connections}) {
  hooks.monotonic_ms = [this] { return now_ms; };
  hooks.wait = [this](Poller& poller, int timeout) { return wait(poller, timeout); };
  hooks.wake = [this](const Waker& waker) {
    woken_.store(true, std::memory_order_relaxed);
    shim::real_wake(waker);
  };
  LoopOptions options = js.options(setup.trigger);
  options.file_threads = setup.file_threads;
  const JsWaker waker{[](void* side) { static_cast<JsSide*>(side)->woken = true; }, &js};
  Result<std::unique_ptr<Loop>> created = Loop::create(options, js.mailbox, waker);
  REQUIRE(created.ok());
  loop = std::move(created.value());
  js.attach(*loop);
}

Harness::~Harness() {
  if (std::uncaught_exceptions() == 0) finish();
  stop();
}

void Harness::stop() {
  finished_ = true;
  js.mailbox.request_stop();
  loop->run();
}

std::span<const Readiness> Harness::wait(Poller& poller, int timeout) {
  // The other poller is that of watched descriptors.
  if (&poller != &loop->poller()) return shim::real_wait(poller, timeout);
  ++waits;
  asked_ = timeout;
  reported_.swap(injected_);
  injected_.clear();
  const std::span<const Readiness> real = shim::real_wait(poller, timeout == 0 || !reported_.empty() ? 0 : nap_ms_);
  reported_.insert(reported_.end(), real.begin(), real.end());
  came_ = woken_.exchange(false, std::memory_order_relaxed) || !reported_.empty();
  return reported_;
}

void Harness::inject(uint64_t word, uint8_t edges) {
  inject({
      .word = word,
      .readable = (edges & Edge::kReadable) != 0,
      .writable = (edges & Edge::kWritable) != 0,
      .hangup = (edges & Edge::kHangup) != 0,
      .priority = false,
      .error = (edges & Edge::kError) != 0,
  });
}

void Harness::turn(int nap_ms) {
  js.flush();
  nap_ms_ = nap_ms;
  loop->turn();
  // Checks at most 64 slots in each turn, so that tests with many connections stay fast.
  EntrySlab& slots = loop->table().slots;
  for (uint32_t i = std::min(slots.used(), 64u); i > 0; --i) {
    checked_ = (checked_ + 1) % slots.used();
    if (slots[checked_].fd.valid()) slots[checked_].check();
  }
  js.take_spent();
}

void Harness::settle() {
  int quiet_rounds = 0;
  for (int i = 0; quiet_rounds < 2; ++i) {
    REQUIRE_MESSAGE(i < 20'000, "the loop still has work after 20,000 turns");
    turn(quiet_rounds > 0 ? 1 : 0);
    quiet_rounds = js.deliver_all() == 0 && quiet() ? quiet_rounds + 1 : 0;
  }
}

void Harness::settle_blocked() {
  int quiet_rounds = 0;
  for (int i = 0; quiet_rounds < 2; ++i) {
    REQUIRE_MESSAGE(i < 20'000, "the loop still has work after 20,000 turns");
    turn(quiet_rounds > 0 ? 1 : 0);
    quiet_rounds = quiet() ? quiet_rounds + 1 : 0;
  }
}

void Harness::until(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!so()) {
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < deadline, "the condition isn't true after ten seconds");
    turn(1);
    js.deliver_all();
  }
}

void Harness::finish() {
  if (std::exchange(finished_, true)) return;
  clients.clear();
  js.deliver_all();
  // Connections that were accepted, but not yet delivered, open in this loop.
  for (int i = 0; i < 1000 && (js.open() > 0 || loop->table().slots.live() > 0 || i < 3); ++i) {
    for (const Told& told : js.connections) {
      if (!told.closed()) js.destroy(told);
    }
    turn(i > 0 ? 1 : 0);
    js.deliver_all();
  }
  CHECK(js.open() == 0);
  CHECK(loop->table().slots.live() == 0);
  for (const Told& told : js.connections) {
    CAPTURE(told.log);
    CHECK(told.times('O') == 1);
    CHECK(told.times('C') == 1);
    CHECK(told.closed());
    CHECK(told.times('E') <= 1);
  }
  CHECK(js.pinned() == 0);
  CHECK(loop->table().stats.accepted + loop->table().stats.connected + loop->table().stats.adopted ==
        loop->table().stats.closed);
  CHECK(js.connections.size() == loop->table().stats.closed);
  CHECK(js.stat("queueBytes") == 0);
}

Harness::Port Harness::listen(const ListenOptions& options) {
  auto request = std::make_unique<ListenRequest>();
  request->spec.address = options.address;
  request->spec.options = options.options;
  request->connections.context = next_listener_++;
  request->connections.borrowed = options.borrowed;
  request->connections.idle_timeout_ms = options.timeout_ms;
  request->connections.read_timeout_ms = options.read_timeout_ms;
  request->connections.write_timeout_ms = options.write_timeout_ms;
  request->connections.total_timeout_ms = options.total_timeout_ms;
  if (options.framing.kind != Framing::Kind::kNone) {
    request->connections.framing = std::make_shared<const Framing>(options.framing);
  }
  const ListenRequest* listening = request.get();
  js.request(std::move(request));
  until([&] { return !js.completed.empty() && js.completed.back().get() == listening; });
  REQUIRE(listening->failure.error.code == 0);
  return {.index = listening->connections.context, .address = listening->bound};
}

Client& Harness::connect(const Port& port, int receive_buffer) {
  return clients.emplace_back(port.address, receive_buffer);
}

Harness::Connected Harness::accept(const Port& port, int receive_buffer) {
  const size_t before = js.connections.size();
  Client& client = connect(port, receive_buffer);
  until([&] { return js.connections.size() > before; });
  return {client, js.connections.back()};
}

}  // namespace c1m
