/** Huffman coded strings of HPACK, decoded four bits at a time. RFC 7541 §5.2 and Appendix B. */

/** Bits of the code of each byte, and of the end of a string. The code is canonical: lengths are all there is to know. */
const lengths = (
  '13,23,28,28,28,28,28,28,28,24,30,28,28,30,28,28,28,28,28,28,28,28,30,28,28,28,28,28,28,28,28,28,' +
  '6,10,10,12,13,6,8,11,10,10,8,11,8,6,6,6,5,5,5,6,6,6,6,6,6,6,7,8,15,6,12,10,' +
  '13,6,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,8,7,8,13,19,13,14,6,' +
  '15,5,6,5,6,5,6,6,6,5,7,7,6,6,6,5,6,7,6,5,5,6,7,7,7,7,7,15,11,14,13,28,' +
  '20,22,20,20,22,22,22,23,22,23,23,23,23,23,24,23,24,24,22,23,24,23,23,23,23,21,22,23,22,23,23,24,' +
  '22,21,20,22,22,23,23,21,23,22,22,24,21,22,23,23,21,21,22,21,23,22,23,23,20,22,22,22,23,22,22,23,' +
  '26,26,20,19,22,23,22,25,26,26,26,27,27,26,24,25,19,21,26,27,27,26,27,24,21,21,26,26,28,27,27,27,' +
  '20,24,20,21,22,21,21,23,22,22,25,25,24,24,26,23,26,27,26,26,27,27,27,27,27,28,27,27,27,27,27,26,30'
)
  .split(',')
  .map(Number)

const END = 256
/** Of an entry: where no code goes on. */
const FAIL = 0xffff
/** Of an entry: a byte is complete, in the bits below the state's. */
const EMITS = 1 << 8

interface Automaton {
  /** [state * 16 + four bits] -> next state << 16 | EMITS? | byte, or FAIL. */
  readonly steps: Uint32Array
  /** States in which a string may end: at most seven bits of padding, all ones. */
  readonly accepts: Uint8Array
}

interface Node {
  readonly next: [Node | number | undefined, Node | number | undefined]
  index: number
}

function buildAutomaton(): Automaton {
  const root: Node = { next: [undefined, undefined], index: 0 }
  const nodes = [root]
  const symbols = [...lengths.keys()].toSorted((a, b) => lengths[a]! - lengths[b]! || a - b)
  let code = 0
  let before = 0
  for (const symbol of symbols) {
    const length = lengths[symbol]!
    code *= 2 ** (length - before)
    before = length
    let node = root
    for (let bit = length - 1; bit > 0; bit--) {
      const side = (Math.floor(code / 2 ** bit) % 2) as 0 | 1
      let next = node.next[side]
      if (typeof next !== 'object') {
        next = { next: [undefined, undefined], index: nodes.length }
        nodes.push(next)
        node.next[side] = next
      }
      node = next
    }
    node.next[(code % 2) as 0 | 1] = symbol
    code++
  }
  const steps = new Uint32Array(nodes.length * 16)
  for (const node of nodes) for (let four = 0; four < 16; four++) steps[node.index * 16 + four] = step(root, node, four)
  const accepts = new Uint8Array(nodes.length)
  let node: Node | number | undefined = root
  for (let depth = 0; depth < 8 && typeof node === 'object'; depth++) {
    accepts[node.index] = 1
    node = node.next[1]
  }
  return { steps, accepts }
}

function step(root: Node, from: Node, four: number): number {
  let node = from
  let emitted = 0
  for (let bit = 3; bit >= 0; bit--) {
    const next = node.next[((four >> bit) & 1) as 0 | 1]
    if (next === undefined || next === END) return FAIL
    if (typeof next === 'number') {
      // The shortest code has five bits: one step completes one byte at most.
      emitted = EMITS | next
      node = root
    } else node = next
  }
  return ((node.index << 16) | emitted) >>> 0
}

const { steps, accepts } = buildAutomaton()

/**
 * Decodes into `out`, from its beginning.
 *
 * Shapes  out: has room for 8/5 of the bytes read
 * Returns the bytes written; -1 for what is no coded string
 */
export function decodeHuffman(bytes: Buffer, from: number, to: number, out: Buffer): number {
  let state = 0
  let size = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    for (let shift = 4; shift >= 0; shift -= 4) {
      const entry = steps[state * 16 + ((byte >> shift) & 15)]!
      if (entry === FAIL) return -1
      if ((entry & EMITS) !== 0) out[size++] = entry & 255
      state = entry >>> 16
    }
  }
  return accepts[state] === 1 ? size : -1
}
