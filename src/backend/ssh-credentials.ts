/** How to prove to an SSH server who we are: key files, the agent, a password of the location; in this order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ssh2, { type AnyAuthMethod, type BaseAgent, type ParsedKey, type SignCallback, type SigningRequestOptions } from 'ssh2';
import type { Secret } from '../base/secret.ts';
import type { SshHostConfig } from './ssh-config.ts';

export interface SshCredentials {
  readonly methods: readonly AnyAuthMethod[];
  /** What is tried, for the message when the server takes none of it. */
  readonly tried: readonly string[];
  /** What cannot be tried, and why. */
  readonly passedOver: readonly string[];
}

const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

/** Keys with a passphrase are used through the agent: nobody can be asked in an unattended run. */
export function sshCredentials(config: SshHostConfig, home: string, password: Secret<string> | undefined): SshCredentials {
  const methods: AnyAuthMethod[] = [];
  const tried: string[] = [];
  const passedOver: string[] = [];
  const username = config.user;
  const paths = config.identityFiles ?? USUAL_KEYS.map(name => join(home, '.ssh', name));
  for (const path of paths) {
    const key = readPrivateKey(path);
    if (typeof key === 'string') passedOver.push(`'${path}' ${key}`);
    else if (key !== undefined) {
      methods.push({ type: 'publickey', username, key });
      tried.push(`key '${path}'`);
    } else if (config.identityFiles !== undefined) passedOver.push(`'${path}' is missing`);
  }
  if (config.agent !== undefined) {
    const preferred = paths.flatMap(path => readPublicKey(path) ?? []);
    methods.push({ type: 'agent', username, agent: new OrderedAgent(ssh2.createAgent(config.agent), preferred, config.identitiesOnly) });
    tried.push('agent');
  }
  if (password !== undefined) {
    methods.push({ type: 'password', username, password: password.reveal() });
    // Many servers take passwords only this way.
    methods.push({ type: 'keyboard-interactive', username, prompt: (_name, _text, _language, prompts, finish) => finish(prompts.map(() => password.reveal())) });
    tried.push('password');
  }
  return { methods, tried, passedOver };
}

/** Undefined: there is no such file; a text: why it cannot be used. */
function readPrivateKey(path: string): ParsedKey | string | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return ['ENOENT', 'ENOTDIR'].includes(code) ? undefined : `cannot be read (${code})`;
  }
  const key = ssh2.utils.parseKey(bytes);
  if (key instanceof Error) return /encrypted/i.test(key.message) ? 'has a passphrase: add it to the agent with ssh-add' : 'is no key that snap understands';
  return key.isPrivateKey() ? key : 'is a public key';
}

function readPublicKey(path: string): Buffer | undefined {
  try {
    const key = ssh2.utils.parseKey(readFileSync(`${path}.pub`));
    return key instanceof Error ? undefined : key.getPublicSSH();
  } catch {
    // Only the order in which keys of the agent are tried depends on it.
    return undefined;
  }
}

/** Keys that the configuration names come first, since servers hang up after a few; with `isOnly` no others are tried. */
class OrderedAgent extends ssh2.BaseAgent {
  readonly #inner: BaseAgent;
  readonly #preferred: readonly Buffer[];
  readonly #isOnly: boolean;

  constructor(inner: BaseAgent, preferred: readonly Buffer[], isOnly: boolean) {
    super();
    this.#inner = inner;
    this.#preferred = preferred;
    this.#isOnly = isOnly;
  }

  override getIdentities(callback: Parameters<BaseAgent['getIdentities']>[0]): void {
    this.#inner.getIdentities((error, keys) => {
      if (error !== undefined && error !== null || keys === undefined) return callback(error);
      const rank = (key: unknown): number => {
        const place = this.#preferred.findIndex(each => each.equals((key as ParsedKey).getPublicSSH()));
        return place < 0 ? this.#preferred.length : place;
      };
      const allowed = this.#isOnly ? keys.filter(key => rank(key) < this.#preferred.length) : keys;
      callback(undefined, [...allowed].sort((a, b) => rank(a) - rank(b)));
    });
  }

  override sign(key: ParsedKey | Buffer | string, data: Buffer, options: SigningRequestOptions | SignCallback, callback?: SignCallback): void {
    if (typeof options === 'function') this.#inner.sign(key, data, options);
    else this.#inner.sign(key, data, options, callback);
  }
}
