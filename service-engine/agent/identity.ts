/** Who this engine is: its key, its certificate and the authority it trusts, in one file, so that they always fit together. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makePrivateFolder, writePrivateFile } from './file.ts'

export interface Identity {
  readonly engineId: string
  readonly engineName: string
  readonly controllerHost: string
  readonly enginePort: number
  readonly keyPem: string
  readonly certificatePem: string
  readonly caPem: string
}

/** The identity file cannot be used; the message says why and what to do. */
export class IdentityBroken extends Error {
  override readonly name = 'IdentityBroken'
}

const fileOf = (dataFolder: string): string => join(dataFolder, 'identity.json')
const textFields = ['engineId', 'engineName', 'controllerHost', 'keyPem', 'certificatePem', 'caPem'] as const

/**
 * Reads the identity.
 *
 * Returns undefined when this host has not joined
 * Throws  IdentityBroken when the file is damaged, its parts do not fit together, or others may read it
 */
export async function loadIdentity(dataFolder: string): Promise<Identity | undefined> {
  const path = fileOf(dataFolder)
  let text: string
  try {
    if (((await stat(path)).mode & 0o077) !== 0) throw new IdentityBroken(`${path} is open to other users: chmod 600 it, or join again`)
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const identity = parseIdentity(text)
  if (identity === undefined) throw new IdentityBroken(`${path} is damaged: join again with a new token`)
  return identity
}

export async function saveIdentity(dataFolder: string, identity: Identity): Promise<void> {
  await makePrivateFolder(dataFolder)
  await writePrivateFile(fileOf(dataFolder), `${JSON.stringify(identity, null, 2)}\n`)
}

export async function forgetIdentity(dataFolder: string): Promise<void> {
  await rm(fileOf(dataFolder), { force: true })
}

/** Whether a key, its certificate and the authority belong together. */
export function fitsTogether(parts: Pick<Identity, 'keyPem' | 'certificatePem' | 'caPem'>): boolean {
  try {
    const certificate = new X509Certificate(parts.certificatePem)
    return certificate.checkPrivateKey(createPrivateKey(parts.keyPem)) && certificate.verify(new X509Certificate(parts.caPem).publicKey)
  } catch {
    return false
  }
}

function parseIdentity(text: string): Identity | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (value === null || typeof value !== 'object') return undefined
  const fields = value as Record<string, unknown>
  const isComplete = textFields.every(name => typeof fields[name] === 'string') && Number.isInteger(fields['enginePort'])
  return isComplete && fitsTogether(value as Identity) ? (value as Identity) : undefined
}
