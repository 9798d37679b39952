/** The small process with the right to program the kernel. Its table's name is its only argument, orders come on standard input. */
import { runKernelProcess } from './kernel/process.ts'

await runKernelProcess(process.argv[2] ?? '')
