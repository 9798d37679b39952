/** What the list of certificates shows beside their names. */
import type { ReactNode } from 'react'
import type { AnyObject } from '../feed/objects.ts'
import { Shape } from '../part/health.tsx'
import type { Column } from '../part/table.tsx'
import { expiryShown, ocspShown, type CertificateFacts, type OcspFacts, type Shown } from './certificate-facts.ts'

function Fact({ shown }: { readonly shown: Shown | undefined }): ReactNode {
  if (shown === undefined) return <span className="muted">–</span>
  return (
    <span className="badge" data-band={shown.band} title={shown.title}>
      <Shape band={shown.band} />
      {shown.text}
    </span>
  )
}

const factsOf = (row: AnyObject): CertificateFacts | undefined => row['certificate'] as CertificateFacts | undefined

export const certificateColumns: readonly Column<AnyObject>[] = [
  {
    key: 'names',
    title: 'For',
    isCut: true,
    hide: 'medium',
    cell: row => <span className="mono">{(factsOf(row)?.subject_alt_names ?? []).join(', ')}</span>
  },
  { key: 'ends', title: 'Valid', isShrunk: true, cell: row => <Fact shown={expiryShown(factsOf(row))} /> },
  {
    key: 'ocsp',
    title: 'OCSP',
    isShrunk: true,
    cell: row => (
      <Fact shown={ocspShown(row['ocsp_error_status'] as string | undefined, row['ocsp_response_info'] as OcspFacts | undefined)} />
    )
  }
]
