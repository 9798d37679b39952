/** The controller: builds its parts in order, stops them in reverse. The only place that reads its environment. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { join, resolve } from 'node:path'
import { systemClock } from '#model/base/clock.ts'
import { makeLog, type Log } from '#model/base/log.ts'
import { Scope } from '#model/base/scope.ts'
import { VERSION } from '#model/base/version.ts'
import { openAccess } from './access/access.ts'
import { controllerActor } from './access/actor.ts'
import { mintJoinToken } from './access/join-token.ts'
import { ADMIN_TENANT } from './access/permission.ts'
import { openBackups } from './backup/backup.ts'
import { BackupBroken } from './backup/envelope.ts'
import { restore, RestoreRefused } from './backup/restore.ts'
import { makeChange, type Change } from './change/apply.ts'
import { firstStart } from './change/first-start.ts'
import { demoRow, demoTable, demoWrites, type DemoSettings } from './demo.ts'
import { makeDriver } from './driver/catalog.ts'
import { openDrivers } from './driver/drivers.ts'
import type { DriversPort } from './driver/port.ts'
import { openFleet } from './fleet/fleet.ts'
import { markRestored } from './fleet/holds.ts'
import { makePlanner } from './fleet/planner.ts'
import { makeTicketKeys, ROTATION_MS } from './fleet/ticket-keys.ts'
import { openAuthority } from './pki/authority.ts'
import { makeSelfSigned } from './pki/certificate.ts'
import type { AuthorityPort } from './pki/port.ts'
import { openSeal, SealBroken } from './pki/seal.ts'
import { openReleases } from './release/release.ts'
import { readGivenOut } from './upgrade/builds.ts'
import { openUpgrades } from './upgrade/upgrade.ts'
import { openWebhooks } from './webhook/webhook.ts'
import { openRest } from './rest/server.ts'
import { openScale } from './scale/scale.ts'
import { readOrder, readSettings, SettingsRefused, type Order, type Settings } from './settings.ts'
import { makeResponderClient } from './pki/responder.ts'
import { startStapling } from './pki/stapling.ts'
import { mustBeIdle, openSqliteStore } from './store/sqlite/sqlite.ts'
import { StoreRefused, type Store } from './store/store.ts'
import { openTelemetry } from './telemetry/ingest.ts'
import { openTimeline } from './timeline/timeline.ts'

const root = resolve(import.meta.dirname, '..')
const TIDY_INTERVAL_MS = 60_000
const LOCAL_TOKEN_LIFETIME_MS = 10 * 60_000
const systemRandom = (size: number): Uint8Array => randomBytes(size)

/** Starts everything; the scope that comes back stops it. */
async function start(
  settings: Settings,
  log: Log
): Promise<{ readonly scope: Scope; readonly announce: (tell: (message: object) => void) => void }> {
  const scope = new Scope()
  const version = VERSION
  const clock = systemClock
  try {
    const store = openSqliteStore({ path: join(settings.dataFolder, 'weir.db') })
    scope.add(() => store.close())
    const seal = openSeal(join(settings.dataFolder, 'seal.key'))
    const committed: ((revision: number) => void)[] = []
    const change = makeChange({
      store,
      seal,
      clock,
      randomBytes: systemRandom,
      committed: revision => {
        for (const tell of committed) tell(revision)
      }
    })
    const access = openAccess({ store, clock, randomBytes: systemRandom })
    const authority = await openAuthority({ store, seal, clock, log, hostnames: settings.hostnames })
    scope.add(authority.stop)
    writeFileSync(join(settings.dataFolder, 'ca.pem'), authority.caPem)
    const first = await firstStart({
      store,
      change,
      randomBytes: systemRandom,
      adminPassword: settings.adminPassword,
      made: [
        {
          kind: 'sslkeyandcertificate',
          name: 'System-Default-Cert',
          make: async () => defaultCertificate(await makeSelfSigned('System-Default-Cert', ['localhost'], clock))
        }
      ]
    })
    // Kept until somebody was told: a start that fails after this one must not lock everybody out.
    const untold = store.table<string>('first-start')
    if (first.generatedPassword !== undefined) untold.set('admin-password', seal.seal(first.generatedPassword))
    if (settings.demo !== undefined) await followDemo(store, change, settings.demo, log)

    const telemetry = openTelemetry({ series: store.series, clock, log })
    scope.add(telemetry.stop)
    const timeline = openTimeline({ store, clock, log })
    scope.add(timeline.stop)
    const stapling = startStapling({
      store,
      clock,
      random: Math.random,
      log,
      ask: makeResponderClient(),
      changed: () => {
        for (const tell of committed) tell(store.revision())
      }
    })
    scope.add(stapling.stop)
    const planner = makePlanner({
      store,
      seal,
      log,
      loadOf: uuid => telemetry.hostOfEngine(uuid)?.cpu_ratio,
      ticketKeys: makeTicketKeys({ store, seal, clock, randomBytes: systemRandom }),
      stapling,
      onPlaced: timeline.placed
    })
    const fleet = await openFleet({
      store,
      change,
      authority,
      seal,
      telemetry,
      planner,
      timeline,
      clock,
      log,
      host: settings.host,
      port: settings.enginePort,
      version
    })
    scope.add(fleet.stop)
    const webhooks = openWebhooks({
      store,
      openSecret: seal.open,
      clock,
      log,
      isLoopbackAllowed: settings.isLoopbackWebhookAllowed
    })
    scope.add(webhooks.stop)
    const releases = openReleases({
      store,
      change,
      telemetry,
      healthOf: fleet.poolHealth,
      webhooks,
      timeline,
      actor: controllerActor,
      clock,
      log
    })
    scope.add(releases.stop)
    // Each asks the other: how many are wanted, how many are on their way.
    const comingTo: DriversPort['comingTo'] = group => drivers.comingTo(group)
    const isOnOneHost: DriversPort['isOnOneHost'] = group => drivers.isOnOneHost(group)
    const sites = () => planner.placer.sites.filter(({ isUp, takes }) => isUp && takes === 'all')
    const installFolder = join(root, 'dist/install')
    const upgrades = openUpgrades({
      store,
      telemetry,
      fleet,
      enginesOf: group => planner.placer.sites.filter(site => site.group === group).map(({ uuid }) => uuid),
      sign: authority.signOrder,
      givenOut: () => readGivenOut(installFolder),
      webhooks,
      timeline,
      clock,
      log
    })
    scope.add(upgrades.stop)
    const scale = openScale({
      store,
      change,
      actor: controllerActor,
      poolRuntime: fleet.poolRuntime,
      webhooks,
      actions: fleet.actions,
      enginesOf: uuid => planner.service(uuid)?.engineUuids ?? [],
      groups: {
        sites,
        comingTo,
        isOnOneHost,
        services: () => planner.placer.services,
        isMoving: () => planner.placer.isMoving
      },
      telemetry,
      clock,
      log
    })
    scope.add(scale.stop)
    let ownPort = settings.port
    const driverOptions = {
      dataFolder: settings.dataFolder,
      engineCommand: [process.execPath, join(root, 'service-engine/main.ts')],
      env: process.env,
      webhooks,
      serverKeyPin: authority.serverKeyPin,
      caFingerprint: authority.caFingerprint,
      containerSocket: settings.containerSocket,
      openSecret: seal.open,
      random: Math.random
    } as const
    const drivers = openDrivers({
      store,
      change,
      actor: controllerActor,
      authority,
      seal,
      randomBytes: systemRandom,
      fleet,
      sites,
      wantedOf: scale.enginesWanted,
      note: scale.note,
      makeDriver: of => makeDriver(of, driverOptions),
      ownUrl: () => `https://${ownHost(settings.host)}:${ownPort}`,
      clock,
      log
    })
    scope.add(drivers.stop)
    scope.add(scale.onDecision((subject, decision) => timeline.scaled({ ...subject, decision })))
    const rest = await openRest({
      store,
      change,
      access,
      authority,
      fleet,
      releases,
      upgrades,
      backups: openBackups({ dataFolder: settings.dataFolder, copyStore: store.copyTo, version, nowEpochMs: clock.nowEpochMs }),
      scale,
      drivers,
      timeline,
      telemetry,
      clock,
      log,
      version,
      uiFolder: join(root, 'ui/dist'),
      installFolder
    })
    scope.add(rest.stop)
    committed.push(fleet.committed, releases.committed, rest.committed)
    // A plan looks whether it is time to rotate.
    scope.add(clock.every(ROTATION_MS / 12, () => fleet.committed(store.revision())))
    scope.add(
      clock.every(TIDY_INTERVAL_MS, () => {
        access.prune()
        store.series.prune(clock.nowEpochMs() / 1_000)
      })
    )
    const { port } = await rest.start({ host: settings.host, port: settings.port })
    ownPort = port
    log.info('the controller is up', { port, enginePort: fleet.port, version, revision: store.revision() })

    const announce = (tell: (message: object) => void): void => {
      const sealed = untold.get('admin-password')
      tell({ type: 'ready', version, port, enginePort: fleet.port, ...(sealed === undefined ? {} : { adminPassword: seal.open(sealed) }) })
      untold.delete('admin-password')
      process.on('message', message => {
        if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'join-token-wanted') return
        localToken(change, authority).then(
          token => tell({ type: 'join-token', token }),
          (error: unknown) => log.error('no join token for the local engine', { error })
        )
      })
    }
    return { scope, announce }
  } catch (error) {
    await scope.close()
    throw error
  }
}

/** How this host reaches an address that we listen on. */
const ownHost = (host: string): string => {
  if (host === '::' || host === '0.0.0.0') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

const defaultCertificate = ({ certificatePem, keyPem }: { readonly certificatePem: string; readonly keyPem: string }) => ({
  name: 'System-Default-Cert',
  type: 'SSL_CERTIFICATE_TYPE_VIRTUALSERVICE',
  certificate: { certificate: certificatePem },
  key: keyPem
})

/** A token for the engine that the launcher starts beside us: used at once, by a process of the same user. */
async function localToken(change: Change, authority: AuthorityPort): Promise<string> {
  const minted = mintJoinToken({
    caFingerprint: authority.caFingerprint,
    expiresAtEpochMs: systemClock.nowEpochMs() + LOCAL_TOKEN_LIFETIME_MS,
    uses: 1,
    randomBytes: systemRandom
  })
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    reason: 'the engine of make run joins',
    writes: [
      { op: 'create', kind: 'jointoken', body: { name: `local-${randomBytes(4).toString('hex')}` }, serverFields: minted.serverFields }
    ]
  })
  return minted.token
}

async function followDemo(store: Store, change: Change, demo: DemoSettings, log: Log): Promise<void> {
  const table = demoTable(store)
  const row = table.get('demo')
  const writes = demoWrites(store, row, demo)
  if (writes.length === 0) return
  try {
    const { resources } = await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes, reason: 'the demo of make run' })
    const made = row ?? demoRow(resources)
    if (made !== undefined) table.set('demo', made)
  } catch (error) {
    // Somebody has taken its name or its port: the controller is no worse without a demo.
    log.warn('the demo could not be written', { error })
  }
}

const log = makeLog(line => void process.stderr.write(line))

/** One line for what a person can mend; undefined for what is a bug. */
function refusalLine(error: unknown, settings: Settings | undefined): string | undefined {
  const told = [SettingsRefused, StoreRefused, SealBroken, BackupBroken, RestoreRefused]
  if (error instanceof Error && told.some(kind => error instanceof kind)) return error.message
  if (!(error instanceof Error) || !('code' in error)) return undefined
  if (error.code === 'EADDRINUSE') {
    const port = 'port' in error ? error.port : undefined
    const variable = port === settings?.enginePort ? 'WEIR_ENGINE_PORT' : 'WEIR_PORT'
    return `port ${String(port)} is in use: set ${variable} to another`
  }
  if (['EACCES', 'EROFS', 'ENOSPC', 'ENOTDIR'].includes(String(error.code)))
    return `the data folder ${settings?.dataFolder} cannot be written: ${error.message}`
  return undefined
}

/** Checks what a backup held as a start would, and notes that it was restored. */
async function checkRestored(folder: string): Promise<void> {
  const seal = openSeal(join(folder, 'seal.key'))
  const store = openSqliteStore({ path: join(folder, 'weir.db') })
  try {
    // Opens the keys of the authority: those of another seal would be told here.
    const authority = await openAuthority({ store, seal, clock: systemClock, log, hostnames: [] })
    authority.stop()
    markRestored(store, systemClock.nowEpochMs())
  } finally {
    await store.close()
  }
}

/** `restore FILE [--force]`: the passphrase is the first line of standard input, so that no list of processes shows it. */
async function runRestore({ dataFolder }: Settings, { file, isForced }: Extract<Order, { readonly is: 'restore' }>): Promise<void> {
  const passphrase = (await text(process.stdin)).split('\n', 1)[0] ?? ''
  const { contents, putAside } = await restore({
    file,
    passphrase,
    dataFolder,
    isForced,
    mustBeIdle,
    check: checkRestored,
    nowEpochMs: systemClock.nowEpochMs
  })
  const made = new Date(contents.madeAtEpochMs).toISOString()
  console.log(`restored revision ${contents.revision} of ${made} (Weir ${contents.version}) into ${dataFolder}`)
  if (putAside !== undefined) console.log(`what was there before is in ${putAside}`)
}

let settings: Settings | undefined
try {
  settings = readSettings(process.env)
  const order = readOrder(process.argv.slice(2))
  if (order.is === 'restore') {
    await runRestore(settings, order)
    process.exit(0)
  }
  const { scope, announce } = await start(settings, log)
  const stop = (): void => {
    scope.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('the controller did not stop cleanly', { error })
        process.exit(1)
      }
    )
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  if (process.send) {
    process.on('disconnect', stop)
    announce(message => process.send?.(message))
  } else {
    announce(message => {
      if ('adminPassword' in message) console.log(`sign in as admin with the password ${String(message.adminPassword)} (told only now)`)
    })
  }
} catch (error) {
  const line = refusalLine(error, settings)
  if (line === undefined) throw error
  console.error(`weir: ${line}`)
  process.exit(2)
}
