// Addresses, the socket wrappers and listening.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "native/net/address.h"
#include "native/net/listen.h"
#include "native/net/socket.h"
#include "native/net/stream.h"
#include "test/native/net_pair.h"

using namespace c1m;
using namespace std::string_literals;

namespace {

// A directory for socket files, which the destructor removes with its files.
class TempDirectory {
 public:
  TempDirectory() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    ::unlink(file().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::string file() const { return path_ + "/s"; }

 private:
  std::string path_ = "/tmp/c1m-net-XXXXXX";
};

bool exists(const std::string& path) {
  struct stat file {};
  return ::lstat(path.c_str(), &file) == 0;
}

ListenSpec unix_spec(std::string_view path) {
  ListenSpec spec;
  spec.address = Address::unix_path(path).value();
  return spec;
}

std::string round_trip(const char* literal, uint16_t port) {
  Result<Address> address = Address::ip(literal, port);
  if (!address) return "error";
  const Address packed = PackedAddress::from(address.value().get(), address.value().length()).unpack();
  CHECK(packed.family() == address.value().family());
  CHECK(packed.length() == address.value().length());
  CHECK(packed.port() == port);
  CHECK(packed.host() == address.value().host());
  return packed.host();
}

}  // namespace

TEST_CASE("an IP literal is the same after parsing, packing and printing") {
  CHECK(round_trip("127.0.0.1", 80) == "127.0.0.1");
  CHECK(round_trip("255.255.255.255", 65535) == "255.255.255.255");
  CHECK(round_trip("::", 0) == "::");
  CHECK(round_trip("2001:DB8:0:0::1", 443) == "2001:db8::1");
  CHECK(round_trip("::ffff:1.2.3.4", 7000) == "::ffff:1.2.3.4");
}

TEST_CASE("only a link-local address is printed with its scope") {
  char name[IF_NAMESIZE];
  REQUIRE(::if_indextoname(1, name) != nullptr);
  const std::string named = "fe80::1%"s + name;
  CHECK(round_trip("fe80::1%1", 1) == named);
  CHECK(round_trip(named.c_str(), 1) == named);
  CHECK(round_trip("fe80::1%4000000000", 1) == "fe80::1%4000000000");  // no such interface
  CHECK(round_trip("2001:db8::1%1", 1) == "2001:db8::1");
  CHECK(Address::ip("fe80::1%nosuchif", 1).error().syscall == "if_nametoindex"s);
  CHECK_FALSE(Address::ip("fe80::1%", 1).ok());
}

TEST_CASE("text that isn't an IP literal fails with EINVAL") {
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4 ", "::g", "127.0.0.1%1", "[::1]", "%1"}) {
    CAPTURE(std::string(text));
    Result<Address> address = Address::ip(text, 1);
    REQUIRE_FALSE(address.ok());
    CHECK(address.error().code == EINVAL);
  }
}

TEST_CASE("a Unix path keeps its bytes and its limits") {
  CHECK(Address::unix_path("/tmp/a").value().host() == "/tmp/a");
  CHECK(Address::unix_path("\0name\0x"s).value().host() == "\0name\0x"s);
  CHECK(Address::unix_path("/tmp/a").value().port() == 0);
  const size_t room = sizeof(sockaddr_un::sun_path);
  CHECK(Address::unix_path(std::string(room - 1, 'a')).value().host().size() == room - 1);
  CHECK(Address::unix_path(std::string(room, '\0')).ok());
  for (const std::string& path : {std::string(room, 'a'), std::string(room + 1, '\0'), std::string(5000, 'a')}) {
    const Result<Address> address = Address::unix_path(path);
    CHECK(address.error().code == ENAMETOOLONG);
    CHECK(address.error().syscall == "bind"s);
  }
  CHECK(Address::unix_path("").error().code == EINVAL);
  CHECK(Address::unix_path("a\0b"s).error().code == EINVAL);
}

TEST_CASE("no address, an unnamed one and a truncated one have no text") {
  CHECK(Address().family() == AF_UNSPEC);
  CHECK(Address().host().empty());
  CHECK(PackedAddress{}.unpack().family() == AF_UNSPEC);
  sockaddr unnamed{};
  unnamed.sa_family = AF_UNIX;
  const Address peer = PackedAddress::from(&unnamed, sizeof(unnamed.sa_family)).unpack();
  CHECK(peer.family() == AF_UNIX);
  CHECK(peer.host().empty());
  CHECK(PackedAddress::from(&unnamed, 0).family == AF_UNSPEC);
}

TEST_CASE("both ends of a connection know each other's address") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    const Pair pair = Pair::tcp(host);
    if (!pair.ok()) continue;
    CHECK(Address::local_of(pair.client.get()).value().port() == pair.peer.port());
    CHECK(pair.peer.host() == host);
    CHECK(Address::peer_of(pair.client.get()).value().port() == Address::local_of(pair.listener.get()).value().port());
    CHECK(Address::peer_of(pair.server.get()).value().host() == host);
  }
  CHECK(Address::local_of(-1).error().code == EBADF);
  CHECK(Address::peer_of(-1).error().syscall == "getpeername"s);
}

TEST_CASE("a dual-stack listener reports IPv4 peers as mapped addresses, and one with ipv6_only refuses them") {
  const Pair pair = Pair::tcp("::", {}, "127.0.0.1");
  if (!pair.ok()) return;
  CHECK(pair.peer.host() == "::ffff:127.0.0.1");
  ListenSpec spec;
  spec.address = Address::ip("::", 0).value();
  spec.ipv6_only = true;
  const ListenOutcome only = open_listener(spec);
  REQUIRE(only.ok());
  const uint16_t port = Address::local_of(only.fd.get()).value().port();
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect_socket(client.get(), Address::ip("127.0.0.1", port).value()).error().code == ECONNREFUSED);
}

TEST_CASE("descriptors are non-blocking and close on exec from the start") {
  const Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  for (const int fd : {pair.listener.get(), pair.server.get()}) {
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  sockaddr_storage peer;
  socklen_t length = 0;
  CHECK(accept_connection(pair.listener.get(), &peer, &length).error().code == EAGAIN);
}

TEST_CASE("bytes, vectors and the FIN are transferred, and an empty socket reads -EAGAIN") {
  const Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  char buffer[16];
  CHECK(receive(pair.server.get(), buffer, sizeof(buffer)) == -EAGAIN);
  CHECK(send_bytes(pair.client.get(), "abc", 3) == 3);
  char d = 'd';
  char e = 'e';
  const iovec vector[2] = {{&d, 1}, {&e, 1}};
  CHECK(send_vector(pair.client.get(), vector, 2) == 2);
  CHECK(shutdown_write(pair.client.get()).ok());
  pair.wait_server();
  CHECK(receive(pair.server.get(), buffer, sizeof(buffer)) == 5);
  CHECK(std::string_view(buffer, 5) == "abcde");
  pair.wait_server();
  CHECK(receive(pair.server.get(), buffer, sizeof(buffer)) == 0);
  CHECK(send_bytes(pair.client.get(), "x", 1) == -EPIPE);  // without SIGPIPE
}

TEST_CASE("reset_on_close sends a RST, which the peer finds as its pending error") {
  Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  CHECK_FALSE(pending_error(pair.server.get()));
  CHECK(reset_on_close(pair.client.get()).ok());
  pair.client.reset();
  pair.wait_server();
  const Error error = pending_error(pair.server.get());
  CHECK(error.code == ECONNRESET);
  CHECK(error.syscall == "read"s);
  CHECK_FALSE(pending_error(pair.server.get()));
  CHECK(shutdown_write(pair.server.get()).error().code == ENOTCONN);
  CHECK(pending_error(-1).code == EBADF);
}

TEST_CASE("listening at a used port fails with EADDRINUSE, unless both have reuse_port") {
  ListenSpec spec;
  spec.address = Address::ip("127.0.0.1", 0).value();
  const ListenOutcome first = open_listener(spec);
  REQUIRE(first.ok());
  spec.address = Address::local_of(first.fd.get()).value();
  const ListenOutcome second = open_listener(spec);
  CHECK(second.failure.error.code == EADDRINUSE);
  CHECK_FALSE(second.failure.option.has_value());
  spec.reuse_port = true;
  spec.address = Address::ip("127.0.0.1", 0).value();
  const ListenOutcome third = open_listener(spec);
  REQUIRE(third.ok());
  spec.address = Address::local_of(third.fd.get()).value();
  CHECK(open_listener(spec).ok());
}

TEST_CASE("a listening descriptor is duplicated, and the socket outlives the copy") {
  ListenSpec spec;
  spec.address = Address::ip("127.0.0.1", 0).value();
  const ListenOutcome first = open_listener(spec);
  REQUIRE(first.ok());
  ListenSpec again;
  again.fd = first.fd.get();
  REQUIRE(inspect_listener(again).ok());
  CHECK(again.address.port() == Address::local_of(first.fd.get()).value().port());
  CHECK_FALSE(again.mptcp);
  {
    const ListenOutcome second = open_listener(again);
    REQUIRE(second.ok());
    CHECK(second.fd.get() != first.fd.get());
    CHECK((::fcntl(second.fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(second.fd.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK(Pair::connected(second.fd.get(), again.address));
  }
  CHECK(Pair::connected(first.fd.get(), again.address));
}

TEST_CASE("a descriptor that doesn't listen is refused") {
  ListenSpec spec;
  Result<Fd> socket = open_socket(AF_INET, 0);
  REQUIRE(socket);
  spec.fd = socket.value().get();
  CHECK(inspect_listener(spec).error().code == EINVAL);
  const Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  spec.fd = file.get();
  CHECK(inspect_listener(spec).error().code == ENOTSOCK);
}

TEST_CASE("a stale socket file is replaced, a live one is not") {
  const TempDirectory directory;
  const ListenSpec spec = unix_spec(directory.file());
  ListenOutcome first = open_listener(spec);
  REQUIRE(first.ok());
  CHECK(open_listener(spec).failure.error.code == EADDRINUSE);
  CHECK(exists(directory.file()));
  first.fd.reset();  // the file stays behind, as after a crash
  CHECK(exists(directory.file()));
  ListenOutcome second = open_listener(spec);
  REQUIRE(second.ok());
  CHECK(Pair::connected(second.fd.get(), spec.address));
  CHECK(second.file.remove().ok());
  CHECK_FALSE(exists(directory.file()));
  CHECK(second.file.remove().ok());
}

TEST_CASE("a closing listener doesn't remove the socket file of its successor") {
  const TempDirectory directory;
  const ListenOutcome first = open_listener(unix_spec(directory.file()));
  const std::string fresh = directory.file() + ".new";
  const ListenOutcome second = open_listener(unix_spec(fresh));
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  REQUIRE(::rename(fresh.c_str(), directory.file().c_str()) == 0);
  CHECK(first.file.remove().ok());
  CHECK(exists(directory.file()));
  // Its own name doesn't exist any more, so it removes nothing.
  CHECK(second.file.remove().ok());
  CHECK(exists(directory.file()));
}

TEST_CASE("the socket file of a listener with a full queue is not replaced") {
  const TempDirectory directory;
  ListenSpec spec = unix_spec(directory.file());
  spec.backlog = 1;
  const ListenOutcome first = open_listener(spec);
  REQUIRE(first.ok());
  Fd waiting[8];
  int refused = 0;
  for (Fd& client : waiting) {
    client = std::move(open_socket(AF_UNIX, 0).value());
    const Result<void> connected = connect_socket(client.get(), spec.address);
    if (!connected) refused = connected.error().code;
  }
  REQUIRE(refused == EAGAIN);
  CHECK(open_listener(spec).failure.error.code == EADDRINUSE);
}

TEST_CASE("a file that isn't a socket is never removed") {
  const TempDirectory directory;
  std::ofstream(directory.file()) << "precious";
  const ListenSpec spec = unix_spec(directory.file());
  CHECK(open_listener(spec).failure.error.code == EADDRINUSE);
  CHECK(exists(directory.file()));
  ::unlink(directory.file().c_str());
  REQUIRE(::symlink("/nowhere", directory.file().c_str()) == 0);
  CHECK_FALSE(open_listener(spec).ok());
  CHECK(exists(directory.file()));
}

TEST_CASE("a missing directory fails with ENOENT, and an abstract name needs no file") {
  const ListenOutcome missing = open_listener(unix_spec("/tmp/c1m-no-such-directory/s"));
  CHECK(missing.failure.error.code == ENOENT);
  CHECK(missing.failure.error.syscall == "bind"s);
  const ListenSpec spec = unix_spec("\0c1m-net-test-"s + std::to_string(::getpid()));
  const ListenOutcome first = open_listener(spec);
  REQUIRE(first.ok());
  CHECK(Address::local_of(first.fd.get()).value().host() == spec.address.host());
  CHECK(open_listener(spec).failure.error.code == EADDRINUSE);
}
