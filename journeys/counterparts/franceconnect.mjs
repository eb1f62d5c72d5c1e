// A service as it was made for FranceConnect v2, with nothing but fetch: the
// parameters that FranceConnect requires and no other (no PKCE, no response_mode),
// the secret in the form, userinfo as a JWT. Its issuer is all that changed: it
// reads its endpoints from discovery. GET /start sends the browser there; GET
// /callback answers the JSON of what was received.
import http from 'node:http'
import { createPublicKey, randomBytes, verify } from 'node:crypto'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, SCOPE, ALG = 'ES256', PROMPT, IDP_HINT, CLAIMS } = process.env
const redirectURI = `http://127.0.0.1:${PORT}/callback`
const discovery = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json()
const started = new Map() // state → nonce

function start() {
  const state = randomBytes(32).toString('hex')
  const nonce = randomBytes(32).toString('hex')
  started.set(state, nonce)
  const url = new URL(discovery.authorization_endpoint)
  url.search = new URLSearchParams({
    response_type: 'code', client_id: CLIENT_ID, redirect_uri: redirectURI, scope: SCOPE, acr_values: 'eidas1', state, nonce,
    ...(PROMPT && { prompt: PROMPT }), ...(IDP_HINT && { idp_hint: IDP_HINT }), ...(CLAIMS && { claims: CLAIMS }),
  })
  return url.href
}

// claimsOf verifies a JWT with the keys that the issuer publishes.
async function claimsOf(jwt) {
  const [header, payload, signature] = jwt.split('.')
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url'))
  if (alg !== ALG) throw new Error(`signed by ${alg}`)
  const { keys } = await (await fetch(discovery.jwks_uri)).json()
  const key = createPublicKey({ key: keys.find((k) => k.kid === kid), format: 'jwk' })
  const good = verify('sha256', Buffer.from(`${header}.${payload}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  if (!good || claims.iss !== ISSUER || claims.aud !== CLIENT_ID || claims.exp < Date.now() / 1000) throw new Error('not a token for us')
  return claims
}

async function finish(answer) {
  const nonce = started.get(answer.get('state'))
  if (!nonce) throw new Error('state is not ours')
  if (answer.get('error')) return { error: answer.get('error'), description: answer.get('error_description') }
  const response = await fetch(discovery.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', redirect_uri: redirectURI, client_id: CLIENT_ID, client_secret: CLIENT_SECRET, code: answer.get('code'),
    }),
  })
  const tokens = await response.json()
  if (!response.ok) return { error: tokens.error, description: tokens.error_description }
  const claims = await claimsOf(tokens.id_token)
  if (claims.nonce !== nonce) throw new Error('nonce is not ours')
  const info = await fetch(discovery.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })
  if (!info.headers.get('content-type').startsWith('application/jwt')) throw new Error('userinfo is no JWT')
  const userinfo = await claimsOf(await info.text())
  if (userinfo.sub !== claims.sub) throw new Error('two subjects')
  return { claims, userinfo, expires_in: tokens.expires_in, token_type: tokens.token_type }
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${PORT}`)
  try {
    if (url.pathname === '/start') {
      response.writeHead(303, { location: start() }).end()
    } else if (url.pathname === '/callback') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(await finish(url.searchParams)))
    } else {
      response.writeHead(404).end()
    }
  } catch (e) {
    response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: e.name, description: e.message }))
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
