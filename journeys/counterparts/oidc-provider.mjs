// An identity provider on the npm library oidc-provider, with its own
// development pages for sign-in. Settings come from the environment.
import { generateKeyPairSync } from 'node:crypto'
import Provider from 'oidc-provider'

// PROTECTED=1: everything that can be encrypted, pushed or bound has to be.
const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, JWKS_URI, POST_LOGOUT_URI, PROTECTED } = process.env
const issuer = `http://127.0.0.1:${PORT}`
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const people = {
  camille: {
    given_name: 'Camille Jeanne', family_name: 'L’Hébert', birthdate: '1984-02-29', gender: 'female',
    birthplace: '75107', birthcountry: '99100', email: 'camille@example.org', email_verified: true,
  },
}

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT_ID, redirect_uris: [REDIRECT_URI],
    post_logout_redirect_uris: POST_LOGOUT_URI ? [POST_LOGOUT_URI] : [],
    ...(JWKS_URI
      ? { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks_uri: JWKS_URI }
      : { client_secret: CLIENT_SECRET }),
    ...(PROTECTED ? {
      id_token_encrypted_response_alg: 'ECDH-ES', id_token_encrypted_response_enc: 'A256GCM', userinfo_signed_response_alg: 'ES256',
      userinfo_encrypted_response_alg: 'ECDH-ES', userinfo_encrypted_response_enc: 'A256GCM',
      require_pushed_authorization_requests: true, dpop_bound_access_tokens: true,
    } : {}),
    id_token_signed_response_alg: 'ES256', grant_types: ['authorization_code'], response_types: ['code'],
  }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'k1' }] },
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'],
    profile: ['given_name', 'family_name', 'birthdate', 'gender'], birth: ['birthplace', 'birthcountry'],
  },
  scopes: ['openid', 'profile', 'birth', 'email'],
  ...(PROTECTED ? {
    features: {
      encryption: { enabled: true }, jwtUserinfo: { enabled: true }, pushedAuthorizationRequests: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    },
  } : {}),
  fetch: (url, { method, headers }) => fetch(url, { method, headers }), // its own refuses loopback, where our jwks_uri is
  cookies: { keys: ['only-for-a-test'] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
})
provider.listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
