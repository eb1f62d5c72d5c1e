// A real browser looks at a person's own space, as wide as a phone, in both languages:
// what happened, a receipt, taking an answer back, closing; and at the
// open figures. axe-core judges each page.
import { chromium } from 'playwright-core'
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const { BROKER, SERVICE, SHOTS, LOW_ID, CHROMIUM = '/usr/bin/chromium' } = process.env
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(SHOTS, { recursive: true })
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })

for (const lang of ['fr', 'en']) {
  const name = `me-${lang}-360`
  const who = { fr: 'camille', en: 'zoe' }[lang] // whoever closes her record is somebody new
  const context = await browser.newContext({
    viewport: { width: 360, height: 800 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', colorScheme: lang === 'fr' ? 'light' : 'dark'
  })
  const page = await context.newPage()
  const look = async what => {
    await page.screenshot({ path: join(SHOTS, `${name}-${what}.png`), fullPage: true })
    const session = await context.newCDPSession(page)
    const run = async expression => {
      const r = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
      if (r.exceptionDetails) throw new Error(JSON.stringify(r.exceptionDetails))
      return r.result.value
    }
    assert.ok(!await run('document.documentElement.scrollWidth > innerWidth + 1'), `${name}: ${what} scrolls sideways`)
    await run(axe)
    assert.deepEqual(await run(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
      .then(r => r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html).join(' ')))`), [], `${name}: ${what}: axe-core objects`)
  }
  const through = async () => {
    if (await page.locator(`#provider-${LOW_ID}`).count()) await page.click(`#provider-${LOW_ID}`)
    if (await page.locator(`#identity-${who}`).count()) await page.click(`#identity-${who}`)
    if (await page.locator('#consent-agree').count()) await page.click('#consent-agree')
  }

  await page.goto(SERVICE)
  await page.click('#sign-in-city-library')
  await through()
  await page.goto(`${BROKER}/me`)
  await look('1-way-in')
  await page.click('#me-sign-in')
  await through()
  await page.waitForSelector('#history')
  await look('2-space')
  await page.click('#history a')
  await page.waitForSelector('#me-receipt')
  for (let i = 0; i < 50 && !await page.locator('details').count(); i++) await page.reload() // the proof takes a second
  await look('3-receipt')
  await page.goBack()
  await page.click('#answers button')
  await page.waitForSelector('#withdraw-confirm')
  await look('4-withdraw')
  await page.click('#withdraw-confirm')
  await page.waitForSelector('#said')
  await look('5-withdrawn')
  await page.click('#me-close')
  await look('6-close')
  await page.click('#close-confirm')
  await look('7-closed')
  await page.goto(`${BROKER}/status`)
  await look('8-status')
  await context.close()
}
await browser.close()
console.log('two spaces were looked at')
