#include "native/net/linux/accept_queue.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include <cstdint>
#include <vector>

#include "native/net/listen.h"
#include "native/net/tcp_info.h"

namespace c1m {

namespace {

// The longest queue of a Unix socket that net.core.somaxconn allows by default, listen(2).
constexpr uint32_t kQueueBound = 4096;

}  // namespace

// struct sock_filter: a load, two instructions for each CPU, and one for those that aren't in the list.
Result<void> steer_by_cpu(int fd, const std::vector<uint32_t>& cpus) {
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_CPU)));
  for (uint32_t socket = 0; socket < cpus.size(); ++socket) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cpus[socket], 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, socket));
  }
  // Out of range: by the hash.
  program.push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  const sock_fprog filter{static_cast<uint16_t>(program.size()), program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) != 0) {
    return Error::last("setsockopt");
  }
  return {};
}

// tcpi_unacked of a listening socket is the length of its queue (tcp_get_info()), as in ss(8).
uint32_t queued_connections(int fd) {
  Result<TcpInfo> info = read_tcp_info(fd);
  return info ? static_cast<uint32_t>(info.value().unacked) : kQueueBound;
}

}  // namespace c1m
