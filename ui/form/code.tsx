/** A program in a form: the numbers of its lines, and the line that is wrong. */
import { Textarea } from '@mantine/core'
import type { ReactNode } from 'react'

/** "line 3, column 7: ..." in what the controller says of it; undefined where it names none. */
export function lineIn(error: string | undefined): number | undefined {
  const found = /^line (\d+)\b/.exec(error ?? '')
  return found === null ? undefined : Number(found[1])
}

const LEAST_LINES = 6
const MOST_LINES = 30

export function CodeField(props: {
  readonly label: string
  readonly description: string | undefined
  readonly error: string | undefined
  readonly required: boolean
  readonly value: string
  readonly onText: (text: string) => void
}): ReactNode {
  const { value, onText, ...common } = props
  const lines = value.split('\n')
  const wrong = lineIn(props.error)
  const rows = Math.min(MOST_LINES, Math.max(LEAST_LINES, lines.length + 1))
  return (
    <div className="code-field">
      <Textarea
        {...common}
        rows={rows}
        value={value}
        spellCheck={false}
        autoCapitalize="off"
        autoComplete="off"
        classNames={{ input: 'code-input' }}
        onChange={event => onText(event.currentTarget.value)}
      />
      {wrong !== undefined && lines[wrong - 1] !== undefined && (
        <pre className="code-wrong" aria-label={`Line ${wrong}`}>
          {[wrong - 1, wrong, wrong + 1].map(number => {
            const line = lines[number - 1]
            if (line === undefined) return null
            return (
              <span key={number} className={number === wrong ? 'wrong' : 'muted'}>
                {`${String(number).padStart(4)}  ${line}\n`}
              </span>
            )
          })}
        </pre>
      )}
    </div>
  )
}
