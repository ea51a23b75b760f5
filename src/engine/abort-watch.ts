/** One listener on each abort signal, however many jobs wait for it: Node warns of a leak from eleven listeners on. */
export class AbortWatch {
  readonly #callbacks = new Map<AbortSignal, Set<() => void>>();

  /** Calls back when the signal aborts, until the returned function is called. */
  add(signal: AbortSignal | undefined, callback: () => void): () => void {
    if (signal === undefined) return () => undefined;
    let callbacks = this.#callbacks.get(signal);
    if (callbacks === undefined) {
      callbacks = new Set();
      this.#callbacks.set(signal, callbacks);
      signal.addEventListener('abort', this.#onAbort);
    }
    callbacks.add(callback);
    return () => this.#remove(signal, callback);
  }

  readonly #onAbort = (event: Event): void => {
    for (const callback of [...this.#callbacks.get(event.currentTarget as AbortSignal) ?? []]) callback();
  };

  #remove(signal: AbortSignal, callback: () => void): void {
    const callbacks = this.#callbacks.get(signal);
    callbacks?.delete(callback);
    if (callbacks?.size !== 0) return;
    this.#callbacks.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }
}
