import type { Backend } from '../../src/backend/backend.ts';
import { ScriptedBackend, type ScriptedVerb } from './scripted-backend.ts';

interface Hook {
  readonly verb: ScriptedVerb;
  readonly name: RegExp;
  /** Matching calls that come before. */
  toSkip: number;
  readonly action: () => Promise<void>;
}

/** Does something else just before chosen operations: how a test lets two runs meet at a certain step. */
export class HookedBackend extends ScriptedBackend {
  readonly #hooks: Hook[];

  constructor(inner: Backend) {
    const hooks: Hook[] = [];
    super(inner, async (verb, name) => {
      for (const hook of hooks.filter(each => each.verb === verb && each.name.test(name))) {
        if (hook.toSkip-- > 0) continue;
        hooks.splice(hooks.indexOf(hook), 1);
        await hook.action();
      }
    });
    this.#hooks = hooks;
  }

  /** Once, before a call of this sort; `after` of them go by first. */
  before(verb: ScriptedVerb, name: RegExp, action: () => Promise<void>, after = 0): void {
    this.#hooks.push({ verb, name, toSkip: after, action });
  }

  /** Hooks that never struck would make a test say nothing. */
  assertAllStruck(): void {
    if (this.#hooks.length > 0) throw new Error(`Hooks that never struck: ${this.#hooks.map(({ verb, name }) => `${verb} ${name.source}`).join(', ')}`);
  }
}

/** A door that is closed until `open` is called. */
export class Gate {
  readonly passed: Promise<void>;
  open: () => void = () => undefined;

  constructor() {
    this.passed = new Promise(resolve => { this.open = resolve; });
  }
}
