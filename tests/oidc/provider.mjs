// An OpenID Connect provider (the certified `oidc-provider`) with people of a test's choosing. Whoever its log-in page
// is asked for says who they are in its address; nothing else of the protocol is cut short.
//
//   node provider.mjs PORT REDIRECT_URI LOGGED_OUT_URI

import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, redirectUri, loggedOutUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = new Map();

function key(kid) {
  const jwk = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
  return { ...jwk, kid, alg: "RS256", use: "sig" };
}

function client(client_id, secret) {
  return {
    client_id,
    ...(secret ? { client_secret: secret } : { token_endpoint_auth_method: "none" }),
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [loggedOutUri],
    response_types: ["code"],
    grant_types: ["authorization_code"],
  };
}

function started(name) {
  return new Provider(issuer, {
    clients: [client("tidegate", "a secret & of: 32 characters, +/="), client("public")],
    jwks: { keys: [key(name)] },
    claims: { openid: ["sub"], profile: ["preferred_username", "name"], email: ["email"], groups: ["groups"] },
    // Some providers say who somebody is in the token itself, some only where one asks with it.
    conformIdTokenClaims: process.env.CLAIMS_IN === "userinfo",
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/person/${interaction.uid}` },
    cookies: { keys: ["for tests only"] },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
    findAccount: (_, sub) => people.has(sub) && { accountId: sub, claims: () => ({ sub, ...people.get(sub) }) },
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid profile email groups");
      await grant.save();
      return grant;
    },
  });
}

let provider = started("first");

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  const [, place, name] = url.pathname.split("/");
  if (place === "people" && request.method === "PUT") {
    people.set(name, await body(request));
    response.writeHead(204).end();
  } else if (place === "keys" && request.method === "POST") {
    provider = started(`turned-${Date.now()}`);
    response.writeHead(204).end();
  } else if (place === "person") {
    const person = url.searchParams.get("as");
    const result = person ? { login: { accountId: person } } : { error: "access_denied" };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } else {
    provider.callback()(request, response);
  }
}).listen(Number(port), "127.0.0.1", () => console.log(`listening ${issuer}`));
