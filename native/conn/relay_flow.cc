#include "native/conn/relay_flow.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "native/conn/transport.h"

namespace c1m {

namespace {

// This socket, or this kernel, knows no splice(2).
bool is_refusal(ssize_t result) { return result == -EINVAL || result == -EOPNOTSUPP || result == -ENOSYS; }

// EINPROGRESS: a SYN that waited for these bytes went out without them (TCP_FASTOPEN_CONNECT).
bool must_wait(ssize_t sent) { return sent == -EAGAIN || sent == -EINPROGRESS; }

}  // namespace

RelayFlow::Moved RelayFlow::move(Connection& from, Connection& to, RelayMeans& means, size_t budget) {
  assert(pipe_.valid() == (in_pipe_ > 0));
  assert(!queued_ || !to.out.empty());
  const Moved moved = move_on(from, to, means, budget);
  assert(pipe_.valid() == (in_pipe_ > 0));
  assert(!queued_ || !to.out.empty() || moved.next == Next::kNoMemory);
  return moved;
}

RelayFlow::Moved RelayFlow::move_on(Connection& from, Connection& to, RelayMeans& means, size_t budget) {
  Moved moved;
  read_ = 0;
  charged_ = 0;
  // What JavaScript queued, or an earlier copy, goes first.
  while (to.out.empty()) {
    if (in_pipe_ > 0) {
      if (!to.has(Connection::kWritable) || !empty_pipe(to, means, moved)) return moved;
      continue;
    }
    if (from.has(Connection::kEndSeen)) {
      moved.next = Next::kEnd;
      return moved;
    }
    if (!from.has(Connection::kReadable | Connection::kHangup) || !to.has(Connection::kWritable)) return moved;
    if (charged_ >= budget) {
      moved.next = Next::kMore;
      return moved;
    }
    if (!read(from, to, means, budget - charged_, moved)) return moved;
  }
  return moved;
}

void RelayFlow::sent_from_queue(size_t bytes, bool empty) {
  assert(queued_);
  bytes_ += bytes;
  if (empty) queued_ = false;
}

void RelayFlow::drop(RelayMeans& means) {
  assert(pipe_.valid() == (in_pipe_ > 0));
  if (in_pipe_ > 0) means.pipes.discard(std::move(pipe_));
  in_pipe_ = 0;
  queued_ = false;
}

// False where move() must stop, as in all of these.
bool RelayFlow::empty_pipe(Connection& to, RelayMeans& means, Moved& moved) {
  const ssize_t sent = transport::splice_out(pipe_, to, in_pipe_);
  if (sent > 0) {
    const auto bytes = static_cast<size_t>(sent);
    assert(bytes <= in_pipe_);
    in_pipe_ -= bytes;
    bytes_ += bytes;
    moved.bytes += bytes;
    // A short one says nothing: the next answers EAGAIN if the socket is full, and only then an edge will come.
    if (in_pipe_ == 0) means.pipes.give(std::move(pipe_));
    return true;
  }
  if (must_wait(sent)) {
    to.unset(Connection::kWritable);
    return false;
  }
  if (is_refusal(sent)) {
    refused_ = true;
    unload_pipe(to, means, moved);
    return false;
  }
  moved.next = Next::kWriteFailed;
  // 0 would mean that the pipe has no writer, and we hold that end.
  moved.error = sent == 0 ? EPIPE : static_cast<int>(-sent);
  return false;
}

bool RelayFlow::read(Connection& from, Connection& to, RelayMeans& means, size_t max, Moved& moved) {
  if (bulk_ && !refused_) {
    pipe_ = means.pipes.take();
    if (pipe_.valid()) {
      const bool goes_on = splice_in(from, means, max, moved);
      if (in_pipe_ > 0 || !goes_on) return goes_on;
    }
  }
  return copy(from, to, means, max, moved);
}

bool RelayFlow::splice_in(Connection& from, RelayMeans& means, size_t max, Moved& moved) {
  const size_t asked = std::min(max, size_t{PipePool::kBytes});
  const ssize_t got = transport::splice_in(from, pipe_, asked);
  if (got > 0) {
    // Fewer than asked don't mean that the socket is drained: a pipe is also full when its slots are, by small segments.
    in_pipe_ = static_cast<size_t>(got);
    has_read(in_pipe_);
    return true;
  }
  means.pipes.give(std::move(pipe_));
  // At an urgent byte it answers 0 or EAGAIN, by the kernel's version, as if that were the end, or all. recv(2) knows.
  if (got == 0 || (got == -EAGAIN && from.has(Connection::kHangup))) return true;
  if (is_refusal(got)) {
    refused_ = true;
    return true;
  }
  if (got == -EAGAIN && read_ < kBulkBytes) bulk_ = false;
  return read_failed(from, static_cast<int>(-got), moved);
}

bool RelayFlow::copy(Connection& from, Connection& to, RelayMeans& means, size_t max, Moved& moved) {
  const size_t asked = std::min(max, RelayMeans::kBufferBytes);
  uint8_t* buffer = means.buffer();
  const ssize_t got = transport::receive(from, buffer, asked);
  if (got == 0) {
    from.unset(Connection::kReadable | Connection::kHangup);
    from.set(Connection::kEndSeen);
    return true;
  }
  if (got < 0) return read_failed(from, static_cast<int>(-got), moved);
  const auto bytes = static_cast<size_t>(got);
  has_read(bytes);
  bulk_ = bytes >= kBulkBytes;
  if (!transport::has_pending(from, bytes, asked)) from.unset(Connection::kReadable);
  ssize_t sent = transport::send(to, buffer, bytes);
  if (sent < 0 && !must_wait(sent)) {
    moved.next = Next::kWriteFailed;
    moved.error = static_cast<int>(-sent);
    return false;
  }
  const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  bytes_ += taken;
  moved.bytes += taken;
  if (taken < bytes) {
    to.unset(Connection::kWritable);
    return queue(to, means, buffer + taken, bytes - taken, moved);
  }
  return true;
}

void RelayFlow::has_read(size_t bytes) {
  read_ += bytes;
  charged_ += std::max(bytes, kReadCost);
}

bool RelayFlow::read_failed(Connection& from, int error, Moved& moved) {
  if (error == EAGAIN) {
    from.unset(Connection::kReadable | Connection::kHangup | Connection::kBroken);
    return false;
  }
  moved.next = Next::kReadFailed;
  moved.error = error;
  return false;
}

// The sink takes no splice(2): what the pipe holds is copied into the sink's queue.
void RelayFlow::unload_pipe(Connection& to, RelayMeans& means, Moved& moved) {
  while (in_pipe_ > 0) {
    const ssize_t got = read_pipe(pipe_, means.buffer(), std::min(in_pipe_, RelayMeans::kBufferBytes));
    assert(got > 0);  // it is our own pipe, and has as many bytes
    if (got <= 0) break;
    if (!queue(to, means, means.buffer(), static_cast<size_t>(got), moved)) return;
    in_pipe_ -= static_cast<size_t>(got);
  }
  means.pipes.give(std::move(pipe_));
}

// The buffer is everybody's.
bool RelayFlow::queue(Connection& to, RelayMeans& means, const uint8_t* data, size_t length, Moved& moved) {
  queued_ = true;
  if (to.out.append(means.pool, data, static_cast<uint32_t>(length)) && to.out.keep(means.pool)) return true;
  moved.next = Next::kNoMemory;
  return false;
}

}  // namespace c1m
