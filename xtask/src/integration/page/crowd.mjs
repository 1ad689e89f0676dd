// 100,000 hooks: a page at a time, searched, and followed.

import { Daemon, check, sound } from './world.mjs';

const HOOKS = 100_000;

export async function crowd({ hooks, folder, receiver, browser, picture }) {
  const names = Array.from({ length: HOOKS }, (_, at) => String(at).padStart(6, '0'));
  const config = `bus.kind = 'memory'\n${names.map((name) => `[[hooks]]\nid = 'hook-${name}'\ntypes = ['a.${name}']\nbatch.max_age = '0s'\nsink = { kind = 'http', url = '${receiver.url}/${name}' }\n`).join('')}`;
  const begun = Date.now();
  const daemon = await new Daemon(hooks, folder, 'crowd', config).start();
  console.log(`  ${HOOKS} hooks started in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  receiver.set('/077777', 500, 'broken');
  await daemon.publish([{ type: 'a.077777' }, { type: 'a.000001' }]);

  const page = await browser.open(`${daemon.url}/ui/#/`);
  await page.getByRole('heading', { name: '100,000 hooks' }).waitFor();
  check('the overview has all hooks', true);
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Hooks' }).click();
  await page.getByRole('link', { name: 'hook-000000' }).waitFor();
  check('a page has 50 of them', (await page.locator('tbody tr').count()) === 50);
  check('and was loaded alone', (await sizes(page)) < 300_000, await sizes(page));
  await picture(page, 'hooks');
  await page.getByRole('link', { name: 'Next page' }).click();
  await page.getByRole('link', { name: 'hook-000050' }).waitFor();
  await page.getByRole('button', { name: 'Back' }).click();
  await page.getByRole('link', { name: 'hook-000000' }).waitFor();
  await page.locator('tr[data-hook=hook-000001] td.number', { hasText: /^1$/ }).first().waitFor();

  let searched = Date.now();
  await page.getByRole('searchbox', { name: 'Search' }).fill('hook-0999');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('link', { name: 'hook-099900' }).waitFor();
  check('a part of a name finds those at the end', true);
  console.log(`  searched in ${Date.now() - searched} ms`);
  await sound(page, 'a search');
  searched = Date.now();
  await page.getByRole('searchbox', { name: 'Search' }).fill('');
  await page.getByLabel('State').selectOption('backing_off');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('link', { name: 'hook-077777' }).waitFor();
  check('the one that fails is found among them', (await page.locator('tbody tr').count()) === 1);
  console.log(`  filtered in ${Date.now() - searched} ms`);
  receiver.set('/077777', 200);
  await daemon.ask('POST', '/v1/hooks/hook-077777/enable');
  await page.locator('tr[data-hook=hook-077777] .badge.good').waitFor();
  check('and is seen to be well again', true);
  const overview = await timed(() => daemon.ask('GET', '/v1/overview'));
  console.log(`  GET /v1/overview in ${overview} ms`);
  await page.context().close();
  await daemon.kill();
}

/** Bytes of all that the page asked for since it was opened. */
function sizes(page) {
  return page.evaluate(() => performance.getEntriesByType('resource').reduce((sum, one) => sum + one.decodedBodySize, 0));
}

async function timed(work) {
  const begun = Date.now();
  await work();
  return Date.now() - begun;
}
