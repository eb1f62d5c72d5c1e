// A real browser looks at the pages that a session, or its end, leads to, as wide as a phone,
// in both languages. axe-core judges each one.
import { chromium } from 'playwright-core'
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const { START, LOGIN, STRONG, SHOTS, CHROMIUM = '/usr/bin/chromium' } = process.env
const part = process.argv[2]
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(SHOTS, { recursive: true })
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })

for (const lang of ['fr', 'en']) {
  const name = `session-${lang}-360`
  const context = await browser.newContext({ viewport: { width: 360, height: 800 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', colorScheme: lang === 'fr' ? 'light' : 'dark' })
  let page = await context.newPage()
  const look = async what => {
    await page.screenshot({ path: join(SHOTS, `${name}-${what}.png`), fullPage: true })
    assert.ok(!await page.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1), `${name}: ${what} scrolls sideways`)
    const session = await context.newCDPSession(page)
    const run = async expression => {
      const r = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
      if (r.exceptionDetails) throw new Error(JSON.stringify(r.exceptionDetails))
      return r.result.value
    }
    await run(axe)
    assert.deepEqual(await run(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
      .then(r => r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html).join(' ')))`), [], `${name}: ${what}: axe-core objects`)
  }
  const signIn = async (start, provider, who) => {
    await page.goto(start)
    await page.click(`#provider-${provider}`)
    await page.click(`#identity-${who}`)
  }
  // The service's own address is nobody's: what is left of this visit is a tab with an error.
  const signedIn = async () => {
    await Promise.all([page.waitForResponse(r => r.url().includes('/callback/one')), signIn(LOGIN, 'one', 'camille')])
    await page.close()
    page = await context.newPage()
  }
  switch (part) {
    case 'hidden':
      await signedIn()
      await page.goto(LOGIN)
      await page.waitForSelector('#hidden')
      assert.equal(await page.locator('#provider-two').count(), 0, 'what she blocked is offered')
      await look('1-hidden')
      break
    case 'switched':
      await signedIn()
      await page.goto(STRONG)
      await page.waitForSelector('#notice[data-code=step_up]')
      await look('2-step-up')
      await page.click('#provider-two')
      await page.click('#identity-dominique')
      await page.waitForSelector('#switched')
      await look('3-switched')
      break
    case 'blocked':
      await signIn(START, 'one', 'camille')
      await page.waitForSelector('#error[data-code=person_blocked]')
      await look('4-blocked')
  }
  await context.close()
}
await browser.close()
