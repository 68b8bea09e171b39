#include "native/net/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "native/net/descriptor.h"
#include "native/net/linux/accept_queue.h"
#include "native/net/socket.h"

namespace c1m {
namespace {

ListenOutcome failed(const Error& error, std::optional<Option> option = std::nullopt) {
  return {Fd(), {error, option}, {}};
}

bool is_ip(const Address& address) noexcept { return address.family() != AF_UNIX; }

ListenerKind kind_of(const ListenSpec& spec) noexcept {
  if (!is_ip(spec.address)) return ListenerKind::kUnix;
  return spec.mptcp ? ListenerKind::kMptcp : ListenerKind::kTcp;
}

// The path in the file system, or nullptr: unix_path() keeps a NUL at its end, and from() may not.
const char* file_path(const Address& address) noexcept {
  if (address.family() != AF_UNIX || address.length() <= offsetof(sockaddr_un, sun_path)) return nullptr;
  const char* path = reinterpret_cast<const sockaddr_un*>(address.get())->sun_path;
  return *path != '\0' ? path : nullptr;
}

Result<void> set_flag(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof(value)) != 0) return Error::last("setsockopt");
  return {};
}

ListenOutcome open_for(const ListenSpec& spec) {
  Result<Fd> socket = open_stream(spec.address.family(), spec.mptcp);
  if (socket) return {std::move(socket.value()), {}, {}};
  const bool unsupported = spec.mptcp && socket.error().code == ENOPROTOOPT;
  return failed(socket.error(), unsupported ? std::optional(Option::kProtocol) : std::nullopt);
}

// The flags that decide who may bind what, set before the user's options.
OptionFailure set_binding_flags(int fd, const ListenSpec& spec) {
  const bool ipv6 = spec.address.family() == AF_INET6;
  if (spec.ipv6_only && !ipv6) return {{ENOPROTOOPT, "setsockopt"}, Option::kIpv6Only};
  // Linux before 6.14 takes SO_REUSEPORT on a Unix socket, where it does nothing.
  if (spec.reuse_port && !is_ip(spec.address)) return {{ENOPROTOOPT, "setsockopt"}, Option::kReusePort};
  if (!is_ip(spec.address)) return {};
  // Without it a restarted server can't bind while its old connections are in TIME_WAIT.
  if (Result<void> set = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1); !set) return {set.error(), std::nullopt};
  if (spec.reuse_port) {
    if (Result<void> set = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1); !set) return {set.error(), Option::kReusePort};
  }
  if (ipv6) {
    Result<void> set = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec.ipv6_only ? 1 : 0);
    if (!set) return {set.error(), Option::kIpv6Only};
  }
  return {};
}

OptionFailure set_user_options(int fd, const ListenSpec& spec) {
  if (const OptionFailure failure = set_options(fd, spec.options)) return failure;
  if (spec.congestion.empty()) return {};
  Result<void> set = set_congestion(fd, spec.congestion);
  return set ? OptionFailure{} : OptionFailure{set.error(), Option::kCongestion};
}

Result<int> get_flag(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  if (::getsockopt(fd, level, name, &value, &length) != 0) return Error::last("getsockopt");
  return value;
}

ListenOutcome duplicate_listener(const ListenSpec& spec) {
  Result<Fd> copy = duplicate(spec.fd);
  if (!copy) return failed(copy.error());
  const int fd = copy.value().get();
  if (Result<void> made = make_our_own(fd); !made) return failed(made.error());
  // Connections would inherit it.
  if (lingers(fd)) stop_lingering(fd);
  if (const OptionFailure failure = set_user_options(fd, spec)) return {Fd(), failure, {}};
  return {std::move(copy.value()), {}, {}};
}

bool same_file(const struct stat& one, const struct stat& other) noexcept {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Removes a socket file whose owner is gone; answers whether a second bind(2) is worth trying. Only ECONNREFUSED
// proves that nobody listens: a full queue (EAGAIN), a missing permission or a socket of another type don't. The file
// must still be the one that was looked at, in case another process has replaced it meanwhile. A window remains
// between that check and unlink(2), and a socket that is bound but not yet listening looks stale: two servers that
// start on one path in the same millisecond can still take it from each other.
bool remove_stale(const Address& address) {
  const char* path = file_path(address);
  struct stat before {};
  if (path == nullptr || ::lstat(path, &before) != 0) return path != nullptr && errno == ENOENT;
  if (!S_ISSOCK(before.st_mode)) return false;
  Result<Fd> probe = open_socket(AF_UNIX, 0);
  if (!probe) return false;
  Result<void> connected = connect_socket(probe.value().get(), address);
  if (connected) return false;
  if (connected.error().code == ENOENT) return true;
  if (connected.error().code != ECONNREFUSED) return false;
  struct stat after {};
  if (::lstat(path, &after) != 0) return errno == ENOENT;
  if (!same_file(before, after)) return false;
  return ::unlink(path) == 0 || errno == ENOENT;
}

Result<void> bind_replacing_stale(int fd, const Address& address) {
  Result<void> bound = bind_socket(fd, address);
  if (bound || bound.error().code != EADDRINUSE || is_ip(address) || !remove_stale(address)) return bound;
  return bind_socket(fd, address);
}

// Right after bind(2): a successor that renames its file into place is another program's start away.
SocketFile file_of(const Address& address) {
  const char* path = file_path(address);
  struct stat file {};
  if (path == nullptr || ::lstat(path, &file) != 0) return {};
  return {path, file.st_dev, file.st_ino};
}

OptionFailure listen_on(int fd, const ListenSpec& spec) {
  if (spec.reuse_port_once_bound) {
    if (Result<void> set = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1); !set) return {set.error(), Option::kReusePort};
  }
  if (Result<void> listening = listen_socket(fd, spec.backlog); !listening) return {listening.error(), std::nullopt};
  if (!spec.steer_by_cpu.empty()) {
    if (Result<void> steered = steer_by_cpu(fd, spec.steer_by_cpu); !steered) return {steered.error(), std::nullopt};
  }
  return {};
}

}  // namespace

ListenOutcome open_listener(const ListenSpec& spec) {
  if (spec.fd >= 0) return duplicate_listener(spec);
  ListenOutcome opened = open_for(spec);
  if (!opened.ok()) return opened;
  const int fd = opened.fd.get();
  if (const OptionFailure failure = set_binding_flags(fd, spec)) return {Fd(), failure, {}};
  if (const OptionFailure failure = set_user_options(fd, spec)) return {Fd(), failure, {}};
  if (Result<void> bound = bind_replacing_stale(fd, spec.address); !bound) return failed(bound.error());
  opened.file = file_of(spec.address);
  opened.failure = listen_on(fd, spec);
  if (!opened.failure) return opened;
  (void)opened.file.remove();  // the first failure is the one to report
  return {Fd(), opened.failure};
}

Result<void> inspect_listener(ListenSpec& spec) {
  Result<int> listens = get_flag(spec.fd, SOL_SOCKET, SO_ACCEPTCONN);
  if (!listens) return listens.error();
  if (listens.value() == 0) return Error{EINVAL, "listen"};
  Result<Address> local = Address::local_of(spec.fd);
  if (!local) return local.error();
  spec.address = local.value();
  Result<int> protocol = get_flag(spec.fd, SOL_SOCKET, SO_PROTOCOL);
  spec.mptcp = protocol && protocol.value() == kMptcpProtocol;
  return {};
}

std::vector<OptionSetting> settings_after_accept(const ListenSpec& spec) {
  std::vector<OptionSetting> settings;
  for (const OptionSetting& setting : spec.options) {
    if (!inherited(setting.option, kind_of(spec))) settings.push_back(setting);
  }
  return settings;
}

Result<void> SocketFile::remove() const {
  if (path.empty()) return {};
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0) return errno == ENOENT ? Result<void>{} : Error::last("lstat");
  if (file.st_dev != device || file.st_ino != inode) return {};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error::last("unlink");
  return {};
}

}  // namespace c1m
