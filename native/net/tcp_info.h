#pragma once

#include <array>
#include <cstddef>

#include "native/base/result.h"

namespace c1m {

// What the kernel knows about one TCP connection (TCP_INFO, tcp(7)), as doubles so that it goes to JavaScript as one
// Float64Array. NaN stands for what this kernel doesn't report or doesn't know yet, infinity for "no limit".
// The order of the fields is shared with lib/options/tcp-info.ts, where a test compares it with kTcpInfoFields.
struct TcpInfo {
  double state;                          // TCP_ESTABLISHED (1) to TCP_CLOSING (11)
  double rtt_micros;                     // smoothed round trip
  double rtt_var_micros;                 // its mean deviation
  double min_rtt_micros;                 // the minimum seen in the kernel's window
  double rto_micros;                     // retransmission timeout
  double congestion_window;              // segments
  double slow_start_threshold;           // segments; infinity until the first loss
  double send_mss;                       // bytes a segment
  double receive_mss;                    // bytes a segment
  double path_mtu;                       // bytes
  double reordering;                     // segments
  double retransmits;                    // timeouts in a row of what is unacknowledged now
  double total_retransmits;              // segments sent again, over the connection's life
  double lost;                           // segments thought lost now
  double unacked;                        // segments in flight
  double sacked;                         // segments acknowledged out of order
  double bytes_sent;                     // payload, retransmissions included
  double bytes_retransmitted;            // payload
  double bytes_acked;                    // payload; the SYN counts as one
  double bytes_received;                 // payload; the peer's FIN counts as one
  double segments_out;                   // of any kind
  double segments_in;                    // of any kind
  double not_sent_bytes;                 // in the send buffer, not sent once
  double delivery_rate_bytes;            // a second; goodput as measured last
  double pacing_rate_bytes;              // a second; infinity: not paced
  double last_data_sent_ms;              // milliseconds ago
  double last_data_received_ms;          // milliseconds ago
  double last_ack_received_ms;           // milliseconds ago
  double busy_micros;                    // time with data to send
  double receive_window_limited_micros;  // of that, limited by the peer's window
  double send_buffer_limited_micros;     // of that, limited by our send buffer
};

// The fields' names in TypeScript, in order.
inline constexpr std::array kTcpInfoFields{
    "state",
    "rttMicros",
    "rttVarMicros",
    "minRttMicros",
    "rtoMicros",
    "congestionWindow",
    "slowStartThreshold",
    "sendMss",
    "receiveMss",
    "pathMtu",
    "reordering",
    "retransmits",
    "totalRetransmits",
    "lost",
    "unacked",
    "sacked",
    "bytesSent",
    "bytesRetransmitted",
    "bytesAcked",
    "bytesReceived",
    "segmentsOut",
    "segmentsIn",
    "notSentBytes",
    "deliveryRateBytes",
    "pacingRateBytes",
    "lastDataSentMs",
    "lastDataReceivedMs",
    "lastAckReceivedMs",
    "busyMicros",
    "receiveWindowLimitedMicros",
    "sendBufferLimitedMicros",
};
inline constexpr size_t kTcpInfoFieldCount = sizeof(TcpInfo) / sizeof(double);
static_assert(kTcpInfoFields.size() == kTcpInfoFieldCount);

// ENOPROTOOPT or EOPNOTSUPP (see is_unsupported) for a socket that isn't TCP, and on platforms without it. For a
// Multipath TCP connection these are the values of its first subflow.
[[nodiscard]] Result<TcpInfo> read_tcp_info(int fd);

}  // namespace c1m
