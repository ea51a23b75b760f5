/** The real kernel, which remembers keys and signatures: thousands of simulated processes derive and check the same ones. */
import { toHex, type Bytes } from '../../src/base/bytes.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { kernel as realKernel } from '../support/memory-repository.ts';

const MAX_REMEMBERED = 20_000;

function remembering(kernel: Kernel): Kernel {
  return {
    ...kernel,
    hkdf: remembered((secret, salt, info, length) => kernel.hkdf(secret, salt, info, length), result => result.slice()),
    ed25519PublicKey: remembered(seed => kernel.ed25519PublicKey(seed), result => result.slice()),
    ed25519Verify: remembered((publicKey, message, signature) => kernel.ed25519Verify(publicKey, message, signature), result => result),
  };
}

function remembered<A extends readonly (Bytes | number)[], R>(compute: (...values: A) => R, copy: (result: R) => R): (...values: A) => R {
  const known = new Map<string, R>();
  return (...values) => {
    const key = values.map(value => typeof value === 'number' ? value : toHex(value)).join('/');
    let result = known.get(key);
    if (result === undefined) {
      if (known.size >= MAX_REMEMBERED) known.clear();
      known.set(key, result = compute(...values));
    }
    return copy(result);
  };
}

export const kernel: Kernel = remembering(realKernel);
