// fetch with a client certificate, which the built-in one of Node.js cannot send.
// Every name leads to this machine.
import fs from 'node:fs'
import https from 'node:https'

export function mtlsFetch({ ca, cert, key }) {
  const agent = new https.Agent({
    ca: fs.readFileSync(ca),
    cert: cert && fs.readFileSync(cert),
    key: key && fs.readFileSync(key),
    lookup: (_, options, done) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)),
  })
  return (url, { method = 'GET', headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers: Object.fromEntries(new Headers(headers)), agent }, (response) => {
      const chunks = []
      response.on('data', (c) => chunks.push(c))
      response.on('error', reject)
      response.on('end', () => resolve(new Response(chunks.length ? Buffer.concat(chunks) : null, { status: response.statusCode, headers: response.headers })))
    })
    request.on('error', reject)
    request.end(body === undefined || body === null ? undefined : body.toString())
  })
}
