import { Component } from 'react'
import type { ReactNode } from 'react'
import { problemOf } from '../feed/problem.ts'
import { Failure } from './states.tsx'

interface Props {
  /** Another one gets another try. */
  readonly path: string
  readonly children: ReactNode
}

interface State {
  readonly path: string
  readonly error: unknown
}

/** A view that breaks says so in its place; the frame and every other page stay. */
export class Boundary extends Component<Props, { readonly error: unknown }> {
  override readonly state: State = { path: this.props.path, error: undefined }

  static getDerivedStateFromError(error: unknown): Pick<State, 'error'> {
    return { error }
  }

  static getDerivedStateFromProps(props: Props, state: State): State | null {
    return props.path === state.path ? null : { path: props.path, error: undefined }
  }

  override render(): ReactNode {
    if (this.state.error === undefined) return this.props.children
    return (
      <div className="page">
        <Failure what="This page broke" problem={problemOf(this.state.error)} onRetry={() => this.setState({ error: undefined })} />
      </div>
    )
  }
}
