/** `LB_ALGORITHM_ROUND_ROBIN` -> `round robin`; unset means Avi's default. */
export function algorithmWords(algorithm: string | undefined): string {
  return (algorithm ?? 'LB_ALGORITHM_LEAST_CONNECTIONS')
    .replace(/^LB_ALGORITHM_/u, '')
    .toLowerCase()
    .replaceAll('_', ' ')
}
