/** Published test vectors, as hexadecimal text. Each group names its source. */

export interface AeadVector {
  readonly source: string;
  readonly suite: 1 | 2;
  readonly key: string;
  readonly nonce: string;
  readonly additional: string;
  readonly plaintext: string;
  /** Ciphertext followed by the tag. */
  readonly sealed: string;
}

/** BLAKE3 reference vectors (test_vectors.json): the input is 0, 1, …, 250, 0, 1, …; the first 32 bytes of each output. */
export const BLAKE3_KEY = 'whats the Elvish word for friend';
export const BLAKE3_VECTORS: readonly { length: number; hash: string; keyedHash: string }[] = [
  {
    length: 0,
    hash: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    keyedHash: '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
  },
  {
    length: 1,
    hash: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
    keyedHash: '6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b',
  },
  {
    length: 1023,
    hash: '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11',
    keyedHash: 'c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e',
  },
  {
    length: 1024,
    hash: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
    keyedHash: '75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4',
  },
  {
    length: 1025,
    hash: 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444',
    keyedHash: '357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69',
  },
  {
    length: 2049,
    hash: '5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030',
    keyedHash: '9f29700902f7c86e514ddc4df1e3049f258b2472b6dd5267f61bf13983b78dd5',
  },
  {
    length: 4097,
    hash: '9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995',
    keyedHash: '00df940cd36bb9fa7cbbc3556744e0dbc8191401afe70520ba292ee3ca80abbc',
  },
  {
    length: 6145,
    hash: 'f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f',
    keyedHash: '9ac301e9e39e45e3250a7e3b3df701aa0fb6889fbd80eeecf28dbc6300fbc539',
  },
];

const GCM_KEY = 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308';
const GCM_PLAINTEXT = 'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39';
const GCM_CIPHERTEXT = '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662';

/** McGrew and Viega, "The Galois/Counter Mode of Operation" (submitted to NIST), appendix B; RFC 8439, section 2.8.2. */
export const AEAD_VECTORS: readonly AeadVector[] = [
  {
    source: 'GCM test case 13', suite: 1, key: '00'.repeat(32), nonce: '00'.repeat(12), additional: '', plaintext: '',
    sealed: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    source: 'GCM test case 14', suite: 1, key: '00'.repeat(32), nonce: '00'.repeat(12), additional: '', plaintext: '00'.repeat(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    source: 'GCM test case 15', suite: 1, key: GCM_KEY, nonce: 'cafebabefacedbaddecaf888', additional: '', plaintext: `${GCM_PLAINTEXT}1aafd255`,
    sealed: `${GCM_CIPHERTEXT}898015adb094dac5d93471bdec1a502270e3cc6c`,
  },
  {
    source: 'GCM test case 16', suite: 1, key: GCM_KEY, nonce: 'cafebabefacedbaddecaf888',
    additional: 'feedfacedeadbeeffeedfacedeadbeefabaddad2', plaintext: GCM_PLAINTEXT,
    sealed: `${GCM_CIPHERTEXT}76fc6ece0f4e1768cddf8853bb2d551b`,
  },
  {
    source: 'RFC 8439, section 2.8.2', suite: 2,
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    nonce: '070000004041424344454647', additional: '50515253c0c1c2c3c4c5c6c7',
    plaintext: Buffer.from('Ladies and Gentlemen of the class of \'99: If I could offer you only one tip for the future, sunscreen would be it.').toString('hex'),
    sealed: 'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36'
      + '92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
  },
];

/** RFC 5869, appendix A, cases 1 to 3 (SHA-256). */
export const HKDF_VECTORS: readonly { secret: string; salt: string; info: string; output: string }[] = [
  {
    secret: '0b'.repeat(22), salt: '000102030405060708090a0b0c', info: 'f0f1f2f3f4f5f6f7f8f9',
    output: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  },
  {
    secret: hexRange(0x00, 0x4f), salt: hexRange(0x60, 0xaf), info: hexRange(0xb0, 0xff),
    output: 'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71'
      + 'cc30c58179ec3e87c14c01d5c1f3434f1d87',
  },
  {
    secret: '0b'.repeat(22), salt: '', info: '',
    output: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  },
];

/** RFC 4231, cases 1 and 2. */
export const HMAC_VECTORS: readonly { key: string; message: string; output: string }[] = [
  {
    key: '0b'.repeat(20), message: Buffer.from('Hi There').toString('hex'),
    output: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  },
  {
    key: Buffer.from('Jefe').toString('hex'), message: Buffer.from('what do ya want for nothing?').toString('hex'),
    output: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  },
];

/** RFC 7914, section 12, the first and the third (the second costs 16 times the first, the fourth a gigabyte). */
export const SCRYPT_VECTORS: readonly { password: string; salt: string; N: number; r: number; p: number; output: string }[] = [
  {
    password: '', salt: '', N: 16, r: 1, p: 1,
    output: '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906',
  },
  {
    password: 'pleaseletmein', salt: 'SodiumChloride', N: 16_384, r: 8, p: 1,
    output: '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
  },
];

/** RFC 8032, section 7.1, tests 1 to 3. */
export const ED25519_VECTORS: readonly { seed: string; publicKey: string; message: string; signature: string }[] = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature: 'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature: '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature: '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
];

function hexRange(first: number, last: number): string {
  return Buffer.from(Array.from({ length: last - first + 1 }, (_, i) => first + i)).toString('hex');
}
