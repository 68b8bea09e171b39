#pragma once

#include "native/base/result.h"

namespace c1m {

// The SYN waits for the first write, and carries it. (TCP_FASTOPEN_CONNECT, tcp(7))
[[nodiscard]] Error defer_syn(int fd);

// The port is chosen by connect(2), which knows the destination, and not by bind(2). A kernel without that has fewer ports, and
// is no less correct. (IP_BIND_ADDRESS_NO_PORT, ip(7))
void choose_port_late(int fd);

}  // namespace c1m
