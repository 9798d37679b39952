/** The built dashboard, and what a host downloads to become an engine. */
import { stat } from 'node:fs/promises'
import { join, normalize, sep } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem, notFound } from './problem.ts'
import type { RestServices } from './services.ts'

const HOUR_S = 3_600

/** Vite names these by their content. */
const isHashed = (path: string): boolean => path.startsWith('assets/')

/**
 * A path below a folder.
 *
 * Returns `undefined` for what leaves the folder, is hidden, or holds characters that no file of ours has
 */
export function safePath(path: string): string | undefined {
  if (!/^[\w./@+-]{1,255}$/.test(path)) return undefined
  const clean = normalize(path)
  if (clean.startsWith('..') || clean.startsWith(sep) || clean.split(sep).some(part => part.startsWith('.'))) return undefined
  return clean
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

export async function useUi(app: FastifyInstance, services: Pick<RestServices, 'uiFolder' | 'installFolder'>): Promise<void> {
  const { uiFolder, installFolder } = services
  await app.register(fastifyStatic, {
    root: uiFolder,
    serve: false,
    index: false,
    cacheControl: false,
    dotfiles: 'deny',
    suppressWarning: true
  })

  const page = async (reply: FastifyReply): Promise<FastifyReply> => {
    if (!(await isFile(join(uiFolder, 'index.html'))))
      throw new Problem(503, 'NOT_BUILT', 'the dashboard is not built: run make setup', { headers: { 'retry-after': '60' } })
    return reply.header('cache-control', 'no-cache').sendFile('index.html', uiFolder)
  }

  const file = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const asked = (request.params as { readonly '*': string })['*']
    const path = safePath(asked)
    if (path !== undefined && (await isFile(join(uiFolder, path))))
      return reply
        .header('cache-control', isHashed(path) ? 'public, max-age=31536000, immutable' : `public, max-age=${HOUR_S}`)
        .sendFile(path, uiFolder)
    // A page's address has no file: the dashboard's own router shows it. What a page or a tool asks for is there or not.
    const isPage = request.headers.accept?.includes('text/html') === true || !/[^/]\.\w+$/.test(asked)
    if (!isPage || /^(?:api|assets|install)(?:\/|$)/.test(asked)) throw notFound(`/${asked.slice(0, 128)}`)
    return page(reply)
  }

  const installed = async (path: string | undefined, reply: FastifyReply): Promise<FastifyReply> => {
    if (path === undefined) throw notFound('file')
    // A shell script is plain text to a browser that looks at it.
    const isScript = path.endsWith('.sh')
    if (isScript) reply.header('content-type', 'text/x-shellscript; charset=utf-8')
    if (await isFile(join(installFolder, path)))
      return reply.header('cache-control', 'no-cache').sendFile(path, installFolder, { contentType: !isScript, cacheControl: false })
    reply.removeHeader('content-type')
    if (await isFile(join(installFolder, 'install.sh'))) throw notFound(path)
    throw new Problem(503, 'NOT_PACKAGED', `${path} was not built here: run make package on the controller's host`, {
      headers: { 'retry-after': '60' }
    })
  }

  const config = { entry: 'open', doc: { hidden: 'a page' } } as const
  app.get('/', { config }, async (_request, reply) => page(reply))
  app.get('/*', { config }, file)
  const artefact = {
    entry: 'open',
    doc: { summary: 'Installer of an engine', tag: 'system', status: 200, contentType: 'text/x-shellscript' }
  } as const
  app.get('/install.sh', { config: artefact }, async (_request, reply) => installed('install.sh', reply))
  app.get('/install/*', { config: { entry: 'open', doc: { hidden: 'files of the installer' } } }, async (request, reply) =>
    installed(safePath((request.params as { readonly '*': string })['*']), reply)
  )
}
