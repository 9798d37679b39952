/** QuickJS as WebAssembly: the engine that scripts run in, and the one that judges them when they are written. */
import variant from '@jitl/quickjs-wasmfile-release-sync'
import { newQuickJSWASMModuleFromVariant, newVariant, type QuickJSSyncVariant, type QuickJSWASMModule } from 'quickjs-emscripten-core'

export type QuickJs = QuickJSWASMModule

/**
 * A fresh instance with memory of its own.
 *
 * Shapes  wasm: the bytes of `@jitl/quickjs-wasmfile-release-sync/wasm`
 * Throws  what WebAssembly says of bytes that are no module
 */
export function loadQuickJs(wasm: Uint8Array): Promise<QuickJs> {
  // The package's types are those of its CommonJS form.
  const { buffer, byteOffset, byteLength } = wasm
  const wasmBinary = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer
  return newQuickJSWASMModuleFromVariant(newVariant(variant as unknown as QuickJSSyncVariant, { wasmBinary }))
}
