// A service on the npm library openid-client that logs people out, as its
// documentation shows it, and receives logout tokens, which it verifies with jose.
// GET /start signs in; GET /callback remembers the ID token; GET /leave logs out;
// GET /left is where the person comes back; POST /told receives; GET /heard answers
// the JSON of everything that was received. Settings come from the environment.
import http from 'node:http'
import * as client from 'openid-client'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env
const base = `http://127.0.0.1:${PORT}`
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, {}, client.ClientSecretBasic(CLIENT_SECRET), {
  execute: [client.allowInsecureRequests], // loopback http in a test
})
const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
const heard = { claims: null, told: [], refused: [] }
let checks, idToken

async function start(prompt) {
  checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(),
    expectedNonce: client.randomNonce(), idTokenExpected: true,
  }
  return client.buildAuthorizationUrl(config, {
    redirect_uri: `${base}/callback`, scope: 'openid given_name age_over_16', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256',
    ...(prompt ? { prompt } : {}),
  })
}

// OpenID Connect Back-Channel Logout section 2.6.
async function told(request) {
  const chunks = []
  for await (const c of request) chunks.push(c)
  const token = new URLSearchParams(Buffer.concat(chunks).toString()).get('logout_token')
  const { payload } = await jwtVerify(token, keys, {
    issuer: ISSUER, audience: CLIENT_ID, typ: 'logout+jwt', algorithms: ['ES256'], maxTokenAge: '2m',
    requiredClaims: ['iat', 'exp', 'jti', 'events', 'sid', 'sub'],
  })
  if (payload.nonce !== undefined) throw new Error('a nonce')
  if (typeof payload.events['http://schemas.openid.net/event/backchannel-logout'] !== 'object') throw new Error('no such event')
  heard.told.push(payload)
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, base)
  const go = (to) => response.writeHead(303, { location: to.href }).end()
  const say = (what, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(what))
  try {
    switch (url.pathname) {
      case '/start': return go(await start(url.searchParams.get('prompt')))
      case '/callback': {
        const tokens = await client.authorizationCodeGrant(config, url, checks)
        idToken = tokens.id_token
        heard.claims = tokens.claims()
        return say(heard)
      }
      case '/leave':
        return go(client.buildEndSessionUrl(config, { id_token_hint: idToken, post_logout_redirect_uri: `${base}/left`, state: 'st~ate' }))
      case '/left': return say({ left: Object.fromEntries(url.searchParams) })
      case '/told':
        await told(request)
        return response.writeHead(200, { 'cache-control': 'no-store' }).end()
      case '/heard': return say(heard)
    }
    return response.writeHead(404).end()
  } catch (e) {
    if (url.pathname === '/told') heard.refused.push(String(e))
    return say({ error: e.error ?? e.code ?? e.name, description: e.error_description ?? e.message }, 400)
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
