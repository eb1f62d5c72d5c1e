// A program in a real browser calls the broker: from the origin that it is
// registered for, and from another one, which must not be able to read a thing.
import { chromium } from 'playwright-core'
import assert from 'node:assert/strict'

const { BROKER, OWN, OTHER, CODE, VERIFIER, REDIRECT, CLIENT_ID, CHROMIUM = '/usr/bin/chromium' } = process.env

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })
const context = await browser.newContext()

// at opens a page of an origin and returns what calls from there.
async function at(origin) {
  const page = await context.newPage()
  await page.goto(`${origin}/`)
  return (path, form, headers = {}, credentials = 'omit') => page.evaluate(async ([url, form, headers, credentials]) => {
    try {
      const options = { headers, credentials, ...(form && { method: 'POST', body: new URLSearchParams(form) }) }
      const response = await fetch(url, options)
      const text = await response.text()
      return { status: response.status, body: text && JSON.parse(text), challenge: response.headers.get('WWW-Authenticate') }
    } catch (e) {
      return e.name // the browser says no more to the page
    }
  }, [BROKER + path, form, headers, credentials])
}

const blocked = 'TypeError'
const code = (value) => ({ grant_type: 'authorization_code', client_id: CLIENT_ID, code: value, code_verifier: VERIFIER, redirect_uri: REDIRECT })
const other = await at(OTHER)
const own = await at(OWN)

assert.equal(await other('/token', code('x')), blocked, 'another origin reads an error')
assert.equal(await other('/token', code('x'), { dpop: 'x' }), blocked, 'another origin passes the preflight')
assert.equal((await other('/jwks')).status, 200, 'keys are for everybody')
assert.equal((await other('/.well-known/openid-configuration')).body.issuer, BROKER, 'so is discovery')

const wrong = await own('/token', code('x'))
assert.deepEqual([wrong.status, wrong.body.error], [400, 'invalid_grant'], 'its own mistake is readable')
assert.equal((await own('/token', code('x'), { dpop: 'x' })).status, 400, 'a preflight for DPoP')
const refused = await own('/revoke', { client_id: CLIENT_ID, client_secret: 'x', token: 'x' })
assert.deepEqual([refused.status, refused.body.error], [401, 'invalid_client'])
assert.match(refused.challenge, /Basic/, 'the challenge is readable')
assert.equal(await own('/token', code('x'), {}, 'include'), blocked, 'a call with cookies')

const tokens = await own('/token', code(CODE))
assert.equal(tokens.status, 200, `token: ${JSON.stringify(tokens.body.error)}`)
const bearer = { authorization: `Bearer ${tokens.body.access_token}` }
assert.equal(await other('/userinfo', null, bearer), blocked, 'another origin with a stolen token')
const info = await own('/userinfo', null, bearer)
assert.deepEqual([info.status, info.body.given_name], [200, 'Camille Jeanne'])
assert.equal((await own('/par', { client_id: CLIENT_ID })).status, 400, 'a push is readable')
assert.equal(await own('/introspect', { client_id: CLIENT_ID, token: tokens.body.access_token }), blocked, 'introspection from a browser')
assert.equal((await own('/revoke', { client_id: CLIENT_ID, token: tokens.body.access_token })).status, 200)
assert.equal(await own('/userinfo', null, bearer), blocked, 'nobody owns a token that is no more')
await browser.close()
console.log('ok')
