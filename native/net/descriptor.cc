#include "native/net/descriptor.h"

#include <fcntl.h>

namespace c1m {

Result<Address> connected_peer(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return Error::last("getsockopt");
  if (type != SOCK_STREAM) return Error{EPROTOTYPE, "getsockopt"};
  return Address::peer_of(fd);
}

Result<Fd> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Error::last("fcntl");
  return Fd(copy);
}

Result<void> make_our_own(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return Error::last("fcntl");
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return Error::last("fcntl");
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return Error::last("fcntl");
  return {};
}

}  // namespace c1m
