/** Collects findings without letting a badly damaged repository fill the memory: the first ones in full, the rest as a number. */
import type { SnapError } from '../base/errors.ts';
import { isDamage, isUnreadable } from '../repository/damage.ts';
import { adviceFor } from './advice.ts';
import type { Finding } from './events.ts';

const KEPT_FINDINGS = 1_000;

export class FindingList {
  readonly #findings: Finding[] = [];
  readonly #emit: ((finding: Finding) => void) | undefined;
  readonly #advises: boolean;
  #total = 0;
  #damages = 0;
  #unsupported = 0;

  /** Without `advises` only the hints that findings bring themselves: a repair says at its end what to do next. */
  constructor(emit?: (finding: Finding) => void, advises: boolean = true) {
    this.#emit = emit;
    this.#advises = advises;
  }

  add(found: Finding): void {
    const finding: Finding = found.hint === undefined && this.#advises ? withHint(found, adviceFor(found)) : found;
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

  damage(object: string, name: string, message: string): void {
    this.add({ object, name, message, severity: 'damage', files: [] });
  }

  warn(object: string, name: string, message: string): void {
    this.add({ object, name, message, severity: 'warning', files: [] });
  }

  /** An object that cannot be read. A vanished one is nothing wrong: others may be at work. */
  unreadable(object: string, name: string, error: SnapError): void {
    if (error.kind === 'unsupported') this.addUnsupported({ object, name, message: error.message, files: [] });
    else if (error.code !== 'OBJECT_NOT_FOUND') this.damage(object, name, error.message);
  }

  /** Undefined for what is damaged or unsupported, which becomes a finding, and for what has vanished. @throws every other error */
  async tolerate<T>(object: string, name: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      this.unreadable(object, name, error);
      return undefined;
    }
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

function withHint(finding: Finding, hint: string | undefined): Finding {
  return hint === undefined ? finding : { ...finding, hint };
}
