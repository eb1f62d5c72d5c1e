// A real browser looks at the page that says which facts a provider
// sent wrongly, as wide as a phone and as a desk, in both languages, and goes on with
// another account without JavaScript. axe-core judges the page.
import { chromium } from 'playwright-core'
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const { START, SHOTS, CHROMIUM = '/usr/bin/chromium' } = process.env
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(SHOTS, { recursive: true })
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })

for (const { lang, width, dark } of [{ lang: 'fr', width: 360 }, { lang: 'en', width: 1280 }, { lang: 'en', width: 360, dark: true }]) {
  const name = `quality-${lang}-${width}${dark ? '-dark' : ''}`
  const options = { viewport: { width, height: 800 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', colorScheme: dark ? 'dark' : 'light' }
  const visit = async javaScriptEnabled => {
    const context = await browser.newContext({ ...options, javaScriptEnabled })
    const page = await context.newPage()
    await page.goto(START)
    await page.click('#provider-one')
    await page.click('#identity-camille')
    await page.waitForSelector('#flaw-birthdate')
    return { context, page }
  }
  const judged = await visit(true) // axe is a script itself
  const session = await judged.context.newCDPSession(judged.page) // past the page's own policy
  const run = async expression => {
    const r = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (r.exceptionDetails) throw new Error(JSON.stringify(r.exceptionDetails))
    return r.result.value
  }
  assert.ok(!await run('document.documentElement.scrollWidth > innerWidth + 1'), `${name} scrolls sideways`)
  await run(axe)
  assert.deepEqual(await run(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(r => r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html).join(' ')))`), [], `${name}: axe-core objects`)
  await judged.context.close()

  const { context, page } = await visit(false)
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
  await page.click('#another')
  await page.click('#provider-two')
  await page.click('#identity-camille')
  await page.waitForSelector('#consent-agree')
  console.log(`ok ${name}`)
  await context.close()
}
await browser.close()
