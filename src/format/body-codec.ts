/**
 * Bodies as CBOR maps, described once for both directions: a table of fields gives encoder and decoder, so they cannot
 * disagree. An absent field stands for one value only, which is never written, so each body has one encoding.
 */
import { type Bytes, toHex } from '../base/bytes.ts';
import { CborReader } from './cbor-reader.ts';
import { CborWriter } from './cbor-writer.ts';
import { ID_BYTES, idBytes, type PackId } from './ids.ts';

export interface ValueCodec<Value> {
  /** @throws RangeError for a value that `read` would refuse */
  write(writer: CborWriter, value: Value): void;
  /** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
  read(reader: CborReader): Value;
}

export interface Field<Value> extends ValueCodec<Value> {
  readonly key: number;
  /** Value of an absent field; a required field has none. */
  readonly absent?: { readonly value: Value };
}

export function required<Value>(key: number, codec: ValueCodec<Value>): Field<Value> {
  return { key, write: codec.write, read: codec.read };
}

export function optional<Value>(key: number, codec: ValueCodec<Value>): Field<Value | undefined> {
  const write = (writer: CborWriter, value: Value | undefined): void => {
    if (value !== undefined) codec.write(writer, value);
  };
  return { key, write, read: codec.read, absent: { value: undefined } };
}

/** True is written, false is absent. */
export function flag(key: number): Field<boolean> {
  const read = (reader: CborReader): boolean => {
    if (!reader.bool()) throw reader.fail(`field ${key} is written as false`);
    return true;
  };
  return { key, write: (writer, value) => writer.bool(value), read, absent: { value: false } };
}

/** A list that is absent when it is empty. */
export function optionalList<Value>(key: number, codec: ValueCodec<Value>): Field<readonly Value[]> {
  const items = list(codec);
  const read = (reader: CborReader): readonly Value[] => {
    const values = items.read(reader);
    if (values.length === 0) throw reader.fail(`field ${key} is an empty list`);
    return values;
  };
  return { key, write: items.write, read, absent: { value: [] } };
}

type Fields<Value> = { readonly [Name in keyof Value]-?: Field<Value[Name]> };

/** A map; `fault` says what is wrong beyond single fields. */
export function mapOf<Value extends object>(fields: Fields<Value>, fault?: (value: Value) => string | undefined): ValueCodec<Value> {
  const table = Object.entries(fields).map(([name, field]) => ({ name: name as keyof Value, field: field as Field<unknown> }));
  table.sort((a, b) => a.field.key - b.field.key);
  const byKey = new Map(table.map(row => [row.field.key, row]));
  return {
    write(writer, value) {
      const reason = fault?.(value);
      if (reason !== undefined) throw new RangeError(`Cannot be encoded: ${reason}`);
      const present = table.filter(({ name, field }) => !isAbsent(field, value[name]));
      writer.map(present.length);
      for (const { name, field } of present) {
        writer.uint(field.key);
        field.write(writer, value[name]);
      }
    },
    read(reader) {
      const found = new Map<keyof Value, unknown>();
      let key = -1;
      for (let left = reader.map(); left > 0; left--) {
        key = reader.key(key);
        const row = byKey.get(key);
        if (row === undefined) reader.unknown(key);
        else found.set(row.name, row.field.read(reader));
      }
      reader.close();
      const value = Object.fromEntries(table.map(({ name, field }) => {
        if (!found.has(name) && field.absent === undefined) throw reader.fail(`field ${field.key} is missing`);
        return [name, found.has(name) ? found.get(name) : field.absent?.value];
      })) as Value;
      const reason = fault?.(value);
      if (reason !== undefined) throw reader.fail(reason);
      return value;
    },
  };
}

function isAbsent(field: Field<unknown>, value: unknown): boolean {
  if (field.absent === undefined) return false;
  return value === field.absent.value || (Array.isArray(value) && value.length === 0 && Array.isArray(field.absent.value));
}

export interface BodyCodec<Value> {
  encode(value: Value): Uint8Array<ArrayBuffer>;
  decode(bytes: Bytes): Value;
}

/** A whole body; `what` names the object in messages. */
export function bodyCodec<Value>(what: string, codec: ValueCodec<Value>): BodyCodec<Value> {
  return {
    encode(value) {
      const writer = new CborWriter();
      codec.write(writer, value);
      return writer.finish();
    },
    decode(bytes) {
      const reader = new CborReader(bytes, what);
      const value = codec.read(reader);
      reader.end();
      return value;
    },
  };
}

export function uint(max: number = Number.MAX_SAFE_INTEGER): ValueCodec<number> {
  return {
    write(writer, value) {
      if (value > max) throw new RangeError(`${value} is above ${max}`);
      writer.uint(value);
    },
    read: reader => reader.uint(max),
  };
}

export const text: ValueCodec<string> = { write: (writer, value) => writer.text(value), read: reader => reader.text() };

/** Any byte string; read as a view of the input. */
export const byteString: ValueCodec<Bytes> = { write: (writer, value) => writer.bytes(value), read: reader => reader.bytes() };

/** A byte string of exactly `length` bytes; read as a view of the input. */
export function fixedBytes(length: number): ValueCodec<Bytes> {
  return {
    write(writer, value) {
      if (value.length !== length) throw new RangeError(`${value.length} bytes where ${length} are expected`);
      writer.bytes(value);
    },
    read: reader => reader.fixedBytes(length),
  };
}

/** A 16-byte ID of any kind. */
export function id<Id extends Parameters<typeof idBytes>[0]>(): ValueCodec<Id> {
  return {
    write: (writer, value) => writer.bytes(idBytes(value)),
    read: reader => toHex(reader.fixedBytes(ID_BYTES)) as Id,
  };
}

export function list<Value>(codec: ValueCodec<Value>): ValueCodec<readonly Value[]> {
  return {
    write(writer, values) {
      writer.array(values.length);
      for (const value of values) codec.write(writer, value);
    },
    read(reader) {
      const values: Value[] = [];
      for (let left = reader.array(); left > 0; left--) values.push(codec.read(reader));
      reader.close();
      return values;
    },
  };
}

/** A list of fixed length whose places have names, in the given order. */
export function tuple<Value extends object>(
  places: readonly { [Name in keyof Value]: readonly [Name, ValueCodec<Value[Name]>] }[keyof Value][],
): ValueCodec<Value> {
  const codecs = places as readonly (readonly [keyof Value, ValueCodec<unknown>])[];
  return {
    write(writer, value) {
      writer.array(codecs.length);
      for (const [name, codec] of codecs) codec.write(writer, value[name]);
    },
    read(reader) {
      reader.fixedArray(codecs.length);
      const value = Object.fromEntries(codecs.map(([name, codec]) => [name, codec.read(reader)])) as Value;
      reader.close();
      return value;
    },
  };
}

/** One of a few names, stored as its place in the list, from 1. `unknown` makes the error for other numbers. */
export function choice<Name extends string>(names: readonly Name[], unknown: (number: number) => Error): ValueCodec<Name> {
  return {
    write(writer, name) {
      const index = names.indexOf(name);
      if (index < 0) throw new RangeError(`Not one of ${names.join(', ')}: '${name}'`);
      writer.uint(index + 1);
    },
    read(reader) {
      const number = reader.uint();
      const name = names[number - 1];
      if (name === undefined) throw unknown(number);
      return name;
    },
  };
}

/** 16-byte IDs concatenated, strictly ascending; the packed bytes themselves are the value. */
export const packedIds: ValueCodec<Bytes> = {
  write(writer, value) {
    const fault = packedIdsFault(value);
    if (fault !== undefined) throw new RangeError(`Cannot be encoded: ${fault}`);
    writer.bytes(value);
  },
  read(reader) {
    const value = reader.bytes();
    const fault = packedIdsFault(value);
    if (fault !== undefined) throw reader.fail(fault);
    return value;
  },
};

function packedIdsFault(value: Bytes): string | undefined {
  if (value.length % ID_BYTES !== 0) return 'a list of IDs is not whole';
  for (let at = ID_BYTES; at < value.length; at += ID_BYTES) {
    if (!isBefore(value, at - ID_BYTES, at)) return 'the IDs are not in order';
  }
  return undefined;
}

function isBefore(value: Bytes, a: number, b: number): boolean {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = value[a + i]! - value[b + i]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The IDs of a packed list, as text. */
export function* unpackIds(value: Bytes): Generator<PackId> {
  for (let at = 0; at + ID_BYTES <= value.length; at += ID_BYTES) yield toHex(value.subarray(at, at + ID_BYTES)) as PackId;
}
