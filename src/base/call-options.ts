/** Options that every long call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}
