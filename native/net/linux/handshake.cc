#include "native/net/linux/handshake.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>

#include "native/net/connect.h"

namespace c1m {

namespace {

Error set_flag(int fd, int level, int name) {
  const int on = 1;
  return ::setsockopt(fd, level, name, &on, sizeof on) == 0 ? Error{} : Error::last("setsockopt");
}

}  // namespace

Error defer_syn(int fd) { return set_flag(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT); }

void choose_port_late(int fd) { (void)set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT); }

bool in_handshake(int fd) {
  // The first byte of a tcp_info is its state.
  uint8_t state = 0;
  socklen_t length = sizeof state;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &length) == 0 && state == TCP_SYN_SENT;
}

}  // namespace c1m
