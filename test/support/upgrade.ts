/** Orders to change the program of an engine. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { formatUpgradeOrder, type SignedOrder, type UpgradeOrder } from '#model/message/upgrade.ts'

export const anUpgradeOrder = (more: Partial<UpgradeOrder> = {}): UpgradeOrder => ({
  id: 'd9428888-122b-41e1-b85c-61ea7e9d5a1e',
  engineId: 'serviceengine-11111111-2222-4333-8444-555555555555',
  build: 'ab'.repeat(32),
  issuedEpochMs: 1_800_000_000_000,
  expiresEpochMs: 1_800_000_600_000,
  ...more
})

/** A controller's key, and what it signs. */
export function aSigner(): {
  readonly pin: string
  readonly signText: (text: string) => SignedOrder
  readonly sign: (order: UpgradeOrder) => SignedOrder
} {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const signText = (order: string): SignedOrder => ({
    order,
    signature: sign('sha256', Buffer.from(order), privateKey).toString('base64'),
    publicKey: der.toString('base64')
  })
  return {
    pin: `sha256//${createHash('sha256').update(der).digest('base64')}`,
    signText,
    sign: order => signText(formatUpgradeOrder(order))
  }
}
