// A real browser signs in at a SAML provider on another site: its page posts the
// response, without the broker's Lax cookies, and the browser must end up at the
// question all the same. Prints the path where it ends.
import { chromium } from 'playwright-core'
import assert from 'node:assert/strict'

const { START, BROKER, IDP, CHROMIUM = '/usr/bin/chromium' } = process.env
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'] })
try {
  const page = await (await browser.newContext({ locale: 'en-GB' })).newPage()
  const posts = []
  page.on('request', r => {
    if (r.method() === 'POST' && r.url().startsWith(BROKER)) posts.push(r.allHeaders())
  })
  await page.goto(START)
  assert.ok(page.url().startsWith(IDP), `at ${new URL(page.url()).host}, not at the provider`)
  await page.fill('input[name=username]', 'camille')
  await page.fill('input[name=password]', 'any')
  await page.press('input[name=password]', 'Enter')
  await page.waitForSelector('#consent-agree', { timeout: 20000 })
  const headers = await Promise.all(posts)
  assert.equal(headers.length, 1, 'posts to the broker')
  assert.equal(headers[0]['sec-fetch-site'], 'cross-site')
  console.log(JSON.stringify({ path: new URL(page.url()).pathname, cookie: headers[0].cookie ?? '' }))
} finally {
  await browser.close()
}
