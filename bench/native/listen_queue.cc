#include "listen_queue.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace bench {

ListenQueue::ListenQueue(uint16_t port)
    : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)), port_(port) {}

ListenQueue::~ListenQueue() {
  if (fd_ >= 0) close(fd_);
}

int ListenQueue::length() const {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.request.sdiag_family = AF_INET;
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.idiag_states = ~0U;
  question.request.id.idiag_sport = htons(port_);
  question.request.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
  question.request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  question.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (send(fd_, &question, sizeof question, 0) < 0) return -1;

  alignas(nlmsghdr) char answer[4096];
  const ssize_t size = recv(fd_, answer, sizeof answer, 0);
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg)))) return -1;
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return -1;
  // The idiag_rqueue of a listening socket is the length of its accept queue.
  return static_cast<int>(static_cast<const inet_diag_msg*>(NLMSG_DATA(header))->idiag_rqueue);
}

}  // namespace bench
