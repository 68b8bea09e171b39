#include "native/net/tcp_info.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <limits>

// The kernel's own header: glibc's <netinet/tcp.h> has a struct tcp_info that ends in 2007. The two exclude each
// other, which is why this is a file of its own.
#include <linux/tcp.h>

namespace c1m {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr double kUnlimited = std::numeric_limits<double>::infinity();
constexpr uint32_t kNoMinRtt = UINT32_MAX;          // tcp_min_rtt() before the first sample
constexpr uint32_t kNoSlowStartLimit = 0x7fffffff;  // TCP_INFINITE_SSTHRESH, net/tcp.h
constexpr uint64_t kNoPacingLimit = UINT64_MAX;

// The fields that have been there since Linux 2.4.
void fill_first(const tcp_info& raw, TcpInfo& info) {
  info.state = raw.tcpi_state;
  info.rtt_micros = raw.tcpi_rtt;
  info.rtt_var_micros = raw.tcpi_rttvar;
  info.rto_micros = raw.tcpi_rto;
  info.congestion_window = raw.tcpi_snd_cwnd;
  info.slow_start_threshold = raw.tcpi_snd_ssthresh >= kNoSlowStartLimit ? kUnlimited : raw.tcpi_snd_ssthresh;
  info.send_mss = raw.tcpi_snd_mss;
  info.receive_mss = raw.tcpi_rcv_mss;
  info.path_mtu = raw.tcpi_pmtu;
  info.reordering = raw.tcpi_reordering;
  info.retransmits = raw.tcpi_retransmits;
  info.total_retransmits = raw.tcpi_total_retrans;
  info.lost = raw.tcpi_lost;
  info.unacked = raw.tcpi_unacked;
  info.sacked = raw.tcpi_sacked;
  info.last_data_sent_ms = raw.tcpi_last_data_sent;
  info.last_data_received_ms = raw.tcpi_last_data_recv;
  info.last_ack_received_ms = raw.tcpi_last_ack_recv;
}

// Later fields, each of which an older kernel may leave out.
void fill_later(const tcp_info& raw, socklen_t length, TcpInfo& info) {
  const auto known = [length](const auto& field, const tcp_info& base) {
    const auto end = reinterpret_cast<const char*>(&field + 1) - reinterpret_cast<const char*>(&base);
    return static_cast<size_t>(end) <= length ? static_cast<double>(field) : kUnknown;
  };
  info.bytes_sent = known(raw.tcpi_bytes_sent, raw);
  info.bytes_retransmitted = known(raw.tcpi_bytes_retrans, raw);
  info.bytes_acked = known(raw.tcpi_bytes_acked, raw);
  info.bytes_received = known(raw.tcpi_bytes_received, raw);
  info.segments_out = known(raw.tcpi_segs_out, raw);
  info.segments_in = known(raw.tcpi_segs_in, raw);
  info.not_sent_bytes = known(raw.tcpi_notsent_bytes, raw);
  info.delivery_rate_bytes = known(raw.tcpi_delivery_rate, raw);
  info.busy_micros = known(raw.tcpi_busy_time, raw);
  info.receive_window_limited_micros = known(raw.tcpi_rwnd_limited, raw);
  info.send_buffer_limited_micros = known(raw.tcpi_sndbuf_limited, raw);
  info.pacing_rate_bytes = raw.tcpi_pacing_rate == kNoPacingLimit ? kUnlimited : known(raw.tcpi_pacing_rate, raw);
  info.min_rtt_micros = raw.tcpi_min_rtt == kNoMinRtt ? kUnknown : known(raw.tcpi_min_rtt, raw);
}

}  // namespace

Result<TcpInfo> read_tcp_info(int fd) {
  tcp_info raw{};
  socklen_t length = sizeof(raw);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &raw, &length) != 0) return Error::last("getsockopt");
  TcpInfo info{};
  fill_first(raw, info);
  fill_later(raw, length, info);
  return info;
}

}  // namespace c1m
