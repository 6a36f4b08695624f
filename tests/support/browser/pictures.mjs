// Pictures of pages, light, dark and as wide as a phone: pictures.mjs BASE FOLDER SEEN NAME=PATH... takes one of each page and compares it with FOLDER/NAME-LOOK.png.
// With DRIFTGATE_WRITE_PICTURES=1 it writes them anew. It ends with 0, or says which differ; what was seen then is in the folder SEEN. A kept picture has few
// colours, so that it is small; the version at the foot of a page is covered.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { convertIndexedToRgb, decode, encode } from "fast-png";
import pixelmatch from "pixelmatch";
import { chromium } from "playwright-core";

const [base, folder, seen, ...pages] = process.argv.slice(2);
const writes = process.env.DRIFTGATE_WRITE_PICTURES === "1";
const LOOKS = [["light", "light", 1160, 660], ["dark", "dark", 1160, 660], ["phone", "light", 380, 660]];
const COLOURS = 32;
// The share of pixels that may differ: fonts are drawn otherwise by another release of Chromium.
const TOLERANCE = 0.02;

// A picture in its most frequent colours, each other pixel in the nearest of them.
function indexed({ width, height, data, channels }) {
  const counts = new Map();
  const colour = (at) => (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  for (let at = 0; at < data.length; at += channels) counts.set(colour(at), (counts.get(colour(at)) ?? 0) + 1);
  const parts = (c) => [c >> 16, (c >> 8) & 255, c & 255];
  const palette = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, COLOURS).map(([c]) => parts(c));
  const far = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;
  const places = new Map();
  for (const c of counts.keys()) {
    const distances = palette.map((p) => far(p, parts(c)));
    places.set(c, distances.indexOf(Math.min(...distances)));
  }
  const out = new Uint8Array(width * height);
  for (let at = 0; at < out.length; at += 1) out[at] = places.get(colour(at * channels));
  return { width, height, data: out, channels: 1, depth: 8, palette };
}

function rgba({ width, height, ...png }) {
  const channels = png.palette ? png.palette[0].length : png.channels;
  const data = png.palette ? convertIndexedToRgb({ width, height, ...png }) : png.data;
  const out = new Uint8Array(width * height * 4);
  for (let at = 0; at < width * height; at += 1) out.set([data[at * channels], data[at * channels + 1], data[at * channels + 2], 255], at * 4);
  return out;
}

const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-lcd-text"] });
const differ = [];
for (const [look, colorScheme, width, height] of LOOKS) {
  const context = await browser.newContext({ javaScriptEnabled: false, baseURL: base, colorScheme, viewport: { width, height }, deviceScaleFactor: 1 });
  const page = await context.newPage();
  for (const of of pages) {
    const [name, path] = [of.slice(0, of.indexOf("=")), of.slice(of.indexOf("=") + 1)];
    const response = await page.goto(path);
    assert.equal(response.status(), 200, path);
    const shot = await page.screenshot({ animations: "disabled", caret: "hide", mask: [page.locator("footer")], maskColor: "#888888" });
    const small = encode(indexed(decode(shot)), { zlib: { level: 9 } });
    const file = `${folder}/${name}-${look}.png`;
    if (writes) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, small);
      continue;
    }
    const [now, kept] = [decode(small), decode(readFileSync(file))];
    const is_alike = now.width === kept.width && now.height === kept.height;
    const changed = is_alike ? pixelmatch(rgba(now), rgba(kept), undefined, now.width, now.height, { threshold: 0.2 }) / (now.width * now.height) : 1;
    if (changed > TOLERANCE) {
      mkdirSync(seen, { recursive: true });
      writeFileSync(`${seen}/${name}-${look}.png`, small);
      differ.push(`${name}-${look}.png: ${(changed * 100).toFixed(1)}% of the pixels differ; it is in ${seen} now`);
    }
  }
  await context.close();
}
await browser.close();
assert.deepEqual(differ, [], "if they are as they should be now, write them with DRIFTGATE_WRITE_PICTURES=1");
console.log("the pictures are as they should be");
