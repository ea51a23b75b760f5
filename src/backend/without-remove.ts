import { SnapError } from '../base/errors.ts';
import type { Backend } from './backend.ts';

/** The same objects, none of which can be removed: for append-only use, whatever the storage itself would allow. */
export function withoutRemove(inner: Backend): Backend {
  return {
    location: inner.location,
    // Asked anew each time: an adapter may learn only by its first write that the store cannot decide races.
    get capabilities() { return { ...inner.capabilities, canRemove: false }; },
    writesAtOnce: inner.writesAtOnce,
    requests: inner.requests,
    read: (name, range, options) => inner.read(name, range, options),
    stat: (name, options) => inner.stat(name, options),
    list: (prefix, options) => inner.list(prefix, options),
    create: (name, parts, options) => inner.create(name, parts, options),
    createIfAbsent: (name, bytes, options) => inner.createIfAbsent(name, bytes, options),
    remove: async name => {
      throw new SnapError('DENIED', `Cannot remove '${name}' in '${inner.location}': the repository is opened append-only`, {
        hint: 'Open it without the append-only setting', context: { location: inner.location, name },
      });
    },
    close: () => inner.close(),
  };
}
