#include "native/net/socket.h"

namespace c1m {

Result<Fd> open_socket(int family, int protocol) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return Error::last("socket");
  return Fd(fd);
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

Result<void> shutdown_write(int fd) {
  if (::shutdown(fd, SHUT_WR) != 0) return Error::last("shutdown");
  return {};
}

Result<void> reset_on_close(int fd) {
  const linger now{1, 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) != 0) return Error::last("setsockopt");
  return {};
}

Error pending_error(int fd) {
  int code = 0;
  socklen_t length = sizeof(code);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0) return Error::last("getsockopt");
  return Error{code, "read"};
}

}  // namespace c1m
