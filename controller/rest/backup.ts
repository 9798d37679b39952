/** The whole controller as one encrypted file, streamed to a superuser. */
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { PASSPHRASE_MAX_LENGTH, PASSPHRASE_MIN_LENGTH } from '#controller/backup/envelope.ts'
import { callerOf } from './caller.ts'
import { objectBody } from './json.ts'
import { Problem } from './problem.ts'
import type { RestServices } from './services.ts'

const doc = {
  summary: 'Make a backup: one encrypted file with all that the controller knows, its keys among it',
  tag: 'system',
  body: {
    type: 'object',
    required: ['passphrase'],
    properties: {
      passphrase: {
        type: 'string',
        minLength: PASSPHRASE_MIN_LENGTH,
        maxLength: PASSPHRASE_MAX_LENGTH,
        writeOnly: true,
        description: 'Needed to restore. It is kept nowhere.'
      }
    }
  } as JsonObject,
  status: 200,
  contentType: 'application/octet-stream'
}

/** Throws Problem 422. */
function passphraseIn(body: JsonObject): string {
  const { passphrase, ...others } = body
  const violations: Violation[] = Object.keys(others).map(name => ({ pointer: `/${name}`, message: 'is not a field of a backup' }))
  const isFit = typeof passphrase === 'string' && passphrase.length >= PASSPHRASE_MIN_LENGTH && passphrase.length <= PASSPHRASE_MAX_LENGTH
  if (!isFit)
    violations.push({
      pointer: '/passphrase',
      message: `must be a text of ${PASSPHRASE_MIN_LENGTH} to ${PASSPHRASE_MAX_LENGTH} characters`
    })
  if (violations.length > 0 || !isFit) throw new Problem(422, 'VIOLATIONS', 'no backup can be made like this', { violations })
  return passphrase
}

export function useBackup(app: FastifyInstance, { backups, clock, log }: RestServices): void {
  app.post('/api/backup', { config: { isAnswerSecret: true, doc } }, async (request, reply) => {
    const { actor } = callerOf(request)
    // With the file and its passphrase one is the controller.
    if (!actor.isSuperuser) throw new Problem(403, 'FORBIDDEN', `${actor.name} is no superuser`)
    const made = backups.make(passphraseIn(objectBody(request.body)))
    if (made === undefined) throw new Problem(409, 'NOT_NOW', 'another backup is being made: try again when it is done')
    // What cannot be made at all (no space) is said as such, not by a file that ends.
    const first = await made.next()
    log.warn('a backup was asked for', { by: actor.name, from: request.ip })
    const name = `weir-${new Date(clock.nowEpochMs()).toISOString().replaceAll(/[-:]|\.\d+/g, '')}.backup`
    async function* whole(): AsyncGenerator<Buffer, void, void> {
      try {
        if (first.done !== true) yield first.value
        yield* made!
      } finally {
        await made!.return()
      }
    }
    return reply
      .header('content-type', 'application/octet-stream')
      .header('content-disposition', `attachment; filename="${name}"`)
      .send(Readable.from(whole(), { objectMode: false }))
  })
}
