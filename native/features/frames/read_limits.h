#pragma once

#include <cstddef>

namespace c1m {

// Bytes read from one connection in a turn before the next one's turn comes. At 256 KiB a copy of about 50 µs is the
// longest that one bulk transfer delays the others.
constexpr size_t kReadBudget = 256 * 1024;
// Frames of one connection in a turn, which may be empty: 0.1 to 0.2 ms for the JS thread, where 256 KiB of line feeds would
// be some 50.
constexpr uint32_t kFramesPerTurn = 512;
// Bytes asked of one recv(2).
constexpr size_t kReadWindow = 64 * 1024;

}  // namespace c1m
