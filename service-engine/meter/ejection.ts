/** Why a server was left out, as a number for the shared memory and as words for people. */
export const EJECTED_FOR = { errors: 1, gatewayErrors: 2, localFailures: 3, successRate: 4 } as const

const words: Readonly<Record<number, string>> = {
  [EJECTED_FOR.errors]: 'too many errors (5xx) in a row',
  [EJECTED_FOR.gatewayErrors]: 'too many gateway errors (502, 503, 504) in a row',
  [EJECTED_FOR.localFailures]: 'too many connections in a row that failed, broke or were too slow',
  [EJECTED_FOR.successRate]: 'a success rate far below that of the other servers'
}

export const ejectionInWords = (reason: number): string => words[reason] ?? 'failures'
