// A real browser looks at every face of the choice page, as wide as a phone and as a
// desk, in both languages: search, other pages, unavailable, too weak, on trial, a
// notice, a remembered choice, and the status page. axe-core judges each one.
import { chromium } from 'playwright-core'
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const { BROKER, START, SHOTS, CHROMIUM = '/usr/bin/chromium' } = process.env
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(SHOTS, { recursive: true })
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })

for (const { lang, width, dark } of [{ lang: 'fr', width: 360 }, { lang: 'en', width: 1280 }, { lang: 'en', width: 360, dark: true }]) {
  const name = `choice-${lang}-${width}${dark ? '-dark' : ''}`
  const context = await browser.newContext({ viewport: { width, height: 800 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', colorScheme: dark ? 'dark' : 'light' })
  const page = await context.newPage()
  const broken = []
  page.on('console', m => { if (/Content.Security.Policy|Refused to|violates/i.test(m.text())) broken.push(m.text()) })
  const look = async what => {
    await page.screenshot({ path: join(SHOTS, `${name}-${what}.png`) })
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
  const search = async words => {
    await page.fill('#q', words)
    await page.click('#search')
    await page.waitForSelector('#found')
  }

  await page.goto(START)
  await page.waitForSelector('#provider-one')
  assert.equal(await page.locator('button[name=provider]').count(), 50, 'providers on the first page')
  await look('1-first')
  await page.click('#next')
  await page.waitForSelector('#previous')
  assert.ok(await page.locator('#provider-weak[disabled]').count(), 'the weak one is at the end, and cannot be pressed')
  await page.locator('#provider-weak').scrollIntoViewIfNeeded()
  await look('2-last-page')

  await search('SAINT etienne 7')
  assert.deepEqual(await page.locator('button[name=provider]').evaluateAll(b => b.map(x => x.value)), ['town-7'], 'found by its town')
  assert.match(await page.getAttribute('#provider-town-7', 'class'), /down/)
  await look('3-found-unavailable')
  await search('atlantis')
  await look('4-nothing')
  await search('beta')
  assert.ok(await page.evaluate(() => document.querySelector('#provider-beta img').naturalWidth) === 1, 'the logo is not loaded')
  await look('5-beta-logo')

  await search('card')
  await page.check('#remember')
  await page.click('#provider-card')
  await page.waitForSelector('#before')
  await look('6-notice')
  await page.click('#other')
  await page.waitForSelector('#forget')
  assert.equal(await page.locator('button[name=provider]').first().getAttribute('value'), 'card', 'the remembered one is not first')
  await look('7-remembered')
  await page.click('#provider-card')
  await page.waitForSelector('#before')
  await page.click('#provider-card')
  await page.waitForSelector('.notice[role=alert]') // it does not work, and she is told
  await look('8-tried')
  await page.click('#forget')
  await page.waitForFunction(() => !document.querySelector('#forget'))
  await page.goto(`${BROKER}/status`)
  await look('9-status')
  assert.deepEqual(broken, [], `${name}: a page broke its own policy`)
  console.log(`ok ${name}`)
  await context.close()
}
await browser.close()
