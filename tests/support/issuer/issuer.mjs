// A real issuer of tokens for the tests (oidc-provider), and tokens that nobody should take.
//   node issuer.mjs keys FILE KID             makes a key pair of RSA and writes it as a JWK
//   node issuer.mjs serve PORT FILE REQUESTS [CALLBACK]
//                                             serves on 127.0.0.1:PORT with that key; notes every request's path in REQUESTS. With CALLBACK people
//                                             sign in for the client `pages`, under any name; the name is their role
//   node issuer.mjs sign FILE HEADER CLAIMS   signs claims with that key, or with what the header's alg says: `none` has no
//                                             signature, HS256 is keyed by the public key in PEM
// Clients NAME with secret NAME-secret get tokens for the audience `driftgate`; their roles are NAME.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createHmac, createPublicKey } from "node:crypto";
import { SignJWT, exportJWK, generateKeyPair, importJWK } from "jose";

const CLIENTS = ["ml-operators", "fraud-owners", "readers", "strangers"];

async function keys(file, kid) {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  writeFileSync(file, JSON.stringify({ ...(await exportJWK(privateKey)), kid, use: "sig", alg: "RS256" }));
}

async function serve(port, file, requests, callback) {
  const { default: Provider } = await import("oidc-provider");
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys: [JSON.parse(readFileSync(file, "utf8"))] },
    clients: CLIENTS.map(name => ({
      client_id: name, client_secret: `${name}-secret`, grant_types: ["client_credentials"], redirect_uris: [], response_types: [],
    })).concat(callback ? [{ client_id: "pages", client_secret: "pages-secret", redirect_uris: [callback],
      post_logout_redirect_uris: [callback.replace("/callback", "")] }] : []),
    claims: { openid: ["sub", "realm_access"] },
    conformIdTokenClaims: false,
    findAccount: (_, name) => ({ accountId: name, claims: () => ({ sub: name, realm_access: { roles: [name] } }) }),
    features: {
      devInteractions: { enabled: Boolean(callback) },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_, client) => client.clientId === "pages" ? undefined : "urn:driftgate",
        getResourceServerInfo: () => ({ scope: "", audience: "driftgate", accessTokenTTL: 300, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }),
      },
    },
    extraTokenClaims: (_, token) => ({ realm_access: { roles: [token.clientId, "offline_access"] } }),
  });
  provider.use((ctx, next) => { appendFileSync(requests, `${ctx.path}\n`); return next(); });
  provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
}

async function sign(file, header, claims) {
  const jwk = JSON.parse(readFileSync(file, "utf8"));
  const part = value => Buffer.from(JSON.stringify(value)).toString("base64url");
  const [head, body] = [JSON.parse(header), JSON.parse(claims)];
  const message = `${part(head)}.${part(body)}`;
  if (head.alg.toLowerCase() === "none") return console.log(`${message}.`);
  if (head.alg.startsWith("HS")) {
    const pem = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
    return console.log(`${message}.${createHmac("sha256", pem).update(message).digest("base64url")}`);
  }
  console.log(await new SignJWT(body).setProtectedHeader(head).sign(await importJWK(jwk, head.alg)));
}

const [what, ...rest] = process.argv.slice(2);
await { keys, serve, sign }[what](...rest);
