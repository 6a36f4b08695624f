// An open page when the daemon stops, in Chromium: stopped.mjs BASE PID. The process is killed under the page, which says so and turns grey. It ends
// with 0, or says what is otherwise.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, pid] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await (await browser.newContext({ baseURL: base })).newPage();
const refused = [];
page.on("console", (message) => message.text().includes("Content Security Policy") && refused.push(message.text()));
await page.goto("/");
await page.waitForResponse((response) => response.url().endsWith("/live") && response.ok(), { timeout: 15000 });
assert.equal(await page.locator("[role=alert]").count(), 0);
process.kill(Number(pid), "SIGKILL");
const alert = page.locator("[role=alert]");
await alert.waitFor({ timeout: 15000 });
assert.ok((await alert.innerText()).startsWith("driftgate has not answered since "), await alert.innerText());
assert.ok((await page.locator("main").evaluate((main) => getComputedStyle(main).filter)).includes("grayscale"));
assert.deepEqual(refused, []);
await browser.close();
console.log("all as it should be");
