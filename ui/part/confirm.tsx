import { Button, Modal } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { Failure } from './states.tsx'

/** Asks before what cannot be taken back; a refusal stays open and says why (409: who uses it). */
export function Confirm(props: {
  readonly title: string
  readonly verb: string
  readonly children: ReactNode
  readonly onConfirm: () => Promise<unknown>
  readonly onClose: () => void
}): ReactNode {
  const [isBusy, setIsBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const confirm = async (): Promise<void> => {
    setIsBusy(true)
    try {
      await props.onConfirm()
      props.onClose()
    } catch (error) {
      setProblem(problemOf(error))
      setIsBusy(false)
    }
  }
  return (
    <Modal opened onClose={props.onClose} title={props.title} closeButtonProps={{ 'aria-label': 'close' }}>
      <div className="stack loose">
        <div>{props.children}</div>
        {problem && <Failure what={`Not done`} problem={problem} />}
        <div className="row">
          <Button loading={isBusy} onClick={() => void confirm()}>
            {props.verb}
          </Button>
          <Button variant="default" onClick={props.onClose} data-autofocus>
            Cancel
          </Button>
        </div>
      </div>
    </Modal>
  )
}
