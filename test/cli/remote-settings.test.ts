import { describe, expect, test } from 'vitest';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { azureChoices, s3Choices, sshChoices, type S3Choices } from '../../src/cli/remote-settings.ts';
import { resolveFlags } from '../../src/cli/settings.ts';

type Given = Readonly<Record<string, readonly string[]>>;

function choicesOf(given: Given, environment: Record<string, string> = {}, file: Given = {}): S3Choices {
  return s3Choices(resolveFlags(GLOBAL_FLAGS, { given, environment, file, filePath: 'snap.yaml' }), environment);
}

test('nothing is chosen when nobody says anything', () => {
  expect(Object.values(choicesOf({})).filter(value => value !== undefined)).toEqual([]);
  expect(sshChoices(resolveFlags(GLOBAL_FLAGS, { given: {}, environment: {}, file: {}, filePath: undefined }), {}))
    .toEqual({ acceptNewHostKey: false, concurrency: undefined, environment: {} });
});

describe('the endpoint', () => {
  const all = { SNAP_S3_ENDPOINT: 'https://snap', AWS_ENDPOINT_URL_S3: 'https://aws-s3', AWS_ENDPOINT_URL: 'https://aws' };
  test('comes from the flag, then the variables in their order', () => {
    expect(choicesOf({ s3Endpoint: ['https://flag:9000/'] }, all).endpoint).toBe('https://flag:9000');
    expect(choicesOf({}, all).endpoint).toBe('https://snap');
    expect(choicesOf({}, { ...all, SNAP_S3_ENDPOINT: '' }).endpoint).toBe('https://aws-s3');
    expect(choicesOf({}, { AWS_ENDPOINT_URL: 'https://aws' }).endpoint).toBe('https://aws');
    expect(choicesOf({}, { AWS_ENDPOINT_URL: 'https://aws', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }).endpoint).toBeUndefined();
    expect(choicesOf({}, {}, { s3Endpoint: ['http://file'] }).endpoint).toBe('http://file');
  });
  test.each(['localhost:9000', 'ftp://x', 'https://', 'https://key:secret@x', 'https://x?y', ''])('%j is none, and no secret in it is shown', value => {
    expect(() => choicesOf({ s3Endpoint: [value] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(() => choicesOf({ s3Endpoint: [value] })).not.toThrow(/secret/);
  });
});

test('the region comes from the flag, then the variables of snap and of the AWS tools', () => {
  const all = { SNAP_S3_REGION: 'snap', AWS_REGION: 'aws', AWS_DEFAULT_REGION: 'default' };
  expect(choicesOf({ s3Region: ['flag'] }, all).region).toBe('flag');
  expect(choicesOf({}, all).region).toBe('snap');
  expect(choicesOf({}, { AWS_REGION: 'aws', AWS_DEFAULT_REGION: 'default' }).region).toBe('aws');
  expect(choicesOf({}, { AWS_DEFAULT_REGION: 'default' }).region).toBe('default');
});

test('switches have three states where the default depends on something', () => {
  expect(choicesOf({ s3PathStyle: ['true'] }).pathStyle).toBe(true);
  expect(choicesOf({ s3PathStyle: ['false'] }).pathStyle).toBe(false);
  expect(choicesOf({ s3Checksums: ['false'] }).checksums).toBe(false);
});

test('a key for encryption implies its kind, and contradicts the other one', () => {
  expect(choicesOf({ s3SseKmsKey: ['alias/x'] })).toMatchObject({ encryption: 'aws:kms', kmsKey: 'alias/x' });
  expect(choicesOf({ s3Sse: ['AES256'] })).toMatchObject({ encryption: 'AES256', kmsKey: undefined });
  expect(() => choicesOf({ s3Sse: ['AES256'], s3SseKmsKey: ['alias/x'] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
});

test.each(['GLACIER', 'DEEP_ARCHIVE'])('what every run reads never goes into %s', storageClass => {
  expect(() => choicesOf({ s3StorageClassMetadata: [storageClass] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  expect(choicesOf({ s3StorageClass: [storageClass] }).storageClass).toBe(storageClass);
});

test('the credentials of Azure come from its own variables and are kept secret; tiers are written as Azure wants them', () => {
  const globals = (given: Given): Parameters<typeof azureChoices>[0] => resolveFlags(GLOBAL_FLAGS, { given, environment: { SNAP_AZURE_ENDPOINT: 'http://127.0.0.1:10000/devstoreaccount1/' }, file: {}, filePath: undefined });
  const choices = azureChoices(globals({ azureAccessTier: ['cool'] }), { AZURE_STORAGE_KEY: 'a-key', AZURE_STORAGE_SAS_TOKEN: '' });
  expect(choices).toMatchObject({ endpoint: 'http://127.0.0.1:10000/devstoreaccount1', accessTier: 'Cool', sasToken: undefined, connectionString: undefined });
  expect(choices.accountKey?.reveal()).toBe('a-key');
  expect(JSON.stringify(choices)).not.toContain('a-key');
  expect(() => globals({ azureAccessTierMetadata: ['Archive'] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
