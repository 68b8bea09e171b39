// Files in the queue: every byte is sent once and in order, each request completes once, and no descriptor is left.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "native/features/files/send_file_request.h"
#include "native/net/file.h"
#include "native/net/socket.h"
#include "native/net/tcp_info.h"
#include "test/native/bytes_of.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// A file with these bytes, which the destructor removes.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view bytes) {
    // sendfile(2) to a socket that was reset raises SIGPIPE. Node ignores it, and I/O threads block it.
    ::signal(SIGPIPE, SIG_IGN);
    const Fd fd(::mkstemp(path));
    REQUIRE(fd.valid());
    REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path); }

  char path[32] = "/tmp/c1m-file-XXXXXX";
};

uint32_t next_id = 1;

SendFileRequest& send_file(Harness& h, const Told& to, const char* path, uint64_t start = 0,
                           uint64_t end = OutboundFile::kWhole) {
  auto request = std::make_unique<SendFileRequest>();
  SendFileRequest& sending = *request;
  sending.slot = to.slot;
  sending.generation = to.generation;
  sending.path = path;
  sending.file.id = next_id++;
  sending.file.offset = start;
  sending.file.end = end;
  h.js.request(std::move(request));
  return sending;
}

void cancel(Harness& h, const SendFileRequest& sending) {
  auto request = std::make_unique<CancelFileRequest>();
  request->slot = sending.slot;
  request->generation = sending.generation;
  request->id = sending.file.id;
  h.js.request(std::move(request));
}

int answers(const Harness& h, const SendFileRequest& of) {
  return static_cast<int>(std::count_if(h.js.completed.begin(), h.js.completed.end(),
                                        [&](const auto& request) { return request.get() == &of; }));
}

bool succeeded(const Harness& h, const SendFileRequest& sending, size_t bytes) {
  return answers(h, sending) == 1 && !sending.closed && !sending.aborted && !sending.error && !sending.file.truncated &&
         sending.file.sent == bytes;
}

// A socket that takes `room` bytes, from memory or from files, and then is full.
class FullSocket {
 public:
  explicit FullSocket(Harness& h, bool refuses_files = false) {
    h.hooks.send = [this](int to, const void* bytes, size_t size, int flags) -> ssize_t {
      return take(to, shim::__real_send(to, bytes, std::min(size, room), flags));
    };
    h.hooks.sendmsg = [this](int to, const msghdr* message, int flags) -> ssize_t {
      std::string bytes;
      for (size_t i = 0; i < message->msg_iovlen; ++i) {
        bytes.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
      }
      return take(to, shim::__real_send(to, bytes.data(), std::min(bytes.size(), room), flags));
    };
    h.hooks.sendfile = [this, refuses_files](int to, int fd, off_t* offset, size_t count) -> ssize_t {
      if (refuses_files) return shim::fail(EINVAL);
      ++files;
      if (interrupts && files % 2 == 1) return shim::fail(EINTR);
      return take(to, room == 0 ? 0 : shim::__real_sendfile(to, fd, offset, std::min(count, room)));
    };
  }

  size_t room = SIZE_MAX;
  int files = 0;
  bool interrupts = false;

 private:
  ssize_t take(int to, ssize_t sent) {
    if (room == 0) return shim::fail(EAGAIN);
    if (sent > 0) room -= static_cast<size_t>(sent);
    // A socket that is really full sends its bytes although it is corked.
    if (room == 0) (void)set_cork(to, false);
    return sent;
  }
};

constexpr size_t kSmall = 23;

// Sends bytes and files of every kind in one batch. Returns the bytes that the client must receive.
std::string send_mixed(Harness& h, const Told& to, const TemporaryFile& file, const std::string& content,
                       std::vector<SendFileRequest*>& sendings) {
  h.js.write(to, "head");
  h.js.write_pinned(to, "pinned");
  sendings = {&send_file(h, to, file.path, 3, 3 + kSmall)};
  h.js.write(to, "between");
  sendings.push_back(&send_file(h, to, file.path, 5, 5));
  sendings.push_back(&send_file(h, to, file.path, 7, 7 + kSmall));
  sendings.push_back(&send_file(h, to, "/nowhere/to/be/found"));
  sendings.push_back(&send_file(h, to, file.path, 1, 1 + kSmall));
  h.js.write_pinned(to, "pinned tail");
  h.js.write(to, "tail");
  return "headpinned" + content.substr(3, kSmall) + "between" + content.substr(7, kSmall) + content.substr(1, kSmall) +
         "pinned tailtail";
}

void check_mixed(const Harness& h, const std::vector<SendFileRequest*>& sendings) {
  const size_t sent[] = {kSmall, 0, kSmall, 0, kSmall};
  for (size_t i = 0; i < sendings.size(); ++i) {
    if (i == 3) {
      CHECK(answers(h, *sendings[i]) == 1);
      CHECK(sendings[i]->error.code == ENOENT);
    } else {
      CHECK(succeeded(h, *sendings[i], sent[i]));
    }
  }
}

}  // namespace

TEST_CASE("files: a mixed queue is sent exactly through a socket that is full after any of its bytes") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    for (const bool refuses : {false, true}) {
      Harness h({.trigger = trigger});
      const auto port = h.listen();
      auto [client, told] = h.accept(port);
      FullSocket socket(h, refuses);
      const int descriptors = count_descriptors();
      size_t total = 1;
      for (size_t room = 0; room <= total; ++room) {
        CAPTURE(room);
        socket.room = room;
        std::vector<SendFileRequest*> sendings;
        const std::string bytes = send_mixed(h, told, file, content, sendings);
        total = bytes.size();
        // With the level trigger the poller reports a socket that only claims to be full in every turn.
        for (int i = 0; i < 12; ++i) h.turn();
        REQUIRE(client.receive() == bytes.substr(0, room));
        socket.room = SIZE_MAX;
        h.inject(told, Edge::kWritable);
        h.settle();
        REQUIRE(client.receive() == bytes);
        check_mixed(h, sendings);
        client.received.clear();
        h.js.completed.clear();
        REQUIRE(h.js.pinned() == 0);
        REQUIRE(h.js.stat("queueBytes") == 0);
        REQUIRE(count_descriptors() == descriptors);
      }
    }
  }
}

TEST_CASE("files: a mixed queue is sent exactly with one byte at a time, and with interrupted calls") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h);
  socket.room = 0;
  socket.interrupts = true;
  std::vector<SendFileRequest*> sendings;
  const std::string bytes = send_mixed(h, told, file, content, sendings);
  h.settle();
  for (size_t i = 1; i <= bytes.size(); ++i) {
    socket.room = 1;
    h.inject(told, Edge::kWritable);
    h.settle();
    REQUIRE(client.receive() == bytes.substr(0, i));
  }
  socket.room = 1;
  h.inject(told, Edge::kWritable);
  h.settle();
  check_mixed(h, sendings);
  // Bytes from files aren't among those that JavaScript counts as flushed.
  CHECK(h.js.flushed(told) == bytes.size() - 3 * kSmall);
  CHECK(h.js.stat("bytesWritten") == static_cast<double>(bytes.size()));
}

TEST_CASE("files: the bytes before and after a file share its packets") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const auto segments = [&] { return read_tcp_info(h.fd(told)).value().segments_out; };
  const auto before = segments();
  h.js.write(told, "head");
  send_file(h, told, file.path);
  h.js.write(told, "tail");
  h.settle();
  CHECK(client.receive() == "head" + content + "tail");
  CHECK(segments() - before == 1);
  int corked = -1;
  socklen_t length = sizeof(corked);
  REQUIRE(::getsockopt(h.fd(told), IPPROTO_TCP, TCP_CORK, &corked, &length) == 0);
  CHECK(corked == 0);
}

TEST_CASE("files: bytes before a missing file are sent without waiting for it") {
  const TemporaryFile ignore_sigpipe("x");
  Harness h({.file_threads = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  std::atomic<bool> held{false};
  h.hooks.send = [&](int to, const void* bytes, size_t size, int flags) -> ssize_t {
    held = (flags & MSG_MORE) != 0;
    return shim::__real_send(to, bytes, size, flags);
  };
  h.hooks.open = [&](const char*, int) {
    while (!held) ::usleep(100);
    return shim::fail(ENOENT);
  };
  h.js.write(told, "head");
  const SendFileRequest& missing = send_file(h, told, "/nowhere/to/be/found");
  h.until([&] { return answers(h, missing) == 1; });
  CHECK(client.receive() == "head");
}

TEST_CASE("files: an error before a file's first byte keeps the connection, a later one resets it") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  for (const size_t room : {size_t{4}, size_t{10}}) {
    CAPTURE(room);
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h);
    socket.room = room;
    h.js.write(told, "head");
    const SendFileRequest& broken = send_file(h, told, file.path);
    const SendFileRequest& next = send_file(h, told, file.path, 0, 5);
    h.js.write(told, "tail");
    h.settle();
    CHECK(client.receive() == "head" + content.substr(0, room - 4));
    socket.room = SIZE_MAX;
    int reads = 0;
    h.hooks.pread = [&](int fd, void* buffer, size_t size, off_t offset) -> ssize_t {
      return ++reads == 1 ? shim::fail(EIO) : shim::__real_pread(fd, buffer, size, offset);
    };
    const auto sendfile = h.hooks.sendfile;
    int calls = 0;
    h.hooks.sendfile = [&](int to, int fd, off_t* offset, size_t count) -> ssize_t {
      return ++calls == 1 ? shim::fail(EIO) : sendfile(to, fd, offset, count);
    };
    h.inject(told, Edge::kWritable);
    h.settle();
    client.receive();
    CHECK(answers(h, broken) == 1);
    CHECK(broken.error.code == EIO);
    CHECK(answers(h, next) == 1);
    if (room == 4) {
      CHECK(succeeded(h, next, 5));
      CHECK(client.received == "head" + content.substr(0, 5) + "tail");
      CHECK_FALSE(told.closed());
    } else {
      CHECK(next.error.code == EIO);
      CHECK(told.closed());
      CHECK(told.error == EIO);
      CHECK(told.syscall == Syscall::kSendFile);
      CHECK(client.error == ECONNRESET);
    }
  }
}

TEST_CASE("files: a file that becomes shorter resets the connection") {
  const std::string content = pattern(100);
  for (const size_t room : {size_t{0}, size_t{10}}) {
    const TemporaryFile file(content);
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h);
    socket.room = room;
    const SendFileRequest& cut = send_file(h, told, file.path);
    const SendFileRequest& next = send_file(h, told, file.path);
    h.settle();
    REQUIRE(::truncate(file.path, static_cast<off_t>(room)) == 0);
    socket.room = SIZE_MAX;
    h.inject(told, Edge::kWritable);
    h.settle();
    client.receive();
    CHECK(answers(h, cut) == 1);
    CHECK(cut.file.truncated);
    CHECK(answers(h, next) == 1);
    CHECK(next.closed);
    CHECK(told.closed());
    CHECK(told.error == static_cast<int>(OwnError::kFileTruncated));
    CHECK(client.error == ECONNRESET);
  }
}

TEST_CASE("files: an error of the socket closes the connection, and isn't reported as the file's") {
  const TemporaryFile file(pattern(100));
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.hooks.sendfile = [](int, int, off_t*, size_t) -> ssize_t { return shim::fail(EPIPE); };
  h.hooks.send = [](int, const void*, size_t, int) -> ssize_t { return shim::fail(EPIPE); };
  const SendFileRequest& sending = send_file(h, told, file.path);
  h.settle();
  client.fin();
  h.settle();
  CHECK(answers(h, sending) == 1);
  CHECK(sending.error.code == EPIPE);
  CHECK(told.error == EPIPE);
}

TEST_CASE("files: a connection closes with the socket error that sendfile(2) returned, not with the EPIPE after it") {
  const TemporaryFile file(pattern(100));
  for (const int error : {ECONNRESET, ETIMEDOUT, EHOSTUNREACH}) {
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    h.hooks.sendfile = [&](int, int, off_t*, size_t) -> ssize_t { return shim::fail(error); };
    h.hooks.send = [](int, const void*, size_t, int) -> ssize_t { return shim::fail(EPIPE); };
    const SendFileRequest& sending = send_file(h, told, file.path);
    h.settle();
    client.fin();
    h.settle();
    CHECK(answers(h, sending) == 1);
    CHECK(sending.error.code == error);
    CHECK(told.error == error);
  }
}

TEST_CASE("files: cancelling a file before its first byte sends nothing of it, later it resets the connection") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  for (const size_t room : {size_t{4}, size_t{10}}) {
    CAPTURE(room);
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h);
    socket.room = room;
    h.js.write(told, "head");
    const SendFileRequest& sending = send_file(h, told, file.path);
    const SendFileRequest& next = send_file(h, told, file.path, 0, 5);
    h.js.write(told, "tail");
    h.settle();
    cancel(h, sending);
    h.settle();
    CHECK(answers(h, sending) == 1);
    CHECK(sending.aborted);
    socket.room = SIZE_MAX;
    if (room == 4) {
      h.inject(told, Edge::kWritable);
      h.settle();
      CHECK(succeeded(h, next, 5));
      CHECK(client.receive() == "head" + content.substr(0, 5) + "tail");
    } else {
      CHECK(told.closed());
      CHECK(told.error == static_cast<int>(OwnError::kFileAborted));
      CHECK(next.closed);
      client.receive();
      CHECK(client.error == ECONNRESET);
    }
    // A second cancellation has no effect.
    cancel(h, sending);
    h.settle();
    CHECK(answers(h, sending) == 1);
  }
}

TEST_CASE("files: when a connection closes, its files' requests complete as closed") {
  const TemporaryFile file(pattern(100));
  for (const uint32_t threads : {0u, 2u}) {
    Harness h({.file_threads = threads});
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h);
    socket.room = 0;
    const SendFileRequest& first = send_file(h, told, file.path);
    const SendFileRequest& second = send_file(h, told, file.path);
    h.turn();
    h.js.destroy(told);
    const SendFileRequest& late = send_file(h, told, file.path);
    h.until([&] { return told.closed(); });
    for (const SendFileRequest* one : {&first, &second, &late}) {
      h.until([&] { return answers(h, *one) == 1; });
      CHECK(one->closed);
    }
    // A worker may still use the file.
    h.until([&] { return h.quiet(); });
    h.finish();
    h.stop();
  }
}

TEST_CASE("files: a completed request belongs to the JS thread, even while a worker uses its file") {
  const TemporaryFile file(pattern(100));
  Harness h({.file_threads = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  std::atomic<bool> working{false};
  std::atomic<bool> may_end{false};
  h.hooks.preadv2 = [&](int, const iovec*, int, off_t, int) -> ssize_t {
    working = true;
    while (!may_end) ::usleep(100);
    return shim::fail(EAGAIN);
  };
  const SendFileRequest& sending = send_file(h, told, file.path);
  h.until([&] { return working.load(); });
  h.js.destroy(told);
  h.until([&] { return answers(h, sending) == 1; });
  CHECK(sending.job == nullptr);
  may_end = true;
  h.until([&] { return told.closed() && h.quiet(); });
  h.finish();
  CHECK(!sending.file.fd.valid());
  h.stop();
}

TEST_CASE("files: a loop that stops while files are queued leaves nothing") {
  const TemporaryFile file(pattern(100));
  for (const uint32_t threads : {0u, 2u}) {
    Harness h({.file_threads = threads});
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h);
    socket.room = 1;
    for (int i = 0; i < 5; ++i) send_file(h, told, file.path);
    h.turn();
    h.stop();
  }
}

TEST_CASE("files: a turn sends a bounded number of a file's bytes") {
  constexpr size_t kSize = 3 << 20;
  const std::string content = pattern(kSize);
  const TemporaryFile file(content);
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const SendFileRequest& sending = send_file(h, told, file.path);
  double before = 0;
  for (int i = 0; answers(h, sending) == 0; ++i) {
    REQUIRE(i < 10'000);
    h.turn(1);
    h.js.deliver_all();
    CHECK(h.js.stat("bytesWritten") - before <= 1024 * 1024);
    before = h.js.stat("bytesWritten");
    client.receive();
  }
  client.receive();
  CHECK(client.received == content);
}

TEST_CASE("files: bytes outside the page cache are loaded by a worker before the loop sends them") {
  constexpr size_t kSize = (2 << 20) + 12345;
  const std::string content = pattern(kSize);
  const TemporaryFile file(content);
  for (const uint32_t threads : {0u, 4u}) {
    Harness h({.file_threads = threads});
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    // The offsets up to which the workers have read and the loop has sent.
    std::atomic<off_t> loaded{0};
    off_t furthest = 0;
    h.hooks.preadv2 = [](int, const iovec*, int, off_t, int) -> ssize_t { return shim::fail(EAGAIN); };
    h.hooks.pread = [&](int fd, void* buffer, size_t size, off_t offset) -> ssize_t {
      const ssize_t got = shim::__real_pread(fd, buffer, size, offset);
      loaded = offset + got;
      return got;
    };
    h.hooks.sendfile = [&](int to, int fd, off_t* offset, size_t count) -> ssize_t {
      furthest = std::max(furthest, *offset + static_cast<off_t>(count));
      CHECK(furthest <= loaded);
      return shim::__real_sendfile(to, fd, offset, count);
    };
    h.js.write(told, "head");
    const SendFileRequest& sending = send_file(h, told, file.path);
    h.js.write(told, "tail");
    h.until([&] {
      client.receive();
      return answers(h, sending) == 1;
    });
    h.until([&] { return client.receive().size() == kSize + 8; });
    CHECK(client.received == "head" + content + "tail");
    CHECK(succeeded(h, sending, kSize));
  }
}

TEST_CASE("files: files that report no size are sent to their end") {
  std::string content(65536, '\0');
  const Fd version(::open("/proc/version", O_RDONLY | O_CLOEXEC));
  content.resize(static_cast<size_t>(::read(version.get(), content.data(), content.size())));
  const TemporaryFile empty("");
  for (const bool refuses : {false, true}) {
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    FullSocket socket(h, refuses);
    h.js.write(told, "head");
    const SendFileRequest& sending = send_file(h, told, "/proc/version");
    h.js.write(told, "between");
    const SendFileRequest& part = send_file(h, told, "/proc/version", 2, 12);
    const SendFileRequest& nothing = send_file(h, told, empty.path);
    h.js.write(told, "tail");
    h.settle();
    CHECK(client.receive() == "head" + content + "between" + content.substr(2, 10) + "tail");
    CHECK(succeeded(h, sending, content.size()));
    CHECK(succeeded(h, part, 10));
    CHECK(succeeded(h, nothing, 0));
  }
}

TEST_CASE("files: a directory and a device are refused") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const SendFileRequest& directory = send_file(h, told, "/tmp");
  const SendFileRequest& device = send_file(h, told, "/dev/zero");
  h.settle();
  CHECK(answers(h, directory) == 1);
  CHECK(directory.error.code == EISDIR);
  CHECK(answers(h, device) == 1);
  CHECK(device.error.code == ESPIPE);
}

TEST_CASE("files: a file beyond the queue's limit is refused, and closes the connection") {
  const std::string content = pattern(100);
  const TemporaryFile file(content);
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h);
  socket.room = 0;
  constexpr size_t kFiles = QueueCost::kMin / QueueCost::kFile;
  std::vector<SendFileRequest*> sendings;
  for (size_t i = 0; i < kFiles; ++i) sendings.push_back(&send_file(h, told, file.path));
  for (SendFileRequest* sending : sendings) sending->max_write_queue = 1000;
  h.js.flush();
  h.settle();
  CHECK_FALSE(told.closed());
  SendFileRequest& last = send_file(h, told, file.path);
  last.max_write_queue = 1000;
  h.js.flush();
  h.settle();
  CHECK(told.closed());
  CHECK(told.error == static_cast<int>(OwnError::kWriteQueueFull));
  CHECK(answers(h, last) == 1);
  CHECK(last.full);
  for (const SendFileRequest* sending : sendings) CHECK(answers(h, *sending) == 1);
  CHECK(std::all_of(sendings.begin(), sendings.end(), [](const auto* sending) { return sending->closed; }));
}

TEST_CASE("the limit of the write queue counts workers' bytes as well") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h);
  socket.room = 0;
  h.js.max_write_queue = 1024;
  RemoteWrite remote{told.slot, told.generation, 1024, 0, bytes_of(std::string(1000, 'x'))};
  REQUIRE(h.loop->shared_inbox()->write(std::move(remote)));
  h.settle();
  h.js.write(told, std::string(24, 'x'));
  h.js.flush();
  h.settle();
  CHECK_FALSE(told.closed());  // exactly the limit
  SUBCASE("a small write") { h.js.write(told, "x"); }
  SUBCASE("a pinned one") { h.js.write_pinned(told, "x"); }
  h.js.flush();
  h.settle();
  CHECK(told.closed());
  CHECK(told.error == static_cast<int>(OwnError::kWriteQueueFull));
  CHECK(h.js.pinned() == 0);
}
