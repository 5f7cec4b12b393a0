// PNG as Chromium writes it (8 bits a channel, no interlacing; PNG 3rd edition): its pixels, and a smaller copy with a palette.

import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");

/** The share of a picture's filtered bytes that are not zero: almost none of a blank one. */
export function detail(png) {
  const { filtered } = parse(png);
  let count = 0;
  for (const byte of filtered) if (byte !== 0) count += 1;
  return count / filtered.length;
}

/** The same picture with a palette: its frequent colours, and 16 steps a channel for the edges of letters. */
export function withPalette(png) {
  const { width, height, channels, pixels } = decode(png);
  const colour = (at) => pixels.readUIntBE(at, 3);
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += channels) counts.set(colour(at), (counts.get(colour(at)) ?? 0) + 1);
  const frequent = [...counts].sort(([, a], [, b]) => b - a).slice(0, 64);
  const palette = new Map(frequent.map(([exact], index) => [exact, { index, exact }]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const exact = colour((y * width + x) * channels);
      // A colour of the page and a step are told apart by their sign.
      const step = -(exact & 0xf0f0f0) - 1;
      const entry = palette.get(exact) ?? palette.get(step) ?? { index: palette.size, exact };
      if (entry.index === palette.size) palette.set(step, entry);
      rows[y * (width + 1) + 1 + x] = entry.index;
    }
  }
  if (palette.size > 256) throw new Error(`${palette.size} colours are too many for a palette`);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3], 8);
  const colours = Buffer.alloc(palette.size * 3);
  for (const { index, exact } of palette.values()) colours.writeUIntBE(exact, index * 3, 3);
  const data = deflateSync(rows, { level: 9 });
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("PLTE", colours), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

/** The size of a picture, and its bytes with their filters. */
function parse(png) {
  const data = [];
  let header;
  for (let at = SIGNATURE.length; at < png.length; ) {
    const [length, type] = [png.readUInt32BE(at), png.toString("latin1", at + 4, at + 8)];
    const content = png.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") header = content;
    if (type === "IDAT") data.push(content);
    at += length + 12;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = { 2: 3, 6: 4 }[header[9]];
  if (header[8] !== 8 || !channels || header[12] !== 0) throw new Error(`not a PNG of Chromium: ${header.toString("hex")}`);
  return { width, height, channels, filtered: inflateSync(Buffer.concat(data)) };
}

/** The pixels of a picture, each `channels` bytes. */
function decode(png) {
  const { width, height, channels, filtered } = parse(png);
  const row = width * channels;
  const pixels = Buffer.alloc(row * height);
  for (let y = 0; y < height; y++) {
    const filter = filtered[y * (row + 1)];
    for (let x = 0; x < row; x++) {
      const left = x < channels ? 0 : pixels[y * row + x - channels];
      const above = y === 0 ? 0 : pixels[(y - 1) * row + x];
      const corner = x < channels || y === 0 ? 0 : pixels[(y - 1) * row + x - channels];
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter];
      pixels[y * row + x] = filtered[y * (row + 1) + 1 + x] + guess;
    }
  }
  return { width, height, channels, pixels };
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((it) => Math.abs(guess - it));
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

function chunk(type, content) {
  const named = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const whole = Buffer.alloc(named.length + 8);
  whole.writeUInt32BE(content.length, 0);
  named.copy(whole, 4);
  whole.writeUInt32BE(crc32(named), named.length + 4);
  return whole;
}
