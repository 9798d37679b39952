import type { ReactNode } from 'react'
import { quantityOf } from '../format.ts'
import type { Unit } from '../format.ts'

/** A number with its unit in grey; `isLive` ones are greyed when the feed is stale. */
export function Quantity(props: { readonly value: number | null | undefined; readonly unit: Unit; readonly isLive?: boolean }): ReactNode {
  const { number, unit } = quantityOf(props.value, props.unit)
  return (
    <span className={props.isLive === false ? undefined : 'live'}>
      {number}
      {unit !== '' && <span className="unit">{unit}</span>}
    </span>
  )
}
