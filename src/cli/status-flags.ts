/** The flags of `snap status`, all of which may stand in the configuration file. Names are a contract with scripts: add, never rename. */
import { SnapError } from '../base/errors.ts';
import { flag, list, onUnless, valued, wholeNumber, type Flag } from './flag.ts';
import { FILTER_FLAGS } from './flags.ts';
import { parseDuration, parseShare } from './values.ts';

/** What the configuration says about a place, over what its location tells. */
export interface PlaceSetting {
  readonly location: string;
  readonly medium: string | undefined;
  readonly isOffSite: boolean | undefined;
}

const TRUTH: Readonly<Record<string, boolean>> = { true: true, yes: true, false: false, no: false };

const PLACES_FLAG: Flag<readonly PlaceSetting[]> = {
  name: 'places', help: 'media and places of copies', value: 'PLACE', isList: true, hasNegation: false, isNegation: false, inFile: true, isFileOnly: true,
  fields: ['location', 'medium', 'off-site'], initial: [], parse: texts => texts.map(text => parsePlace(JSON.parse(text) as Readonly<Record<string, string>>)),
};

function parsePlace({ location, medium, 'off-site': offSite }: Readonly<Record<string, string>>): PlaceSetting {
  const wrong = (message: string, hint: string): SnapError => new SnapError('USAGE', message, { hint });
  if (location === undefined) throw wrong("'places' has an item without a location", 'Write the location as `snap status` prints it');
  if (medium === undefined && offSite === undefined) throw wrong("'places' has an item that says nothing", 'Give it medium or off-site');
  if (offSite !== undefined && TRUTH[offSite] === undefined) throw wrong(`'${offSite}' in 'off-site' of 'places' is neither true nor false`, 'Write true or false');
  return { location, medium, isOffSite: offSite === undefined ? undefined : TRUTH[offSite] };
}

const IN_FILE = { inFile: true } as const;

export const STATUS_FLAGS = {
  ...FILTER_FLAGS,
  maxAge: valued('max-age', 'DURATION', 'a series without a newer snapshot is a warning (default 26h)', parseDuration, IN_FILE),
  criticalAge: valued('critical-age', 'DURATION', 'and from then on critical (default three times that)', parseDuration, IN_FILE),
  ignoreSeries: list('ignore-series', 'NAME', 'a series that has ended (may be repeated)', IN_FILE),
  minSnapshots: wholeNumber('min-snapshots', 1, 1_000_000, 'fewer snapshots are a warning (default 1)', IN_FILE),
  maxUsed: valued('max-used', 'PERCENT', 'a fuller disk of the repository is a warning (default 85%)', parseShare, IN_FILE),
  criticalUsed: valued('critical-used', 'PERCENT', 'and from then on critical (default 95%)', parseShare, IN_FILE),
  coverageDays: wholeNumber('coverage-days', 1, 3650, 'days within which all data should be verified (default 35)', IN_FILE),
  maxReplicaAge: valued('max-replica-age', 'DURATION', 'a replica that lacks something and is older does not count (default 8d)', parseDuration, IN_FILE),
  threeTwoOne: onUnless('three-two-one', 'do not ask for three copies on two media, one of them off-site', IN_FILE),
  replicas: flag('replicas', 'look at the replicas themselves, too, which open with the same password', IN_FILE),
  places: PLACES_FLAG,
};
