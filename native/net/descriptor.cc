#include "native/net/descriptor.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstring>

namespace c1m {

namespace {

// A message's descriptor, and the one byte that it comes with.
struct Message {
  char byte = 0;
  iovec content{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr header{};

  Message() {
    header.msg_iov = &content;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
};

}  // namespace

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

Result<void> limit_descriptors(uint32_t count) {
  const rlimit limit{count, count};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return Error::last("setrlimit");
  return {};
}

Result<Passage> Passage::open() {
  int ends[2];
  // A stream: a socket for messages would hold no more of them than net.unix.max_dgram_qlen, which may be ten.
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return Error::last("socketpair");
  return Passage{Fd(ends[0]), Fd(ends[1])};
}

Result<void> send_descriptor(int passage, int fd) {
  Message message;
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(control), &fd, sizeof(int));
  for (;;) {
    if (::sendmsg(passage, &message.header, MSG_NOSIGNAL) == 1) return {};
    if (errno != EINTR) return Error::last("sendmsg");
  }
}

Result<Fd> receive_descriptor(int passage) {
  for (;;) {
    Message message;
    const ssize_t got = ::recvmsg(passage, &message.header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::last("recvmsg");
    const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
    // Its byte came without it: the table is full.
    if (got == 0 || control == nullptr) return Error{EMFILE, "recvmsg"};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control), sizeof(int));
    return Fd(fd);
  }
}

}  // namespace c1m
