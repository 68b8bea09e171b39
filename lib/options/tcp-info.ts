/** The states of a TCP connection (RFC 9293), in the order of the kernel's numbers from 1. */
export type TcpState =
  | 'established'
  | 'syn-sent'
  | 'syn-received'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'time-wait'
  | 'closed'
  | 'close-wait'
  | 'last-ack'
  | 'listen'
  | 'closing'

/**
 * The kernel's figures for one TCP connection (TCP_INFO, tcp(7)). Counts are since the connection's start, except where
 * they say "now". A property is absent where this kernel doesn't report it, or has no value yet. For a Multipath TCP
 * connection these are the values of its first subflow.
 */
export interface TcpInfo {
  readonly state: TcpState
  /** Smoothed round-trip time, in microseconds. */
  readonly rttMicros: number
  /** Mean deviation of the round-trip time, in microseconds. */
  readonly rttVarMicros: number
  /** Minimum round-trip time in the kernel's window (five minutes), in microseconds. */
  readonly minRttMicros?: number
  /** Retransmission timeout, in microseconds. */
  readonly rtoMicros: number
  /** Congestion window, in segments of `sendMss` bytes. */
  readonly congestionWindow: number
  /** Slow-start threshold, in segments; `Infinity` until the first loss. */
  readonly slowStartThreshold: number
  /** Bytes of payload in a full segment that the local side sends. */
  readonly sendMss: number
  /** Bytes of payload in a full segment that the peer sends, as estimated. */
  readonly receiveMss: number
  /** Bytes of the largest packet that the path takes. */
  readonly pathMtu: number
  /** Segments by which packets have overtaken each other. */
  readonly reordering: number
  /** Retransmission timeouts in a row, for what is unacknowledged now. */
  readonly retransmits: number
  /** Segments sent again. */
  readonly totalRetransmits: number
  /** Segments in flight that the kernel considers lost now. */
  readonly lost: number
  /** Segments in flight now. */
  readonly unacked: number
  /** Segments in flight that the peer has acknowledged out of order. */
  readonly sacked: number
  /** Bytes of payload sent, repeated ones included. */
  readonly bytesSent?: number
  /** Bytes of payload sent again. */
  readonly bytesRetransmitted?: number
  /** Bytes that the peer has acknowledged; a SYN of the local side counts as one. */
  readonly bytesAcked?: number
  /** Bytes received in order; the peer's FIN counts as one. */
  readonly bytesReceived?: number
  /** Segments sent, of any kind. */
  readonly segmentsOut?: number
  /** Segments received, of any kind. */
  readonly segmentsIn?: number
  /** Bytes in the kernel's send buffer that have not been sent once. */
  readonly notSentBytes?: number
  /** Bytes a second that arrived at the peer recently. */
  readonly deliveryRateBytes?: number
  /** Bytes a second at which the kernel paces; `Infinity` if it doesn't. */
  readonly pacingRateBytes?: number
  /** Milliseconds since the local side last sent data. */
  readonly lastDataSentMs: number
  /** Milliseconds since data last arrived. */
  readonly lastDataReceivedMs: number
  /** Milliseconds since an acknowledgement last arrived. */
  readonly lastAckReceivedMs: number
  /** Microseconds during which there was data to send. */
  readonly busyMicros?: number
  /** Microseconds of these for which the peer's receive window limited sending. */
  readonly receiveWindowLimitedMicros?: number
  /** Microseconds of these for which the local send buffer limited sending. */
  readonly sendBufferLimitedMicros?: number
}

/** @internal The fields as the core sends them, in order; the same table as in `native/net/tcp_info.h`. */
export const tcpInfoFields = [
  'state',
  'rttMicros',
  'rttVarMicros',
  'minRttMicros',
  'rtoMicros',
  'congestionWindow',
  'slowStartThreshold',
  'sendMss',
  'receiveMss',
  'pathMtu',
  'reordering',
  'retransmits',
  'totalRetransmits',
  'lost',
  'unacked',
  'sacked',
  'bytesSent',
  'bytesRetransmitted',
  'bytesAcked',
  'bytesReceived',
  'segmentsOut',
  'segmentsIn',
  'notSentBytes',
  'deliveryRateBytes',
  'pacingRateBytes',
  'lastDataSentMs',
  'lastDataReceivedMs',
  'lastAckReceivedMs',
  'busyMicros',
  'receiveWindowLimitedMicros',
  'sendBufferLimitedMicros',
] as const satisfies readonly (keyof TcpInfo)[]

const states: readonly TcpState[] = [
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
]

/** @internal Converts the core's doubles to a `TcpInfo`; NaN stands for an unknown value. */
export function decodeTcpInfo(values: Float64Array): TcpInfo {
  const info: Partial<Record<keyof TcpInfo, number | TcpState>> = {}
  for (const [index, field] of tcpInfoFields.entries()) {
    const value = values[index]
    if (value !== undefined && !Number.isNaN(value)) info[field] = value
  }
  info.state = states[(values[0] ?? 0) - 1] ?? 'closed'
  return info as TcpInfo
}
