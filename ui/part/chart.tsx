/** One chart of a page: shares its cursor with the others, says what good looks like, shows the value as text. */
import { useComputedColorScheme } from '@mantine/core'
import { memo, useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import uPlot from 'uplot'
import type { ChartData } from '../feed/series.ts'
import { lastValues } from '../feed/series.ts'
import { formatQuantity, formatTick, formatTime } from '../format.ts'
import type { Unit } from '../format.ts'

export interface ChartLine {
  readonly name: string
  /** A variable of style.css. */
  readonly color: string
  readonly dash?: readonly number[]
}
export interface ChartMark {
  readonly atS: number
  readonly label: string
}

export interface ChartProps {
  readonly title: string
  /** What good looks like, in one sentence. */
  readonly sentence: string
  readonly unit: Unit
  readonly lines: readonly ChartLine[]
  readonly data: ChartData
  readonly marks: readonly ChartMark[]
  readonly group: string
  readonly onZoom: (fromS: number, toS: number) => void
  /** Sooner than this the axis does not end: 1 for a ratio, 0.1 req/s for rates, so that noise does not look like waves. */
  readonly topAtLeast: number
}

const PLOT_HEIGHT_PX = 168

const colorOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function optionsOf(
  props: ChartProps,
  width: number,
  latest: { readonly current: ChartProps },
  onCursor: (at: number | null) => void
): uPlot.Options {
  const muted = colorOf('--muted')
  const grid = { stroke: colorOf('--line'), width: 1 }
  const axis = { stroke: muted, grid, ticks: { show: false }, font: '11px system-ui', labelFont: '11px system-ui' }
  return {
    width,
    height: PLOT_HEIGHT_PX,
    padding: [10, 4, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: props.group, setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 5 }
    },
    scales: {
      x: { time: true },
      // Zero-based: half a unit of change must not look like a cliff.
      y: { range: (_, __, max) => [0, Math.max(max ?? 0, latest.current.topAtLeast) * 1.08] }
    },
    axes: [
      { ...axis, space: 64, size: 22, values: (_, splits, __, ___, stepS) => splits.map(atS => formatTick(atS, stepS)) },
      { ...axis, space: 32, size: 64, values: (_, splits) => splits.map(value => formatQuantity(value, props.unit)) }
    ],
    series: [
      {},
      ...props.lines.map(({ name, color, dash }) => ({
        label: name,
        stroke: colorOf(color),
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        ...(dash ? { dash: [...dash] } : {})
      }))
    ],
    hooks: {
      setCursor: [plot => onCursor(plot.cursor.idx ?? null)],
      setSelect: [
        plot => {
          const { left, width: selected } = plot.select
          if (selected < 8) return
          latest.current.onZoom(Math.floor(plot.posToVal(left, 'x')), Math.ceil(plot.posToVal(left + selected, 'x')))
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        }
      ],
      draw: [plot => drawMarks(plot, latest.current.marks, muted)]
    }
  }
}

function drawMarks(plot: uPlot, marks: readonly ChartMark[], color: string): void {
  const { ctx, bbox } = plot
  const scale = devicePixelRatio
  ctx.save()
  ctx.strokeStyle = color
  ctx.fillStyle = color
  ctx.font = `${10 * scale}px system-ui`
  ctx.setLineDash([3 * scale, 3 * scale])
  for (const { atS, label } of marks) {
    const x = Math.round(plot.valToPos(atS, 'x', true))
    if (x < bbox.left || x > bbox.left + bbox.width) continue
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    const isNearRight = x > bbox.left + bbox.width - 60 * scale
    ctx.textAlign = isNearRight ? 'right' : 'left'
    ctx.fillText(label, x + (isNearRight ? -4 : 4) * scale, bbox.top + 9 * scale)
  }
  ctx.restore()
}

export const Chart = memo(function Chart(props: ChartProps): ReactNode {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const latest = useRef(props)
  useEffect(() => {
    latest.current = props
  })
  const [cursor, setCursor] = useState<number | null>(null)
  const scheme = useComputedColorScheme()
  const isEmpty = props.data.slice(1).every(column => column.every(value => value === null))
  const shape = `${scheme} ${props.unit} ${props.group} ${props.lines.map(line => line.name).join(' ')}`

  useEffect(() => {
    const element = box.current
    if (!element || isEmpty) return undefined
    const made = new uPlot(
      optionsOf(latest.current, element.clientWidth, latest, setCursor),
      latest.current.data as unknown as uPlot.AlignedData,
      element
    )
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: PLOT_HEIGHT_PX }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [shape, isEmpty])

  useEffect(() => {
    plot.current?.setData(props.data as unknown as uPlot.AlignedData)
  }, [props.data, props.marks])

  const values = cursor === null ? lastValues(props.data) : props.data.slice(1).map(column => column[cursor] ?? null)
  const at = cursor === null ? undefined : props.data[0][cursor]
  return (
    <figure className="chart">
      <div className="head">
        <h2>{props.title}</h2>
        <div className="readout">
          {at !== undefined && <span>{formatTime(at * 1000)}</span>}
          {props.lines.map((line, index) => (
            <span key={line.name}>
              <span className="key" style={{ borderColor: `var(${line.color})`, borderTopStyle: line.dash ? 'dashed' : 'solid' }} />
              {line.name} <b className="live">{formatQuantity(values[index], props.unit)}</b>
            </span>
          ))}
        </div>
      </div>
      <figcaption>{props.sentence}</figcaption>
      {isEmpty ? <div className="nothing">No samples in this window.</div> : <div className="plot" ref={box} />}
    </figure>
  )
})
