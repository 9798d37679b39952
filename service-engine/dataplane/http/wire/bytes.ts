/** Which bytes may stand where: RFC 9110 §5.5 and §5.6.2, RFC 9112 §3.2. */

export const HT = 9
export const LF = 10
export const CR = 13
export const SP = 32
export const COLON = 58
export const SEMICOLON = 59

export const EMPTY: Buffer = Buffer.alloc(0)

function table(classOf: (byte: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => classOf(byte))
}

const tokenText = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** 1 for what a method or a field's name is made of. */
export const TOKEN: Uint8Array = table(byte => (tokenText.includes(String.fromCharCode(byte)) ? 1 : 0))

/** What a field's value is made of: 1 visible or beyond ASCII, 2 blank; 0 ends or spoils it. */
export const VALUE: Uint8Array = table(byte => {
  if (byte === SP || byte === HT) return 2
  return byte > 0x20 && byte !== 0x7f ? 1 : 0
})

/** 1 for what a request target is made of. */
export const TARGET: Uint8Array = table(byte => (byte > 0x20 && byte < 0x7f ? 1 : 0))

/** The value of a hexadecimal digit; 16 for what is none. */
export const HEX: Uint8Array = table(byte => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase())
  return digit < 0 ? 16 : digit
})
