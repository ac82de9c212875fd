/** Two words that nobody outside knows: keys that collide cannot be prepared. */
export type HashSeed = readonly [number, number];

/** HalfSipHash-1-3 (Aumasson, Bernstein) with a 32-bit result, of `length` bytes from `start` on. */
export function keyHash(bytes: Uint8Array, start: number, length: number, [k0, k1]: HashSeed): number {
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  const end = start + length;
  const wholeEnd = end - (length & 3);
  let word = 0;
  for (let place = start; place <= wholeEnd; place += 4) {
    // The last word is what is left, and the length.
    if (place < wholeEnd) word = wordAt(bytes, place);
    else {
      word = length << 24;
      for (let rest = 0; rest < (length & 3); rest += 1) word |= byte(bytes, place + rest) << (8 * rest);
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  v2 ^= 0xff;
  for (let round = 0; round < 3; round += 1) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  return (v1 ^ v3) >>> 0;
}

function wordAt(bytes: Uint8Array, place: number): number {
  return (
    byte(bytes, place) | (byte(bytes, place + 1) << 8) | (byte(bytes, place + 2) << 16) | (byte(bytes, place + 3) << 24)
  );
}

function byte(bytes: Uint8Array, place: number): number {
  return bytes[place] as number;
}
