/** The one place that knows whether QuickJS is read from its package or from an asset of the self-contained file. */
import { readFileSync } from 'node:fs'
import { getAsset, isSea } from 'node:sea'

export const QUICKJS_ASSET = 'quickjs.wasm'

/** Throws what reading it throws. */
export function readQuickJs(): Uint8Array {
  if (isSea()) return new Uint8Array(getAsset(QUICKJS_ASSET))
  return readFileSync(new URL(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm')))
}
