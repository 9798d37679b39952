/** Frames of HTTP/2: kinds, flags, codes, sizes. RFC 9113 §4, §6, §7. */

export const codes = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11
} as const

export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PUSH_PROMISE = 5
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const ACK = 1
export const END_STREAM = 1
export const END_HEADERS = 4
export const PADDED = 8
export const WITH_PRIORITY = 32

/** Of settings. */
export const ENABLE_PUSH = 2
export const MAX_STREAMS = 3
export const INITIAL_WINDOW = 4
export const MAX_FRAME = 5
export const MAX_HEADER_LIST = 6
export const ENABLE_CONNECT = 8

export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
export const FRAME_HEAD = 9
/** The least that every peer takes, and the most that we do. */
export const MAX_FRAME_BYTES = 16_384
/** Also the highest number of a stream. */
export const MAX_WINDOW = 0x7fff_ffff
export const DEFAULT_WINDOW = 65_535
