#pragma once

#include <cstdint>
#include <vector>

#include "native/base/result.h"

namespace c1m {

// What ListenSpec::steer_by_cpu wants of a listening socket. (SO_ATTACH_REUSEPORT_CBPF, socket(7))
Result<void> steer_by_cpu(int fd, const std::vector<uint32_t>& cpus);

}  // namespace c1m
