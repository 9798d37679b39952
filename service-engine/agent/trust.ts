/**
 * Whom the engine takes for its controller: whoever holds a server certificate of the pinned authority with the controller's
 * URI in it. The name or address by which it was reached is not compared: behind NAT, in containers and after a move it says
 * nothing, and the authority signs no other server.
 */
import type { PeerCertificate } from 'node:tls'

const CONTROLLER_NAME = 'URI:spiffe://weir/controller'

/** For `checkServerIdentity`, called once OpenSSL has verified the chain and the certificate's purpose. */
export function checkController(_host: string, certificate: Pick<PeerCertificate, 'subjectaltname'>): Error | undefined {
  const names = (certificate.subjectaltname ?? '').split(', ')
  return names.includes(CONTROLLER_NAME)
    ? undefined
    : new Error('the peer is not the controller: its certificate lacks the controller’s name')
}
