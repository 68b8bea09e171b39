#pragma once

#include <cstddef>
#include <cstdint>

#include "native/base/fd.h"
#include "native/conn/outbound.h"
#include "native/net/address.h"

namespace c1m {

// One connection: a socket, what is known of its readiness, its queue, and the events that are not delivered yet.
//
// Life: open ─▶ (end seen | FIN sent, in either order) ─▶ closing ─▶ closed. From `closing` on the descriptor is out of
// the poller and nothing is read or written; slot and descriptor stay until JavaScript has handed back the batch that
// carried kClose, because until then it may read them.
// Owner: the loop's slab. Thread: the loop's; `peer` and `fd` never change while the slot is in use, and may be read by
// the JS thread.
struct Connection {
  enum Flag : uint32_t {
    // Readiness, kept until the socket says otherwise.
    kReadable = 1u << 0,
    kWritable = 1u << 1,
    kHangup = 1u << 2,  // the peer's FIN, or an urgent byte, is in: read on to it, even after a short read
    kBroken = 1u << 3,  // an error waits behind what is to be read
    // State.
    kConnecting = 1u << 4,   // no kOpen yet, nor any other event
    kSynDeferred = 1u << 5,  // the SYN went, or will go, with the first bytes (TCP_FASTOPEN_CONNECT)
    kPaused = 1u << 6,
    kBorrowed = 1u << 7,   // reads fill the batch's own memory
    kEndSeen = 1u << 8,    // read(2) returned 0
    kEndWanted = 1u << 9,  // end(): FIN when the queue is empty
    kFinSent = 1u << 10,
    kWriteFailed = 1u << 11,  // nothing can be sent any more; the bytes that came before that are still delivered
    kClosing = 1u << 12,
    kLeft = 1u << 13,  // migrated to another loop, or closed before it came here: its end is counted elsewhere
    kDrainWanted = 1u << 14,
    kMuted = 1u << 15,          // takes only what JavaScript itself writes to it
    kRelayed = 1u << 16,        // read and written by a relay, not for JavaScript
    kCorked = 1u << 17,         // the kernel may delay bytes for more to come
    kLingers = 1u << 18,        // close(2) may wait, SO_LINGER: it came so
    kFramesWaiting = 1u << 19,  // the framer may hold whole frames: they come before anything that is read
    kReframing = 1u << 20,      // JavaScript has to say how to go on: nothing is read or cut until then
    // Events that wait for room in a batch; each at most once.
    kOpenDue = 1u << 21,
    kDrainDue = 1u << 22,
    kTimeoutDue = 1u << 23,
    kFramingDue = 1u << 24,       // reading has stopped, as a kReframe wanted
    kInvalidFrameDue = 1u << 25,  // what follows is no frame, or too large a one
    kEndDue = 1u << 26,
    kCloseDue = 1u << 27,
    // Membership of the loop's lists.
    kInReady = 1u << 28,
    kInFlush = 1u << 29,
    kInBulk = 1u << 30,
  };
  static constexpr uint32_t kReadiness = kReadable | kWritable | kHangup | kBroken;
  static constexpr uint32_t kState = kConnecting | kSynDeferred | kPaused | kBorrowed | kEndSeen | kEndWanted |
                                     kFinSent | kWriteFailed | kClosing | kLeft | kDrainWanted | kMuted | kRelayed |
                                     kCorked | kLingers | kFramesWaiting | kReframing;
  // An event that waits is delivered before what is read, or behind it.
  static constexpr uint32_t kDueBeforeReading = kOpenDue | kDrainDue | kTimeoutDue | kFramingDue;
  static constexpr uint32_t kDueBehindReading = kInvalidFrameDue | kEndDue | kCloseDue;
  static constexpr uint32_t kDue = kDueBeforeReading | kDueBehindReading;
  // A close drops it, unless it came before that, or is the close.
  static constexpr uint32_t kDueUntilClose = kDrainDue | kTimeoutDue | kFramingDue | kInvalidFrameDue;
  static constexpr uint32_t kDuePastClose = kOpenDue | kEndDue | kCloseDue;
  // A relay drops what is not JavaScript's any more: nothing waits for a drain, and an end is the relay's to pass on.
  static constexpr uint32_t kDueUntilRelay = kDrainDue | kEndDue;
  static constexpr uint32_t kDuePastRelay = kOpenDue | kTimeoutDue | kFramingDue | kInvalidFrameDue | kCloseDue;
  static constexpr uint32_t kToSend = kInFlush | kInBulk;
  static constexpr uint32_t kListed = kInReady | kToSend;
  static constexpr uint32_t kUnused = 1u << 31;
  static_assert((kReadiness ^ kState ^ kDue ^ kListed ^ kUnused) == UINT32_MAX &&
                    (kReadiness | kState | kDue | kListed | kUnused) == UINT32_MAX,
                "a flag belongs to one of the masks");
  static_assert((kReadiness & kState) == 0 && ((kReadiness | kState) & kDue) == 0 &&
                    ((kReadiness | kState | kDue) & kListed) == 0,
                "and to no other");
  static_assert((kDueBeforeReading & kDueBehindReading) == 0, "an event is due at one time");
  static_assert((kDueUntilClose | kDuePastClose) == kDue && (kDueUntilClose & kDuePastClose) == 0 &&
                    (kDueUntilRelay | kDuePastRelay) == kDue && (kDueUntilRelay & kDuePastRelay) == 0,
                "and has one fate at a close, and one at a relay");

  [[nodiscard]] bool has(uint32_t flag) const { return (flags & flag) != 0; }
  void set(uint32_t flag) { flags |= flag; }
  void unset(uint32_t flag) { flags &= ~flag; }

  // Something is there to be read for JavaScript, as far as we know, and may be read.
  [[nodiscard]] bool can_read() const {
    if (has(kPaused | kClosing | kReframing | kRelayed)) return false;
    return has(kFramesWaiting) || (has(kReadable | kHangup) && !has(kEndSeen));
  }
  // Broadcasts, and writes of workers.
  [[nodiscard]] bool takes_shared() const { return !has(kEndWanted | kWriteFailed | kRelayed | kMuted); }
  // Frames are to be delivered before its end.
  [[nodiscard]] bool end_waits() const { return has(kFramesWaiting | kReframing); }
  // Both sides have sent their FIN, and all that came is delivered.
  [[nodiscard]] bool is_over() const { return has(kFinSent) && has(kEndSeen) && !end_waits(); }

  Outbound out;
  Fd fd;
  PackedAddress peer;
  uint32_t flags = 0;
  uint32_t context = 0;
  uint16_t error = 0;             // errno of what went wrong, or an error of our own
  uint8_t error_syscall : 4 = 0;  // Syscall
  uint8_t interest : 4 = 0;       // level-triggered: what the poller reports
  uint8_t framing = 0;            // the loop's number for how its bytes are cut into frames; 0 not at all
};

// What a FIN came to.
struct Fin {
  bool sent = false;  // false: it has to wait for an edge, unless there is an error
  int error = 0;      // errno
};

// Sends the FIN behind what the kernel holds.
Fin send_fin(Connection& connection);

// What a flush() came to.
struct Flushed {
  size_t bytes = 0;         // from memory
  size_t shared = 0;        // of these, bytes of broadcasts and of workers
  size_t file_bytes = 0;    // of files
  int error = 0;            // errno; the queue is as it was
  uint32_t calls = 0;       // that took bytes
  bool broken_off = false;  // the file at the front can't be sent to its end: the stream is of no use any more
  bool next_file = false;   // another file is the first in the queue now
  bool waits = false;       // the file at the front has to be opened or loaded first

  [[nodiscard]] size_t total() const { return bytes + file_bytes; }
};

// Writes the queue to the socket: at most `budget` bytes, while it is writable and no file has to be waited for.
Flushed flush(Connection& connection, OutboundPool& pool, size_t budget);

// The kernel delays nothing any more (TCP_CORK, MSG_MORE), and won't.
void uncork(Connection& connection);

}  // namespace c1m
