/*
 * browse: the pages of an agent in a headless Chromium, as people and screen readers meet them.
 * Exits 0 when all is as it should be; the first thing that is not is thrown.
 *
 * Usage: node browse.mjs BASE TOKEN_BASE TOKEN
 *
 *   BASE         http://ADDR:PORT of an agent whose stream `load` takes events all the time
 *   TOKEN_BASE   of one that asks for TOKEN
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { chromium } from 'playwright-core';

const [base, tokenBase, token] = process.argv.slice(2);
const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});

/* A page that must not complain, nor ask anybody else for anything. */
async function visit(url, options = {}, before = async () => {}) {
    const context = await browser.newContext(options);
    const page = await context.newPage();

    page.complaints = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type())
        && page.complaints.push(m.text()));
    page.on('pageerror', (error) => page.complaints.push(String(error)));
    page.on('request', (request) => request.url().startsWith(new URL(url).origin)
        || page.complaints.push('asked ' + request.url()));
    page.setDefaultTimeout(60000);
    await before(page);
    await page.goto(url);
    return page;
}

async function leave(page) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
}

/* The cells of a row by their label. */
function cells(page, table, name) {
    return page.locator(`#${table} tbody tr`).filter({ has: page.locator('th', { hasText: name }) })
        .locator('td').evaluateAll((all) => Object.fromEntries(all.map((cell) =>
            [cell.dataset.label, cell.textContent])));
}

function number(text) {
    return Number(text.replaceAll(',', ''));
}

/* ---- rates move, and the books are shown ---- */
{
    const page = await visit(base + '/', { viewport: { width: 1280, height: 800 } });
    const row = '#streams tbody tr';

    await page.waitForFunction((at) => parseFloat(document.querySelector(at)
        ?.querySelector('[data-label="In / s"]')?.textContent) > 0, row);
    const first = await cells(page, 'streams', 'load');
    const line = await page.locator(row + ' path.line').first().getAttribute('d');

    await page.waitForFunction(([at, old]) => document.querySelector(at).getAttribute('d') !== old,
        [row + ' path.line', line]);
    const second = await cells(page, 'streams', 'load');

    assert.ok(number(second.Accepted) > number(first.Accepted));
    assert.equal(second.Books, 'balanced');
    assert.equal(number(second.Accepted), ['Delivered', 'Dropped', 'Lost', 'Pending']
        .reduce((n, key) => n + number(second[key]), 0));
    assert.equal((await cells(page, 'sinks', 'local')).Health, 'well');
    assert.match((await cells(page, 'rings', /\.ring$/)).State, /^attached/);

    /* What a screen reader finds. */
    for (const [role, name] of [['banner'], ['main'], ['navigation', 'Pages'], ['table', /Books/],
        ['table', /Lag/], ['table', /Shared memory/], ['region', 'Streams'], ['searchbox', 'Filter'],
        ['columnheader', 'Pending'], ['rowheader', 'load'], ['heading', 'Sinks'],
        ['img', /Events accepted, last minute: now/]])
        assert.ok(await page.getByRole(role, name && { name }).first().isVisible(),
            `${role} ${name ?? ''}`);
    assert.equal(await page.getByRole('status').first().textContent(), 'ready');

    /* By keyboard, in the order of sight, and visibly. */
    const order = [];

    for (let i = 0; i < 7; i++) {
        await page.keyboard.press('Tab');
        order.push(await page.evaluate(() => {
            const at = document.activeElement, style = getComputedStyle(at);

            return [at.textContent.trim() || at.id, parseFloat(style.outlineWidth) >= 2
                && style.outlineStyle !== 'none'];
        }));
    }
    assert.deepEqual(order, ['Skip to the streams', 'API', 'Metrics', 'Pause', 'filter', 'Stream',
        'In / s'].map((name) => [name, true]));
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('#streams th[aria-sort]').textContent(), 'In / s');

    await page.getByRole('searchbox').fill('no such stream');
    await page.locator('#streams-none').waitFor();
    await leave(page);
}

/* ---- each page, light and dark, on desks and phones ---- */
const backs = new Set();

for (const colorScheme of ['light', 'dark'])
    for (const path of ['/', '/docs']) {
        const page = await visit(base + path, { colorScheme });

        await page.locator(path === '/' ? '#rings tbody tr' : 'article').first().waitFor();
        for (const width of [1280, 360]) {
            await page.setViewportSize({ width, height: 800 });
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= width,
                `${path} is wider than ${width} pixels`);
            assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('main *')]
                .filter((e) => e.checkVisibility() && !e.closest('.quiet, .cards thead')
                    && e.getBoundingClientRect().right > innerWidth)
                .map((e) => e.outerHTML.slice(0, 200))), [], `beyond ${width} pixels of ${path}`);
        }
        backs.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
        if (path === '/docs') {
            const api = await (await page.request.get(base + '/openapi.json')).json();
            const operations = Object.values(api.paths).flatMap((item) =>
                ['get', 'put', 'post', 'delete'].filter((method) => item[method]));

            assert.equal(await page.locator('article').count(), operations.length);
            await page.getByRole('navigation', { name: 'Operations' })
                .getByRole('link', { name: '/v1/flush' }).click();
            assert.ok(await page.locator('#flushAll').isVisible());
        }
        await leave(page);
    }
assert.equal(backs.size, 2);

/* ---- names are text, whatever is in them ---- */
{
    const hostile = '<img src=x onerror="document.title=\'obeyed\'"><script>1</script>';
    const page = await visit(base + '/', {}, (made) => made.route('**/v1/status', async (route) => {
        const answer = await route.fetch();
        const status = await answer.json();

        status.streams[0].name = status.sinks[0].target = status.agent = hostile;
        status.sinks[0].waits_because = status.rings[0].name = hostile;
        await route.fulfill({ response: answer, json: status });
    }));

    await page.locator('#streams tbody th').filter({ hasText: hostile }).waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.equal(await page.title(), hostile + ': Hydrant');
    assert.match(await page.locator('#notes').textContent(), /Sink local waits: <img/);
    await leave(page);
}

/* ---- an agent that goes away and comes back ---- */
{
    const page = await visit(base + '/');

    await page.locator('#streams tbody tr').first().waitFor();
    await page.route('**/v1/status', (route) => route.abort());
    await page.getByRole('status').filter({ hasText: 'no answer' }).waitFor();
    await page.unroute('**/v1/status');
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    page.complaints = page.complaints.filter((text) => !/ERR_FAILED/.test(text));
    await leave(page);
}

/* ---- a token is asked for, kept, and asked for again when it is wrong ---- */
{
    const page = await visit(tokenBase + '/');
    const field = page.getByLabel(/^Token/);

    await field.fill('wrong');
    await field.press('Enter');
    await page.getByText('That token is not the one.').waitFor();
    await field.fill(token);
    await field.press('Enter');
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    await page.reload();
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    assert.ok(await page.locator('#login').isHidden());
    page.complaints = page.complaints.filter((text) => !/ 401 /.test(text));
    await leave(page);
}

await browser.close();
