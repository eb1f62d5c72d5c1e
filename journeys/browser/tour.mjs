// A real browser goes through the demo: every kind of visit, both languages,
// both providers, phone and desk, light and dark, with JavaScript and without.
// Each page is photographed and judged by axe-core. Prints one line per step and
// ends with status 1 at the first thing that is not as a person would expect.
import { chromium } from 'playwright-core'
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import assert from 'node:assert/strict'

const { BROKER, LOW_IDP, HIGH_IDP, SERVICE, SHOTS, CHROMIUM = '/usr/bin/chromium' } = process.env
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(SHOTS, { recursive: true })

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
})
let pages = 0

// A visit is one person with a browser of her own.
async function visit(name, { lang = 'en', width = 360, dark = false, javaScript = true }, story) {
  const context = await browser.newContext({
    viewport: { width, height: width < 600 ? 780 : 800 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB',
    colorScheme: dark ? 'dark' : 'light', javaScriptEnabled: javaScript,
  })
  const page = await context.newPage()
  const foreign = []
  page.on('request', r => {
    const host = new URL(r.url()).host
    if (![BROKER, LOW_IDP, HIGH_IDP, SERVICE].some(a => new URL(a).host === host)) foreign.push(r.url())
  })
  page.on('console', m => {
    if (/Content.Security.Policy|Refused to|violates/i.test(m.text())) foreign.push(m.text())
  })
  const look = async what => {
    const file = join(SHOTS, `${name}-${what}.png`)
    await page.screenshot({ path: file, fullPage: true })
    pages++
    const overflow = javaScript && await page.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1)
    assert.ok(!overflow, `${name}: ${what} scrolls sideways at ${width} px`)
    if (!javaScript || !page.url().startsWith(BROKER) && !page.url().startsWith(SERVICE)) return
    // The page's own policy forbids scripts, as it should; axe comes in through the debugger.
    const session = await context.newCDPSession(page)
    const run = async expression => {
      const r = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
      if (r.exceptionDetails) throw new Error(JSON.stringify(r.exceptionDetails))
      return r.result.value
    }
    await run(axe)
    const found = await run(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
      .then(r => r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html).join(' ')))`)
    assert.deepEqual(found, [], `${name}: ${what}: axe-core objects`)
  }
  const expectPage = async (selector, what) => {
    await page.waitForSelector(selector, { timeout: 15000 }).catch(() => {})
    assert.ok(await page.$(selector), `${name}: expected ${what ?? selector} at ${page.url().split('?')[0]}`)
  }
  try {
    await story({ page, context, look, expectPage })
    assert.deepEqual(foreign, [], `${name}: a page asked for something outside, or broke its own policy`)
    console.log(`ok ${name}`)
  } catch (e) {
    await page.screenshot({ path: join(SHOTS, `FAILED-${name}.png`), fullPage: true }).catch(() => {})
    console.log(`FAILED ${name} at ${page.url().split('?')[0]}: ${e.message}`)
    process.exitCode = 1
  }
  await context.close()
}

// signIn goes from the service's start page to the broker's consent page.
async function signIn({ page, look, expectPage }, { client = 'city-library', provider, identity, shots = false }) {
  await page.goto(SERVICE)
  if (shots) await look('1-service')
  await page.click(`#sign-in-${client}`)
  await expectPage(`#provider-${provider}`)
  if (shots) await look('2-choice')
  await page.click(`#provider-${provider}`)
  await expectPage(`#identity-${identity}`)
  if (shots) await look('3-provider')
  await page.click(`#identity-${identity}`)
}
const people = process.env.PEOPLE.split(',')
const someone = () => people.shift() // a stranger to the broker each time
const low = process.env.LOW_ID, high = process.env.HIGH_ID

for (const view of [
  { label: 'phone-en', lang: 'en', width: 360 },
  { label: 'phone-fr-dark', lang: 'fr', width: 360, dark: true },
  { label: 'desk-fr', lang: 'fr', width: 1280 },
  { label: 'desk-en-dark', lang: 'en', width: 1280, dark: true },
  { label: 'phone-fr-nojs', lang: 'fr', width: 360, javaScript: false },
  { label: 'phone-en-nojs', lang: 'en', width: 360, javaScript: false },
]) {
  await visit(view.label, view, async v => {
    const { page, look, expectPage } = v
    await page.goto(BROKER)
    await look('0-home')
    await signIn(v, { provider: low, identity: someone(), shots: true })
    await expectPage('#consent-agree')
    await look('4-consent')
    assert.equal(await page.getAttribute('html', 'lang'), view.lang)
    assert.equal(await page.locator('input[name=claim]:checked').count(), 0, 'a box is ticked beforehand')
    const [agree, refuse] = [await page.locator('#consent-agree').boundingBox(), await page.locator('#consent-refuse').boundingBox()]
    assert.ok(Math.abs(agree.width - refuse.width) < 2 && Math.abs(agree.height - refuse.height) < 2, 'agree and refuse differ in size')
    assert.ok(agree.height >= 44, 'too small a target for a finger')
    await page.click('#consent-agree')
    await expectPage('#service-signed-in')
    await look('5-received')
    assert.equal(await page.locator('#claim-email').count(), 0, 'the e-mail left although its box was not ticked')
    const sub = await page.textContent('#sub')

    // Second visit: nothing to choose again but the way, nothing to ask.
    await page.goto(SERVICE)
    await page.click('#sign-in-city-library')
    await expectPage('#service-signed-in', 'a second visit without questions')
    assert.equal(await page.textContent('#sub'), sub, 'the same person has another subject')
  })
}

await visit('partial-consent', { lang: 'en' }, async v => {
  await signIn(v, { provider: low, identity: someone() })
  await v.expectPage('#claim-email')
  await v.page.check('#claim-email')
  await v.look('ticked')
  await v.page.click('#consent-agree')
  await v.expectPage('#service-signed-in')
  assert.ok(await v.page.locator('#claim-email').count(), 'the e-mail was ticked and did not arrive')
})

await visit('refusal', { lang: 'fr' }, async v => {
  await signIn(v, { provider: low, identity: someone() })
  await v.expectPage('#consent-refuse')
  await v.page.click('#consent-refuse')
  await v.expectPage('#service-error[data-error="access_denied"]')
  await v.look('service')
})

await visit('turned-back-at-provider', { lang: 'en' }, async v => {
  await v.page.goto(SERVICE)
  await v.page.click('#sign-in-city-library')
  await v.page.click(`#provider-${low}`)
  await v.page.click('#idp-cancel')
  await v.expectPage(`#provider-${low}`, 'the choice page again')
  await v.look('choice-with-notice')
})

await visit('high-provider-same-person', { lang: 'en' }, async v => {
  const person = process.env.AT_BOTH
  await signIn(v, { provider: low, identity: person })
  await v.page.click('#consent-agree')
  await v.expectPage('#service-signed-in')
  const sub = await v.page.textContent('#sub')
  await v.context.clearCookies()
  await signIn(v, { provider: high, identity: person })
  await v.expectPage('#service-signed-in', 'her standing consent, whichever provider she takes')
  assert.equal(await v.page.textContent('#sub'), sub, 'two providers, one person, two subjects')
})

// From the service: by the broker and the provider, back to the service, without a
// click in between. Then nobody is known anywhere.
for (const [name, view] of [['logout', { lang: 'en' }], ['logout-nojs', { lang: 'fr', javaScript: false }]]) {
  await visit(name, view, async v => {
    const { page, look, expectPage } = v
    await signIn(v, { provider: low, identity: process.env.AT_BOTH })
    await expectPage('#service-signed-in')
    await page.click('#log-out')
    await expectPage('#service-start', 'the service again')
    await page.click('#sign-in-city-library')
    await expectPage(`#provider-${low}`, 'the choice, after a logout')
    await page.click(`#provider-${low}`)
    await expectPage(`#identity-${process.env.AT_BOTH}`, 'the provider asks who she is')
    await page.click(`#identity-${process.env.AT_BOTH}`)
    await expectPage('#service-signed-in')

    // By herself, from the front page: she is asked.
    await page.goto(BROKER)
    await page.click('#logout')
    await expectPage('#logout-confirm')
    await look('1-asks')
    const [yes, no] = [await page.locator('#logout-confirm').boundingBox(), await page.locator('#logout-stay').boundingBox()]
    assert.ok(yes.height >= 44 && no.height >= 44, 'too small a target for a finger')
    await page.click('#logout-stay')
    await page.goto(`${BROKER}/logout`)
    await expectPage('#logout-confirm', 'she has stayed')
    await page.click('#logout-confirm')
    await expectPage('#logged-out[data-code=ended]')
    await look('2-logged-out')
    await page.goto(`${BROKER}/logout`)
    await expectPage('#logged-out[data-code=nothing]')
    await look('3-nothing')
    await page.goto(`${BROKER}/logout?client_id=city-library&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F`)
    await expectPage('#error[data-code="logout_redirect_invalid"]')
    await look('4-error')
  })
}

// The civil registry of the demo has an answer of every kind.
for (const [identity, selector] of [
  ['margueritte', '#consent-agree'], ['moellon', '.notice'], ['pignon', '.notice'], ['lincoir', '.notice'],
  ['archivolte', '#error[data-code="civil_status"]'], ['lambris', '.notice'], ['lucarne', '.notice'],
]) {
  for (const lang of ['lucarne', 'margueritte'].includes(identity) ? ['fr'] : ['fr', 'en']) {
    await visit(`registry-${identity}-${lang}`, { lang }, async v => {
      await signIn(v, { provider: low, identity })
      await v.expectPage(selector)
      await v.look('page')
      await v.page.reload()
      await v.expectPage(selector, 'the same after a reload')
      if (identity === 'margueritte') {
        assert.match(await v.page.textContent('main'), /Marguerite Aimée/, 'not the words of the registry')
        await v.page.click('#consent-agree')
        await v.expectPage('#service-signed-in')
        assert.equal((await v.page.textContent('#claim-given_name')).includes('Marguerite Aimée'), true, 'the service got other words')
        return
      }
      if (identity === 'archivolte') {
        assert.ok(await v.page.locator('#contact').count(), 'it does not say where to turn')
        assert.equal(await v.page.locator('button[name=provider]').count(), 0, 'another account cannot help')
        return
      }
      await v.page.click('#cancel')
      const answer = ['lambris', 'lucarne'].includes(identity) ? 'temporarily_unavailable' : 'access_denied'
      await v.expectPage(`#service-error[data-error="${answer}"]`)
    })
  }
}

await visit('language-switch', { lang: 'fr' }, async v => {
  await v.page.goto(SERVICE)
  await v.page.click('#sign-in-city-library')
  await v.expectPage(`#provider-${low}`)
  assert.equal(await v.page.getAttribute('html', 'lang'), 'fr')
  await v.page.click('a[hreflang=en]')
  await v.expectPage(`#provider-${low}`)
  assert.equal(await v.page.getAttribute('html', 'lang'), 'en')
  await v.look('switched')
})

await visit('reload-and-back', { lang: 'en' }, async v => {
  const person = someone()
  await v.page.goto(SERVICE)
  await v.page.click('#sign-in-city-library')
  await v.expectPage(`#provider-${low}`)
  await v.page.reload()
  await v.page.click(`#provider-${low}`)
  await v.expectPage(`#identity-${person}`)
  await v.page.goBack()
  await v.expectPage(`#provider-${low}`, 'the choice page after the back button')
  await v.page.click(`#provider-${low}`)
  await v.page.click(`#identity-${person}`)
  await v.expectPage('#consent-agree')
  await v.page.reload()
  await v.expectPage('#consent-agree', 'the consent page after a reload')
  await v.page.click('#consent-agree', { clickCount: 2 })
  await v.expectPage('#service-signed-in', 'signed in after a double click')
  await v.page.goBack()
  await v.look('after-back')
})

await visit('cookies-off', { lang: 'en' }, async v => {
  await v.page.goto(SERVICE)
  await v.page.click('#sign-in-city-library')
  await v.expectPage(`#provider-${low}`)
  await v.context.clearCookies()
  await v.page.click(`#provider-${low}`)
  await v.expectPage('#error[data-code="flow_not_yours"]')
  await v.look('error')
})

await visit('errors', { lang: 'fr' }, async v => {
  for (const [path, code] of [
    ['/authorize?client_id=nobody', 'client_unknown'],
    ['/authorize?client_id=city-library&redirect_uri=https%3A%2F%2Fevil.example%2F', 'redirect_invalid'],
    ['/login/AAAAAAAAAAAAAAAAAAAAAA', 'flow_unknown'],
    ['/nothing-here', 'not_found'],
  ]) {
    await v.page.goto(BROKER + path)
    await v.expectPage(`#error[data-code="${code}"]`)
    await v.look(code)
  }
})

// The answer comes as a form that the browser posts to the service by itself, or
// that she posts with a button. A page that broke its own policy would show here.
for (const [name, javaScript, identity] of [['form-post', true, 'y'], ['form-post-nojs', false, 'corentine']]) {
  await visit(name, { lang: 'fr', javaScript }, async v => {
    await v.page.goto(`${SERVICE}/sign-in?client=city-library&response_mode=form_post`)
    await v.page.click(`#provider-${low}`)
    await v.page.click(`#identity-${identity}`)
    await v.expectPage('#consent-agree')
    await v.page.click('#consent-agree')
    if (!javaScript) {
      await v.expectPage('#continue', 'the button that carries the answer')
      await v.look('answer')
      await v.page.click('#continue')
    }
    await v.expectPage('#service-signed-in')
    if (!javaScript) return
    await v.page.goBack()
    await v.expectPage('#service-signed-in', 'what was received, after the back button')
  })
}

await visit('public-task', { lang: 'fr', width: 1280 }, async v => {
  await signIn(v, { client: 'school-canteen', provider: low, identity: 'bastien' })
  await v.expectPage('#consent-agree')
  assert.match(await v.page.textContent('main'), /mission de service public/, 'it does not say why nobody asks her')
  await v.look('informed')
  await v.page.click('#consent-refuse')
  await v.expectPage('#service-error[data-error="access_denied"]')
})

for (const [name, lang, width] of [['comes-back-phone', 'fr', 360], ['comes-back-desk', 'en', 1280]]) {
  await visit(name, { lang, width }, async v => {
    const request = new URLSearchParams({
      client_id: 'my-service', redirect_uri: 'http://localhost:3000/callback', response_type: 'code', scope: 'openid given_name email offline_access',
      state: 'state', nonce: 'nonce', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
    })
    await v.page.goto(`${BROKER}/authorize?${request}`)
    await v.page.click(`#provider-${low}`)
    await v.page.click('#identity-bastien')
    await v.expectPage('#offline', 'that the service may come back without her')
    assert.match(await v.page.textContent('#offline'), /20\d\d/, 'it does not say until when')
    await v.look('agrees')
  })
}

await visit('substantial-level', { lang: 'en' }, async v => {
  await v.page.goto(`${SERVICE}/sign-in?client=civil-records&prompt=select_account`)
  await v.expectPage(`#provider-${low}[disabled]`, 'the weak account, greyed')
  await v.look('choice')
  await v.page.click(`#provider-${high}`)
  await v.page.click('#make-it-fail summary')
  await v.page.check('#fail-lower-acr')
  await v.page.click('#identity-oriane')
  await v.expectPage('.notice[role=alert]')
  await v.look('too-weak')
  await v.page.click(`#provider-${high}`)
  await v.page.click('#identity-oriane')
  await v.expectPage('#consent-agree')
  await v.look('informed')
  await v.page.click('#consent-agree')
  await v.expectPage('#service-signed-in')
  assert.match(await v.page.textContent('#id-token-claims'), /"acr": "eidas2"/)
})

await visit('minor', { lang: 'en' }, async v => {
  await signIn(v, { provider: low, identity: 'lou' })
  await v.expectPage('#consent-agree')
  assert.match((await v.page.textContent('.facts')).replace(/\s+/g, ' '), /You are 16 or older ?no/, 'she does not see that "no" is passed on')
  await v.look('consent')
  await v.page.click('#consent-agree')
  await v.expectPage('#service-signed-in')
  assert.equal(await v.page.textContent('#claim-age_over_16'), 'false')
  assert.equal(await v.page.locator('#claim-birthdate').count(), 0)
})

// Whatever goes wrong there, she is back at the choice, and the notice says where.
await visit('provider-fails', { lang: 'en', dark: true }, async v => {
  await v.page.goto(SERVICE)
  await v.page.click('#sign-in-city-library')
  const name = (await v.page.textContent(`#provider-${low} b`)).trim()
  for (const [fault, says] of [
    ['server-error', 'does not work right now'], ['token-error', 'does not work right now'], ['wrong-nonce', 'could not check'],
    ['expired-token', 'could not check'], ['lower-acr', 'not secure enough'], ['wrong-sub', 'could not check'],
    ['bad-signature', 'could not check'], ['wrong-issuer', 'could not check'], ['slow', 'does not work right now'],
    ['none', ''], // an identity with a birthday in the thirteenth month
  ]) {
    await v.page.click(`#provider-${low}`)
    await v.page.click('#make-it-fail summary')
    await v.page.check(`#fail-${fault}`)
    await v.page.click(`#identity-${fault === 'none' ? 'fautif' : 'zoe'}`)
    if (fault === 'none') {
      await v.expectPage('#flaw-birthdate')
      assert.ok((await v.page.textContent('main')).includes(name), 'the page does not name the provider')
      await v.look('none')
      break
    }
    await v.expectPage('.notice[role=alert]', `a notice after ${fault}`)
    const notice = await v.page.textContent('.notice[role=alert]')
    assert.ok(notice.includes(name) && notice.includes(says), `${fault}: the notice says "${notice}"`)
    if (['server-error', 'slow'].includes(fault)) await v.look(fault)
  }
  await v.page.click('#cancel')
  await v.expectPage('#service-error[data-error="access_denied"]')
})

await visit('keyboard-only', { lang: 'fr' }, async v => {
  const press = async id => {
    for (let i = 0; i < 40; i++) {
      await v.page.keyboard.press('Tab')
      if (await v.page.evaluate(() => document.activeElement.id) === id) return v.page.keyboard.press(id.startsWith('claim-') ? 'Space' : 'Enter')
    }
    assert.fail(`no way to ${id} by keyboard`)
  }
  await v.page.goto(SERVICE)
  for (const [id, next] of [
    ['sign-in-city-library', `#provider-${low}`], [`provider-${low}`, '#identity-noe'], ['identity-noe', '#consent-agree'],
    ['claim-email', '#claim-email:checked'], ['consent-refuse', '#service-error'],
  ]) {
    await press(id)
    await v.expectPage(next)
  }
})

await visit('language-of-an-error', { lang: 'fr' }, async v => {
  await v.page.goto(`${BROKER}/callback/${low}?code=x&state=y`)
  await v.expectPage('#error[data-code="callback_invalid"]')
  await v.page.click('details[lang=en] summary') // no link could show this page again
  assert.ok(await v.page.getByText('We did not expect this answer.').isVisible())
  await v.look('both')
})

await browser.close()
console.log(`${pages} pages photographed`)
