/**
 * Search and replace in a stream of bytes. Bytes are worked on as text of one character each, so that nothing depends on where a
 * read was cut: what might be the beginning of a match is held back, up to a bound, until more has come.
 */
import { Transform, type TransformCallback } from 'node:stream'

export interface Replacement {
  /** Text whose characters are bytes; or an expression with the flags `l` and `g` over such. */
  readonly search: string | RegExp
  readonly by: string
}

/** A match of an expression is found whole when it is no longer; so much of a body waits for what follows. */
export const MAX_MATCH_BYTES = 1_024
/** Worked on at a stretch; less where expressions look ahead in it again and again. */
const SLICE_BYTES = 65_536
const PATTERN_SLICE_BYTES = 2_048
/** Characters looked at times those of the expression, before others have their turn: a few milliseconds at the worst. */
const MAX_WORK = 100_000
/** What one slice may become. */
const MAX_SLICE_OUT = 16_777_216

interface Stage {
  /** What is settled; the rest is held back. `isMore`: it stopped for others, and goes on without more. */
  readonly take: (text: string, isEnd: boolean) => { readonly text: string; readonly isMore: boolean }
}

/** Of one text: holds back what the end of the input has of its beginning. */
function literalStage(search: string, by: string): Stage {
  let held = ''
  return {
    take: (text, isEnd) => {
      const all = held + text
      let out = ''
      let from = 0
      for (let at = all.indexOf(search); at >= 0; at = all.indexOf(search, from)) {
        out += all.slice(from, at) + by
        from = at + search.length
        bound(out)
      }
      let keep = isEnd ? 0 : Math.min(search.length - 1, all.length - from)
      while (keep > 0 && !search.startsWith(all.slice(all.length - keep))) keep--
      held = all.slice(all.length - keep)
      return { text: out + all.slice(from, all.length - keep), isMore: false }
    }
  }
}

/** Of an expression: a match counts once it cannot become another by what follows, as far as the bound goes. */
function patternStage(search: RegExp, by: string): Stage {
  const weight = Math.max(1, search.source.length)
  /** One character that went out already stands before it, so that `^` and `\b` see where they are. */
  let held = ''
  let isBegun = false
  return {
    take: (text, isEnd) => {
      const all = held + text
      const first = isBegun ? 1 : 0
      const limit = isEnd ? all.length : all.length - MAX_MATCH_BYTES
      let out = ''
      let from = first
      let work = 0
      let isMore = false
      search.lastIndex = first
      while (search.lastIndex < limit) {
        if (work > MAX_WORK) {
          isMore = true
          break
        }
        work += (all.length - search.lastIndex) * weight
        const found = search.exec(all)
        if (found === null || found.index >= limit) break
        const [{ length }] = found
        // Nothing is not replaced by something.
        if (length === 0) {
          search.lastIndex = found.index + 1
          continue
        }
        out += all.slice(from, found.index) + by
        bound(out)
        from = found.index + length
        search.lastIndex = from
      }
      const end = isMore ? Math.max(from, Math.min(search.lastIndex, limit)) : Math.max(from, limit, first)
      out += all.slice(from, end)
      if (end > first) isBegun = true
      held = all.slice(isBegun ? end - 1 : end)
      return { text: out, isMore }
    }
  }
}

/** Throws when it is too much. */
function bound(text: string): void {
  if (text.length > MAX_SLICE_OUT) throw new Error('a body that grows without end')
}

const stageOf = ({ search, by }: Replacement): Stage =>
  typeof search === 'string' ? literalStage(search, by) : patternStage(new RegExp(search.source, search.flags), by)

/** Each replacement works on what the one before it left. */
export class Replacer extends Transform {
  readonly #stages: readonly Stage[]
  readonly #sliceBytes: number

  constructor(replacements: readonly Replacement[]) {
    super()
    this.#stages = replacements.map(stageOf)
    this.#sliceBytes = replacements.some(({ search }) => typeof search !== 'string') ? PATTERN_SLICE_BYTES : SLICE_BYTES
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#slices(chunk, 0, false, done)
  }

  override _flush(done: TransformCallback): void {
    this.#slices(Buffer.alloc(0), 0, true, done)
  }

  /** Slice by slice, with others in between. */
  #slices(chunk: Buffer, from: number, isEnd: boolean, done: TransformCallback): void {
    if (this.destroyed) return
    const to = Math.min(chunk.length, from + this.#sliceBytes)
    const isLast = to === chunk.length
    this.#through(0, chunk.toString('latin1', from, to), isEnd && isLast, error => {
      if (error !== undefined) return done(error)
      if (isLast) return done()
      setImmediate(() => this.#slices(chunk, to, isEnd, done))
    })
  }

  #through(index: number, text: string, isEnd: boolean, done: (error?: Error) => void): void {
    const stage = this.#stages[index]
    if (stage === undefined) {
      if (text !== '') this.push(Buffer.from(text, 'latin1'))
      return done()
    }
    let taken: ReturnType<Stage['take']>
    try {
      taken = stage.take(text, isEnd)
    } catch (error) {
      return done(error instanceof Error ? error : new Error('a body that cannot be changed'))
    }
    this.#through(index + 1, taken.text, isEnd && !taken.isMore, error => {
      if (error !== undefined || !taken.isMore) return done(error)
      setImmediate(() => (this.destroyed ? undefined : this.#through(index, '', isEnd, done)))
    })
  }
}
