/** Collects findings without letting a badly damaged repository fill the memory: the first ones in full, the rest as a number. */
import type { Finding } from './events.ts';

const KEPT_FINDINGS = 1_000;

export class FindingList {
  readonly #findings: Finding[] = [];
  readonly #emit: ((finding: Finding) => void) | undefined;
  #total = 0;
  #damages = 0;
  #unsupported = 0;

  constructor(emit?: (finding: Finding) => void) {
    this.#emit = emit;
  }

  add(finding: Finding): void {
    this.#total++;
    if (finding.severity === 'damage') this.#damages++;
    if (this.#findings.length < KEPT_FINDINGS) this.#findings.push(finding);
    this.#emit?.(finding);
  }

  /** For an object that this version cannot read: it is not known to be damaged, and not known to be whole. */
  addUnsupported(finding: Omit<Finding, 'severity'>): void {
    this.#unsupported++;
    this.add({ ...finding, severity: 'warning' });
  }

  addAll(other: FindingList): void {
    for (const finding of other.list) this.add(finding);
    this.#unsupported += other.#unsupported;
  }

  get total(): number {
    return this.#total;
  }

  /** Findings of severity 'damage'. */
  get damages(): number {
    return this.#damages;
  }

  /** Objects that could not be checked. */
  get unsupported(): number {
    return this.#unsupported;
  }

  get list(): readonly Finding[] {
    const left = this.#total - this.#findings.length;
    if (left === 0) return this.#findings;
    const severity = this.#damages > 0 ? 'damage' : 'warning';
    return [...this.#findings, { object: 'findings', name: '', message: `${left} more findings are not listed`, severity, files: [] }];
  }
}
