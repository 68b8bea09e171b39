#include "native/net/socket.h"

namespace c1m {

Result<Fd> open_socket(int family, int protocol) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return Error::last("socket");
  return Fd(fd);
}

// Not enabled is ENOPROTOOPT, not built in EPROTONOSUPPORT; kernels that are too old to know of protocol numbers above
// 255 say EINVAL.
Result<Fd> open_stream(int family, bool mptcp) {
  if (!mptcp) return open_socket(family, 0);
  if (family == AF_UNIX) return Error{ENOPROTOOPT, "socket"};
  Result<Fd> opened = open_socket(family, kMptcpProtocol);
  if (opened) return opened;
  const int code = opened.error().code;
  if (code == EPROTONOSUPPORT || code == EINVAL) return Error{ENOPROTOOPT, "socket"};
  return opened;
}

Result<void> bind_socket(int fd, const Address& address) {
  if (::bind(fd, address.get(), address.length()) != 0) return Error::last("bind");
  return {};
}

Result<void> listen_socket(int fd, int backlog) {
  if (::listen(fd, backlog) != 0) return Error::last("listen");
  return {};
}

Result<void> connect_socket(int fd, const Address& address) {
  if (::connect(fd, address.get(), address.length()) != 0) return Error::last("connect");
  return {};
}

Result<void> reset_on_close(int fd) {
  const linger now{1, 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) != 0) return Error::last("setsockopt");
  return {};
}

bool lingers(int fd) {
  linger set{};
  socklen_t length = sizeof(set);
  return ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &set, &length) == 0 && set.l_onoff != 0 && set.l_linger > 0;
}

void stop_lingering(int fd) {
  const linger off{0, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}

Error pending_error(int fd) {
  int code = 0;
  socklen_t length = sizeof(code);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0) return Error::last("getsockopt");
  return Error{code, "read"};
}

}  // namespace c1m
