// A service on the npm library openid-client, as its documentation shows it.
// GET /start sends the browser to the issuer, with the parameters that it was asked
// with; GET or POST /callback answers the JSON of what was received; GET /leave logs out. Settings come from the environment.
import http from 'node:http'
import * as client from 'openid-client'
import { mtlsFetch } from './mtls-fetch.mjs'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, AUTH = 'basic', PRIVATE_JWK, PORT, SCOPE, EXTRA = '{}', REQUEST = 'plain', RESPONSE = 'plain' } = process.env
// USERINFO_ALG: what it is registered for; THEN=revoke: give the token up afterwards.
// DECRYPT_JWK: its key for encrypted ID tokens and userinfo.
// DPOP: the algorithm of the key that its tokens are to be bound to.
const { USERINFO_ALG, THEN, DECRYPT_JWK, DPOP } = process.env
// CERT, KEY: its certificate, under the authority CA; THEN=steal: use the token without it afterwards.
const { CA, CERT, KEY } = process.env
// INITIAL_TOKEN: it registers by API, with METADATA beside its redirect URI.
const { INITIAL_TOKEN, METADATA = '{}' } = process.env
const redirectURI = `http://127.0.0.1:${PORT}/callback`

async function signingKey() {
  const jwk = JSON.parse(PRIVATE_JWK)
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return { key, kid: jwk.kid }
}

async function authentication() {
  switch (AUTH) {
    case 'basic': return client.ClientSecretBasic(CLIENT_SECRET)
    case 'post': return client.ClientSecretPost(CLIENT_SECRET)
    case 'none': return client.None() // an app: client_id and PKCE
    case 'tls': return client.TlsClientAuth()
    case 'private_key_jwt': return client.PrivateKeyJwt(await signingKey())
  }
  throw new Error(`unknown AUTH ${AUTH}`)
}

function registered() {
  const metadata = { userinfo_signed_response_alg: USERINFO_ALG, use_mtls_endpoint_aliases: Boolean(CERT) }
  if (DECRYPT_JWK) {
    metadata.id_token_encrypted_response_alg = metadata.userinfo_encrypted_response_alg = 'ECDH-ES'
    metadata.id_token_encrypted_response_enc = metadata.userinfo_encrypted_response_enc = 'A256GCM'
  }
  return metadata
}

async function configure() {
  const options = {
    execute: [client.allowInsecureRequests], // loopback http in a test
    ...(CERT && { [client.customFetch]: mtlsFetch({ ca: CA, cert: CERT, key: KEY }) }),
  }
  if (!INITIAL_TOKEN) return client.discovery(new URL(ISSUER), CLIENT_ID, registered(), await authentication(), options)
  const metadata = { redirect_uris: [redirectURI], ...JSON.parse(METADATA) }
  const proof = AUTH === 'private_key_jwt' ? await authentication() : undefined // else the secret that it gets
  return client.dynamicClientRegistration(new URL(ISSUER), metadata, proof, { initialAccessToken: INITIAL_TOKEN, ...options })
}

const config = await configure()
if (RESPONSE === 'signed') client.useJwtResponseMode(config)
if (USERINFO_ALG) client.enableNonRepudiationChecks(config) // it then verifies the signature with our JWKS
if (DECRYPT_JWK) {
  const jwk = JSON.parse(DECRYPT_JWK)
  const key = await crypto.subtle.importKey('jwk', { ...jwk, alg: undefined, use: undefined }, { name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits'])
  client.enableDecryptingResponses(config, ['A256GCM'], { key, kid: jwk.kid, alg: 'ECDH-ES' })
}
const proving = async () => ({ DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair(DPOP)) })
const dpop = DPOP ? await proving() : undefined
const started = new Map() // state → what the callback must match

async function start(asked) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  started.set(expectedState, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true })
  const parameters = {
    redirect_uri: redirectURI,
    scope: SCOPE,
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...JSON.parse(EXTRA),
    ...asked,
  }
  if (dpop) parameters.dpop_jkt = await dpop.DPoP.calculateThumbprint() // the code is for this key only
  switch (REQUEST) {
    case 'plain': return client.buildAuthorizationUrl(config, parameters)
    case 'pushed': return client.buildAuthorizationUrlWithPAR(config, parameters, dpop)
    case 'signed': return client.buildAuthorizationUrlWithJAR(config, parameters, await signingKey())
    case 'signed and pushed': {
      const object = await client.buildAuthorizationUrlWithJAR(config, parameters, await signingKey())
      return client.buildAuthorizationUrlWithPAR(config, object.searchParams, dpop)
    }
  }
  throw new Error(`unknown REQUEST ${REQUEST}`)
}

// stateOf finds which sign-in an answer belongs to; the library checks the answer.
function stateOf(parameters) {
  const response = parameters.get('response')
  if (response === null) return parameters.get('state')
  return JSON.parse(Buffer.from(response.split('.')[1], 'base64url')).state
}

async function finish(request, url) {
  let checked = url
  let body
  if (request.method === 'POST') {
    const chunks = []
    for await (const c of request) chunks.push(c)
    body = Buffer.concat(chunks).toString()
    checked = new Request(url, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } })
  }
  const tokens = await client.authorizationCodeGrant(config, checked, started.get(stateOf(body ? new URLSearchParams(body) : url.searchParams)), undefined, dpop)
  const claims = tokens.claims()
  Object.assign(held, { refreshToken: tokens.refresh_token, sub: claims.sub, idToken: tokens.id_token })
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub, dpop)
  const received = { claims, userinfo, scope: tokens.scope, expires_in: tokens.expires_in }
  if (dpop && AUTH !== 'none') received.dpop = await stolen(tokens, claims.sub)
  if (THEN === 'steal') received.then = { userinfo: await withoutCertificate(tokens.access_token) }
  if (THEN === 'revoke') received.then = await giveUp(tokens.access_token, claims.sub)
  return received
}

async function withoutCertificate(token) {
  const url = config.serverMetadata().mtls_endpoint_aliases.userinfo_endpoint
  return (await mtlsFetch({ ca: CA })(url, { headers: { authorization: `Bearer ${token}` } })).status
}

// What whoever has got hold of the token can do with it.
async function stolen(tokens, sub) {
  const status = (e) => e.status ?? e.cause?.status ?? e.code
  const read = async (options) => client.fetchUserInfo(config, tokens.access_token, sub, options).then(() => 200, status)
  return {
    type: tokens.token_type, key: await dpop.DPoP.calculateThumbprint(), seen: await client.tokenIntrospection(config, tokens.access_token),
    bearer: await read(undefined), another: await read(await proving()),
  }
}

// An API that is shown the token asks for the signed form, which the library verifies.
async function seenByAnAPI(token) {
  const api = await client.discovery(new URL(ISSUER), 'city-api', { introspection_signed_response_alg: 'ES256' },
    client.ClientSecretPost(CLIENT_SECRET), { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] })
  return client.tokenIntrospection(api, token)
}

async function giveUp(token, sub) {
  const api = await seenByAnAPI(token)
  const before = await client.tokenIntrospection(config, token)
  await client.tokenRevocation(config, token)
  const after = await client.tokenIntrospection(config, token)
  const userinfo = await client.fetchUserInfo(config, token, sub).then(() => 200, (e) => e.status ?? e.cause?.status ?? e.code)
  return { api, before, after, userinfo }
}

// The service comes back while the person is away, with what it kept from last time.
const held = { refreshToken: undefined, sub: undefined, idToken: undefined }

async function comeBack() {
  const tokens = await client.refreshTokenGrant(config, held.refreshToken, undefined, dpop)
  const replaced = tokens.refresh_token !== held.refreshToken
  held.refreshToken = tokens.refresh_token
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, held.sub, dpop)
  return { claims: tokens.claims(), userinfo, scope: tokens.scope, expires_in: tokens.expires_in, replaced }
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${PORT}`)
  try {
    if (url.pathname === '/start') {
      response.writeHead(303, { location: (await start(Object.fromEntries(url.searchParams))).href }).end()
    } else if (url.pathname === '/callback') {
      const received = await finish(request, url)
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(received))
    } else if (url.pathname === '/leave') {
      const to = client.buildEndSessionUrl(config, { id_token_hint: held.idToken, post_logout_redirect_uri: `http://127.0.0.1:${PORT}/left` })
      response.writeHead(303, { location: to.href }).end()
    } else if (url.pathname === '/left') {
      response.writeHead(200).end('left')
    } else if (url.pathname === '/registered') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(config.clientMetadata()))
    } else if (url.pathname === '/come-back') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(await comeBack()))
    } else {
      response.writeHead(404).end()
    }
  } catch (e) {
    response.writeHead(500, { 'content-type': 'application/json' })
      .end(JSON.stringify({ error: e.error ?? e.code ?? e.name, description: e.error_description ?? e.message }))
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
