// What an operator does with a rollout on the pages, in Chromium without JavaScript: acts.mjs BASE TOKEN_FILE MODEL CHAMPION CHALLENGER, where the rollout of
// the challenger is under way. It is aborted, promoted again, promoted at once, and rolled back; each page before names what will happen, and the audit
// log has all of it. It ends with 0, or says what is otherwise.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [base, tokenFile, model, champion, challenger] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ javaScriptEnabled: false, baseURL: base });
const page = await context.newPage();
const promotion = `/models/${model}/versions/${challenger}/promotion`;

// Nobody is signed in: the page says so, and has no button.
await page.goto(`${promotion}/abort?reason=x`);
assert.ok((await page.locator(".notice.block").innerText()).includes("signed in"));
assert.equal(await page.locator("main button").count(), 0);
await page.goto(`/sign-in?next=${encodeURIComponent(promotion)}`);
await page.locator("input[name=token]").fill(token);
await page.locator("button", { hasText: "sign in" }).click();
await page.waitForURL((url) => url.pathname === promotion);
assert.equal(new URL(page.url()).pathname, promotion);

async function ask(action, fields) {
  await page.goto(promotion);
  const form = page.locator(`form[action="${promotion}/${action}"]`).first();
  for (const [name, value] of Object.entries(fields)) await form.locator(`input[name=${name}]`).fill(value);
  await form.locator("button").click();
  await page.waitForURL((url) => url.pathname === `${promotion}/${action}`);
  return page.locator(".notice").first().innerText();
}

async function act(action, fields, happens, done, grave) {
  const said = await ask(action, fields);
  assert.ok(said.includes(happens), said);
  assert.equal(await page.locator("main button.danger").count(), grave ? 1 : 0, action);
  await page.locator("main form button").click();
  const status = page.locator("[role=status]");
  // A click does not wait for the page that follows it.
  await status.first().waitFor({ timeout: 10000 }).catch(async () => assert.fail(await page.locator("main").innerText()));
  assert.equal(await status.count(), 1);
  assert.ok((await status.innerText()).includes(`${done}: done`), await status.innerText());
}

// Who cancels has done nothing.
await ask("abort", { reason: "a slip" });
await page.locator("a", { hasText: "Cancel" }).click();
await page.waitForURL((url) => url.pathname === promotion);
assert.equal(await page.locator(`form[action="${promotion}/abort"]`).count(), 1);

const gone = `the rollout of ${model} ends as failed: the candidate gets no traffic any more, and the champion stays`;
await act("abort", { reason: "aborted in a browser" }, gone, "Abort the rollout", true);
assert.equal(await page.locator(`form[action="${promotion}/abort"]`).count(), 0);
await act("promote", { comment: "once more" }, `${model} ${challenger} is promoted to prod`, "Promote", false);
await act("confirm", {}, `the rest of the rollout's steps of ${model} is left out`, "Promote now", false);
const back = `prod of ${model} moves from ${challenger} back to ${champion}, at once`;
await act("rollback", { reason: "rolled back in a browser" }, back, "Roll back", true);
assert.equal(await page.locator(`form[action="${promotion}/rollback"]`).count(), 0);

// The audit log has them, by whom and why.
await page.goto(`/audit?model=${model}`);
for (const reason of ["aborted in a browser", "rolled back in a browser"]) {
  const records = page.locator("tbody tr", { hasText: reason }).filter({ hasText: "ci@company" });
  assert.ok((await records.count()) > 0, await page.locator("main").innerText());
}
assert.equal(await page.locator("tbody tr", { hasText: "a slip" }).count(), 0);
await browser.close();
console.log("what was done on the pages is as it should be");
