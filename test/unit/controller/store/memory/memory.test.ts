import t from 'tap'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { storeContract } from '#test/contract/store.ts'

storeContract(t, 'memory', {
  open: (t, options) => {
    const store = openMemoryStore(options)
    t.teardown(() => store.close())
    return store
  }
})
