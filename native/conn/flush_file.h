#pragma once

#include <cstddef>

#include "native/conn/connection.h"

namespace c1m {

// Sends at most `budget` bytes of the file at the front of the queue, and takes it out if it is done, or can't be read
// at all. False if the socket takes no more, the file has to be waited for, or the connection can't go on.
bool flush_file(Connection& connection, OutboundPool& pool, OutboundFile& file, size_t budget, Flushed& result);

}  // namespace c1m
