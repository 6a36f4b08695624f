// Signing in at an issuer, in Chromium: sign_in.mjs BASE ISSUER MODEL VERSION. People are who they say to the issuer, and their name is their role. It ends
// with 0, or says what is otherwise.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, issuer, model, version] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const promotion = `/models/${model}/versions/${version}/promotion`;

// A browser without JavaScript; the answers that the issuer sends it back with.
async function person() {
  const context = await browser.newContext({ javaScriptEnabled: false, baseURL: base });
  const page = await context.newPage();
  const answers = [];
  page.on("request", (request) => request.url().startsWith(`${base}/sign-in/callback`) && answers.push(request.url()));
  // Fonts of the issuer's page.
  await page.route((url) => url.hostname !== "127.0.0.1", (route) => route.abort());
  return { context, page, answers };
}

async function leave(page) {
  await page.goto(`/sign-in?next=${encodeURIComponent(promotion)}`);
  await page.locator("a", { hasText: "sign in at" }).click();
  await page.waitForURL((url) => url.href.startsWith(issuer));
}

async function sign(page, name) {
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.locator("button[type=submit]", { hasText: "Continue" }).click();
}

// Somebody without a role here.
const stranger = await person();
await leave(stranger.page);
await sign(stranger.page, "strangers");
await stranger.page.waitForURL((url) => url.href.startsWith(`${base}/sign-in/callback`));
assert.ok((await stranger.page.locator("[role=alert]").innerText()).includes("gives no role here"));
assert.deepEqual((await stranger.context.cookies(base)).map((cookie) => cookie.name).filter((name) => name.startsWith("driftgate")), []);

// An operator comes back to where they were, does something, and the audit log names them.
const ann = await person();
await leave(ann.page);
const attempt = (await ann.context.cookies(`${base}/sign-in/callback`)).find((cookie) => cookie.name === "driftgate_sign_in");
assert.ok(attempt.httpOnly && attempt.sameSite === "Lax", JSON.stringify(attempt));
await sign(ann.page, "ml-operators");
await ann.page.waitForURL(`${base}${promotion}`);
const actor = `oidc:${issuer}#ml-operators`;
assert.ok((await ann.page.locator("header").innerText()).includes(actor));
const cookies = (await ann.context.cookies(`${base}/sign-in/callback`)).filter((cookie) => cookie.name.startsWith("driftgate"));
assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [["driftgate_session", true, "Strict"]]);
const form = ann.page.locator("form", { has: ann.page.locator("button", { hasText: "Freeze automatic actions" }) });
await form.locator("input[name=reason]").fill("signed in at the issuer");
await form.locator("button").click();
await ann.page.waitForURL((url) => url.pathname !== new URL(promotion, base).pathname);
await ann.page.locator("main button").last().click();
assert.ok((await ann.page.locator("[role=status]").innerText()).includes("done"));
await ann.page.goto("/audit?event=freeze");
assert.ok((await ann.page.locator("tbody tr").first().innerText()).includes(actor));

// Her answer is no good again, neither for her nor in a browser that has an attempt of its own, or none.
const [answer] = ann.answers;
assert.ok(answer.includes("code=") && answer.includes("state="), answer);
const victim = await person();
await leave(victim.page);
for (const { context, page } of [ann, victim, await person()]) {
  const before = (await context.cookies(base)).map((cookie) => cookie.value).join();
  const response = await page.goto(answer);
  assert.equal(response.status(), 400);
  assert.ok((await page.locator("[role=alert]").innerText()).includes("not the answer to an attempt of this browser"));
  assert.equal((await context.cookies(base)).map((cookie) => cookie.value).join(), before);
}

// What the issuer says of an error is shown as text, and leads nowhere else.
const bob = await person();
await bob.page.goto("/sign-in?next=//evil.example");
const link = await bob.page.locator("a", { hasText: "sign in at" }).getAttribute("href");
assert.equal(new URL(link).searchParams.get("next"), "/");
const [redirect] = await Promise.all([bob.page.waitForRequest((request) => request.url().startsWith(`${issuer}/auth`)), bob.page.goto(link)]);
const sent = new URL(redirect.url()).searchParams;
assert.equal(sent.get("code_challenge_method"), "S256");
assert.equal(sent.get("redirect_uri"), `${base}/sign-in/callback`);
assert.ok(sent.get("nonce").length === 64 && sent.get("scope") === "openid");
const error = await bob.page.goto(`/sign-in/callback?state=${sent.get("state")}&error=access_denied&error_description=<b>no</b>`);
assert.equal(error.status(), 403);
assert.ok((await bob.page.locator("[role=alert]").innerText()).includes("the issuer says: access_denied: <b>no</b>"));

// A code that the issuer did not give, with a good state; the answer of another issuer.
const own = await person();
const [out] = await Promise.all([own.page.waitForRequest((request) => request.url().startsWith(`${issuer}/auth`)), own.page.goto(link)]);
const state = new URL(out.url()).searchParams.get("state");
assert.equal((await own.page.goto(`/sign-in/callback?state=${state}&code=x&iss=https://evil.example`)).status(), 400);
const [once] = await Promise.all([own.page.waitForRequest((request) => request.url().startsWith(`${issuer}/auth`)), own.page.goto(link)]);
const forged = await own.page.goto(`/sign-in/callback?state=${new URL(once.url()).searchParams.get("state")}&code=forged`);
assert.equal(forged.status(), 403);
assert.ok((await own.page.locator("[role=alert]").innerText()).includes("invalid_grant"));

// Signed out, she is nobody again, neither here nor at the issuer, which leads her back.
await ann.page.goto(promotion);
const [ends] = await Promise.all([
  ann.page.waitForRequest((request) => request.url().startsWith(`${issuer}/session/end`)),
  ann.page.locator("button", { hasText: "sign out" }).click(),
]);
const end = new URL(ends.url()).searchParams;
assert.ok(end.get("client_id") === "pages" && end.get("id_token_hint").split(".").length === 3 && end.get("post_logout_redirect_uri") === `${base}/sign-in`);
assert.equal((await ann.context.request.get("/audit")).status(), 401);
await ann.page.locator("button", { hasText: "Yes, sign me out" }).click();
await ann.page.waitForURL((url) => url.href.startsWith(`${base}/sign-in`));
await leave(ann.page);
await ann.page.locator("input[name=login]").waitFor();
await browser.close();
console.log("signing in is as it should be");
