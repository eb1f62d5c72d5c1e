import http from 'node:http'
import * as oidc from 'openid-client'
const [issuer, redirect_uri] = [process.env.ISSUER ?? 'http://localhost:8080', 'http://localhost:3000/callback']
const broker = await oidc.discovery(new URL(issuer), 'my-service', undefined,
  oidc.ClientSecretBasic('demo-secret-of-the-sample-services'), { execute: [oidc.allowInsecureRequests] }) // http: on this machine only
const pkceCodeVerifier = oidc.randomPKCECodeVerifier(), expectedState = oidc.randomState(), expectedNonce = oidc.randomNonce()
const signIn = async () => oidc.buildAuthorizationUrl(broker, { redirect_uri, scope: 'openid given_name age_over_18 email', state: expectedState,
  nonce: expectedNonce, code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256' })
http.createServer(async (request, response) => {
  const here = new URL(request.url, redirect_uri)
  if (here.pathname === '/') return response.writeHead(303, { location: (await signIn()).href }).end()
  if (here.pathname !== '/callback') return response.writeHead(404).end()
  const tokens = await oidc.authorizationCodeGrant(broker, here, { pkceCodeVerifier, expectedState, expectedNonce })
  response.setHeader('content-type', 'application/json').end(JSON.stringify(await oidc.fetchUserInfo(broker, tokens.access_token, tokens.claims().sub)))
}).listen(3000, 'localhost')
