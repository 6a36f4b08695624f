// What a person does with the pages, in Chromium: pages.mjs BASE TOKEN_FILE MODEL BLOCKED CANDIDATE FEATURE, where BLOCKED and CANDIDATE are versions and
// FEATURE is what drifted. It ends with 0, or says what is otherwise.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [base, tokenFile, model, blocked, candidate, feature] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });

// Without JavaScript: from the overview to what drifted in two clicks.
const plain = await browser.newContext({ javaScriptEnabled: false, baseURL: base });
const page = await plain.newPage();
await page.goto("/");
await page.locator("table.rows tbody tr", { hasText: "✕ block" }).locator("a", { hasText: `${model} ${blocked}` }).first().click();
// A click does not wait for the page that follows it.
await page.waitForURL((url) => url.pathname.includes("/versions/"));
assert.ok((await page.locator("h1").innerText()).includes(`${model} ${blocked}`));
await page.locator("table a", { hasText: new RegExp(`^${feature}$`) }).first().click();
await page.waitForURL((url) => url.pathname.includes("/subjects/"));
assert.ok((await page.locator("h1").innerText()).startsWith(feature));
assert.ok((await page.locator("main svg").count()) > 0, "a picture without JavaScript");

// A range of time is set, and the address is opened again.
const shown = await page.locator("tbody tr").count();
await page.locator("input[name=from]").fill("2020-01-01T00:00");
await page.locator("button", { hasText: "show" }).click();
await page.waitForURL((url) => url.search.includes("from=2020"));
assert.ok(page.url().includes("from=2020-01-01T00"), page.url());
const again = await plain.newPage();
await again.goto(page.url());
assert.equal(await again.locator("input[name=from]").inputValue(), "2020-01-01T00:00");
assert.ok((await again.locator("tbody tr").count()) >= shown);
assert.equal(await again.locator("main").innerText(), await page.locator("main").innerText());
await again.close();

// Features are ordered by a column and found by name, and what blocks the version stands on its page.
await page.goto(`/models/${model}/versions/${blocked}`);
assert.ok((await page.locator(".notice.block").first().innerText()).includes("Blocked by drift since"));
assert.ok((await page.locator(".curves svg").count()) === 3, "the curves of the score");
const named = page.locator("[aria-label='Features of drift'] tbody tr", { hasText: feature });
await page.locator("th a", { hasText: "value of limit" }).first().click();
await page.waitForURL((url) => url.searchParams.get("sort") === "near");
assert.equal(await named.count(), 1);
await page.locator("input[name=find]").fill("nothing has this name");
await page.locator("form", { has: page.locator("input[name=find]") }).locator("button").click();
await page.waitForURL((url) => url.searchParams.get("find") === "nothing has this name");
assert.equal(await named.count(), 0);
await page.locator("input[name=find]").fill(feature.toUpperCase());
await page.locator("form", { has: page.locator("input[name=find]") }).locator("button").click();
await page.waitForURL((url) => url.searchParams.get("find") === feature.toUpperCase());
assert.equal(await named.count(), 1);
assert.equal(new URL(page.url()).searchParams.get("sort"), "near");

// Without a session the page of a promotion reads only; then an approval is given, and the audit log has it.
const promotion = `/models/${model}/versions/${candidate}/promotion`;
await page.goto(promotion);
assert.equal(await page.locator("button", { hasText: "Approve" }).count(), 0);
await page.locator("a", { hasText: "sign in" }).first().click();
await page.locator("input[name=token]").fill("not a token");
await page.locator("button", { hasText: "sign in" }).click();
assert.ok((await page.locator("[role=alert]").innerText()).includes("not known"));
await page.locator("input[name=token]").fill(token);
await page.locator("button", { hasText: "sign in" }).click();
await page.waitForURL((url) => url.pathname === promotion);
assert.equal(new URL(page.url()).pathname, promotion);
const form = page.locator("form", { has: page.locator("select[name=role]") }).first();
await form.locator("input[name=comment]").fill("looked at in a browser");
await form.locator("button").click();
await page.waitForURL((url) => url.pathname !== promotion);
assert.ok((await page.locator(".notice").first().innerText()).includes(`${model} ${candidate} is approved for prod as owner`));
await page.locator("button.main").click();
assert.ok((await page.locator("[role=status]").innerText()).includes("Approve: done"));
await page.goto("/audit?event=approval");
const record = page.locator("tbody tr").first();
assert.ok((await record.innerText()).includes("owner@company"), await record.innerText());
assert.ok((await record.locator("details").innerHTML()).includes("looked at in a browser"));
const cookies = await plain.cookies();
assert.ok(cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"), JSON.stringify(cookies));

// axe-core finds nothing on any page: in both colour schemes, and as narrow as a phone.
const version = `/models/${model}/versions/${blocked}`;
const paths = ["/", "/?status=block&refresh=30", "/operations", "/audit", "/sign-in", version, `${version}/subjects/${feature}?from=2020-01-01`, `${version}/promotion`, `${promotion}`, `${promotion}/approve?to=prod&role=owner`, "/models/nowhere/versions/1"];
let violations = 0;
for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 380]]) {
  const context = await browser.newContext({ baseURL: base, colorScheme, viewport: { width, height: 800 } });
  await context.addCookies(cookies);
  const looked = await context.newPage();
  for (const path of paths) {
    await looked.goto(path);
    await looked.evaluate(axe);
    const found = await looked.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const { id, help, nodes } of found.violations) {
      violations += 1;
      console.error(`${path} ${colorScheme} ${width}: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
    }
    const wide = await looked.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1);
    if (wide) {
      violations += 1;
      console.error(`${path} ${colorScheme} ${width}: the page is wider than the window`);
    }
  }
  await context.close();
}

// With JavaScript a pointer is told the point that it is near, and a search leaves out rows while it is written.
const lively = await (await browser.newContext({ baseURL: base })).newPage();
await lively.goto(`${version}/subjects/${feature}?from=2020-01-01`);
const chart = lively.locator("svg[data-plot]").first();
await chart.scrollIntoViewIfNeeded();
await chart.hover();
assert.match(await lively.locator("text.told").textContent(), /^20\d\d-\d\d-\d\d \d\d:\d\d UTC: [\d.e-]+$/);
await lively.locator("h1").hover();
assert.equal(await lively.locator("text.told").count(), 0);
await lively.goto(version);
const rows = lively.locator("[aria-label='Features of drift'] tbody tr");
assert.equal(await rows.first().isVisible(), true);
await lively.locator("input[name=find]").pressSequentially("nothing");
assert.equal(await rows.first().isVisible(), false);
await browser.close();
assert.equal(violations, 0, "violations of accessibility are above");
console.log("all pages are as they should be");
