/** Builds are told apart by the first of their digits, as commits are. */
export const shortBuild = (build: string): string => (build === '' ? '–' : build.slice(0, 8))
